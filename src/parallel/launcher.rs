//! The ranks that the launcher (mpirun, srun) says it started.

use crate::error::{Error, Result};
use crate::parallel::comm::Comm;

/// Returns the number of ranks that the launcher says it started, if one did.
#[must_use]
pub fn launched_ranks() -> Option<usize> {
    // Open MPI; MPICH and its kin (hydra); srun.
    first_number(&[
        "OMPI_COMM_WORLD_SIZE",
        "PMI_SIZE",
        "MPI_LOCALNRANKS",
        "SLURM_STEP_NUM_TASKS",
    ])
}

/// Returns this process's number among those that the launcher started, if one did.
#[must_use]
pub fn launched_rank() -> Option<usize> {
    first_number(&[
        "OMPI_COMM_WORLD_RANK",
        "PMI_RANK",
        "MPI_LOCALRANKID",
        "SLURM_PROCID",
    ])
}

fn first_number(names: &[&str]) -> Option<usize> {
    names
        .iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Refuses to run as several worlds of one rank each, as a program built with one MPI does under the mpirun of another.
///
/// # Errors
/// If the launcher started several ranks and MPI sees one.
pub fn refuse_singletons(comm: &Comm) -> Result<()> {
    match launched_ranks() {
        Some(ranks) if ranks > 1 && comm.size() == 1 => Err(Error::Usage(format!(
            "the launcher started {ranks} ranks, but MPI sees only one: mpirun and this program belong to different MPI \
             installations; rebuild with that mpirun's mpicc first on PATH, or use the other mpirun"
        ))),
        _ => Ok(()),
    }
}
