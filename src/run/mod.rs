//! The run: its state, and the loop that is the algorithm.

mod agree;
mod ask_tell;
mod batches;
pub mod calibration;
pub mod check_simulator;
mod checkpointing;
mod context;
#[cfg(feature = "gradients")]
mod descent;
pub(crate) mod evaluate;
pub mod final_arrays;
mod initial;
mod kept;
pub mod layer_blocks;
pub(crate) mod misfit;
pub mod outlying;
mod own;
pub mod plan;
pub mod reporter;
mod rescue;
mod resume;
mod sizes;
pub mod start;
mod step;
pub mod stop;
pub mod timing;
mod waits;

use crate::forward::problem::Problem;
use crate::parallel::ranks::Ranks;

pub use crate::ensemble::Ensemble;
pub use crate::ensemble::full::{Redraw, Update};
use crate::ensemble::hidden_state::GatheredStates;
pub use crate::ensemble::hidden_state::HiddenStates;
use crate::run::batches::BatchSequence;
use crate::run::checkpointing::Urgency;
pub use crate::run::checkpointing::{AfterStep, Checkpointer};
use crate::run::context::StepContext;
pub use resume::Resumed;
use step::{manner, redraw_before};

use crate::data::scores::Scores;
use crate::error::Result;
use crate::files::numbers::number;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::run::layer_blocks::LayerSchedule;
use crate::run::plan::Plan;
use crate::run::reporter::Reporter;
use crate::run::stop::StopReason;
use crate::run::timing::{Phase, Timing};
use waits::{Round, Waits};

/// What changes from step to step.
pub struct State<T> {
    /// Steps done.
    pub step: u64,
    /// Steps done since momentum last started: n of n/(n+3).
    pub momentum_steps: u64,
    /// The sum of the h of all steps done.
    pub time: f64,
    /// What members carry from one observation to the next, once the first pass over a series has begun.
    pub carried: Option<HiddenStates<T>>,
    /// The members, or their mean.
    pub ensemble: Ensemble<T>,
}

/// What a run ends with, the same on all ranks.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test set's verdict after the last step.
    pub scores: Scores,
    /// SHA-256 of the final ensemble (of the mean in the mean form) and of what its members carry, hexadecimal.
    pub digest: String,
    /// Why the run stopped before its last step, if it did.
    pub stopped: Option<StopReason>,
    /// Why it was over before its last step, if it was.
    pub over: Option<StoppingCriterion>,
}

/// What a run can be over at, before its last step.
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
    let keeper = &mut Checkpointer::none();
    run_from(ranks, plan, problem, state, (reporter, timing, keeper))
}

/// As `run`, from `state` on, with a `keeper` that saves it and may stop the run. Called by all ranks.
///
/// # Errors
/// As `run`; and on all ranks alike, a checkpoint that cannot be written where that ends the run.
pub fn run_from<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    mut state: State<T>,
    (reporter, timing, keeper): (&mut Reporter, &mut Timing, &mut Checkpointer),
) -> Result<(State<T>, Outcome)> {
    problem.check(plan)?;
    state.check(ranks, plan)?;
    let turns = LayerSchedule::new(plan, problem.map.as_ref());
    let mut context = StepContext::new(ranks, plan, problem, &turns);
    let mut feed = BatchSequence::default();
    let (mut scores, mut stopped, mut over) = (None, None, None);
    state.whiten(&context);
    keeper.begin(ranks.comm);
    context.waits = Waits::new(ranks.comm, keeper, problem)?;
    kept::begin(ranks, plan, keeper, problem);
    while state.step < plan.steps && stopped.is_none() {
        if plan.is_over(state.time) {
            over = Some(StoppingCriterion::Time);
            break;
        }
        if state.awaits_outputs(&context) {
            save_before_step(ranks, plan, &state, (reporter, timing, keeper))?;
            stopped = Some(StopReason::Asks);
            break;
        }
        let batch = feed.batch(&context, state.step);
        let Some(told) = state.advance(&context, &batch, timing)? else {
            stopped = context.given_up();
            if stopped.is_none() {
                over = Some(StoppingCriterion::NoiseLevel);
            } else {
                save_before_step(ranks, plan, &state, (reporter, timing, keeper))?;
            }
            break;
        };

        // Below here nothing changes the result: what happened is judged, told, and kept.
        scores = match plan.evaluates(state.step) {
            true => judge(&context, &mut state, timing, false)?,
            false => None,
        };
        let record = told.record(plan, &state, timing.elapsed(), scores);
        timing.measure(Phase::Report, || reporter.step(plan, &record))?;
        let due = keeper.due(ranks.comm, plan, &state);
        stopped = due.stop.or(context.given_up());
        let mut saved = false;
        if due.save || stopped.is_some() {
            let seconds = timing.elapsed();
            let urgency = match stopped {
                Some(_) => Urgency::Stop,
                None if state.step == plan.steps => Urgency::End,
                None => Urgency::Periodic,
            };
            saved = timing.measure(Phase::Checkpoint, || {
                keeper.save(ranks, plan, &state, reporter, (seconds, urgency))
            })?;
        }
        kept::step_ended(&context, saved, stopped);
    }
    if let Some(over) = over {
        if ranks.comm.is_first() {
            tracing::info!("step {}: {}: the run ends", state.step, over.why(plan));
        }
        let seconds = timing.elapsed();
        keeper.save(ranks, plan, &state, reporter, (seconds, Urgency::End))?;
        scores = judge(&context, &mut state, timing, true)?;
    } else if stopped.is_none() {
        if let Some(left) = plan.left(state.time).filter(|_| !plan.is_over(state.time))
            && ranks.comm.is_first()
        {
            tracing::warn!(
                "the last step leaves {} of run.end_time = {}: more run.steps are needed to reach it",
                number(left, 3),
                plan.config().run.end_time
            );
        }
        // A finished run that is resumed takes no step, but has a verdict all the same.
        if scores.is_none() {
            scores = judge(&context, &mut state, timing, true)?;
        }
    }
    stopped = stopped.or(context.given_up());
    // A run that asks has not looked for a STOP file: it is left to whoever brings the outputs. Where the folder is gone
    // another's may be in its place.
    let others = [StopReason::Asks, StopReason::Folder];
    if stopped.is_some_and(|reason| !others.contains(&reason)) {
        keeper.stopped();
    }
    kept::end(ranks, keeper, problem, stopped.is_none());
    let digest = state.digest(ranks);
    Ok((
        state,
        Outcome {
            scores: scores.unwrap_or_default(),
            digest,
            stopped,
            over,
        },
    ))
}

/// Saves the `state` of a run that stops before its next step, but for the state it began with, which is drawn anew, or read,
/// to the bit. Called by all ranks.
///
/// # Errors
/// On all ranks alike: it cannot be saved.
fn save_before_step<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    state: &State<T>,
    (reporter, timing, keeper): (&mut Reporter, &Timing, &mut Checkpointer),
) -> Result<()> {
    if state.step == 0 {
        return Ok(());
    }
    let last = (timing.elapsed(), Urgency::Stop);
    keeper.save(ranks, plan, state, reporter, last).map(drop)
}

impl StoppingCriterion {
    /// What has come about, in words.
    fn why(self, plan: &Plan) -> String {
        let run = &plan.config().run;
        match self {
            Self::NoiseLevel => format!(
                "the members' misfit is at most {} deviations of the noise",
                run.stop_at_misfit
            ),
            Self::Time => format!("the steps' h add up to {}", run.end_time),
        }
    }
}

impl<T: Real> State<T> {
    /// What members carry, of all members. Called by all ranks.
    fn carried(&self, ranks: Ranks) -> Option<GatheredStates<T>> {
        let members = self.ensemble.members(ranks);
        self.carried
            .as_ref()
            .map(|carried| carried.whole(ranks, members))
    }

    /// The arrays it is made of, `carried` among them.
    fn arrays(&self, ranks: Ranks, carried: Option<&GatheredStates<T>>) -> Vec<Array> {
        let members = self.ensemble.members(ranks).items();
        let carried = carried.into_iter().flat_map(|c| c.arrays(members));
        self.ensemble.arrays().into_iter().chain(carried).collect()
    }

    /// The digest of the ensemble and of what its members carry. Called by all ranks.
    fn digest(&self, ranks: Ranks) -> String {
        let ensemble = self.ensemble.digest(ranks);
        match self.carried(ranks) {
            Some(carried) => carried.digest(&ensemble),
            None => ensemble,
        }
    }
}

/// The test set's verdict; after the last step, or at another `end`, also on the members. None where its simulations were given
/// up.
fn judge<T: Real>(
    context: &StepContext<T>,
    state: &mut State<T>,
    timing: &mut Timing,
    end: bool,
) -> Result<Option<Scores>> {
    let end = end || state.step == context.plan.steps;
    loop {
        let scores = timing.measure(Phase::Evaluate, || {
            crate::run::evaluate::judge(context, state, end)
        });
        match context.settle()? {
            Round::Good => return Ok(Some(scores)),
            Round::Again => {}
            Round::GivenUp => return Ok(None),
        }
    }
}
