//! Outputs of simulators that a run that is killed leaves to the one that resumes it, on any number of ranks.

use crate::forward::problem::Problem;
use crate::forward::process::kept::{Found, KeptOutputs, LIMIT, find, record_size};
use crate::io::run_folder::SIMULATED;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::Checkpointer;
use crate::run::context::StepContext;
use crate::run::plan::Plan;
use crate::run::stop::StopReason;

/// Rounds of simulations of all members whose outputs may lie in the run's folder: a step's, and those that judge members.
const ROUNDS: u64 = 4;

/// Keeps the outputs of simulators where `keeper` saves, from now on, and uses those that a killed run left there. Rank 0 reads
/// it and sends it to the others, who need not open the files of all ranks. Called by all ranks.
pub fn begin<T: Real>(ranks: Ranks, plan: &Plan, keeper: &Checkpointer, problem: &Problem<T>) {
    let (Some(run), Some(simulator)) = (&keeper.folder, problem.map.simulator()) else {
        return;
    };
    let (comm, folder, asked_for) = (ranks.comm, run.join(SIMULATED), simulator.asked_for());
    let mut found = Found::default();
    if comm.is_first() {
        let members = plan.members(plan.last_epoch()) as u64;
        let most = LIMIT + ROUNDS * members * record_size(asked_for.1.count()) as u64;
        found = find(&folder, asked_for.1.count(), most);
    }
    found.records = comm.broadcast(found.records);
    let place = (comm.rank(), comm.size());
    let kept = KeptOutputs::new(keeper.files.clone(), &folder, place, asked_for, found);
    if comm.is_first() && kept.left() > 0 {
        tracing::info!(
            "the outputs of {} simulations were kept: these are not done again",
            kept.left()
        );
    }
    simulator.keep_outputs(Some(kept));
}

/// A step has ended; where it is `saved`, the outputs of it and of those before are of no more use. But not where the run
/// is `stopped` in the middle of simulations that come after it, or in a folder that may be another run's now.
pub fn step_ended<T: Real>(context: &StepContext<T>, saved: bool, stopped: Option<StopReason>) {
    let saved = saved && context.given_up().is_none() && stopped != Some(StopReason::Folder);
    let simulator = context.problem.map.simulator();
    simulator.and_then(|simulator| simulator.with_kept(|kept| kept.step_ended(saved)));
}

/// The run ends: nothing is kept any more, and where it is `over` no outputs stay. Called by all ranks.
pub fn end<T: Real>(ranks: Ranks, keeper: &Checkpointer, problem: &Problem<T>, over: bool) {
    let (Some(run), Some(simulator)) = (&keeper.folder, problem.map.simulator()) else {
        return;
    };
    if over {
        simulator.with_kept(KeptOutputs::forget);
    }
    simulator.keep_outputs(None);
    ranks.comm.barrier();
    if ranks.comm.is_first() {
        // It stays where outputs are in it.
        let _ = keeper.files.remove_folder(&run.join(SIMULATED));
    }
}
