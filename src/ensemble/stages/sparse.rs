//! The sparse step: each member's Kalman update under an l1 penalty, and a threshold below which parameters are 0.
//!
//! ```text
//! u_j <- argmin 1/2 (u - v_j)^T C^{-1} (u - v_j) + h lambda sum_i |s_i u_i|     v_j: after the Kalman step of h; C = A^T A' / J, A and A'
//!                                                                            the deviations before and after it, w x w
//! u = v - C q sigma ,  q_i = h lambda s_i ,  |sigma_i| <= 1                     with sigma_i = sign(u_i) where u_i is not 0
//! u_ji <- 0 where |s_i u_ji| < threshold
//! ```
//!
//! Schneider, Stuart & Wu, J. Comput. Phys. 470 (2022) 111559 (arXiv:2007.06175): the Kalman step as a quadratic problem of each member, to which sparsity is
//! added, and small entries that are set to 0 between steps. There the l1 norm is bounded, here it is penalised: for each bound there is a
//! penalty with the same minimum. With C = A^T A' / J = A^T (I + h S)^{-1} A / J, the covariance that the step leaves, the objective is the
//! member's own distance and misfit with the penalty, so that on a linear problem a step is one of the proximal point method for
//! Phi + lambda |u|_1, and its fixed points are those of the lasso. Where C is diagonal it is soft thresholding by q_i C_ii.
//!
//! Solved in the dual, by coordinate descent on sigma (one coordinate after the other, exactly, with u kept along): nothing is inverted, so that C may be
//! singular. A step of one coordinate never raises the dual objective, and the sweeps end where none moves by more than rounding.

use ndarray::{Array2, ArrayView2};

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::{Real, product};

/// The most sweeps over the parameters, and the move of sigma below which they end.
const SWEEPS: usize = 1000;
const STILL: f64 = 1e-10;

/// The l1 penalty and the threshold of the parameters in their own units.
pub struct Sparse {
    /// The penalty lambda, in units of the misfit for each unit of a parameter.
    pub penalty: f64,
    /// The size below which a parameter is set to 0.
    pub threshold: f64,
    /// The deviations s_i by which coordinates become parameters, P numbers.
    pub scales: Vec<f64>,
}

impl<T: Real> Stage<T> for Sparse {
    fn reads_before(&self) -> bool {
        self.penalty > 0.0
    }

    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let scales = &self.scales[block.columns.clone()];
        if let Some(before) = &block.before {
            let about = deviations(before.view(), step.survivors);
            let after = deviations(block.u.view(), step.survivors);
            let covariance = covariance(&about, &after, step.survivors.count());
            let weights: Vec<f64> = scales.iter().map(|s| step.h * self.penalty * s).collect();
            for (j, mut row) in block.u.rows_mut().into_iter().enumerate() {
                if step.survivors.contains(j) {
                    let mut u: Vec<f64> = row.iter().map(|u| u.as_f64()).collect();
                    penalised(&mut u, &covariance, &weights);
                    row.iter_mut()
                        .zip(&u)
                        .for_each(|(to, &u)| *to = T::from_f64(u));
                }
            }
        }
        for (j, mut row) in block.u.rows_mut().into_iter().enumerate() {
            if step.survivors.contains(j) {
                for (u, s) in row.iter_mut().zip(scales) {
                    if (s * u.as_f64()).abs() < self.threshold {
                        *u = T::zero();
                    }
                }
            }
        }
    }
}

/// Returns the deviations of survivors from their mean, J x w; those of others are 0.
fn deviations<T: Real>(u: ArrayView2<T>, survivors: &Survivors) -> Array2<f64> {
    let means = column_means(u, survivors);
    Array2::from_shape_fn(u.dim(), |(j, i)| match survivors.contains(j) {
        true => u[[j, i]].as_f64() - means[i],
        false => 0.0,
    })
}

/// Returns A^T A' / J of `count` survivors, w x w, which is symmetric but for rounding, made so.
fn covariance(about: &Array2<f64>, after: &Array2<f64>, count: usize) -> Array2<f64> {
    let mut raw = Array2::zeros((about.ncols(), about.ncols()));
    product(
        raw.view_mut(),
        0.0,
        0.5 / count as f64,
        about.t(),
        after.view(),
    );
    &raw + &raw.t()
}

/// Moves `u`, the Kalman update of a member, to the minimum with the penalty sum_i weight_i |u_i| in the metric of the `covariance`.
pub fn penalised(u: &mut [f64], covariance: &Array2<f64>, weights: &[f64]) {
    let mut signs = vec![0.0; u.len()];
    for _ in 0..SWEEPS {
        let mut moved = 0.0_f64;
        for i in 0..u.len() {
            let reach = weights[i] * covariance[[i, i]];
            if reach <= 0.0 {
                continue;
            }
            let sign = (signs[i] + u[i] / reach).clamp(-1.0, 1.0);
            let step = sign - signs[i];
            if step != 0.0 {
                signs[i] = sign;
                for (u, c) in u.iter_mut().zip(covariance.row(i)) {
                    *u -= step * weights[i] * c;
                }
                moved = moved.max(step.abs());
            }
        }
        if moved < STILL {
            break;
        }
    }
    // Within its bounds a sign holds its parameter at 0, but for rounding.
    for (i, (u, sign)) in u.iter_mut().zip(&signs).enumerate() {
        if sign.abs() < 1.0 && weights[i] * covariance[[i, i]] > 0.0 {
            *u = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    /// With a diagonal C: soft thresholding by 0.5 and 4 times 0.25.
    #[test]
    fn a_diagonal_covariance_is_soft_thresholding() {
        let c = arr2(&[[1.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]);
        let mut u = [2.0, -0.75, 0.1];
        penalised(&mut u, &c, &[0.5, 0.25, 9.0]);
        // The last has no spread: it stays.
        assert_eq!(u, [1.5, 0.0, 0.1]);
    }

    /// C^{-1} = [[2, -1], [-1, 2]], v = (1, 2): u = 0 where C^{-1} v = (0, 3) lies within the weights.
    /// With weights 1: u_2 = 1.0 by 2 (u - 2) + 1 + 1 = 0, and sigma_1 = -(2 (0 - 1) - (1 - 2)) = 1 just holds u_1 at 0.
    #[test]
    fn two_correlated_parameters_by_hand() {
        let c = arr2(&[[2.0, 1.0], [1.0, 2.0]]) / 3.0;
        let mut u = [1.0, 2.0];
        penalised(&mut u, &c, &[4.0, 4.0]);
        assert_eq!(u, [0.0, 0.0]);
        let mut u = [1.0, 2.0];
        penalised(&mut u, &c, &[1.0, 1.0]);
        assert!(u[0].abs() < 1e-9 && (u[1] - 1.0).abs() < 1e-9, "{u:?}");
        // A singular C: both parameters are one direction, and the penalty of both is taken along it.
        let mut u = [1.0, 1.0];
        penalised(&mut u, &arr2(&[[1.0, 1.0], [1.0, 1.0]]), &[0.25, 0.25]);
        assert!(
            (u[0] - 0.5).abs() < 1e-9 && (u[1] - 0.5).abs() < 1e-9,
            "{u:?}"
        );
    }
}
