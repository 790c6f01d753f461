//! The run: its state, and the loop that is the algorithm.

mod agree;
mod ask_tell;
mod batches;
pub mod check_simulator;
mod checkpointing;
mod context;
#[cfg(feature = "gradients")]
mod descent;
pub(crate) mod evaluate;
pub mod final_arrays;
mod initial;
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
use crate::parallel::ranks::Crew;

pub use crate::ensemble::Ensemble;
pub use crate::ensemble::hidden_state::Carried;
use crate::ensemble::hidden_state::Whole;
pub use crate::ensemble::stored::{Redraw, Update};
use crate::run::batches::Feed;
use crate::run::checkpointing::Urgency;
pub use crate::run::checkpointing::{Due, Keeper};
use crate::run::context::Setting;
pub use resume::Resumed;
use step::{manner, redraw_before};

use crate::data::scores::Scores;
use crate::error::Result;
use crate::files::numbers::number;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::run::layer_blocks::Turns;
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
    pub carried: Option<Carried<T>>,
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
    pub over: Option<Over>,
}

/// What a run can be over at, before its last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The members' misfit is the noise's (`run.stop_at_misfit`).
    NoiseLevel,
    /// The steps' h add up to what was asked for (`run.stop_at_time`).
    Time,
}

/// Runs `plan` on `problem` from its beginning to its end. Called by all ranks.
///
/// # Errors
/// On all ranks alike: a map, prior or data of other sizes than `plan` was made for; too few survivors at a step. On rank 0
/// alone: a file that cannot be written.
pub fn run<T: Real>(
    crew: Crew,
    plan: &Plan,
    problem: &Problem<T>,
    reporter: &mut Reporter,
    timing: &mut Timing,
) -> Result<(State<T>, Outcome)> {
    let state = State::start(crew, plan, &problem.map.prior())?;
    let keeper = &mut Keeper::none();
    run_from(crew, plan, problem, state, (reporter, timing, keeper))
}

/// As `run`, from `state` on, with a `keeper` that saves it and may stop the run. Called by all ranks.
///
/// # Errors
/// As `run`; and on all ranks alike, a checkpoint that cannot be written where that ends the run.
pub fn run_from<T: Real>(
    crew: Crew,
    plan: &Plan,
    problem: &Problem<T>,
    mut state: State<T>,
    (reporter, timing, keeper): (&mut Reporter, &mut Timing, &mut Keeper),
) -> Result<(State<T>, Outcome)> {
    problem.check(plan)?;
    state.check(crew, plan)?;
    let turns = Turns::new(plan, problem.map.as_ref());
    let mut setting = Setting::new(crew, plan, problem, &turns);
    let mut feed = Feed::default();
    let (mut scores, mut stopped, mut over) = (None, None, None);
    state.whiten(&setting);
    keeper.begin(crew.comm);
    setting.waits = Waits::new(crew.comm, keeper, problem)?;
    while state.step < plan.steps && stopped.is_none() {
        if plan.is_over(state.time) {
            over = Some(Over::Time);
            break;
        }
        if state.asks(&setting) {
            save_before_step(crew, plan, &state, (reporter, timing, keeper))?;
            stopped = Some(StopReason::Asks);
            break;
        }
        let batch = feed.batch(&setting, state.step);
        let Some(told) = state.advance(&setting, &batch, timing)? else {
            stopped = setting.given_up();
            if stopped.is_none() {
                over = Some(Over::NoiseLevel);
            } else {
                save_before_step(crew, plan, &state, (reporter, timing, keeper))?;
            }
            break;
        };

        // Below here nothing changes the result: what happened is judged, told, and kept.
        scores = match plan.evaluates(state.step) {
            true => judge(&setting, &mut state, timing, false)?,
            false => None,
        };
        let record = told.record(plan, &state, timing.elapsed(), scores);
        timing.measure(Phase::Report, || reporter.step(plan, &record))?;
        let due = keeper.due(crew.comm, plan, &state);
        stopped = due.stop.or(setting.given_up());
        if due.save || stopped.is_some() {
            let seconds = timing.elapsed();
            let urgency = match stopped {
                Some(_) => Urgency::Stop,
                None if state.step == plan.steps => Urgency::End,
                None => Urgency::Periodic,
            };
            timing.measure(Phase::Checkpoint, || {
                keeper.save(crew, plan, &state, reporter, (seconds, urgency))
            })?;
        }
    }
    if let Some(over) = over {
        if crew.comm.is_first() {
            tracing::info!("step {}: {}: the run ends", state.step, over.why(plan));
        }
        let seconds = timing.elapsed();
        keeper.save(crew, plan, &state, reporter, (seconds, Urgency::End))?;
        scores = judge(&setting, &mut state, timing, true)?;
    } else if stopped.is_none() {
        if let Some(left) = plan.left(state.time).filter(|_| !plan.is_over(state.time))
            && crew.comm.is_first()
        {
            tracing::warn!(
                "the last step leaves {} of run.stop_at_time = {}: more run.steps are needed to reach it",
                number(left, 3),
                plan.config().run.stop_at_time
            );
        }
        // A finished run that is resumed takes no step, but has a verdict all the same.
        if scores.is_none() {
            scores = judge(&setting, &mut state, timing, true)?;
        }
    }
    stopped = stopped.or(setting.given_up());
    // A run that asks has not looked for a STOP file: it is left to whoever brings the outputs. Where the folder is gone
    // another's may be in its place.
    let others = [StopReason::Asks, StopReason::Folder];
    if stopped.is_some_and(|reason| !others.contains(&reason)) {
        keeper.stopped();
    }
    let digest = state.digest(crew);
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
    crew: Crew,
    plan: &Plan,
    state: &State<T>,
    (reporter, timing, keeper): (&mut Reporter, &Timing, &mut Keeper),
) -> Result<()> {
    if state.step == 0 {
        return Ok(());
    }
    let last = (timing.elapsed(), Urgency::Stop);
    keeper.save(crew, plan, state, reporter, last).map(drop)
}

impl Over {
    /// What has come about, in words.
    fn why(self, plan: &Plan) -> String {
        let run = &plan.config().run;
        match self {
            Self::NoiseLevel => format!(
                "the members' misfit is at most {} deviations of the noise",
                run.stop_at_misfit
            ),
            Self::Time => format!("the steps' h add up to {}", run.stop_at_time),
        }
    }
}

impl<T: Real> State<T> {
    /// What members carry, of all members. Called by all ranks.
    fn carried(&self, crew: Crew) -> Option<Whole<T>> {
        let members = self.ensemble.members(crew);
        self.carried
            .as_ref()
            .map(|carried| carried.whole(crew, members))
    }

    /// The arrays it is made of, `carried` among them.
    fn arrays(&self, crew: Crew, carried: Option<&Whole<T>>) -> Vec<Array> {
        let members = self.ensemble.members(crew).items();
        let carried = carried.into_iter().flat_map(|c| c.arrays(members));
        self.ensemble.arrays().into_iter().chain(carried).collect()
    }

    /// The digest of the ensemble and of what its members carry. Called by all ranks.
    fn digest(&self, crew: Crew) -> String {
        let ensemble = self.ensemble.digest(crew);
        match self.carried(crew) {
            Some(carried) => carried.digest(&ensemble),
            None => ensemble,
        }
    }
}

/// The test set's verdict; after the last step, or at another `end`, also on the members. None where its simulations were given
/// up.
fn judge<T: Real>(
    setting: &Setting<T>,
    state: &mut State<T>,
    timing: &mut Timing,
    end: bool,
) -> Result<Option<Scores>> {
    let end = end || state.step == setting.plan.steps;
    loop {
        let scores = timing.measure(Phase::Evaluate, || {
            crate::run::evaluate::judge(setting, state, end)
        });
        match setting.settle()? {
            Round::Good => return Ok(Some(scores)),
            Round::Again => {}
            Round::GivenUp => return Ok(None),
        }
    }
}
