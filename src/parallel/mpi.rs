//! MPI and the threads of this rank, started by one call and held until the program ends.

use mpi::Threading;
use mpi::environment::Universe;
use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::parallel::abort;
use crate::parallel::comm::Comm;
use crate::parallel::launcher::refuse_singletons;
use crate::parallel::ranks::Ranks;

/// A running MPI library and the threads of this rank.
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
    /// Starts MPI, and one thread for each core of this rank's share of the host. Called once by all ranks, before
    /// anything else uses MPI. From then on, with several ranks, a panic on any rank ends all of them.
    ///
    /// # Errors
    /// On all ranks, if MPI was already started or cannot be started, if it does not see the launcher's ranks, or if
    /// threads cannot be started.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Starts MPI and `threads` threads on this rank. Called once by all ranks, before anything else uses MPI.
    ///
    /// # Errors
    /// On all ranks, if `threads` is 0, if MPI was already started or cannot be started, if it does not see the
    /// launcher's ranks, or if threads cannot be started.
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

    /// Returns all ranks, with the threads of this one.
    #[must_use]
    pub fn ranks(&self) -> Ranks<'_> {
        Ranks {
            comm: &self.comm,
            pool: &self.pool,
        }
    }

    /// Returns this rank's number, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.comm.rank()
    }

    /// Returns the number R of ranks.
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
