//! Stopping a run before its end: on signals, at the time limit, after a panic, after a failure of other ranks.

use std::sync::mpsc;
use std::time::Duration;

use eki_mpi::error::Result;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::run::stop::{self, Limit, Stop};

/// The time that a failed rank waits for the others to fail alike.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends all ranks with exit code `exit` unless what is returned is dropped before long: until then this rank may have failed
/// alone, and wait for ever for others that go on.
pub fn abort_unless_dropped(exit: i32) -> mpsc::Sender<()> {
    let (held, dropped) = mpsc::channel();
    // Where no thread can be started the ranks wait for each other as they are.
    let _ = std::thread::Builder::new().spawn(move || {
        if dropped.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            let place = eki_mpi::parallel::abort::place();
            eki_mpi::parallel::abort::say(&format!("{place}: the other ranks go on: aborting"));
            Comm::abort(exit)
        }
    });
    held
}

/// Makes a panic on this rank name it and end all ranks.
pub fn abort_on_panic(comm: &Comm) {
    let host = eki_mpi::parallel::abort::host();
    eki_mpi::parallel::abort::abort_all_on_panic(comm.rank(), host, || Comm::abort(1));
}

/// Returns what hears of reasons to stop, for this process: signals, and the time allowed (`max_time`, else the batch system's).
pub(crate) fn listen(comm: &Comm, max_time: Option<Duration>) -> Result<Stop> {
    let stop = Stop::new(time_limit(comm, max_time));
    stop.listen(|| {
        let place = eki_mpi::parallel::abort::place();
        eki_mpi::parallel::abort::say(&format!("{place}: second stop signal: aborting"));
        Comm::abort(1)
    })?;
    Ok(stop)
}

/// Returns the time this process may take: as asked for, else as the batch system says.
fn time_limit(comm: &Comm, max_time: Option<Duration>) -> Option<Limit> {
    let asked = max_time.map(|time| Limit {
        time,
        source: "--max-time",
    });
    asked.or_else(|| {
        stop::batch_limit(|text| {
            if comm.is_first() {
                eki_mpi::parallel::abort::say(text);
            }
        })
    })
}
