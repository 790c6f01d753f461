//! The covariance of parameters and outputs by way of each layer's sums z = W^T h + b, of which there are far fewer.
//!
//! A member's draw reaches a sample's outputs through each layer's sums alone, whose own part is s n, n = B t + c with
//! t = A^T h / sqrt(rank). So what a sample's outputs tell of the weights W and biases b is what they tell of n, times the
//! gain C^{un} (C^{nn})^{-1} = (h, 1) / (|h|^2 + 1):
//!
//! ```text
//! sums of a layer = sum_k sum_i w_ki (h_ki, 1) n_ki^T / (|h_ki|^2 + 1)      w_ki = W_ki vbar_i / J ,  sum_i w_ki = c_k
//! ```
//!
//! That is sum_k c_k xi_k with each draw replaced, sample by sample, by its best linear estimate from n; for the weights
//! E[A | t], so the same in expectation (Rao & Blackwell). But where the noise of J members falls there on all the numbers of
//! a weight, here it falls on fan_out sums. No derivative is taken, and G may have none: what is used of the map is that
//! sums are linear in their weights. This extends the publication; in ensemble filters it would be a localisation (Hunt,
//! Kostelich & Szunyogh, Physica D 230 (2007)).

use ndarray::ArrayView2;

use super::{About, LowRank};
use crate::kernels::real::Real;

/// Low-rank members whose every layer's sums are linear in its parameters, as this module needs them.
pub trait PreActivations<T: Real>: LowRank<T> {
    /// The lengths of what a unit gives on `m` samples: of the first layer's sums for each sample, fan_out x m, of every
    /// later layer's parameters.
    fn gives(&self, m: usize) -> Vec<usize>;

    /// Scratch numbers `unit_sums` needs on `m` samples.
    fn sums_scratch(&self, m: usize, rank: usize) -> usize;

    /// Floating-point operations of one member in `unit_sums` on `m` samples.
    fn sums_flops(&self, m: usize, rank: usize) -> f64;

    /// Writes what `members`, the rows of their draws, n x N, and their weights w, n x m, give on `inputs`, d x m.
    /// A member whose weights are all zero (it failed) gives nothing.
    fn unit_sums(
        &self,
        about: &About<T>,
        members: (ArrayView2<T>, ArrayView2<T>),
        inputs: ArrayView2<T>,
        out: &mut [T],
        scratch: &mut [T],
    );

    /// From what all units gave, summed, to the parameters' sums, P numbers.
    fn assemble(&self, inputs: ArrayView2<T>, given: &[f64], sums: &mut [f64]);
}
