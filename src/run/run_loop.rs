//! The loop over steps, and what surrounds each: judging, reporting, checkpoints, reasons to end.

use super::batches::BatchSequence;
use super::checkpointing::{Checkpointer, Urgency};
use super::context::StepContext;
use super::history::Recorder;
use super::layer_blocks::LayerSchedule;
use super::plan::Plan;
use super::reporter::Reporter;
use super::step::{self, Step, StepStats};
use super::stop::StopReason;
use super::timing::{Phase, Timing};
use super::waits::{Round, Waits};
use super::{Outcome, State, StoppingCriterion, kept};
use crate::config::HistorySteps;
use crate::data::Batch;
use crate::data::scores::{GroupMisfit, Scores};
use crate::error::Result;
use crate::files::numbers::number;
use crate::forward::problem::Problem;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;

/// Runs `plan` on `problem` as `run` does, but from `state` on, with a checkpointer that saves it and may stop the run. Called by
/// all ranks.
///
/// # Errors
/// As `run`; and on all ranks alike, a checkpoint that cannot be written where that ends the run.
pub fn run_from<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    mut state: State<T>,
    (reporter, timing, checkpointer): (&mut Reporter, &mut Timing, &mut Checkpointer),
) -> Result<(State<T>, Outcome)> {
    problem.check(plan)?;
    state.check(ranks, plan)?;
    let schedule = LayerSchedule::new(plan, problem.map.as_ref());
    let mut context = StepContext::new(ranks, plan, problem, &schedule)?;
    state.whiten(&context);
    checkpointer.begin(ranks.comm);
    context.history = match reporter.is_recording() && problem.map.own_units().is_some() {
        true => Some(Recorder::in_memory(plan))
            .filter(|_| plan.config().output.history != HistorySteps::None),
        false => Recorder::begin(ranks, plan, checkpointer, problem)?,
    };
    context.waits = Waits::new(ranks.comm, checkpointer, problem)?;
    kept::begin(ranks, plan, checkpointer, problem);
    let mut run = Run {
        context,
        state,
        misfits: None,
        scores: None,
        groups: Vec::new(),
        reporter,
        timing,
        checkpointer,
    };
    let mut batches = BatchSequence::default();
    let end = loop {
        if let Some(end) = run.before_step()? {
            break end;
        }
        let batch = batches.batch(&run.context, run.state.step);
        let Some(stats) = run.step(&batch)? else {
            break run.without_step()?;
        };
        // Below here nothing changes the result: what happened is judged, reported and saved.
        if let Some(reason) = run.after_step(&stats)? {
            break End::Stopped(reason);
        }
    };
    run.finish(end)
}

/// Why the loop ended.
enum End {
    /// All steps of the plan are done.
    Done,
    /// A criterion of the plan is met before its last step.
    Met(StoppingCriterion),
    /// The run stops, to be resumed.
    Stopped(StopReason),
}

/// A run in progress, with what it reports to and is saved by.
struct Run<'a, T> {
    context: StepContext<'a, T>,
    state: State<T>,
    /// The misfit of each member of this state, if their outputs are known.
    misfits: Option<Vec<f64>>,
    /// The verdict after the newest step, if it was judged.
    scores: Option<Scores>,
    /// The misfits of groups of observations, as it judged them.
    groups: Vec<GroupMisfit>,
    reporter: &'a mut Reporter,
    timing: &'a mut Timing,
    checkpointer: &'a mut Checkpointer,
}

impl<T: Real> Run<'_, T> {
    /// Returns why no step follows, if none does. Called by all ranks.
    fn before_step(&mut self) -> Result<Option<End>> {
        let plan = self.context.plan;
        let end = if self.state.step >= plan.steps {
            Some(End::Done)
        } else if plan.is_over(self.state.time) {
            Some(End::Met(StoppingCriterion::Time))
        } else {
            None
        };
        let asks = end.is_none() || self.context.asks_for_last_outputs();
        if asks && self.state.awaits_outputs(&self.context) {
            self.save_before_step()?;
            return Ok(Some(End::Stopped(StopReason::Asks)));
        }
        Ok(end)
    }

    /// Takes one step of the run's method with `batch`; None where none was taken. Called by all ranks.
    ///
    /// # Errors
    /// As `step::step`, or as gradient descent's.
    fn step(&mut self, batch: &Batch<T>) -> Result<Option<StepStats>> {
        let (context, state, timing) = (&self.context, &mut self.state, &mut *self.timing);
        let comm = context.ranks.comm;
        crate::parallel::abort::set_step(state.step + 1);
        timing.begin_step(comm);
        state.begin_pass(context);
        let step = match &context.plan.descent {
            #[cfg(feature = "gradients")]
            Some(descent) => Step::Taken(state.descend(descent, context, batch, timing)?),
            _ => step::step(context, state, batch, timing)?,
        };
        match step {
            Step::Taken(stats) => {
                timing.end_step(comm);
                return Ok(Some(stats));
            }
            // Where momentum had moved the members on, these are not their misfits.
            Step::AtNoiseLevel(misfits) if !state.ensemble.extrapolates() => {
                self.misfits = Some(misfits);
            }
            Step::AtNoiseLevel(_) | Step::GivenUp => {}
        }
        Ok(None)
    }

    /// Returns why a step was not taken: its simulations were given up, or the misfit is at the noise level. Called by all ranks.
    fn without_step(&mut self) -> Result<End> {
        let Some(reason) = self.context.given_up() else {
            return Ok(End::Met(StoppingCriterion::NoiseLevel));
        };
        self.save_before_step()?;
        Ok(End::Stopped(reason))
    }

    /// Judges, reports and saves the step that was taken; returns why the run stops, if it does. Called by all ranks.
    fn after_step(&mut self, stats: &StepStats) -> Result<Option<StopReason>> {
        let (plan, ranks) = (self.context.plan, self.context.ranks);
        self.scores = match plan.evaluates(self.state.step) {
            true => self.judge(false)?,
            false => None,
        };
        let record = stats.record(plan, &self.state, self.timing.elapsed(), self.scores);
        self.timing
            .measure(Phase::Report, || self.reporter.step(plan, &record))?;
        let due = self.checkpointer.due(ranks, plan, &self.state);
        let stopped = due.stop.or(self.context.given_up());
        let mut saved = false;
        if due.save || stopped.is_some() {
            let urgency = match stopped {
                Some(_) => Urgency::Stop,
                None if self.state.step == plan.steps => Urgency::End,
                None => Urgency::Periodic,
            };
            let seconds = self.timing.elapsed();
            saved = self.timing.measure(Phase::Checkpoint, || {
                let Self {
                    state,
                    reporter,
                    checkpointer,
                    ..
                } = self;
                checkpointer.save(ranks, plan, state, reporter, (seconds, urgency))
            })?;
        }
        kept::step_ended(&self.context, saved, stopped);
        Ok(stopped)
    }

    /// Judges and saves what the run ends with. Called by all ranks.
    fn finish(mut self, end: End) -> Result<(State<T>, Outcome)> {
        let (plan, ranks) = (self.context.plan, self.context.ranks);
        let (over, stopped) = match end {
            End::Met(criterion) => {
                if ranks.comm.is_first() {
                    let why = criterion.why(plan);
                    tracing::info!("step {}: {why}: the run ends", self.state.step);
                }
                // The state it began with is drawn anew, or read, to the bit.
                if self.state.step > 0 {
                    self.save(Urgency::End)?;
                }
                self.scores = self.judge(true)?;
                (Some(criterion), None)
            }
            End::Done => {
                self.warn_of_time_left();
                // A finished run that is resumed takes no step, but has a verdict all the same.
                if self.scores.is_none() {
                    self.scores = self.judge(true)?;
                }
                (None, None)
            }
            End::Stopped(reason) => (None, Some(reason)),
        };
        let stopped = stopped.or(self.context.given_up());
        // A run that asks has not looked for a STOP file: it is left to whoever brings the outputs. Where the folder is gone
        // another's may be in its place.
        let others = [StopReason::Asks, StopReason::Folder];
        if stopped.is_some_and(|reason| !others.contains(&reason)) {
            self.checkpointer.stopped();
        }
        kept::end(
            ranks,
            self.checkpointer,
            self.context.problem,
            stopped.is_none(),
        );
        if let Some(history) = &self.context.history {
            self.reporter.keep_history(history.take_kept());
        }
        let outcome = Outcome {
            scores: self.scores.unwrap_or_default(),
            groups: self.groups,
            digest: self.state.digest(ranks),
            stopped,
            over,
        };
        Ok((self.state, outcome))
    }

    /// Saves the state of a run that stops before its next step, but for the state it began with, which is drawn anew, or read,
    /// to the bit. Called by all ranks.
    fn save_before_step(&mut self) -> Result<()> {
        match self.state.step {
            0 => Ok(()),
            _ => self.save(Urgency::Stop),
        }
    }

    /// Saves the state. Called by all ranks.
    fn save(&mut self, urgency: Urgency) -> Result<()> {
        let (ranks, plan, last) = (
            self.context.ranks,
            self.context.plan,
            (self.timing.elapsed(), urgency),
        );
        self.checkpointer
            .save(ranks, plan, &self.state, self.reporter, last)
            .map(drop)
    }

    /// Returns the test set's verdict; at the `end`, or after the last step, also on the members. None where its simulations
    /// were given up. Called by all ranks.
    fn judge(&mut self, end: bool) -> Result<Option<Scores>> {
        let Self {
            context,
            state,
            misfits,
            timing,
            groups,
            ..
        } = self;
        let end = end || state.step == context.plan.steps;
        loop {
            let verdict = timing.measure(Phase::Evaluate, || {
                super::evaluate::judge(context, state, (end, misfits.as_deref()))
            });
            match context.settle()? {
                Round::Good => {
                    if end {
                        let outputs = (verdict.raw, verdict.mean);
                        timing.measure(Phase::Report, || state.keep_result(context, outputs));
                    } else if let Some(raw) = verdict.raw.filter(|_| !state.ensemble.extrapolates())
                    {
                        context.know_outputs(state.step, raw.rows);
                    }
                    *groups = verdict.groups;
                    return Ok(Some(verdict.scores));
                }
                Round::Again => {}
                Round::GivenUp => return Ok(None),
            }
        }
    }

    /// Warns where the last step has not reached `run.end_time`; a run of the first ensemble alone, which has no step, need not.
    fn warn_of_time_left(&self) {
        let (plan, time) = (self.context.plan, self.state.time);
        let left = plan.left(time);
        let left = left.filter(|_| plan.steps > 0 && !plan.is_over(time));
        if let (Some(left), true) = (left, self.context.ranks.comm.is_first()) {
            tracing::warn!(
                "the last step leaves {} of run.end_time = {}: more run.steps are needed to reach it",
                number(left, 3),
                plan.config().run.end_time
            );
        }
    }
}

impl StoppingCriterion {
    /// Returns what has come about, in words.
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
