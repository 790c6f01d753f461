//! The threads of one rank.

use eki_mpi::forward::process::Process;
use eki_mpi::parallel::comm::Comm;
use rayon::ThreadPool;

use crate::cli::RunArguments;

/// Returns this rank's threads: as asked for, else its share of the host's cores. A rank that gets none ends all, which would
/// wait for it.
///
/// With a simulator, the threads that wait for its answers are not in this pool: they are started one by one.
pub fn threads(comm: &Comm, arguments: &RunArguments, simulator: Option<&Process>) -> ThreadPool {
    let share = comm.share_of_cores();
    let mut threads = arguments.threads.map_or(share, usize::from);
    if let Some(simulator) = simulator {
        simulator.simulate_at_once(threads);
        threads = threads.min(share);
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap_or_else(|e| panic!("{threads} threads could not be started: {e}"))
}
