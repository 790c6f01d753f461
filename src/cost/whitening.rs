//! What spreading draws by the moments of layers' inputs adds to a step's cost.
//!
//! A layer of u units that sum over n inputs and the bias's 1: 2 u n^2 flops for each member, and once 2 n^2 flops for each
//! of the columns that the moments are taken over, and n^3 to invert their factor. Two roots of (n + 1)^2 numbers are kept.

use crate::forward::ForwardMap;
use crate::forward::inputs::COLUMNS;
use crate::forward::low_rank::Layer;
use crate::kernels::real::Real;
use crate::run::plan::Plan;

/// Of one rank at one step, on average over the turns of layers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spreading {
    /// Flops for each member.
    pub of_member: f64,
    /// Flops beside these, done once.
    pub once: f64,
    /// Bytes kept, the most of any turn.
    pub kept: usize,
    /// Bytes of what comes and goes while the moments are taken, in one thread.
    pub passing: usize,
}

impl Spreading {
    /// In a run of `plan`; nothing where draws are not spread.
    #[must_use]
    pub fn of<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>) -> Self {
        let mut sum = Self::default();
        let Some(low) = map.low_rank().filter(|_| plan.whitens().is_some()) else {
            return sum;
        };
        let (layers, number) = (low.layers(1), size_of::<T>());
        let turns = plan.config().ensemble.active_layers.len() as u64;
        for turn in 0..turns {
            let own = plan.layers(turn);
            let own = own.start..own.end.min(layers.len());
            let mut kept = 0;
            for layer in &layers[own] {
                let (n, units) = inputs_and_units(layer);
                let square = (n * n) as f64;
                sum.of_member += 2.0 * units as f64 * square / turns as f64;
                sum.once += square * (2 * COLUMNS + n) as f64 / turns as f64;
                kept += (n + 1) * (n + 1) * (8 + number);
                sum.passing = sum.passing.max(n * COLUMNS * (8 + number));
            }
            sum.kept = sum.kept.max(kept);
        }
        sum
    }
}

/// A convolution's weights stand the other way round, and then it has as many biases as rows.
fn inputs_and_units(layer: &Layer) -> (usize, usize) {
    let numbers = layer.fan_in * layer.fan_out;
    (numbers / layer.biases, layer.biases)
}
