//! A panic on one rank ends all: the hook names rank, host and step and aborts, before MPI's own clean-up could hang.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static STEP: AtomicU64 = AtomicU64::new(u64::MAX);
static PROGRESS: AtomicU64 = AtomicU64::new(0);
static WAITS: AtomicBool = AtomicBool::new(false);
static PLACE: OnceLock<(usize, String)> = OnceLock::new();

/// Notes the step the run is in, for the panic's message.
pub fn at_step(step: u64) {
    STEP.store(step, Ordering::Relaxed);
    PROGRESS.fetch_add(1, Ordering::Relaxed);
}

/// Grows with every step this process begins.
#[must_use]
pub fn progress() -> u64 {
    PROGRESS.load(Ordering::Relaxed)
}

/// Whether this process waits for others.
#[must_use]
pub fn waits() -> bool {
    WAITS.load(Ordering::Relaxed)
}

/// Until it is dropped, this process waits for others.
#[derive(Debug)]
pub struct Waiting(());

impl Waiting {
    /// The wait begins.
    #[must_use]
    pub fn begin() -> Self {
        WAITS.store(true, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITS.store(false, Ordering::Relaxed);
    }
}

/// This host's name, once MPI is initialised.
#[must_use]
pub fn host() -> String {
    let name = mpi::environment::is_initialized().then(mpi::environment::processor_name);
    name.and_then(std::result::Result::ok)
        .unwrap_or_else(|| "?".to_owned())
}

/// Where this process stands, as "rank 3 on host b at step 17".
#[must_use]
pub fn place() -> String {
    let (rank, host) = PLACE
        .get()
        .map_or((0, "?"), |(rank, host)| (*rank, host.as_str()));
    format!("rank {rank} on host {host}{}", at())
}

/// The step the run is in, as " at step 17"; empty before the first.
#[must_use]
pub fn at() -> String {
    match STEP.load(Ordering::Relaxed) {
        u64::MAX => String::new(),
        step => format!(" at step {step}"),
    }
}

/// Prints "eki-mpi: " and `text` on one line of standard error. That it cannot be printed, as on a full disk, is no reason to
/// end, or to end otherwise.
pub fn say(text: &str) {
    // A value may hold line breaks; one line is the promise.
    let _ = writeln!(std::io::stderr(), "eki-mpi: {}", text.replace('\n', " "));
}

/// From now on a panic on any thread of this rank prints one line and calls `abort`, which ends all ranks.
///
/// rsmpi finalises MPI when its `Universe` is dropped, and that waits for the other ranks: a panic that unwinds hangs
/// the job.
pub fn abort_all_on_panic(rank: usize, host: String, abort: impl Fn() + Send + Sync + 'static) {
    let _ = PLACE.set((rank, host));
    std::panic::set_hook(Box::new(move |info| {
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".to_owned());
        let at = info
            .location()
            .map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
        say(&format!("{}: {what}{at}", place()));
        abort();
    }));
}
