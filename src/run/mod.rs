//! A run: its state, one step (`step`), the loop over steps (`run_loop`), and what keeps a run safe.
//!
//! `plan` turns a configuration into the objects that a run holds. Beside the step stand the forecast, agreement on failed
//! members, what follows a step, batches, evaluation, checkpoints, resume, reasons to stop, waiting for simulators, timing and
//! the reporter. The room may import `method` and every room above it.
//!
//! The most common change is a criterion that ends a run: its variant of `StoppingCriterion`, its test in `Run::before_step`, its
//! words in `StoppingCriterion::why`, and its key in `config`. What is only measured, saved or judged goes into `Run::after_step`,
//! below which nothing may change the result.

mod acceptance;
mod adaptive_inflation;
mod agree;
mod ask_tell;
mod batches;
pub mod calibration;
pub mod check_simulator;
mod checkpointing;
mod coefficients;
mod conflict;
mod context;
#[cfg(feature = "gradients")]
mod descent;
pub(crate) mod evaluate;
pub mod final_arrays;
pub mod final_network;
mod following;
mod forecast;
mod history;
pub mod history_step;
mod initial;
mod keeping;
mod kept;
pub mod layer_blocks;
pub mod left_out;
pub(crate) mod misfit;
mod missing;
pub mod outlying;
mod own;
pub mod plan;
pub mod reporter;
mod rescue;
mod resume;
mod run_loop;
mod shards;
mod sizes;
pub mod start;
pub mod statistics;
mod step;
pub mod stop;
pub mod timing;
mod update_progress;
pub mod verify;
mod waits;
mod whole;

use ndarray::Array2;

use crate::data::scores::{GroupMisfit, Scores};
use crate::ensemble::hidden_state::GatheredStates;
pub use crate::ensemble::hidden_state::HiddenStates;
pub use crate::ensemble::stages::Redraw;
pub use crate::ensemble::{Ensemble, Update};
use crate::error::Result;
use crate::forward::problem::Problem;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
pub use crate::run::checkpointing::{AfterStep, Checkpointer};
use crate::run::plan::Plan;
use crate::run::reporter::Reporter;
use crate::run::stop::StopReason;
use crate::run::timing::Timing;
use acceptance::Accepted;
use following::redraw_before;
use left_out::LeftOut;
pub use resume::{Resumed, check as check_resumable};
pub use run_loop::run_from;
use step::mean_options;
use whole::Whole;

/// The state of a run between two steps.
pub struct State<T> {
    /// Steps done.
    pub step: u64,
    /// Steps done since momentum last started: n of n/(n+3).
    pub momentum_steps: u64,
    /// The sum of the h of all steps done.
    pub time: f64,
    /// The hidden states that members carry from one observation of a series to the next, once its first pass has begun.
    pub carried: Option<HiddenStates<T>>,
    /// The observations that are left out since the first step (`data.conflict`).
    pub left_out: LeftOut,
    /// The last members that were accepted, where steps may be taken back (`method.accept`).
    pub accepted: Option<Accepted<T>>,
    /// The members' mean misfit in the last step, where momentum starts anew by it (`method.momentum_adaptive`).
    pub last_misfit: Option<f64>,
    /// C, J x J, by which members follow from the first ones, where the method keeps it (`gnki`); the same on all ranks.
    pub coefficients: Option<Array2<T>>,
    /// The members, or their mean.
    pub ensemble: Ensemble<T>,
}

/// The outcome of a run, the same on all ranks.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scores on the test set after the last step.
    pub scores: Scores,
    /// With a simulator: the misfits of groups of observations at the members' mean.
    pub groups: Vec<GroupMisfit>,
    /// SHA-256 of the final ensemble (of the mean in the mean form) and of what its members carry, hexadecimal.
    pub digest: String,
    /// Why the run stopped before its last step, if it did.
    pub stopped: Option<StopReason>,
    /// The criterion that ended it before its last step, if one did.
    pub over: Option<StoppingCriterion>,
}

/// A criterion that ends a run before its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppingCriterion {
    /// The members' misfit is the noise's (`run.stop_at_misfit`).
    NoiseLevel,
    /// The steps' h add up to what was asked for (`run.end_time`).
    Time,
}

/// Runs `plan` on `problem` from its beginning to its end. Called by all ranks.
///
/// # Errors
/// On all ranks alike: a map, prior or data of other sizes than `plan` was made for; too few survivors at a step. On rank 0
/// alone: a file that cannot be written.
pub fn run<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    reporter: &mut Reporter,
    timing: &mut Timing,
) -> Result<(State<T>, Outcome)> {
    let state = State::start(ranks, plan, &problem.map.prior())?;
    let checkpointer = &mut Checkpointer::none();
    run_from(
        ranks,
        plan,
        problem,
        state,
        (reporter, timing, checkpointer),
    )
}

impl<T: Real> State<T> {
    /// Gathers the hidden states of all members. Called by all ranks.
    fn carried(&self, ranks: Ranks) -> Option<GatheredStates<T>> {
        let members = self.ensemble.members(ranks);
        self.carried
            .as_ref()
            .map(|carried| carried.whole(ranks, members))
    }

    /// Returns the arrays it is made of, `carried` and those that are stored `whole` among them.
    fn arrays(
        &self,
        ranks: Ranks,
        (carried, whole): (Option<&GatheredStates<T>>, &Whole<T>),
    ) -> Vec<Array> {
        let members = self.ensemble.members(ranks).items();
        let carried = carried.into_iter().flat_map(|c| c.arrays(members));
        let whole = whole.iter().map(|(array, _)| *array);
        let arrays = self.ensemble.arrays().into_iter();
        arrays.chain(carried).chain(whole).collect()
    }

    /// Returns the digest of the ensemble and of what its members carry. Called by all ranks.
    fn digest(&self, ranks: Ranks) -> String {
        let ensemble = self.ensemble.digest(ranks);
        match self.carried(ranks) {
            Some(carried) => carried.digest(&ensemble),
            None => ensemble,
        }
    }
}
