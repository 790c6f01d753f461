//! Low-rank members: each weight matrix W = Wbar + s A B^T / sqrt(rank), A fan_in x rank and B fan_out x rank standard
//! normal, so that every entry keeps the mean and variance of a full draw; biases are drawn in full.
//!
//! ```text
//! x W = x Wbar + (x A) B^T s / sqrt(rank)      the product with Wbar is shared, or one of many members
//! sum_k c_k (W_k - Wbar) = s A diag(c) B^T / sqrt(rank)
//! ```
//!
//! A dense member then costs O(m (fan_in + fan_out)) a layer beside the shared product; a convolutional one is written out and
//! evaluated as any other, for there but the first layer's product could be shared. This extends the publication; related:
//! low-rank evolution strategies, arXiv:2511.16652.

mod places;
mod pre_activations;

use ndarray::ArrayView2;

use super::ForwardMap;
pub use places::Layer;
pub(super) use places::in_order;
pub use pre_activations::PreActivations;

use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;

/// A forward map that evaluates and sums members whose weight matrices differ from the mean's by low rank.
pub trait LowRank<T: Real>: ForwardMap<T> {
    /// Its layers, each with its place among the parameters and the draws of a member of `rank`.
    fn layers(&self, rank: usize) -> Vec<Layer>;

    /// The standard normal numbers N that make one member.
    fn draws(&self, rank: usize) -> usize {
        places::draws(&self.layers(rank), rank)
    }

    /// The numbers all members share on `m` samples: a dense network's first product, or arranged inputs.
    fn shared(&self, m: usize) -> usize;

    /// Computes what all members share at `centre`, P numbers, on `inputs`, d x m: a dense network's first sums.
    fn share(&self, centre: &[T], inputs: ArrayView2<T>, shared: &mut [T]);

    /// Scratch numbers `evaluate_low_rank` needs for `members` members on `m` samples.
    fn low_rank_scratch(&self, members: usize, m: usize, rank: usize) -> usize;

    /// Floating-point operations of one member on `m` samples, beside what is shared.
    fn low_rank_flops(&self, m: usize, rank: usize) -> f64;

    /// Hands the outputs, c x m, of each of the members made by the rows of `draws`, n x N, to `take`, in order.
    fn evaluate_low_rank(
        &self,
        about: &About<T>,
        draws: ArrayView2<T>,
        inputs: ArrayView2<T>,
        scratch: &mut [T],
        take: &mut dyn FnMut(usize, ArrayView2<T>),
    );

    /// The parts `accumulate` may be asked for, one at a time: (first parameter, parameters).
    fn parts(&self) -> Vec<(usize, usize)> {
        places::parts(&self.layers(1))
    }

    /// Adds sum_k c_k xi_k over the rows of `draws` (n x N, and the rank) to `sums`, the parameters of part `part`, each block sum
    /// rounded to `quantum`; xi is the member's deviation in units of the prior's.
    fn accumulate(
        &self,
        part: usize,
        draws: (ArrayView2<T>, usize),
        coefficients: &[T],
        quantum: Quantum,
        sums: &mut [f64],
        scratch: &mut Vec<T>,
    ) {
        let of_part = (&*self.layers(draws.1), part);
        places::accumulate(of_part, draws, coefficients, quantum, sums, scratch);
    }

    /// Writes a whole member, P numbers, from its `draw`, N numbers.
    fn member(&self, about: &About<T>, draw: &[T], out: &mut [T]) {
        places::member(&self.layers(about.rank), about, draw, out);
    }

    /// The same map, where its layers' sums are linear in their parameters.
    fn layer_sums(&self) -> Option<&dyn PreActivations<T>> {
        None
    }
}

/// The centre that low-rank members are drawn about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a, T> {
    /// The centre, P numbers.
    pub centre: &'a [T],
    /// The part that members share at the centre: see `LowRank::share`.
    pub shared: &'a [T],
    /// sqrt(gamma): deviations in units of the prior's.
    pub spread: f64,
    /// The rank of each weight's perturbation.
    pub rank: usize,
}

/// Members whose products are formed together; ranks own whole units, so the products' shapes know nothing of ranks.
pub const UNIT: usize = 64;

#[cfg(test)]
mod tests;
