//! Aborts all ranks when one panics: the panic hook names rank, host and step, then aborts before MPI's clean-up could
//! hang.

use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

static STEP: AtomicU64 = AtomicU64::new(u64::MAX);
static PROGRESS: AtomicU64 = AtomicU64::new(0);
static WAITING: AtomicBool = AtomicBool::new(false);
static PLACE: OnceLock<(usize, String)> = OnceLock::new();

/// Records the step the run is in, counted from 1, for the message of a panic.
pub fn set_step(step: u64) {
    STEP.store(step, Ordering::Relaxed);
    PROGRESS.fetch_add(1, Ordering::Relaxed);
}

/// Records that no run is in any step, for the message of a panic.
pub fn leave_steps() {
    STEP.store(u64::MAX, Ordering::Relaxed);
}

/// Returns a counter that grows with every step this process begins.
#[must_use]
pub fn progress() -> u64 {
    PROGRESS.load(Ordering::Relaxed)
}

/// Returns true while this process is_waiting for others.
#[must_use]
pub fn is_waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// A guard: until it is dropped, this process counts as waiting for others.
#[derive(Debug)]
pub struct Waiting(());

impl Waiting {
    /// Marks the start of a wait.
    #[must_use]
    pub fn begin() -> Self {
        WAITING.store(true, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.store(false, Ordering::Relaxed);
    }
}

/// Returns this host's name, or "?" before MPI is initialised.
#[must_use]
pub fn host() -> String {
    let name = mpi::environment::is_initialized().then(mpi::environment::processor_name);
    name.and_then(std::result::Result::ok)
        .unwrap_or_else(|| "?".to_owned())
}

/// Returns the place and step of this process, as "rank 3 on host b at step 17".
#[must_use]
pub fn place() -> String {
    let (rank, host) = PLACE
        .get()
        .map_or((0, "?"), |(rank, host)| (*rank, host.as_str()));
    format!("rank {rank} on host {host}{}", step_text())
}

/// Returns the step the run is in, as " at step 17"; empty before the first step.
#[must_use]
pub fn step_text() -> String {
    match STEP.load(Ordering::Relaxed) {
        u64::MAX => String::new(),
        step => format!(" at step {step}"),
    }
}

/// Prints "eki-mpi: " and `text` on one line of standard error. A failure to print, as on a full disk, is ignored.
pub fn say(text: &str) {
    // A value may hold line breaks; the message must stay on one line.
    let _ = writeln!(std::io::stderr(), "eki-mpi: {}", text.replace('\n', " "));
}

/// Makes a panic on any thread of this rank print one line and call `abort`, which ends all ranks.
///
/// rsmpi finalises MPI when its `Universe` is dropped, and that is_waiting for the other ranks: a panic that unwinds hangs
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
