//! Inflation: members' deviations from their mean are multiplied by a constant.

use super::{Block, Stage, StepInput, means};
use crate::kernels::real::Real;

/// u <- ubar + factor (u - ubar) (Anderson & Anderson, Mon. Weather Rev. 127 (1999) 2741).
pub struct Inflation(pub f64);

impl<T: Real> Stage<T> for Inflation {
    fn apply(&self, block: &mut Block<T>, _: &StepInput) {
        let (means, factor) = (means(block.u), T::from_f64(self.0));
        for mut row in block.u.rows_mut() {
            let row = row.iter_mut().zip(&means);
            row.for_each(|(x, &mean)| *x = mean + factor * (*x - mean));
        }
    }
}
