//! A calibration whose outputs come from a loop of the caller's own: ask and tell.

use ndarray::{Array2, ArrayView2};

use super::{Fit, refused};
use crate::error::Result;
use crate::forward::problem::Problem;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::reporter::Reporter;
use crate::run::stop::StopReason;
use crate::run::timing::Timing;
use crate::run::{Checkpointer, Outcome, State, run_from};

/// A calibration that asks for its members' outputs, step by step.
///
/// ```no_run
/// # use eki_mpi::prelude::*;
/// # fn simulate(members: &ndarray::Array2<f64>) -> ndarray::Array2<f64> { members.clone() }
/// # fn calibrate(mut steps: AskTellLoop) -> Result<Fit> {
/// while let Some(members) = steps.ask()? {
///     steps.tell(simulate(&members).view())?; // a row for each member
/// }
/// steps.finish()
/// # }
/// ```
pub struct AskTellLoop<'a> {
    ranks: Ranks<'a>,
    plan: Plan,
    problem: Problem<f64>,
    /// None while a step runs, or where one has failed.
    state: Option<State<f64>>,
    asked: Array2<f64>,
    outcome: Option<Outcome>,
    reporter: Reporter,
    timing: Timing,
}

impl<'a> AskTellLoop<'a> {
    /// Draws the first members. Called by all ranks.
    pub(super) fn start(ranks: Ranks<'a>, plan: Plan, problem: Problem<f64>) -> Result<Self> {
        let state = State::start(ranks, &plan, &problem.map.prior())?;
        Ok(Self {
            ranks,
            asked: Array2::zeros((0, 0)),
            plan,
            problem,
            state: Some(state),
            outcome: None,
            reporter: Reporter::recording(),
            timing: Timing::default(),
        })
    }

    /// Takes the steps whose outputs are known; returns the members whose outputs are needed next, a row of all parameters each in
    /// their own units, the same on all ranks, or None at the run's end. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: too few members with finite outputs, after which the loop cannot go on.
    pub fn ask(&mut self) -> Result<Option<Array2<f64>>> {
        if self.outcome.is_some() {
            return Ok(None);
        }
        let ended = || refused("ask", "a step has failed before");
        let state = self.state.take().ok_or_else(ended)?;
        let keeper = &mut Checkpointer::none();
        let around = (&mut self.reporter, &mut self.timing, keeper);
        let (state, outcome) = run_from(self.ranks, &self.plan, &self.problem, state, around)?;
        self.state = Some(state);
        if outcome.stopped != Some(StopReason::Asks) {
            self.outcome = Some(outcome);
            return Ok(None);
        }
        let map = self.problem.map.ask_tell().expect("made for ask/tell");
        let open = map.open();
        let shape = (open.len(), map.joint_prior().parameters());
        self.asked = Array2::from_shape_vec(shape, open.concat()).expect("whole rows");
        Ok(Some(self.asked.clone()))
    }

    /// Tells the `outputs` of the members that `ask` returned, a row of K numbers for each; a row with NaN or an infinity is a member
    /// that failed. Called by all ranks, with the same numbers.
    ///
    /// # Errors
    /// Other numbers of rows or columns.
    pub fn tell(&mut self, outputs: ArrayView2<f64>) -> Result<()> {
        let needed = (self.asked.nrows(), self.plan.data.outputs);
        if outputs.dim() != needed {
            let (rows, columns) = outputs.dim();
            let why = format!(
                "{rows} rows of {columns} outputs, and {} rows of {} were asked for",
                needed.0, needed.1
            );
            return Err(refused("tell", why));
        }
        let map = self.problem.map.ask_tell().expect("made for ask/tell");
        for (u, z) in self.asked.rows().into_iter().zip(outputs.rows()) {
            let sound = z.iter().all(|z| z.is_finite());
            map.tell(&u.to_vec(), sound.then(|| z.to_vec()))?;
        }
        Ok(())
    }

    /// Returns the result of a run that has ended. Called by all ranks.
    ///
    /// # Errors
    /// The run still asks for outputs.
    pub fn finish(self) -> Result<Fit> {
        let (Some(outcome), Some(state)) = (self.outcome, self.state) else {
            return Err(refused(
                "finish",
                "the run has not ended: `ask` returns None when it has",
            ));
        };
        let about = (&self.plan, self.problem.map.as_ref());
        let recorded = self.reporter.into_recorded();
        Ok(Fit::new(
            self.ranks,
            about,
            recorded,
            (state, outcome, &self.timing),
        ))
    }
}
