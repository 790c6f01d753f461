//! MPI and the threads of this rank, started by one call and held until the program ends.

use mpi::Threading;
use mpi::environment::Universe;
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::parallel::abort;
use crate::parallel::comm::Comm;
use crate::parallel::launcher::refuse_singletons;
use crate::parallel::ranks::Ranks;

/// MPI, while the program uses it, and the threads of this rank.
///
/// ```no_run
/// use eki_mpi::prelude::*;
///
/// fn main() -> Result<()> {
///     let mpi = Mpi::start()?; // one rank; under mpirun each of them
///     println!("rank {} of {}", mpi.rank(), mpi.size());
///     Ok(())
/// }
/// ```
pub struct Mpi {
    comm: Comm,
    pool: ThreadPool,
    // Dropped last: it ends MPI.
    _universe: Universe,
}

impl Mpi {
    /// Starts MPI, and as many threads as this rank's share of the host's cores. Called once by all ranks, before anything
    /// else uses MPI. With several ranks, a panic on any of them ends all from now on.
    ///
    /// # Errors
    /// On all ranks: MPI was started before, or cannot be; it does not see the launcher's ranks; threads cannot be started.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Starts MPI and `threads` threads on this rank; else as `start`.
    ///
    /// # Errors
    /// As `start`; and on all ranks, no threads.
    pub fn with_threads(threads: usize) -> Result<Self> {
        Self::start_with(Some(threads))
    }

    fn start_with(threads: Option<usize>) -> Result<Self> {
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = started
            .ok_or_else(|| Error::Run("MPI could not be initialised, or was before".to_owned()))?;
        let comm = Comm::new(universe.world());
        refuse_singletons(&comm)?;
        if comm.size() > 1 {
            abort::abort_all_on_panic(comm.rank(), abort::host(), || Comm::abort(1));
        }
        let threads = threads.unwrap_or_else(|| comm.share_of_cores());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let mut failed = [f64::from(u8::from(pool.is_err() || threads == 0))];
        comm.largest(&mut failed);
        match pool {
            Ok(pool) if failed == [0.0] => Ok(Self {
                comm,
                pool,
                _universe: universe,
            }),
            _ => Err(Error::Run(format!(
                "{threads} threads could not be started on each rank"
            ))),
        }
    }

    /// All ranks, with the threads of this one.
    #[must_use]
    pub fn ranks(&self) -> Ranks<'_> {
        Ranks {
            comm: &self.comm,
            pool: &self.pool,
        }
    }

    /// This rank's number, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.comm.rank()
    }

    /// The number of ranks R.
    #[must_use]
    pub fn size(&self) -> usize {
        self.comm.size()
    }

    /// Returns true on rank 0, the one to print results.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.comm.is_first()
    }
}
