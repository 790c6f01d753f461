//! Sigma points: a few members that hold the mean and the covariance of a normal law exactly.
//!
//! ```text
//! u_0 = m ,  u_j = m + S v_j ,  C = S S^T ,  sum_j v_j = 0 ,  w sum_j v_j v_j^T = I       j = 1 ... J - 1
//!
//! pairs      J = 2P + 1    v_p = c e_p , v_{P+p} = -c e_p ,  c = min(2, P^{1/2}) ,  w = 1 / (2 c^2)
//! simplex    J = P + 2     the corners of a regular simplex at the distance 2 ,  w = P / (4 (P + 1))
//! ```
//!
//! Pairs: Huang, Schneider & Stuart, J. Comput. Phys. 463 (2022) 111262, whose transform takes the output at the centre for the mean of
//! the outputs. Simplex: Moireau & Chapelle, ESAIM: COCV 17 (2011) 380, as Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022)
//! 125006, take it: coordinate d of corner i is (w d (d + 1))^{-1/2} for i < d, -d times that for i = d, and 0 beyond.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2};

use super::stages::{Block, Stage, StepInput};
use crate::config::{self, MethodKind, PointsKind};
use crate::forward::prior::Prior;
use crate::kernels::real::Real;

/// The sigma points of a normal law of so many parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigmaPoints {
    /// The centre, and a pair of points on either side of it for each parameter.
    Pairs(usize),
    /// The centre, and the corners of a simplex about it.
    Simplex(usize),
}

impl SigmaPoints {
    /// Returns the sigma points that members are with the settings `method`, for so many `parameters`; None where they are none.
    #[must_use]
    pub fn of(method: &config::Method, parameters: usize) -> Option<Self> {
        let is_asked = method.kind == MethodKind::Uki;
        is_asked.then_some(match method.sigma_points {
            PointsKind::Pairs => Self::Pairs(parameters),
            PointsKind::Simplex => Self::Simplex(parameters),
        })
    }

    /// Returns the number P of parameters.
    #[must_use]
    pub fn parameters(self) -> usize {
        match self {
            Self::Pairs(parameters) | Self::Simplex(parameters) => parameters,
        }
    }

    /// Returns the number J of points.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Pairs(parameters) => 2 * parameters + 1,
            Self::Simplex(parameters) => parameters + 2,
        }
    }

    /// Returns the weight w of each point but the centre in the covariance.
    #[must_use]
    pub fn weight(self) -> f64 {
        let p = self.parameters() as f64;
        match self {
            Self::Pairs(_) => 0.5 / p.min(4.0),
            Self::Simplex(_) => p / (4.0 * (p + 1.0)),
        }
    }

    /// Returns coordinate `p` of v_j for `member` j, in deviations from the centre.
    #[must_use]
    pub fn coordinate(self, member: usize, p: usize) -> f64 {
        let Some(point) = member.checked_sub(1) else {
            return 0.0;
        };
        match self {
            Self::Pairs(parameters) if point % parameters == p => {
                let distance = (parameters as f64).min(4.0).sqrt();
                if point < parameters {
                    distance
                } else {
                    -distance
                }
            }
            Self::Pairs(_) => 0.0,
            Self::Simplex(_) => {
                let d = p as f64 + 1.0;
                let unit = 1.0 / (self.weight() * d * (d + 1.0)).sqrt();
                match point.cmp(&(p + 1)) {
                    std::cmp::Ordering::Less => unit,
                    std::cmp::Ordering::Equal => -d * unit,
                    std::cmp::Ordering::Greater => 0.0,
                }
            }
        }
    }

    /// Returns V, J x P, whose rows are the v_j.
    #[must_use]
    pub fn coordinates(self) -> Array2<f64> {
        let shape = (self.count(), self.parameters());
        Array2::from_shape_fn(shape, |(j, p)| self.coordinate(j, p))
    }

    /// Writes the points of `prior` with `spread` times its deviations to `out`, J x w, the `columns` of all members.
    pub fn fill<T: Real>(
        self,
        columns: Range<usize>,
        (prior, spread): (&Prior, f64),
        out: &mut ArrayRef2<T>,
    ) {
        let mean: Vec<T> = prior.mean(columns.clone());
        let mut deviations = vec![T::zero(); columns.len()];
        prior.deviations(columns.start, spread, &mut deviations);
        for (j, mut row) in out.rows_mut().into_iter().enumerate() {
            let about = mean.iter().zip(&deviations);
            for ((x, p), (&mean, &deviation)) in row.iter_mut().zip(columns.clone()).zip(about) {
                *x = mean + deviation * T::from_f64(self.coordinate(j, p));
            }
        }
    }
}

/// The prediction between two steps of unscented Kalman inversion, which spreads the points for the next forecast; the analysis, which is
/// the run's result, is kept beside them.
///
/// ```text
/// m <- r + alpha (m - r) ,  C <- C / (1 - h)            r: the prior's mean; the points follow
/// ```
pub struct Prediction {
    /// The regularisation alpha.
    pub alpha: f64,
}

impl Prediction {
    /// Returns the factor of deviations of a step of `h`.
    #[must_use]
    pub fn factor(h: f64) -> f64 {
        (1.0 - h).sqrt().recip()
    }
}

impl<T: Real> Stage<T> for Prediction {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let Some(analysis) = &mut block.previous else {
            return;
        };
        analysis.assign(block.u);
        let (alpha, factor) = (T::from_f64(self.alpha), T::from_f64(Self::factor(step.h)));
        let centre: Vec<T> = block.u.row(0).to_vec();
        let prior: Vec<T> = step.prior.mean(block.columns.clone());
        for mut row in block.u.rows_mut() {
            for ((x, &centre), &prior) in row.iter_mut().zip(&centre).zip(&prior) {
                let about = match self.alpha < 1.0 {
                    true => prior + alpha * (centre - prior),
                    false => centre,
                };
                *x = about + factor * (*x - centre);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The points of either kind have mean 0 and covariance I; pairs lie 2 deviations away, or P^{1/2} where that is less, and corners 2.
    #[test]
    fn sigma_points_have_the_moments_of_a_standard_normal_law() {
        for p in [1, 2, 3, 7] {
            for points in [SigmaPoints::Pairs(p), SigmaPoints::Simplex(p)] {
                let v = points.coordinates();
                assert_eq!(v.dim(), (points.count(), p));
                let covariance = v.t().dot(&v) * points.weight();
                let off = (&covariance - &Array2::<f64>::eye(p)).mapv(f64::abs);
                assert!(off.iter().all(|x| *x < 1e-12), "{points:?} {covariance}");
                assert!(v.sum_axis(ndarray::Axis(0)).iter().all(|x| x.abs() < 1e-12));
                let distance = match points {
                    SigmaPoints::Pairs(p) => (p as f64).sqrt().min(2.0),
                    SigmaPoints::Simplex(_) => 2.0,
                };
                for row in v.rows().into_iter().skip(1) {
                    assert!((row.dot(&row).sqrt() - distance).abs() < 1e-12);
                }
            }
        }
    }
}
