//! A simulator as a forward map of coordinates N(0, I).

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3};

use super::Process;
use crate::forward::marginal::{Marginal, parameters_at};
use crate::forward::{ForwardMap, MapShape};
use crate::kernels::real::Real;

/// Writes one member's `numbers`, K, to its outputs `out`, K x m; NaN where it has none.
pub(crate) fn put<T: Real>(numbers: Option<&[f64]>, out: &mut ArrayViewMut2<T>) {
    for (k, mut row) in out.rows_mut().into_iter().enumerate() {
        row.fill(numbers.map_or(T::nan(), |numbers| T::from_f64(numbers[k])));
    }
}

impl<T: Real> ForwardMap<T> for Process {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.marginals.len(),
            features: 0,
            outputs: self.outputs,
        }
    }

    fn simulator(&self) -> Option<&Process> {
        Some(self)
    }

    fn own_units(&self) -> Option<&[Marginal]> {
        Some(&self.marginals)
    }

    /// NaN where the member failed, and where it was not asked because all are to be asked again or the run is to stop.
    ///
    /// # Panics
    /// The program can no longer be started: that is the host's failure, not the member's.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        for (member, mut out) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
            let xi = member.to_slice().expect("row-major");
            let u = parameters_at(&self.marginals, xi);
            let known = self.round.lock().expect("no thread panicked").known(&u);
            let kept = || self.with_kept(|kept| kept.recall(&u)).flatten();
            let answer = match known.or_else(|| kept().map(Some)) {
                Some(known) => known,
                None => self
                    .outputs_at(&u)
                    .map_err(|failure| self.tell_or_panic(&failure))
                    .ok(),
            };
            put(answer.as_deref(), &mut out);
        }
    }
}
