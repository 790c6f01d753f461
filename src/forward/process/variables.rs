//! The environment of a simulator: eki-mpi's but for the variables by which a launcher speaks to its ranks. A simulator that
//! uses MPI would take them for its own, and end, or wait for ranks that do not exist.

use std::process::Command;

/// Beginnings of the names that MPI launchers set for each rank.
const LAUNCHERS: [&str; 11] = [
    "OMPI_",
    "PMIX_",
    "PMI_",
    "PMI2_",
    "PRTE_",
    "HYDI_",
    "HYDRA_",
    "MPI_LOCAL",
    "MV2_COMM_WORLD_",
    "PALS_",
    "FLUX_TASK_",
];
/// Beginnings of the names that Slurm sets for each step and task. What describes the job stays
/// (SLURM_JOB_ID ...): a simulator may start steps of its own.
const STEP: [&str; 13] = [
    "SLURM_STEP",
    "SLURM_SRUN_",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_GTIDS",
    "SLURM_TASK_PID",
    "SLURM_LAUNCH_NODE",
    "SLURM_MPI_TYPE",
    "SLURM_PMI",
    "SLURM_CPU_BIND",
    "SLURM_MEM_BIND",
    "SLURM_DISTRIBUTION",
];
/// A job's list of nodes. Open MPI's mpirun wants it beside the job's number (`JOB`), and takes a program that sees it without
/// that number for a task of srun.
const NODES: &str = "SLURM_NODELIST";
const JOB: &str = "SLURM_JOBID";
/// The one of these variables that a simulator which calls mpirun itself may need.
const KEPT: &str = "OMPI_ALLOW_RUN_AS_ROOT";

/// Removes the variables of launchers from the environment of `starting`.
pub fn without_launchers(starting: &mut Command) {
    if std::env::var_os(JOB).is_none() {
        starting.env_remove(NODES);
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let mut prefixes = LAUNCHERS.iter().chain(&STEP);
        if prefixes.any(|prefix| text.starts_with(prefix)) && !text.starts_with(KEPT) {
            starting.env_remove(&name);
        }
    }
}
