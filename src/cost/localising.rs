//! What localisation changes in the cost of the factored update.

use crate::ensemble::localisation::{Localisation, Reach};
use crate::parallel::partition::{Blocks, Partition};
use crate::run::plan::Plan;

/// The flops of a product of matrices that take as long as the taper at one distance. Measured with J = 100 and all observations in
/// reach.
const TAPER: f64 = 40.0;

/// The cost of a run's localisation.
#[derive(Clone, Debug)]
pub(crate) struct LocalisingCost {
    /// True if the products with W are needed beside those with the gain.
    by_gain: bool,
    /// The blocks of parameters, and the number of observations that inform each, where that is known.
    reached: Option<(Blocks, Vec<usize>)>,
    /// True if covariances of the outputs among themselves are tapered.
    pub(crate) tapers_outputs: bool,
    /// The number of gains, one for each set of observations that groups make.
    pub(crate) gains: usize,
    /// The bytes of what says which observations inform which parameters, and those for each parameter that a rank updates.
    bytes: usize,
    per_parameter: usize,
}

impl Default for LocalisingCost {
    fn default() -> Self {
        Self {
            by_gain: false,
            reached: None,
            tapers_outputs: false,
            gains: 1,
            bytes: 0,
            per_parameter: 0,
        }
    }
}

impl LocalisingCost {
    /// Returns the cost of the localisation that `plan` asks for.
    pub(crate) fn of(plan: &Plan) -> Self {
        match plan.localisation() {
            // Of a matrix all rows may inform all parameters.
            None => Self {
                per_parameter: plan.taper_file().map_or(0, |file| 4 * file.observed.len()),
                ..Self::default()
            },
            Some(Localisation::Correlations(factor)) => Self {
                by_gain: factor.of_gain() && plan.config().method.kind.with_gain(),
                ..Self::default()
            },
            Some(Localisation::Near(reach)) => {
                let blocks = Blocks::new(plan.parameters);
                let reached = (0..blocks.count()).map(|b| reach.count(blocks.range(b)));
                let (bytes, tapers_outputs, gains) = match &reach {
                    Reach::Distances(distances) => (distances.bytes(), true, 1),
                    Reach::Groups(groups) => (groups.bytes(), false, groups.sets().len()),
                    Reach::Matrix(_) => (0, false, 1),
                };
                Self {
                    reached: Some((blocks, reached.collect())),
                    bytes,
                    tapers_outputs,
                    gains,
                    ..Self::default()
                }
            }
        }
    }

    /// Returns the flops of the update of the P_r parameters of `rank` by J members and K outputs.
    pub(crate) fn update(
        &self,
        (ranks, rank): (usize, usize),
        parameters: f64,
        (j, k): (f64, f64),
    ) -> f64 {
        match &self.reached {
            Some((blocks, reached)) => {
                let own = Partition::new(blocks.count(), ranks).range(rank);
                let pairs = own.map(|b| reached[b] as f64 * blocks.range(b).len() as f64);
                (4.0 * j + TAPER) * pairs.sum::<f64>()
            }
            None => {
                let products = if self.by_gain { 6.0 } else { 4.0 };
                products * j * k * parameters
            }
        }
    }

    /// Returns the bytes that a rank keeps which updates so many `parameters`.
    pub(crate) fn bytes(&self, parameters: usize) -> f64 {
        self.bytes as f64 + self.per_parameter as f64 * parameters as f64
    }

    /// Returns the numbers of V and W, by so many `members`, that a thread picks for a block.
    pub(crate) fn picked(&self, members: usize) -> usize {
        match &self.reached {
            Some((_, reached)) => 2 * members * reached.iter().copied().max().unwrap_or(0),
            None => 0,
        }
    }

    /// Returns the numbers for each column of a block that the products of the update with K `outputs` take.
    pub(crate) fn products(&self, outputs: usize) -> usize {
        match &self.reached {
            Some((_, reached)) => reached.iter().copied().max().unwrap_or(0),
            None if self.by_gain => 2 * outputs,
            None => outputs,
        }
    }
}
