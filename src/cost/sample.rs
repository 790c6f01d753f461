//! The memory of first members from a file, and of such members as the prior.

use super::memory::product;
use crate::ensemble::transform::Form;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;

/// The sizes of first members that come from a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SampleCost {
    /// The number of rows kept besides the members where the first ones are the prior: their deviations and their mean; else 0.
    rows: usize,
    /// The number P of parameters where the inverse of their covariance is kept on each rank; else 0.
    whitened: usize,
    /// The number of members that are read; else 0.
    read: usize,
}

impl SampleCost {
    /// Returns the sizes of `plan`, whose update has this `form`.
    pub(crate) fn of(plan: &Plan, form: Form) -> Self {
        let kept = ExtraArrays::of(plan).sample;
        let reads = plan.begins_from_file() && form != Form::Mean;
        Self {
            rows: kept.map_or(0, |members| members + 1),
            whitened: usize::from(plan.whitens_by_sample()) * plan.parameters,
            read: usize::from(reads) * plan.members(0),
        }
    }

    /// Returns the bytes kept by a rank that owns `own` parameters, of `size` bytes a number.
    pub(crate) fn kept(&self, size: usize, own: usize) -> f64 {
        product(&[size, self.rows, own]) + product(&[8, self.whitened, self.whitened])
    }

    /// Returns the most bytes needed at the start: on rank 0 members are read in the parameters' own units, `own` numbers each; there they
    /// are coordinates, of `parameters` numbers, and bytes, elsewhere bytes and numbers.
    pub(crate) fn starting(&self, size: usize, parameters: usize, own: usize, first: bool) -> f64 {
        let in_units = product(&[8 * usize::from(first), self.read, own]);
        let whitened = self.whitened;
        let read = product(&[2 * size, self.read, parameters]) + in_units;
        read + product(&[8, whitened, self.rows]) + product(&[16, whitened, whitened])
    }
}
