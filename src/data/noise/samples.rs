//! A covariance estimated from control runs: the leading modes of the outputs' correlations, and independent noise besides.
//!
//! ```text
//! C = V diag(lambda) V^T                     correlations of the N runs' outputs; modes with lambda > (1 + sqrt(K / (N - 1)))^2 are kept
//! sigma^2 = (K - sum of kept lambda) / (K - r)                               the mean of what is left over the other K - r modes
//! Gamma = S A (sigma^2 I + sum over kept modes of (lambda - sigma^2) v v^T) A S
//! ```
//!
//! S are the outputs' sample deviations, and A is diagonal and makes the diagonal of Gamma their squares again. Independent noise gives
//! correlations whose eigenvalues lie below the limit (Marchenko & Pastur; Laloux, Cizeau, Bouchaud & Potters, Phys. Rev. Lett. 83
//! (1999) 1467), so that what lies above is told from it. Given r, Gamma before A is the likeliest of its form (probabilistic principal
//! components: Tipping & Bishop, J. R. Statist. Soc. B 61 (1999) 611). It is positive definite for any N >= 2.

use ndarray::{Array1, Array2, Axis};

use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::product;

/// Control runs: the outputs of N runs that differ by noise alone, N x K.
pub struct ControlRuns(pub Array2<f64>);

/// The covariance estimated from control runs, as D + U U^T.
pub struct Modes {
    /// The diagonal D, K numbers.
    pub diagonal: Vec<f64>,
    /// U, K x r.
    pub factors: Array2<f64>,
    /// The share of the outputs' variance, each scaled to 1, that the kept modes hold.
    pub share: f64,
}

impl ControlRuns {
    /// Estimates the covariance.
    ///
    /// # Errors
    /// What is wrong with the runs, in words that follow their name: fewer than two, numbers that are not finite, or an output
    /// that does not vary.
    pub fn covariance(self) -> Result<Modes, String> {
        let Self(mut runs) = self;
        let (n, k) = runs.dim();
        if n < 2 {
            return Err(format!("holds {n} runs, and at least 2 are needed"));
        }
        if let Some(((run, output), x)) = runs.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let (run, output) = (run + 1, output + 1);
            return Err(format!("holds {x} in run {run} as output {output}"));
        }
        let deviations = standardise(&mut runs)?;
        let (values, vectors) = modes(&runs).ok_or("has numbers too large for their squares")?;
        let limit = (1.0 + (k as f64 / (n - 1) as f64).sqrt()).powi(2);
        let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > limit).collect();
        let held: f64 = kept.iter().map(|&i| values[i]).sum();
        // Kept eigenvalues lie above the mean, which is 1 or, of N - 1 that are not 0, less than the limit: some are left.
        let rest = (k as f64 - held) / (k - kept.len()) as f64;
        let mut factors = vectors.select(Axis(1), &kept);
        for (mut column, &i) in factors.columns_mut().into_iter().zip(&kept) {
            column *= (values[i] - rest).sqrt();
        }
        let mut diagonal = vec![rest; k];
        let outputs = factors.rows_mut().into_iter().zip(&mut diagonal);
        for ((mut row, d), deviation) in outputs.zip(&deviations) {
            let variance = *d + row.iter().map(|u| u * u).sum::<f64>();
            *d *= deviation * deviation / variance;
            row *= deviation / variance.sqrt();
        }
        Ok(Modes {
            diagonal,
            factors,
            share: held / k as f64,
        })
    }
}

/// Scales each output of `runs`, N x K, to mean 0 and variance 1; returns their deviations.
fn standardise(runs: &mut Array2<f64>) -> Result<Vec<f64>, String> {
    let n = runs.nrows() as f64;
    let scale = |(output, mut column): (usize, ndarray::ArrayViewMut1<f64>)| {
        let size = column.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let mean = column.sum() / n;
        column -= mean;
        let deviation = (column.iter().map(|x| x * x).sum::<f64>() / (n - 1.0)).sqrt();
        // Of numbers that are all the same, rounding is all that is left.
        if deviation <= 1e-14 * size {
            let output = output + 1;
            return Err(format!(
                "has the same output {output} in all runs, whose variance would be 0"
            ));
        }
        column /= deviation;
        Ok(deviation)
    };
    runs.columns_mut()
        .into_iter()
        .enumerate()
        .map(scale)
        .collect()
}

/// Returns the eigenvalues of X^T X / (N - 1) and its eigenvectors, as columns of K numbers, from the smaller of X^T X and X X^T.
fn modes(x: &Array2<f64>) -> Option<(Array1<f64>, Array2<f64>)> {
    let (n, k) = x.dim();
    let scale = 1.0 / (n - 1) as f64;
    if k <= n {
        let mut gram = Array2::zeros((k, k));
        product(gram.view_mut(), 0.0, scale, x.t(), x.view());
        return symmetric_eigen(gram.view());
    }
    let mut gram = Array2::zeros((n, n));
    product(gram.view_mut(), 0.0, scale, x.view(), x.t());
    let (values, left) = symmetric_eigen(gram.view())?;
    let mut vectors = Array2::zeros((k, n));
    product(vectors.view_mut(), 0.0, 1.0, x.t(), left.view());
    for mut column in vectors.columns_mut() {
        let length = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        column /= length.max(f64::MIN_POSITIVE);
    }
    Some((values, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rng::{Key, Purpose};

    /// N x K draws of one shared mode, sqrt(share), and of independent noise, sqrt(1 - share), in units `unit`.
    fn runs(n: usize, k: usize, share: f64, unit: impl Fn(usize) -> f64) -> Array2<f64> {
        let mut runs = Array2::zeros((n, k));
        for (i, mut row) in runs.rows_mut().into_iter().enumerate() {
            let key = Key {
                seed: 11,
                purpose: Purpose::Initial,
                step: 0,
                member: i as u64,
                block: 0,
            };
            let mut draws = vec![0.0; k + 1];
            key.fill_normal_f64(0, &mut draws);
            for (j, x) in row.iter_mut().enumerate() {
                *x = 5.0 + unit(j) * (share.sqrt() * draws[k] + (1.0 - share).sqrt() * draws[j]);
            }
        }
        runs
    }

    fn gamma(modes: &Modes) -> Array2<f64> {
        modes.factors.dot(&modes.factors.t())
            + Array2::from_diag(&Array1::from(modes.diagonal.clone()))
    }

    /// A shared mode is found whether there are more runs or more outputs, and each output keeps its sample variance.
    #[test]
    fn a_shared_mode_is_kept_and_variances_are_those_of_the_sample() {
        let unit = |j: usize| if j.is_multiple_of(3) { 100.0 } else { 0.5 };
        for (n, k) in [(400, 30), (40, 120)] {
            let runs = runs(n, k, 0.6, unit);
            let sample: Vec<f64> = runs.columns().into_iter().map(|c| c.var(1.0)).collect();
            let found = ControlRuns(runs).covariance().unwrap();
            assert_eq!(found.factors.ncols(), 1, "{n} {k}");
            assert!((found.share - 0.6).abs() < 0.1, "{}", found.share);
            let gamma = gamma(&found);
            for (j, variance) in sample.iter().enumerate() {
                assert!((gamma[[j, j]] / variance - 1.0).abs() < 1e-12);
            }
            let mean = (0..k).map(|j| gamma[[j, (j + 1) % k]] / unit(j) / unit((j + 1) % k));
            let mean = mean.sum::<f64>() / k as f64;
            assert!((mean - 0.6).abs() < 0.15, "{mean}");
        }
    }

    #[test]
    fn independent_noise_has_no_mode() {
        for (n, k) in [(200, 20), (30, 90)] {
            let found = ControlRuns(runs(n, k, 0.0, |_| 2.0)).covariance().unwrap();
            assert_eq!((found.factors.ncols(), found.share), (0, 0.0));
            assert!(found.diagonal.iter().all(|d| *d > 0.0));
        }
    }

    /// Two outputs correlated by c: eigenvalues 1 + c and 1 - c, so Gamma is the sample covariance itself.
    #[test]
    fn two_outputs_keep_their_sample_covariance() {
        let runs = runs(100, 2, 0.8, |_| 3.0);
        let centred = &runs - &runs.mean_axis(Axis(0)).unwrap();
        let sample = centred.t().dot(&centred) / 99.0;
        let apart = gamma(&ControlRuns(runs).covariance().unwrap()) - &sample;
        assert!(apart.iter().all(|x| x.abs() < 1e-12), "{apart}");
    }

    #[test]
    fn runs_that_hold_no_noise_are_refused() {
        let refused = |runs: Array2<f64>| ControlRuns(runs).covariance().err().unwrap();
        assert!(refused(Array2::ones((1, 3))).contains("1 runs"));
        assert!(refused(Array2::ones((9, 3))).contains("same output 1"));
        assert!(refused(Array2::from_elem((3, 2), f64::NAN)).contains("NaN in run 1"));
    }
}
