//! What a checkpoint stores whole, with block 0, beside the ensemble and what its members carry: what is the same on all ranks, or few.

use ndarray::Array2;

use super::acceptance::Accepted;
use super::left_out::LeftOut;
use super::{State, coefficients};
use crate::io::checkpoint::{Array, Checked};
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;

/// Arrays that are stored whole, with their numbers.
pub(super) type Whole<T> = Vec<(Array, Vec<T>)>;

/// Returns true if `array` is one of these.
fn is_whole(array: &Array) -> bool {
    matches!(
        array,
        Array::LeftOut { .. }
            | Array::Accepted { .. }
            | Array::Coefficients { .. }
            | Array::LastMisfit { .. }
    )
}

/// Returns the arrays before those that are stored whole, and room for these, whose sizes were checked.
pub(super) fn split<T: Real>(arrays: &[Array]) -> (&[Array], Whole<T>) {
    let first = arrays.iter().position(is_whole).unwrap_or(arrays.len());
    let (before, whole) = arrays.split_at(first);
    let room = |array: &Array| (*array, vec![T::zero(); array.extra_numbers(0) as usize]);
    (before, whole.iter().map(room).collect())
}

/// Returns true if the members of a step that may be taken back are among them.
pub(super) fn has_accepted<T>(whole: &Whole<T>) -> bool {
    let mut arrays = whole.iter();
    arrays.any(|(array, _)| matches!(array, Array::Accepted { .. }))
}

impl<T: Real> State<T> {
    /// Returns what of this state is stored whole. Called by all ranks.
    pub(super) fn whole(&self, ranks: Ranks) -> Whole<T> {
        let places = self.left_out.places().iter();
        let places: Vec<T> = places.map(|&place| T::from_f64(place as f64)).collect();
        let coefficients = self.coefficients.iter().flatten().copied().collect();
        // The bytes of a double, as numbers of this precision.
        let misfit: Vec<f64> = self.last_misfit.into_iter().collect();
        let misfit = bytemuck::pod_collect_to_vec(&misfit);
        type Named = fn(u64) -> Array;
        let all: [(Named, Vec<T>); 4] = [
            (|count| Array::LeftOut { count }, places),
            (
                |count| Array::Accepted { count },
                self.accepted_numbers(ranks),
            ),
            (|count| Array::Coefficients { count }, coefficients),
            (|count| Array::LastMisfit { count }, misfit),
        ];
        let there = all.into_iter().filter(|(_, numbers)| !numbers.is_empty());
        there
            .map(|(array, numbers)| (array(numbers.len() as u64), numbers))
            .collect()
    }

    /// Takes what rank 0 has read of the `whole` arrays. Called by all ranks; the flaw, if any, is the same on all.
    pub(super) fn take_whole(&mut self, ranks: Ranks, plan: &Plan, whole: Whole<T>) -> Checked<()> {
        let members = self.ensemble.members(ranks).items();
        for (array, numbers) in whole {
            let bytes = bytemuck::cast_slice(&numbers).to_vec();
            let numbers = bytemuck::pod_collect_to_vec::<u8, T>(&ranks.comm.broadcast(bytes));
            match array {
                Array::LeftOut { .. } => {
                    let places = numbers.iter().map(|place| place.as_f64() as usize);
                    let places: Vec<usize> = places.collect();
                    if places.iter().any(|&place| place >= plan.data.outputs) {
                        return Err("leaves out observations that there are not".to_owned());
                    }
                    let left_out = LeftOut::new(places, &plan.loss, plan.data.outputs);
                    self.left_out = left_out.map_err(|error| error.to_string())?;
                }
                Array::Accepted { .. } => {
                    self.accepted = Some(Accepted::read(ranks, &self.ensemble, plan, &numbers));
                }
                Array::Coefficients { .. } => {
                    self.coefficients = Array2::from_shape_vec((members, members), numbers).ok();
                }
                _ => self.last_misfit = bytemuck::pod_collect_to_vec(&numbers).first().copied(),
            }
        }
        match self.coefficients.is_some() == coefficients::first::<T>(plan).is_some() {
            true => Ok(()),
            false => Err("holds other arrays than this run's state".to_owned()),
        }
    }
}
