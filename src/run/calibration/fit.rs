//! What a calibration ends with.

use std::borrow::Cow;

use ndarray::{Array1, Array2};

use crate::data::scores::Scores;
use crate::forward::ForwardMap;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::reporter::Record;
use crate::run::{Outcome, State};

/// What a calibration ends with: the same on all ranks, in the parameters' own units.
pub struct Fit {
    names: Vec<String>,
    mean: Array1<f64>,
    members: Array2<f64>,
    misfits: Vec<f64>,
    steps: Vec<Record>,
    outcome: Outcome,
    state: State<f64>,
}

impl Fit {
    /// Gathers the members of all ranks. Called by all ranks; `map` has units of its own.
    pub(super) fn new(
        ranks: Ranks,
        (plan, map): (&Plan, &dyn ForwardMap<f64>),
        steps: Vec<Record>,
        (state, outcome): (State<f64>, Outcome),
    ) -> Self {
        let prior = map.own_units().expect("a calibration's map has a prior");
        let mean = state.own_mean(ranks, map, prior);
        let on_first: Vec<f64> = state.rows(ranks, map).flatten().flatten().collect();
        let coordinates = ranks
            .comm
            .broadcast(bytemuck::cast_slice(&on_first).to_vec());
        let coordinates: Vec<f64> = bytemuck::pod_collect_to_vec(&coordinates);
        let rows = coordinates.chunks_exact(prior.coordinates());
        let values: Vec<f64> = rows.flat_map(|xi| prior.at(xi)).collect();
        let shape = (values.len() / prior.parameters(), prior.parameters());
        Self {
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

    /// The members' misfit before each step, root mean square in deviations of the noise: 1 is as near as the noise allows.
    #[must_use]
    pub fn misfits(&self) -> &[f64] {
        &self.misfits
    }

    /// The misfits of the final members and at their mean, in the same unit (`misfit_members`, `misfit_mean`, `misfit_best`, and
    /// the number of the `best` member); None in ask/tell, where the final members' outputs are not known.
    #[must_use]
    pub fn scores(&self) -> &Scores {
        &self.outcome.scores
    }

    /// The statistics of each step.
    #[must_use]
    pub fn steps(&self) -> &[Record] {
        &self.steps
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
