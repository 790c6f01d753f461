//! How a run begins: its plan, whether there is time for it, its folder, and the state that it goes on from.

use std::path::PathBuf;
use std::time::Duration;

use eki_mpi::config::Resolved;
use eki_mpi::error::{Error, Result};
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::problem::Problem;
use eki_mpi::io::run_folder::{self, Claim};
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::stop::{EXIT_STOPPED, RESERVE, Stop};
use eki_mpi::run::timing::{Phase, Timing};
use eki_mpi::run::{Checkpointer, State};

use crate::cli::RunArguments;

/// Returns the plan of `resolved` on the data `loaded`, and what is inverted, in numbers of type T.
pub(crate) fn plan_and_problem<T: Real>(
    resolved: Resolved,
    loaded: LoadedProblem,
) -> Result<(Plan, Problem<T>)> {
    let shape = loaded.shape();
    let (noise, table, tapers) = (loaded.noise(), loaded.table(), loaded.tapers());
    let problem = loaded.problem::<T>(&resolved)?;
    let plan = Plan::with_noise(resolved, noise, shape, problem.map.parameters())?
        .with_table(table)?
        .localised_by(tapers)?;
    Ok((plan, problem))
}

/// Refuses a time limit that leaves no room for a step, whose simulation takes so many seconds where that is known. Called by all ranks.
pub(super) fn refuse_no_room(
    comm: &Comm,
    arguments: &RunArguments,
    (stop, simulation): (&Stop, Option<f64>),
    simulates: bool,
) -> Result<()> {
    comm.from_first(|| {
        let step = simulation.map_or(Duration::ZERO, Duration::from_secs_f64);
        let room = stop.check_room(step, if simulates { RESERVE } else { Duration::ZERO });
        room.map_err(|error| match arguments.is_of_sweep {
            // The sweep's next start has more time for it.
            true => Error::Remote {
                message: error.to_string(),
                code: EXIT_STOPPED,
            },
            false => error,
        })
    })
}

/// Returns the state a run begins with: as it was left, where it is to be taken up and was saved, else a new one.
pub(super) fn first_state<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    resume: bool,
    (timing, checkpointer): (&mut Timing, &mut Checkpointer),
) -> Result<State<T>> {
    let prior = problem.map.prior();
    let resumed = match resume {
        true => checkpointer.resume(ranks, plan, &prior)?,
        false => None,
    };
    let first = ranks.comm.is_first();
    if let Some(resumed) = resumed {
        timing.resume(resumed.seconds);
        if first {
            let step = resumed.state.step;
            tracing::info!("going on from step {step} of {}", plan.steps);
        }
        return Ok(resumed.state);
    }
    // A run that asks stops before its first step, and has nothing to save until it has taken it.
    let begins_anew = resume && plan.steps > 0;
    if first && begins_anew && problem.map.ask_tell().is_none() {
        tracing::info!("no checkpoint to resume: starting from the beginning");
    }
    timing.measure(Phase::Start, || State::start(ranks, plan, &prior))
}

/// Returns the run's folder, the same on all ranks, and rank 0's claim to it.
pub(super) fn claim(
    comm: &Comm,
    arguments: &RunArguments,
    plan: &Plan,
) -> Result<(PathBuf, Option<Claim>)> {
    let mut claim = None;
    let folder = comm.path_from_first(|| {
        let folder = arguments.folder(&plan.resolved.name);
        let folder = std::path::absolute(&folder).map_err(|e| Error::io(&folder, "find", e))?;
        if folder.to_str().is_none() {
            let folder = folder.display();
            return Err(Error::Usage(format!(
                "--out {folder}: the path of a run's folder must be UTF-8"
            )));
        }
        claim = Some(run_folder::claim(
            &folder,
            arguments.resume,
            &plan.resolved.toml(),
        )?);
        Ok(folder)
    })?;
    Ok((folder, claim))
}
