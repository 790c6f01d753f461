//! Losses Psi(z, y): how a member's outputs z miss the targets y, and the gradient in z that enters D.
//!
//! | loss | Psi of one sample | its gradient | outputs a sample gives to D |
//! |---|---|---|---|
//! | least squares | 1/2 (z - y)^T Gamma^{-1} (z - y) | Gamma^{-1} (z - y) | c |
//! | the same, Gamma not diagonal | 1/2 |W z - W y|^2, W Gamma W^T = I | W z - W y, at W z | c: W z |
//! | cross-entropy | -ln(z_y + delta) | -1 / (z_y + delta) | 1: the true class |
//! | 0-1 | (1 - z)^2, z = 1 where the largest output is the true class, else 0 | -2 (1 - z) | 1: z |
//!
//! D needs a gradient in the outputs that enter it, and the 0-1 loss has none in a network's. It counts as a part of the
//! forward map instead: a sample's output is whether it is classified right, 1 is its target, and the square of what
//! it misses is the 0-1 loss itself. No derivative of the step is taken anywhere.
//!
//! A new loss is a variant here, an arm in each of the methods below, and its word in `config::LossKind`.
//! Gradients: Kovachki & Stuart, Inverse Problems 35 (2019) 095005, section 2.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2};

use crate::config::{self, LossKind};
use crate::data::BatchTargets;
use crate::data::noise::Gamma;
use crate::data::noise::covariance::Covariance;
use crate::kernels::real::Real;

/// A loss, with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// Cross-entropy on outputs that are probabilities (softmax), with class targets.
    CrossEntropy {
        /// Keeps the gradient finite where the true class has probability 0; greater than 0.
        delta: f64,
    },
    /// Half the squared distance weighted by Gamma^{-1}, Gamma diagonal; class targets are taken as one-hot.
    LeastSquares {
        /// The diagonal of Gamma, in squared units of the outputs: one number for all outputs, or c numbers.
        variance: Vec<f64>,
    },
    /// Half the squared distance weighted by Gamma^{-1}, Gamma of any structure, for one set of observations. Targets and
    /// selected numbers are whitened by it.
    Whitened(Arc<Covariance>),
    /// One for each sample whose largest output is not the true class, with class targets.
    ZeroOne,
}

/// Returns the class that the outputs of one sample, c, name: the first of the largest.
#[must_use]
pub fn class_of<T: Real>(outputs: ArrayView1<T>) -> usize {
    let larger = |best: usize, (i, z): (usize, &T)| if *z > outputs[best] { i } else { best };
    outputs.iter().enumerate().fold(0, larger)
}

impl Loss {
    /// Returns the loss that `method` asks for, of classes or of observations with noise of covariance `gamma`.
    #[must_use]
    pub fn of(method: &config::Method, gamma: &Gamma, classes: bool) -> Self {
        match method.loss {
            LossKind::Auto if !classes => Self::least_squares(gamma),
            LossKind::CrossEntropy | LossKind::Auto => Self::CrossEntropy {
                delta: method.delta,
            },
            LossKind::LeastSquares => Self::least_squares(gamma),
            LossKind::ZeroOne => Self::ZeroOne,
        }
    }

    /// The least-squares loss of observations with noise of covariance `gamma`.
    #[must_use]
    pub fn least_squares(gamma: &Gamma) -> Self {
        match gamma {
            Gamma::Diagonal(variance) => Self::LeastSquares {
                variance: variance.clone(),
            },
            Gamma::Correlated(covariance) => Self::Whitened(covariance.clone()),
        }
    }

    /// Returns true if it is the least-squares loss.
    #[must_use]
    pub fn is_least_squares(&self) -> bool {
        matches!(self, Self::LeastSquares { .. } | Self::Whitened(_))
    }

    /// Returns the loss of the outputs at `places` alone, where their noise is independent.
    #[must_use]
    pub fn of_outputs(&self, places: &[usize]) -> Self {
        match self {
            Self::LeastSquares { variance } if variance.len() > 1 => Self::LeastSquares {
                variance: places.iter().map(|&place| variance[place]).collect(),
            },
            other => other.clone(),
        }
    }

    /// Returns the root mean square of a - b, outputs of a simulator, in deviations of the noise. What one of them lacks (NaN) counts as
    /// equal.
    ///
    /// # Panics
    /// If it is not the least-squares loss.
    #[must_use]
    pub fn deviations_apart(&self, a: &[f64], b: &[f64]) -> f64 {
        let mut apart: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        apart
            .iter_mut()
            .filter(|x| x.is_nan())
            .for_each(|x| *x = 0.0);
        match self {
            Self::LeastSquares { variance } => apart
                .iter_mut()
                .zip(variance.iter().cycle())
                .for_each(|(x, variance)| *x /= variance.sqrt()),
            Self::Whitened(covariance) => covariance.whiten(&mut apart),
            _ => panic!("only least squares knows deviations of noise"),
        }
        (apart.iter().map(|x| x * x).sum::<f64>() / apart.len() as f64).sqrt()
    }

    /// Returns the differences of the selected numbers `z` from their targets `y`, in deviations of the noise.
    ///
    /// # Panics
    /// If it is not the least-squares loss.
    #[must_use]
    pub fn residuals<T: Real>(&self, z: &[T], y: &[T]) -> Vec<f64> {
        let apart = z.iter().zip(y).map(|(z, y)| z.as_f64() - y.as_f64());
        match self {
            Self::LeastSquares { variance } => apart
                .zip(variance.iter().cycle())
                .map(|(x, variance)| x / variance.sqrt())
                .collect(),
            Self::Whitened(_) => apart.collect(),
            _ => panic!("only least squares knows deviations of noise"),
        }
    }

    /// Returns the numbers K that m samples of c outputs give to D.
    #[must_use]
    pub fn outputs(&self, m: usize, c: usize) -> usize {
        match self {
            Self::CrossEntropy { .. } | Self::ZeroOne => m,
            Self::LeastSquares { .. } | Self::Whitened(_) => m * c,
        }
    }

    /// Returns the targets of the K numbers of a batch, in the order `select` writes them.
    #[must_use]
    pub fn targets<T: Real>(&self, targets: &BatchTargets<T>, c: usize) -> Vec<T> {
        match (self, targets) {
            (Self::CrossEntropy { .. } | Self::ZeroOne, BatchTargets::Classes(labels)) => {
                vec![T::one(); labels.len()]
            }
            (Self::CrossEntropy { .. } | Self::ZeroOne, BatchTargets::Values(_)) => {
                unreachable!("the plan admits this loss with classes only")
            }
            (Self::LeastSquares { .. }, BatchTargets::Classes(labels)) => {
                let mut one_hot = vec![T::zero(); labels.len() * c];
                for (i, &label) in labels.iter().enumerate() {
                    one_hot[i * c + usize::from(label)] = T::one();
                }
                one_hot
            }
            (Self::LeastSquares { .. }, BatchTargets::Values(values)) => {
                values.iter().copied().collect()
            }
            (Self::Whitened(covariance), BatchTargets::Values(values)) => {
                let mut y = vec![T::zero(); values.len()];
                whiten(covariance, values.iter(), &mut y);
                y
            }
            (Self::Whitened(_), BatchTargets::Classes(_)) => {
                unreachable!("the plan admits this loss with a simulator's observations only")
            }
        }
    }

    /// Writes the K numbers of one member's `outputs`, c x m, that enter D, and returns the member's misfit: the
    /// sum of Psi over the batch (NaN where the member failed).
    pub fn select<T: Real>(
        &self,
        outputs: ArrayView2<T>,
        targets: &BatchTargets<T>,
        y: &[T],
        selected: &mut [T],
    ) -> f64 {
        match (self, targets) {
            (Self::CrossEntropy { .. }, BatchTargets::Classes(labels)) => {
                for (i, (z, &label)) in selected.iter_mut().zip(labels).enumerate() {
                    *z = outputs[[usize::from(label), i]];
                }
            }
            (Self::ZeroOne, BatchTargets::Classes(labels)) => {
                let columns = outputs.columns().into_iter();
                for ((z, outputs), &label) in selected.iter_mut().zip(columns).zip(labels) {
                    // A member that failed has no class.
                    *z = if outputs.iter().any(|output| output.is_nan()) {
                        T::nan()
                    } else if class_of(outputs) == usize::from(label) {
                        T::one()
                    } else {
                        T::zero()
                    };
                }
            }
            (Self::Whitened(covariance), _) => whiten(covariance, outputs.t().iter(), selected),
            _ => {
                for (z, &output) in selected.iter_mut().zip(outputs.t().iter()) {
                    *z = output;
                }
            }
        }
        self.misfit(selected, y)
    }

    /// Replaces a member's outputs `z`, as its simulator gave them, by the K numbers that enter D, with targets `y`; returns the
    /// member's misfit, as `select`.
    pub fn enter<T: Real>(&self, z: &mut [T], y: &[T]) -> f64 {
        if let Self::Whitened(covariance) = self {
            let outputs = z.to_vec();
            whiten(covariance, outputs.iter(), z);
        }
        self.misfit(z, y)
    }

    /// Returns the sum of Psi over K selected numbers `z` with targets `y`.
    #[must_use]
    pub fn misfit<T: Real>(&self, z: &[T], y: &[T]) -> f64 {
        match self {
            Self::CrossEntropy { delta } => -z
                .chunks(TOGETHER)
                .map(|z| logarithm_of_product(z, *delta))
                .sum::<f64>(),
            Self::LeastSquares { variance } => z
                .iter()
                .zip(y)
                .zip(variance.iter().cycle())
                .map(|((z, y), variance)| (z.as_f64() - y.as_f64()).powi(2) / (2.0 * variance))
                .sum(),
            Self::Whitened(_) => {
                let squares = z.iter().zip(y);
                squares
                    .map(|(z, y)| (z.as_f64() - y.as_f64()).powi(2) / 2.0)
                    .sum()
            }
            Self::ZeroOne => z.iter().map(|z| (1.0 - z.as_f64()).powi(2)).sum(),
        }
    }

    /// Writes the gradients of Psi at the selected numbers `z`, which are the `first..` of a batch's K, with their
    /// targets `y`.
    pub fn gradient<T: Real>(&self, z: &[T], y: &[T], first: usize, gradient: &mut [T]) {
        match self {
            Self::CrossEntropy { delta } => {
                let delta = T::from_f64(*delta);
                for ((g, &z), &y) in gradient.iter_mut().zip(z).zip(y) {
                    *g = -y / (z + delta);
                }
            }
            Self::LeastSquares { variance } => {
                for (i, ((g, &z), &y)) in gradient.iter_mut().zip(z).zip(y).enumerate() {
                    *g = (z - y) / T::from_f64(variance[(first + i) % variance.len()]);
                }
            }
            Self::Whitened(_) => {
                for ((g, &z), &y) in gradient.iter_mut().zip(z).zip(y) {
                    *g = z - y;
                }
            }
            Self::ZeroOne => {
                for ((g, &z), &y) in gradient.iter_mut().zip(z).zip(y) {
                    *g = T::from_f64(2.0) * (z - y);
                }
            }
        }
    }
}

impl Loss {
    /// Returns the curvature Omega of Psi in each of the selected numbers at the mean outputs `z`, which are the `first..` of a
    /// batch's K; greater than 0. It is Psi's second derivative but for cross-entropy, where that is divided by 1 - z +
    /// delta (ours): of a label learned well it leaves (1 - z)^2 in the softmax's logit, where the Fisher information is
    /// z (1 - z), and a long step then moves most what should stay. With it the logit has 1 - z, which is at least both.
    pub fn curvature<T: Real>(&self, z: &[T], first: usize) -> Vec<f64> {
        let of = |(i, z): (usize, &T)| match self {
            Self::CrossEntropy { delta } => {
                (z.as_f64() + delta).powi(-2) / ((1.0 - z.as_f64()).max(0.0) + delta)
            }
            Self::LeastSquares { variance } => 1.0 / variance[(first + i) % variance.len()],
            Self::Whitened(_) => 1.0,
            Self::ZeroOne => 2.0,
        };
        z.iter().enumerate().map(of).collect()
    }
}

/// Writes W z to `whitened`, K numbers; computed in double precision.
fn whiten<'a, T: Real>(
    covariance: &Covariance,
    z: impl Iterator<Item = &'a T>,
    whitened: &mut [T],
) {
    let mut z: Vec<f64> = z.map(|z| z.as_f64()).collect();
    covariance.whiten(&mut z);
    for (out, z) in whitened.iter_mut().zip(z) {
        *out = T::from_f64(z);
    }
}

/// Numbers whose logarithms are taken as one of their product: a logarithm costs as much as thirty products.
const TOGETHER: usize = 8;

/// Returns the sum of ln(z + delta).
fn logarithm_of_product<T: Real>(z: &[T], delta: f64) -> f64 {
    let product: f64 = z.iter().map(|z| z.as_f64() + delta).product();
    if product > f64::MIN_POSITIVE {
        product.ln()
    } else {
        // It is too small for a double, or no number.
        z.iter().map(|z| (z.as_f64() + delta).ln()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Every loss's gradient is the derivative of its misfit, by central differences.
    #[test]
    fn gradients_are_the_derivatives_of_the_misfits() {
        let classes = BatchTargets::Classes(vec![2, 0]);
        let outputs = array![[0.2, 0.6], [0.3, 0.1], [0.5, 0.3]];
        for loss in [
            Loss::CrossEntropy { delta: 0.005 },
            Loss::LeastSquares {
                variance: vec![0.25],
            },
            Loss::LeastSquares {
                variance: vec![0.25, 1.0, 4.0],
            },
            Loss::ZeroOne,
        ] {
            let k = loss.outputs(2, 3);
            let y: Vec<f64> = loss.targets(&classes, 3);
            let mut z = vec![0.0; k];
            loss.select(outputs.view(), &classes, &y, &mut z);
            let mut gradient = vec![0.0; k];
            loss.gradient(&z, &y, 0, &mut gradient);
            for i in 0..k {
                let at = |shift: f64| {
                    let mut moved = z.clone();
                    moved[i] += shift;
                    loss.misfit(&moved, &y)
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (slope - gradient[i]).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{loss:?} {i}"
                );
            }
            // So is every curvature that of the gradient, but for cross-entropy's part of ours.
            for (i, curvature) in loss.curvature(&z, 0).into_iter().enumerate() {
                let at = |shift: f64| {
                    let (mut moved, mut gradient) = (z.clone(), vec![0.0; k]);
                    moved[i] += shift;
                    loss.gradient(&moved, &y, 0, &mut gradient);
                    gradient[i]
                };
                let ours = match loss {
                    Loss::CrossEntropy { delta } => 1.0 - z[i] + delta,
                    _ => 1.0,
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6 / ours;
                assert!(
                    (slope - curvature).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{loss:?} {i}: {slope} {curvature}"
                );
            }
            assert_eq!(loss.curvature(&z[1..], 1), loss.curvature(&z, 0)[1..]);
            // A part of the batch has the gradients it has in the whole.
            let mut part = vec![0.0; k - 1];
            loss.gradient(&z[1..], &y[1..], 1, &mut part);
            assert_eq!(part, gradient[1..]);
        }
    }

    #[test]
    fn the_zero_one_loss_counts_errors_and_fails_with_its_member() {
        // Right, wrong, right as the first of two largest, and not a number.
        let outputs = array![
            [0.1, 0.6, 0.5, 0.0],
            [0.2, 0.1, 0.5, f64::NAN],
            [0.7, 0.3, 0.0, 1.0]
        ];
        let classes = BatchTargets::Classes(vec![2, 1, 0, 2]);
        let mut z = [9.0; 4];
        let misfit = Loss::ZeroOne.select(outputs.view(), &classes, &[1.0; 4], &mut z);
        assert_eq!(z[..3], [1.0, 0.0, 1.0]);
        assert!(z[3].is_nan() && misfit.is_nan());
        assert_eq!(Loss::ZeroOne.misfit(&z[..3], &[1.0; 3]), 1.0);
        let mut gradient = [9.0; 3];
        Loss::ZeroOne.gradient(&z[..3], &[1.0; 3], 0, &mut gradient);
        assert_eq!(gradient, [0.0, -2.0, 0.0]);
    }
}
