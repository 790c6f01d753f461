//! Inflation: members' deviations from their mean are multiplied.
//!
//! ```text
//! u <- ubar + f (u - ubar)          f a constant, f = factor^h, or a factor that the step found
//! ```
//!
//! A constant: Anderson & Anderson, Mon. Weather Rev. 127 (1999) 2741. Scaled by h the same steps in halves inflate as much. What a step
//! finds stands in `run::adaptive_inflation`.

use super::{Block, Stage, StepInput, means};
use crate::kernels::real::Real;

/// Multiplies deviations by a factor.
pub enum Inflation {
    /// The same at each step.
    Constant(f64),
    /// This factor to the power of h.
    Scaled(f64),
    /// The step's own, `StepInput::inflation`.
    Found,
}

impl Inflation {
    /// Returns the factor of a step.
    fn factor(&self, step: &StepInput) -> f64 {
        match self {
            Self::Constant(factor) => *factor,
            Self::Scaled(factor) => factor.powf(step.h),
            Self::Found => step.inflation,
        }
    }
}

impl<T: Real> Stage<T> for Inflation {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let (means, factor) = (means(block.u), T::from_f64(self.factor(step)));
        for mut row in block.u.rows_mut() {
            let row = row.iter_mut().zip(&means);
            row.for_each(|(x, &mean)| *x = mean + factor * (*x - mean));
        }
    }
}
