//! `eki-mpi verify RUN`: a step of a run taken again on these ranks, and its digest compared with the one that the run left.

use std::path::{Path, PathBuf};

use clap::Args;
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::{Error, Result};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::report::finished::Finished;
use eki_mpi::run::verify::{Recomputed, recompute};
use eki_mpi::with_precision;

use crate::cli::RunArguments;
use crate::cli::run::beginning::plan_and_problem;
use crate::cli::run::pool;

/// Which step of which run.
#[derive(Clone, Debug, Args)]
pub struct VerifyArguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    pub folder: PathBuf,
    /// The number of the step [default: the last that can be recomputed]
    #[arg(long, value_name = "N")]
    pub step: Option<u64>,
    /// Threads of each rank [default: the host's cores over its ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// Answers `eki-mpi verify`; returns the exit code. Called by all ranks.
pub fn run(comm: &Comm, arguments: &VerifyArguments, data: Option<&Path>) -> Result<i32> {
    let (finished, loaded) = comm.from_first(|| {
        let mut finished = Finished::open(&arguments.folder)?;
        // Steps that were taken were not at the noise level, whatever is allowed since.
        finished.resolved.config.run.stop_at_misfit = 0.0;
        let loaded = LoadedProblem::load(&finished.resolved, &data_dir(data))?;
        let end = finished.ending()?.map(|end| (end.steps, end.digest));
        Ok(((finished.resolved, end), loaded))
    })?;
    let precision = finished.0.config.run.precision;
    let found = with_precision!(precision, T => verify::<T>(comm, arguments, finished, loaded))?;
    let Recomputed {
        from,
        step,
        was,
        is,
    } = &found;
    let place = format!(
        "{}: step {step}, from the state after {from} on {} ranks",
        arguments.folder.display(),
        comm.size()
    );
    if was != is {
        return Err(Error::Run(format!(
            "{place}: the run left digest {was}, and now it is {is}"
        )));
    }
    if comm.is_first() {
        crate::cli::print(&format!("{place}: digest {is}, as the run left it\n"));
    }
    Ok(0)
}

/// Takes the step that `arguments` ask for again, in numbers of type T.
fn verify<T: Real>(
    comm: &Comm,
    arguments: &VerifyArguments,
    (resolved, end): (eki_mpi::config::Resolved, Option<(u64, String)>),
    loaded: LoadedProblem,
) -> Result<Recomputed> {
    let (plan, problem) = plan_and_problem::<T>(resolved, loaded)?;
    let threads = RunArguments {
        threads: arguments.threads,
        ..RunArguments::default()
    };
    let pool = pool::threads(comm, &threads, problem.map.simulator());
    let ranks = Ranks { comm, pool: &pool };
    let of_run = (&*arguments.folder, end);
    let data = Some(plan.digest(problem.dataset.digest()));
    recompute(ranks, &plan, &problem, of_run, (arguments.step, data))
}
