//! A simulator as a forward map of coordinates N(0, I).

use ndarray::{ArrayView2, ArrayViewMut3};

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
            let u = self.prior.at(xi);
            let known = self.round.lock().expect("no thread panicked").known(&u);
            let kept = || self.with_kept(|kept| kept.recall(&u)).flatten();
            known.or_else(|| kept().map(Some)).unwrap_or_else(|| {
                let answer = self.outputs_at(&u);
                answer.map_err(|failure| self.tell_or_panic(&failure)).ok()
            })
        });
    }
}
