//! A simulator as a forward map of coordinates N(0, I).

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut3, Axis};

use super::Process;
use crate::forward::joint_prior::JointPrior;
use crate::forward::{ForwardMap, MapShape, evaluate_one_by_one};
use crate::kernels::real::Real;

impl<T: Real> ForwardMap<T> for Process {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.prior.coordinates(),
            features: 0,
            outputs: self.outputs.count(),
        }
    }

    fn simulator(&self) -> Option<&Process> {
        Some(self)
    }

    fn own_units(&self) -> Option<&JointPrior> {
        Some(&self.prior)
    }

    /// NaN where the member failed, and where it was not asked because all are to be asked again or the run is to stop.
    ///
    /// # Panics
    /// The program can no longer be started: that is the host's failure, not the member's.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        evaluate_one_by_one(members, outputs, |xi| {
            self.known_or_asked(&self.prior.at(xi))
        });
    }

    fn outputs_in_own_units(&self, u: &[f64]) -> Option<Array2<T>> {
        let found = self.known_or_asked(u);
        let failed = || vec![f64::NAN; self.outputs.count()];
        let outputs = found.unwrap_or_else(failed).into_iter();
        let column = Array1::from_iter(outputs.map(T::from_f64));
        Some(column.insert_axis(Axis(1)))
    }
}

impl Process {
    /// The outputs at the parameters `u` in their own units, K numbers; none where there are none. They are asked for where they are not
    /// known from this round or from a run that was killed.
    pub(super) fn known_or_asked(&self, u: &[f64]) -> Option<Vec<f64>> {
        if !self.sets.is_empty() {
            return self.of_sets(u);
        }
        let known = self.round.lock().expect("no thread panicked").known(u);
        let kept = || self.with_kept(|kept| kept.recall((u, &[]))).flatten();
        let known = known.or_else(|| self.tried_at(u).map(Some));
        known.or_else(|| kept().map(Some)).unwrap_or_else(|| {
            let answer = self.outputs_at(u);
            answer.map_err(|failure| self.tell_or_panic(&failure)).ok()
        })
    }
}
