//! What localisation changes in the cost of the factored update.

use crate::ensemble::localisation::Localisation;
use crate::parallel::partition::{Blocks, Partition};
use crate::run::plan::Plan;

/// The flops of a product of matrices that take as long as the taper at one distance. Measured with J = 100 and all observations in
/// reach.
const TAPER: f64 = 40.0;

/// The cost of a run's localisation.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocalisingCost {
    /// True if the products with W are needed beside those with the gain.
    by_gain: bool,
    /// The blocks of parameters, and the number of observations within reach of each, by distance.
    reached: Option<(Blocks, Vec<usize>)>,
    /// The bytes of the coordinates.
    pub(crate) bytes: usize,
}

impl LocalisingCost {
    /// Returns the cost of the localisation that `plan` asks for.
    pub(crate) fn of(plan: &Plan) -> Self {
        match plan.localisation() {
            None => Self::default(),
            Some(Localisation::Correlations(factor)) => Self {
                by_gain: factor.of_gain() && plan.config().method.kind.with_gain(),
                ..Self::default()
            },
            Some(Localisation::Distances(distances)) => {
                let blocks = Blocks::new(plan.parameters);
                let reached = (0..blocks.count()).map(|b| distances.near(blocks.range(b)).len());
                Self {
                    reached: Some((blocks, reached.collect())),
                    bytes: distances.bytes(),
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

    /// Returns true if covariances of the outputs among themselves are tapered.
    pub(crate) fn tapers_outputs(&self) -> bool {
        self.reached.is_some()
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
