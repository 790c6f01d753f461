//! What a calibration ends with.

use std::borrow::Cow;

use ndarray::{Array1, Array2};

use crate::data::scores::Scores;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::forward::ForwardMap;
use crate::forward::joint_prior::JointPrior;
use crate::parallel::ranks::Ranks;
use crate::run::history_step::HistoryStep;
use crate::run::plan::Plan;
use crate::run::reporter::Record;
use crate::run::statistics::normal_law::MembersOf;
use crate::run::statistics::{FinalMembers, MembersAre, PriorSpread};
use crate::run::timing::Timing;
use crate::run::{Outcome, State};

/// The result of a calibration: the same on all ranks, in the parameters' own units.
///
/// ```no_run
/// # use eki_mpi::prelude::*;
/// # fn of(calibration: Calibration<impl ForwardMap<f64> + 'static>, ranks: &Ranks) -> Result<()> {
/// let fit = calibration
///     .method(Method::Posterior)
///     .members(300)
///     .set("output.history", "all")
///     .run(ranks)?;
/// let found = fit.statistics();
/// println!("the members are {}", found.are.words());      // a sample of the posterior, if it was reached
/// for of in &found.parameters {
///     println!("{} {:.3} +- {:.3}", of.name, of.mean, of.deviation.unwrap_or(0.0));
/// }
/// if let Some(outputs) = fit.outputs() {                  // J x K, of the final members
///     println!("predicted {:.3}", outputs.mean_axis(ndarray::Axis(0)).unwrap());
/// }
/// for kept in fit.history() {                             // to train an emulator on
///     println!("step {}: {:?} parameters, {:?} outputs", kept.step, kept.members.dim(), kept.outputs.dim());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Fit {
    names: Vec<String>,
    mean: Array1<f64>,
    members: Array2<f64>,
    misfits: Vec<f64>,
    steps: Vec<Record>,
    history: Vec<HistoryStep>,
    outcome: Outcome,
    state: State<f64>,
    prior: JointPrior,
    update_seconds: f64,
    /// What the members are.
    are: MembersAre,
    points: Option<SigmaPoints>,
    /// True if the first members are draws from the prior's laws, and true if they are the prior themselves.
    before: (bool, bool),
}

impl Fit {
    /// Gathers the members of all ranks. Called by all ranks; `map` has units of its own.
    pub(super) fn new(
        ranks: Ranks,
        (plan, map): (&Plan, &dyn ForwardMap<f64>),
        (steps, history): (Vec<Record>, Vec<HistoryStep>),
        (state, outcome, timing): (State<f64>, Outcome, &Timing),
    ) -> Self {
        let prior = map.own_units().expect("a calibration's map has a prior");
        let mean = state.own_mean(ranks, (plan, map), prior);
        let on_first: Vec<f64> = state.rows(ranks, map).flatten().flatten().collect();
        let coordinates = ranks
            .comm
            .broadcast(bytemuck::cast_slice(&on_first).to_vec());
        let coordinates: Vec<f64> = bytemuck::pod_collect_to_vec(&coordinates);
        let rows = coordinates.chunks_exact(prior.coordinates());
        let values: Vec<f64> = rows.flat_map(|xi| prior.at(xi)).collect();
        let shape = (values.len() / prior.parameters(), prior.parameters());
        let time = plan.mean_time(state.step, state.time);
        let are = MembersAre::at(plan, time, outcome.scores.misfit_members);
        Self {
            are,
            points: plan.sigma_points(),
            before: (
                plan.config().ensemble.begins_as_drawn(),
                plan.sample_is_prior(),
            ),
            prior: prior.clone(),
            update_seconds: timing.updates(),
            history,
            names: prior.names().map(Cow::into_owned).collect(),
            mean: Array1::from(mean),
            members: Array2::from_shape_vec(shape, values).expect("whole rows"),
            misfits: steps
                .iter()
                .map(|step| plan.in_deviations(step.loss))
                .collect(),
            steps,
            outcome,
            state,
        }
    }

    /// The names of all parameters, in the order of the prior.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The mean of the members, a number for each parameter.
    #[must_use]
    pub fn mean(&self) -> &Array1<f64> {
        &self.mean
    }

    /// The members, a row of all parameters for each.
    #[must_use]
    pub fn members(&self) -> &Array2<f64> {
        &self.members
    }

    /// Returns the statistics of the members: mean, deviation and quantiles of each parameter with their jackknife errors, contraction
    /// against the prior, correlations, and what the members stand for. They are of the members as `eki-mpi evaluate` shows them.
    #[must_use]
    pub fn statistics(&self) -> FinalMembers {
        let mean = self.mean.as_slice().expect("one after the other");
        let first = self.history.first().filter(|first| first.step == 0);
        let of = MembersOf {
            are: self.are,
            before: match (self.before, first) {
                ((true, _), _) => PriorSpread::Laws,
                ((_, true), Some(first)) => PriorSpread::Sample(first.members.view()),
                _ => PriorSpread::Unknown,
            },
            points: self.points,
        };
        FinalMembers::new(of, &self.prior, mean, self.members.view())
    }

    /// The outputs of the members, a row of K numbers for each, NaN where there are none. None where the final members were not
    /// simulated: with `run.best` = "never", and in ask/tell unless `output.history` is set, as to "ends".
    #[must_use]
    pub fn outputs(&self) -> Option<&Array2<f64>> {
        let last = self.history.last();
        last.filter(|last| last.step == self.state.step)
            .map(|last| &last.outputs)
    }

    /// The ensembles that `output.history` says, with their outputs: by default the first and the last one.
    #[must_use]
    pub fn history(&self) -> &[HistoryStep] {
        &self.history
    }

    /// The members' misfit before each step, root mean square in deviations of the noise: 1 is as near as the noise allows.
    #[must_use]
    pub fn misfits(&self) -> &[f64] {
        &self.misfits
    }

    /// The misfits of the final members and at their mean, in the same unit (`misfit_members`, `misfit_mean`, `misfit_best`, and
    /// the number of the `best` member); None in ask/tell where the final members' outputs are not known ([`Fit::outputs`]).
    #[must_use]
    pub fn scores(&self) -> &Scores {
        &self.outcome.scores
    }

    /// The statistics of each step.
    #[must_use]
    pub fn steps(&self) -> &[Record] {
        &self.steps
    }

    /// The seconds of this rank's updates, simulations excluded: from the outputs of all steps to the members after them.
    #[must_use]
    pub fn update_seconds(&self) -> f64 {
        self.update_seconds
    }

    /// Why the run ended: "noise level", "end time" or "steps used up".
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.outcome.reason()
    }

    /// SHA-256 of the final ensemble, as the program's summary.json has it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.outcome.digest
    }

    /// The final state. Its ensemble is in standard normal coordinates.
    #[must_use]
    pub fn state(&self) -> &State<f64> {
        &self.state
    }
}
