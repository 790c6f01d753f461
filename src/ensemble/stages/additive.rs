//! Additive inflation: survivors take noise of the prior's covariance.
//!
//! ```text
//! u_j <- u_j + sqrt(a) (xi_j - xibar) ,  xi_j ~ N(0, C_0)       xibar: the mean of the draws, so that ubar does not move;
//!                                                               C_0: by the prior's laws, or by a sample
//! ```
//!
//! Mitchell & Houtekamer, Mon. Weather Rev. 128 (2000) 416, with the prior in the place of the model's error; it lets members leave the
//! directions that they span.

use ndarray::{Array2, ArrayRef2};

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::Real;

/// Noise with this much of the prior's covariance.
pub struct Additive(pub f64);

impl<T: Real> Stage<T> for Additive {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let mut noise = Array2::zeros(block.u.dim());
        let about = vec![T::zero(); noise.ncols()];
        let law = ((step.prior, block.sample), self.0.sqrt());
        let rows = (0..noise.nrows(), block.columns.clone());
        step.noise.fill_by(rows, &about, law, &mut noise);
        add_centred(block.u, &noise, step.survivors);
    }
}

/// Adds the rows of `noise`, J x w, less their mean over survivors, to those of survivors of one block u, J x w.
pub fn add_centred<T: Real>(u: &mut ArrayRef2<T>, noise: &ArrayRef2<T>, survivors: &Survivors) {
    let means = column_means(noise.view(), survivors);
    for (j, (mut row, noise)) in u.rows_mut().into_iter().zip(noise.rows()).enumerate() {
        if survivors.contains(j) {
            for ((x, e), mean) in row.iter_mut().zip(noise).zip(&means) {
                *x += T::from_f64(e.as_f64() - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    /// The draws 1, 3 and 8 of survivors have the mean 4; the failed member's, 100, counts nowhere.
    #[test]
    fn noise_less_its_mean_by_hand() {
        let mut u = arr2(&[[10.0], [20.0], [0.0], [30.0]]);
        let noise = arr2(&[[1.0], [3.0], [100.0], [8.0]]);
        let survivors = Survivors::new(vec![true, true, false, true]);
        add_centred(&mut u, &noise, &survivors);
        assert_eq!(u, arr2(&[[7.0], [19.0], [0.0], [34.0]]));
    }
}
