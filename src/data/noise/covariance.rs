//! A covariance Gamma, K x K, by the factor W that whitens: W Gamma W^T = I.
//!
//! ```text
//! full                 Gamma = S R S, S the deviations, R = L L^T the correlations:  W = L^{-1} S^{-1}          K^2 flops
//! diagonal + low rank  Gamma = D + U U^T, B = D^{-1/2} U = Q diag(s) P^T:                                      4 K r flops
//!                      W = (I + B B^T)^{-1/2} D^{-1/2} = (I - F diag(c) F^T) D^{-1/2},  F = B P, c = 1 / (q^2 + q), q^2 = 1 + s^2
//! ```
//!
//! That W whitens is seen in the basis Q, in which F = Q diag(s): an eigenvalue 1 + s^2 = q^2 of I + B B^T is divided by the square
//! of q, since 1 - c s^2 = 1 - (q - 1) / q = 1 / q. P and s^2 are the eigenvectors and eigenvalues of B^T B, r x r; nothing is
//! divided by s, which may be 0. The symmetric root is that of Bui-Thanh, Ghattas, Martin & Stadler, SIAM J. Sci. Comput. 35
//! (2013) A2494, section 4.

use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

use crate::kernels::cholesky::Cholesky;
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::product;

/// The largest difference of two entries that should be equal, as a share of the deviations' product: single precision's rounding
/// is allowed.
const ASYMMETRY: f64 = 1e-6;
/// The least square of a pivot of the correlations' Cholesky factor, in units of K times the rounding of a double.
const PIVOT: f64 = 4.0;

/// A covariance, by what whitens with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Covariance {
    /// A covariance of any structure: 1 / S, K numbers, and L, K x K.
    Full {
        /// 1 / S.
        inverse_deviations: Vec<f64>,
        /// L.
        correlations: Cholesky,
    },
    /// Diagonal plus low rank.
    LowRank {
        /// D^{-1/2}, K numbers.
        inverse_deviations: Vec<f64>,
        /// F diag(c)^{1/2}, K x r.
        factors: Array2<f64>,
        /// q, r numbers.
        roots: Vec<f64>,
    },
}

/// The reciprocal square roots of the variances, or what is wrong with one of them.
fn inverse_roots(variances: impl Iterator<Item = f64>) -> Result<Vec<f64>, String> {
    let root = |(k, variance): (usize, f64)| match variance.is_finite() && variance > 0.0 {
        true => Ok(1.0 / variance.sqrt()),
        false => Err(format!(
            "holds {variance} as variance of observation {}, and variances must be greater than 0",
            k + 1
        )),
    };
    variances.enumerate().map(root).collect()
}

/// c, by q.
fn scale_of(q: f64) -> f64 {
    1.0 / (q * q + q)
}

/// Adds F diag(w) F^T z to z, K numbers; `factors` is F, K x r, and `weight` gives w.
fn add_along(factors: &Array2<f64>, z: &mut [f64], weight: impl Fn(usize) -> f64) {
    let mut along = vec![0.0; factors.ncols()];
    for (z, row) in z.iter().zip(factors.rows()) {
        along.iter_mut().zip(row).for_each(|(t, f)| *t += z * f);
    }
    let modes = along.iter_mut().enumerate();
    modes.for_each(|(mode, t)| *t *= weight(mode));
    for (z, row) in z.iter_mut().zip(factors.rows()) {
        *z += row.iter().zip(&along).map(|(f, t)| f * t).sum::<f64>();
    }
}

impl Covariance {
    /// The covariance `gamma`.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow its name: not square, not finite, not symmetric, a variance that is 0 or
    /// negative, or not positive definite.
    pub fn full(mut gamma: Array2<f64>) -> Result<Self, String> {
        let (k, columns) = gamma.dim();
        if k != columns {
            return Err(format!(
                "has shape {k} x {columns}, and a covariance is square"
            ));
        }
        let inverse_deviations = inverse_roots(gamma.diag().iter().copied())?;
        let scale = |i: usize, j: usize| inverse_deviations[i] * inverse_deviations[j];
        for i in 0..k {
            for j in 0..=i {
                let (below, above) = (gamma[[i, j]], gamma[[j, i]]);
                let at = format_args!("at row {}, column {}", i + 1, j + 1).to_string();
                if let Some(x) = [below, above].into_iter().find(|x| !x.is_finite()) {
                    return Err(format!("holds {x} {at} or its mirror image"));
                }
                if (below - above).abs() * scale(i, j) > ASYMMETRY {
                    return Err(format!(
                        "is not symmetric: {below} {at}, and {above} in its mirror image"
                    ));
                }
                gamma[[i, j]] = f64::midpoint(below, above) * scale(i, j);
            }
        }
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = threads.map_err(|e| format!("cannot be factorised: {e}"))?;
        let least = PIVOT * k as f64 * f64::EPSILON;
        let correlations = Cholesky::new(gamma, &pool).filter(|l| l.least_pivot() > least);
        let correlations = correlations.ok_or(
            "is not positive definite: an estimate from fewer runs than observations never is, and is given as \
             { samples = FILE }",
        )?;
        Ok(Self::Full {
            inverse_deviations,
            correlations,
        })
    }

    /// The covariance D + U U^T, with the `variances` of D, one or K, and `u`, K x r. No K x K matrix is formed.
    ///
    /// # Errors
    /// What is wrong with them, in words that follow their name: another number of variances, one that is 0 or negative, numbers
    /// that are not finite or too large.
    pub fn low_rank(variances: &[f64], mut u: Array2<f64>) -> Result<Self, String> {
        let (k, r) = u.dim();
        if ![1, k].contains(&variances.len()) {
            let given = variances.len();
            return Err(format!("has {given} variances, and the factors {k} rows"));
        }
        let inverse_deviations = inverse_roots(variances.iter().copied().cycle().take(k))?;
        if let Some(((row, column), x)) = u.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let (row, column) = (row + 1, column + 1);
            return Err(format!("holds {x} at row {row}, column {column}"));
        }
        for (mut row, scale) in u.rows_mut().into_iter().zip(&inverse_deviations) {
            row *= *scale;
        }
        let b = u;
        let mut gram = Array2::zeros((r, r));
        product(gram.view_mut(), 0.0, 1.0, b.t(), b.view());
        let (squares, mut p) = symmetric_eigen(gram.view())
            .ok_or("is too large beside the diagonal for double precision")?;
        let roots = squares.mapv(|square| (1.0 + square.max(0.0)).sqrt());
        p *= &roots.mapv(|q| scale_of(q).sqrt()).insert_axis(Axis(0));
        let mut factors = Array2::zeros((k, r));
        product(factors.view_mut(), 0.0, 1.0, b.view(), p.view());
        Ok(Self::LowRank {
            inverse_deviations,
            factors,
            roots: roots.to_vec(),
        })
    }

    /// Returns the number K of outputs.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.inverse_deviations().len()
    }

    /// 1 / S, or D^{-1/2}: K numbers.
    fn inverse_deviations(&self) -> &[f64] {
        let (Self::Full {
            inverse_deviations, ..
        }
        | Self::LowRank {
            inverse_deviations, ..
        }) = self;
        inverse_deviations
    }

    /// Replaces the outputs z, K numbers, by W z. The bits depend on z alone.
    ///
    /// # Panics
    /// If there are not K numbers.
    pub fn whiten(&self, z: &mut [f64]) {
        assert_eq!(z.len(), self.outputs(), "a number for each output");
        let scales = self.inverse_deviations().iter();
        z.iter_mut().zip(scales).for_each(|(z, scale)| *z *= scale);
        match self {
            Self::Full { correlations, .. } => correlations.solve_lower(z),
            Self::LowRank { factors, .. } => add_along(factors, z, |_| -1.0),
        }
    }

    /// Replaces W z, K numbers, by the outputs z: to rounding the inverse of `whiten`. With low rank W^{-1} is D^{1/2} (I + F diag(c q) F^T).
    pub fn restore(&self, z: &mut [f64]) {
        match self {
            Self::Full { correlations, .. } => correlations.times_lower(z),
            Self::LowRank { factors, roots, .. } => add_along(factors, z, |mode| roots[mode]),
        }
        let scales = self.inverse_deviations().iter();
        z.iter_mut().zip(scales).for_each(|(z, scale)| *z /= scale);
    }

    /// Returns the diagonal of Gamma: with low rank D (1 + the squared lengths of the rows of F).
    #[must_use]
    pub fn variances(&self) -> Vec<f64> {
        match self {
            Self::Full {
                inverse_deviations, ..
            } => inverse_deviations.iter().map(|s| s.powi(-2)).collect(),
            Self::LowRank {
                inverse_deviations,
                factors,
                roots,
            } => {
                let rows = inverse_deviations.iter().zip(factors.rows());
                let along = |row: ArrayView1<f64>| {
                    let squares = row.into_iter().zip(roots);
                    squares.map(|(f, &q)| f * f / scale_of(q)).sum::<f64>()
                };
                rows.map(|(s, row)| (1.0 + along(row)) * s.powi(-2))
                    .collect()
            }
        }
    }

    /// Returns the bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let k = self.outputs();
        match self {
            Self::Full { .. } => 8 * k * (k + 1),
            Self::LowRank { factors, .. } => 8 * (k + factors.len()),
        }
    }

    /// Returns the floating-point operations of one member's whitening.
    #[must_use]
    pub fn flops(&self) -> f64 {
        let k = self.outputs() as f64;
        match self {
            Self::Full { .. } => k * k,
            Self::LowRank { factors, .. } => 4.0 * factors.len() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    /// K x r numbers without order.
    fn numbers(k: usize, r: usize) -> Array2<f64> {
        Array2::from_shape_fn((k, r), |(i, j)| {
            ((i * 7919 + j * 104_729 + 31) % 997) as f64 / 300.0 - 1.6
        })
    }

    /// W, column by column.
    fn whitener(covariance: &Covariance) -> Array2<f64> {
        let k = covariance.outputs();
        let mut w = Array2::zeros((k, k));
        for i in 0..k {
            let mut unit = vec![0.0; k];
            unit[i] = 1.0;
            covariance.whiten(&mut unit);
            w.column_mut(i).assign(&Array1::from(unit));
        }
        w
    }

    fn far_from_unit(w: &Array2<f64>, gamma: &Array2<f64>) -> f64 {
        let unit = w.dot(gamma).dot(&w.t()) - Array2::<f64>::eye(w.nrows());
        unit.fold(0.0, |most, x| x.abs().max(most))
    }

    /// W Gamma W^T = I by both forms, across the width of a block of the factorisation and with outputs of unlike units.
    #[test]
    fn the_whitened_covariance_is_the_identity() {
        for (k, r) in [(1, 1), (3, 2), (70, 5), (140, 150)] {
            let variances: Vec<f64> = (0..k).map(|i| 0.3 + (i % 7) as f64).collect();
            let mut u = numbers(k, r);
            let unit = |i: usize| if i.is_multiple_of(2) { 1e4 } else { 1.0 };
            u.indexed_iter_mut().for_each(|((i, _), x)| *x *= unit(i));
            let variances: Vec<f64> = (0..k).map(|i| variances[i] * unit(i).powi(2)).collect();
            let gamma = u.dot(&u.t()) + Array2::from_diag(&Array1::from(variances.clone()));
            let low = Covariance::low_rank(&variances, u).unwrap();
            let full = Covariance::full(gamma.clone()).unwrap();
            assert!(far_from_unit(&whitener(&low), &gamma) < 1e-9, "{k} {r}");
            assert!(far_from_unit(&whitener(&full), &gamma) < 1e-9, "{k} {r}");
            assert_eq!(low.bytes(), 8 * k * (r + 1));
            // What was whitened is restored, and the variances are the diagonal.
            let z = numbers(k, 1).into_raw_vec_and_offset().0;
            for covariance in [low, full] {
                let mut again = z.clone();
                covariance.whiten(&mut again);
                covariance.restore(&mut again);
                for ((i, z), again) in z.iter().enumerate().zip(&again) {
                    assert!(
                        (z - again).abs() < 1e-9 * (1.0 + z.abs()) * unit(i),
                        "{k} {r}"
                    );
                }
                let diagonal = covariance.variances();
                let off = diagonal
                    .iter()
                    .zip(gamma.diag())
                    .map(|(a, b)| (a / b - 1.0).abs());
                assert!(off.fold(0.0, f64::max) < 1e-9, "{k} {r}");
            }
        }
    }

    /// By hand: Gamma = [[4, 2], [2, 5]] = L L^T with L = [[2, 0], [1, 2]]; and I + [3, 0]^T [3, 0] has the root 1/sqrt(10).
    #[test]
    fn cases_worked_by_hand() {
        let mut z = [2.0, 7.0];
        Covariance::full(array![[4.0, 2.0], [2.0, 5.0]])
            .unwrap()
            .whiten(&mut z);
        assert!((z[0] - 1.0).abs() < 1e-15 && (z[1] - 3.0).abs() < 1e-15);
        let mut z = [1.0, 1.0];
        let low = Covariance::low_rank(&[1.0], array![[3.0], [0.0]]);
        low.unwrap().whiten(&mut z);
        assert!((z[0] - 0.1_f64.sqrt()).abs() < 1e-15 && z[1] == 1.0);
    }

    #[test]
    fn what_is_no_covariance_is_refused_in_words() {
        let full = |gamma| Covariance::full(gamma).unwrap_err();
        assert!(full(Array2::ones((2, 3))).contains("2 x 3"));
        assert!(full(array![[1.0, 0.0], [0.0, 0.0]]).contains("0 as variance of observation 2"));
        assert!(full(array![[1.0, 0.5], [0.4, 1.0]]).contains("not symmetric"));
        assert!(full(array![[1.0, f64::NAN], [0.0, 1.0]]).contains("NaN at row 2, column 1"));
        for not_definite in [array![[1.0, 2.0], [2.0, 1.0]], Array2::ones((3, 3))] {
            assert!(full(not_definite).contains("not positive definite"));
        }
        let low = |d: &[f64], u: Array2<f64>| Covariance::low_rank(d, u).unwrap_err();
        assert!(low(&[1.0, 1.0], Array2::ones((3, 1))).contains("2 variances"));
        assert!(low(&[1.0, 0.0, 1.0], Array2::ones((3, 1))).contains("0 as variance"));
        assert!(low(&[1.0], array![[1.0], [f64::INFINITY]]).contains("inf at row 2"));
        assert!(low(&[1e-300], array![[1e300]]).contains("too large"));
    }
}
