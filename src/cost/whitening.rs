//! The cost of whitened draws in a step.
//!
//! A layer of u units with n inputs and a bias takes 2 u n^2 flops for each member, and once per step 2 n^2 flops for
//! each column over which the moments are taken and n^3 to invert their factor. Two roots of (n + 1)^2 numbers are
//! kept.

use crate::forward::ForwardMap;
use crate::forward::inputs::COLUMNS;
use crate::forward::low_rank::Layer;
use crate::kernels::real::Real;
use crate::run::plan::Plan;

/// The cost of whitened draws on one rank in one step, on average over the turns of layers.
#[derive(Clone, Copy, Debug, Default)]
pub struct WhiteningCost {
    /// The flops for each member.
    pub per_member: f64,
    /// The flops done once per step, in addition.
    pub once: f64,
    /// The bytes kept, the most of any turn.
    pub kept: usize,
    /// The bytes held temporarily by one thread while the moments are computed.
    pub passing: usize,
}

impl WhiteningCost {
    /// Returns the cost in a run of `plan`; zero if draws are not whitened.
    #[must_use]
    pub fn of<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>) -> Self {
        let mut sum = Self::default();
        let Some(low) = map.low_rank().filter(|_| plan.whitens().is_some()) else {
            return sum;
        };
        let (layers, number) = (low.layers(1), size_of::<T>());
        let turns = plan.ensemble.active_layers.len() as u64;
        for turn in 0..turns {
            let own = plan.layers(turn);
            let own = own.start..own.end.min(layers.len());
            let mut kept = 0;
            for layer in &layers[own] {
                let (n, units) = inputs_and_units(layer);
                let square = (n * n) as f64;
                sum.per_member += 2.0 * units as f64 * square / turns as f64;
                sum.once += square * (2 * COLUMNS + n) as f64 / turns as f64;
                kept += (n + 1) * (n + 1) * (8 + number);
                sum.passing = sum.passing.max(n * COLUMNS * (8 + number));
            }
            sum.kept = sum.kept.max(kept);
        }
        sum
    }
}

/// Returns the numbers of inputs and of units. A convolution stores its weights transposed, with one bias per row.
fn inputs_and_units(layer: &Layer) -> (usize, usize) {
    let numbers = layer.fan_in * layer.fan_out;
    (numbers / layer.biases, layer.biases)
}
