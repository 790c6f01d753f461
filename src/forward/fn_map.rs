//! A function of P parameters to K outputs as a forward map.

use ndarray::{ArrayView2, ArrayViewMut3};

use super::{ForwardMap, MapShape, evaluate_one_by_one};
use crate::kernels::real::Real;

/// G(u) by a function: one sample without inputs, whose outputs are the K observations.
///
/// ```
/// use eki_mpi::prelude::*;
///
/// let decay = FnMap::new(2, 5, |u| (0..5).map(|t| u[0] * (-u[1] * f64::from(t)).exp()).collect());
/// ```
///
/// A member has failed where its outputs are not K numbers, as of a simulation that ended early, or are not finite: it is left
/// out of the step and redrawn from the others. Threads call the function at the same time.
#[derive(Clone, Copy, Debug)]
pub struct FnMap<F> {
    parameters: usize,
    outputs: usize,
    function: F,
}

impl<F: Fn(&[f64]) -> Vec<f64> + Send + Sync> FnMap<F> {
    /// The map of `parameters` numbers P to `outputs` numbers K by `function`.
    #[must_use]
    pub fn new(parameters: usize, outputs: usize, function: F) -> Self {
        Self {
            parameters,
            outputs,
            function,
        }
    }
}

impl<T: Real, F: Fn(&[f64]) -> Vec<f64> + Send + Sync> ForwardMap<T> for FnMap<F> {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.parameters,
            features: 0,
            outputs: self.outputs,
        }
    }

    /// In double precision throughout.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        evaluate_one_by_one(members, outputs, |u| {
            let found = (self.function)(&u.iter().map(|u| u.as_f64()).collect::<Vec<_>>());
            (found.len() == self.outputs).then_some(found)
        });
    }

    /// Refuses a function that gives another number of outputs than was said; one that gives none there has failed.
    fn try_member(&self, u: &[T]) -> Result<(), String> {
        let found = (self.function)(&u.iter().map(|u| u.as_f64()).collect::<Vec<_>>()).len();
        match found == 0 || found == self.outputs {
            true => Ok(()),
            false => Err(format!(
                "gives {found} outputs at the prior's centre, and {} were said",
                self.outputs
            )),
        }
    }
}
