//! How long an answer is waited for: until its deadline, or until the run is to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait between two looks at whether the simulator still runs and whether the run is to stop.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// Asks, while an answer is waited for, whether the run is to stop at once.
#[derive(Clone)]
pub struct Halt(Arc<dyn Fn() -> bool + Send + Sync>);

impl Halt {
    /// The run is to stop once `asked` returns true; threads that wait call it every `LOOK` or so.
    pub fn new(asked: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(asked))
    }

    /// Returns true if the run is to stop at once.
    #[must_use]
    pub fn asked(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Halt")
    }
}

/// The longest time to wait for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// The time at which the member fails.
    pub deadline: Option<Instant>,
    /// True if the run is to stop at once.
    pub halt: Option<&'a Halt>,
}
