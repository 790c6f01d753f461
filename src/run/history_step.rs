//! Ensembles of a calibration by the library and their outputs, in memory and the same on all ranks.

use ndarray::{Array2, ArrayView2};

use super::State;
use crate::forward::ForwardMap;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;

/// An ensemble of a calibration, and its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryStep {
    /// The steps before it.
    pub step: u64,
    /// The sum of the h of these.
    pub time: f64,
    /// The members, J x P: all parameters in their own units. With momentum the points at which the outputs are; those of the last
    /// ensemble are the result.
    pub members: Array2<f64>,
    /// Their outputs, J x K; NaN where there are none.
    pub outputs: Array2<f64>,
}

impl HistoryStep {
    /// Gathers the members of `state`, and their outputs of which each rank has those of its own. Called by all ranks.
    pub(super) fn gather<T: Real>(
        (ranks, map): (Ranks, &dyn ForwardMap<T>),
        state: &State<T>,
        outputs: ArrayView2<T>,
    ) -> Self {
        let prior = map.own_units().expect("a calibration's map has a prior");
        let members = state.ensemble.members(ranks);
        let own = members.range(ranks.comm.rank());
        let mut points = Array2::zeros((own.len(), prior.parameters()));
        let mut point = vec![T::zero(); map.parameters()];
        for (mut row, member) in points.rows_mut().into_iter().zip(own) {
            state.ensemble.fill(map, member, &mut point);
            row.iter_mut()
                .zip(prior.at(&point))
                .for_each(|(u, own)| *u = own);
        }
        let outputs = outputs.mapv(|z| z.as_f64());
        Self {
            step: state.step,
            time: state.time,
            members: of_all(ranks, members, points.view()),
            outputs: of_all(ranks, members, outputs.view()),
        }
    }
}

/// Returns the rows of all `members`, of which this rank has its `own`. Called by all ranks.
fn of_all(ranks: Ranks, members: Partition, own: ArrayView2<f64>) -> Array2<f64> {
    let mut all = Array2::zeros((members.items(), own.ncols()));
    let range = members.range(ranks.comm.rank());
    all.slice_mut(ndarray::s![range, ..]).assign(&own);
    let numbers = all.as_slice_mut().expect("row-major");
    ranks.comm.all_gather_rows(members, own.ncols(), numbers);
    all
}
