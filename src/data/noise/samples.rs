//! A covariance estimated from control runs: the leading modes of the outputs' correlations with independent noise besides, or all of
//! them, shrunk towards independent noise.
//!
//! ```text
//! C = V diag(lambda) V^T                     correlations of the N runs' outputs, n = N - 1
//! outstanding    modes with lambda > (1 + sqrt(K / n))^2 are kept; or a number of leading modes, or a share of K
//! sigma^2 = (K - sum of kept lambda) / (K - r)                               the mean of what is left over the other K - r modes
//! Gamma = S A (sigma^2 I + sum over kept modes of (lambda - sigma^2) v v^T) A S
//! shrinkage      Gamma = S ((1 - a) C + a I) S
//! auto           a = min(1, b^2 / d^2),   b^2 = (sum over runs of |x|^4 / n - tr C^2) / n,   d^2 = tr C^2 - K
//! ```
//!
//! S are the outputs' sample deviations, and A is diagonal and makes the diagonal of Gamma their squares again. Independent noise gives
//! correlations whose eigenvalues lie below the limit (Marchenko & Pastur; Laloux, Cizeau, Bouchaud & Potters, Phys. Rev. Lett. 83
//! (1999) 1467), so that larger eigenvalues are signal. Given r, Gamma before A is the likeliest of its form (probabilistic principal
//! components: Tipping & Bishop, J. R. Statist. Soc. B 61 (1999) 611). It is positive definite for any N >= 2.
//!
//! Averaging the modes that are left is wrong where they differ: a combination of outputs that hardly varies is known best, and its
//! small eigenvalue is lost. With many runs `shrinkage` keeps it: a = 0 is the sample covariance itself, and "auto" the a of least
//! expected squared error (Ledoit & Wolf, J. Multivariate Anal. 88 (2004) 365, lemma 3.1 to 3.5), here of outputs x scaled to mean 0
//! and variance 1. That is the error of the covariance, not of its inverse: small eigenvalues grow by a.

use ndarray::{Array1, Array2, Axis};

use crate::config::NoiseEstimate;
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::product;

/// The least eigenvalue of correlations, over K, that is not rounding.
const ROUNDING: f64 = 1e-12;

/// Control runs: the outputs of N runs that differ by noise alone, N x K.
pub struct ControlRuns(pub Array2<f64>);

/// The covariance estimated from control runs, as D + U U^T.
pub struct Modes {
    /// The diagonal D, K numbers.
    pub diagonal: Vec<f64>,
    /// U, K x r.
    pub factors: Array2<f64>,
    /// The part of the outputs' correlations that is kept.
    pub kept: Kept,
}

/// The part of the outputs' correlations that an estimate keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    /// Leading modes.
    Leading {
        /// The share of the outputs' variance, each scaled to 1, that they hold.
        share: f64,
        /// The least and the largest eigenvalue of those that are left, where they differ by more than sampling noise.
        unlike: Option<[f64; 2]>,
    },
    /// All, shrunk by this part of the way towards independent noise.
    Shrunk(f64),
}

/// The eigenvalues of correlations that are kept, of lambda by their places, less what all directions have.
struct Spectrum {
    /// The variance that all directions have.
    rest: f64,
    /// Places of eigenvalues, and the variance that each direction has besides.
    more: Vec<(usize, f64)>,
    kept: Kept,
}

impl ControlRuns {
    /// Estimates the covariance.
    ///
    /// # Errors
    /// What is wrong with the runs, in words that follow their name: fewer than two, numbers that are not finite, an output
    /// that does not vary, or too few runs for what `estimate` asks for.
    pub fn covariance(self, estimate: NoiseEstimate) -> Result<Modes, String> {
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
        let spectrum = match estimate {
            NoiseEstimate::Shrinkage(part) => {
                let part = part.unwrap_or_else(|| best_shrinkage(&runs, &values));
                shrunk(&values, (n, k), part)?
            }
            _ => leading(&values, (n, k), estimate)?,
        };
        let places: Vec<usize> = spectrum.more.iter().map(|(place, _)| *place).collect();
        let mut factors = vectors.select(Axis(1), &places);
        for (mut column, (_, more)) in factors.columns_mut().into_iter().zip(&spectrum.more) {
            column *= more.sqrt();
        }
        let mut diagonal = vec![spectrum.rest; k];
        let outputs = factors.rows_mut().into_iter().zip(&mut diagonal);
        for ((mut row, d), deviation) in outputs.zip(&deviations) {
            let variance = *d + row.iter().map(|u| u * u).sum::<f64>();
            *d *= deviation * deviation / variance;
            row *= deviation / variance.sqrt();
        }
        Ok(Modes {
            diagonal,
            factors,
            kept: spectrum.kept,
        })
    }
}

/// Keeps the leading modes of the eigenvalues `values`, in ascending order, of N runs of K outputs.
fn leading(
    values: &Array1<f64>,
    (n, k): (usize, usize),
    estimate: NoiseEstimate,
) -> Result<Spectrum, String> {
    let edge = (k as f64 / (n - 1) as f64).sqrt();
    let limit = (1.0 + edge).powi(2);
    // One direction that varies is left, so that the rest has a variance.
    let most = k.min(n - 1) - 1;
    let count = match estimate {
        NoiseEstimate::Modes(count) if count > most => {
            return Err(format!(
                "holds {n} runs of {k} outputs, which have at most {most} modes: modes = {count} are too many"
            ));
        }
        NoiseEstimate::Modes(count) => count,
        NoiseEstimate::Share(share) => {
            let held = |count: usize| values.iter().rev().take(count).sum::<f64>();
            let enough = |count: &usize| held(*count) >= share * k as f64;
            (0..most).find(enough).unwrap_or(most)
        }
        NoiseEstimate::Outstanding | NoiseEstimate::Shrinkage(_) => {
            values.iter().filter(|value| **value > limit).count()
        }
    };
    let first = values.len() - count;
    let held: f64 = values.iter().skip(first).sum();
    // Kept eigenvalues lie above the mean, which is 1 or, of N - 1 that are not 0, less than the limit: some are left.
    let rest = (k as f64 - held) / (k - count) as f64;
    let is_low = n > k && values[0] < rest * (1.0 - edge).powi(2);
    Ok(Spectrum {
        rest,
        more: (first..values.len())
            .map(|place| (place, values[place] - rest))
            .collect(),
        kept: Kept::Leading {
            share: held / k as f64,
            unlike: is_low.then(|| [values[0], values[first - 1]]),
        },
    })
}

/// Keeps all modes, shrunk by `part` of the way towards 1.
fn shrunk(values: &Array1<f64>, (n, k): (usize, usize), part: f64) -> Result<Spectrum, String> {
    let whole = if n > k { values[0].max(0.0) } else { 0.0 };
    let rest = part + (1.0 - part) * whole;
    if rest <= ROUNDING * k as f64 {
        return Err(format!(
            "holds {n} runs of {k} outputs, whose sample covariance is singular: it needs more runs, or shrinkage = \"auto\""
        ));
    }
    let more = |place: usize| (place, (1.0 - part) * (values[place] - whole));
    Ok(Spectrum {
        rest,
        more: (0..values.len())
            .map(more)
            .filter(|(_, more)| *more > ROUNDING * k as f64)
            .collect(),
        kept: Kept::Shrunk(part),
    })
}

/// Returns the shrinkage of least expected squared error, of standardised `runs` whose correlations have the eigenvalues `values`.
fn best_shrinkage(runs: &Array2<f64>, values: &Array1<f64>) -> f64 {
    let n = (runs.nrows() - 1) as f64;
    let squares: f64 = values.iter().map(|value| value * value).sum();
    let fourth = |run: ndarray::ArrayView1<f64>| run.iter().map(|x| x * x).sum::<f64>().powi(2);
    let fourths: f64 = runs.rows().into_iter().map(fourth).sum();
    let (error, apart) = ((fourths / n - squares) / n, squares - runs.ncols() as f64);
    match error < apart {
        true => (error / apart).max(0.0),
        false => 1.0,
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

    fn estimated(runs: Array2<f64>, estimate: NoiseEstimate) -> Result<Modes, String> {
        ControlRuns(runs).covariance(estimate)
    }

    fn covariance(runs: Array2<f64>) -> Modes {
        estimated(runs, NoiseEstimate::Outstanding).unwrap()
    }

    fn share(modes: &Modes) -> f64 {
        match modes.kept {
            Kept::Leading { share, .. } => share,
            Kept::Shrunk(_) => f64::NAN,
        }
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
            let found = covariance(runs);
            assert_eq!(found.factors.ncols(), 1, "{n} {k}");
            assert!((share(&found) - 0.6).abs() < 0.1, "{}", share(&found));
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
            let found = covariance(runs(n, k, 0.0, |_| 2.0));
            assert_eq!((found.factors.ncols(), share(&found)), (0, 0.0));
            assert!(found.diagonal.iter().all(|d| *d > 0.0));
        }
    }

    /// Two outputs correlated by c: eigenvalues 1 + c and 1 - c, so Gamma is the sample covariance itself.
    #[test]
    fn two_outputs_keep_their_sample_covariance() {
        let runs = runs(100, 2, 0.8, |_| 3.0);
        let centred = &runs - &runs.mean_axis(Axis(0)).unwrap();
        let sample = centred.t().dot(&centred) / 99.0;
        let apart = gamma(&covariance(runs)) - &sample;
        assert!(apart.iter().all(|x| x.abs() < 1e-12), "{apart}");
    }

    #[test]
    fn runs_that_hold_no_noise_are_refused() {
        let refused =
            |runs: Array2<f64>| estimated(runs, NoiseEstimate::Outstanding).err().unwrap();
        assert!(refused(Array2::ones((1, 3))).contains("1 runs"));
        assert!(refused(Array2::ones((9, 3))).contains("same output 1"));
        assert!(refused(Array2::from_elem((3, 2), f64::NAN)).contains("NaN in run 1"));
    }

    /// By hand: four runs of two outputs with variance 1 and correlation 13/15. tr C^2 = 788/225 and sum |x|^4 / 3 = 1182/225, so
    /// b^2 = 394/675, d^2 = 338/225, a = 197/507, and the correlation becomes 310/507 x 13/15 = 62/117.
    #[test]
    fn shrinkage_is_that_of_a_case_worked_by_hand() {
        let (a, b) = (1.4_f64.sqrt(), 0.1_f64.sqrt());
        let runs = ndarray::array![[a, a], [-a, -a], [b, -b], [-b, b]];
        let found = estimated(runs, NoiseEstimate::Shrinkage(None)).unwrap();
        let Kept::Shrunk(part) = found.kept else {
            panic!("{:?}", found.kept)
        };
        assert!((part - 197.0 / 507.0).abs() < 1e-14, "{part}");
        let apart = gamma(&found) - ndarray::array![[1.0, 62.0 / 117.0], [62.0 / 117.0, 1.0]];
        assert!(apart.iter().all(|x| x.abs() < 1e-14), "{apart}");
    }

    /// Without shrinkage, and with all modes but one, Gamma is the sample covariance; with it every correlation is damped alike, also
    /// where there are more outputs than runs.
    #[test]
    fn shrinkage_damps_the_samples_correlations_and_keeps_its_variances() {
        for (n, k, estimate, part) in [
            (50, 6, NoiseEstimate::Shrinkage(Some(0.0)), 0.0),
            (50, 6, NoiseEstimate::Modes(5), 0.0),
            (50, 6, NoiseEstimate::Share(1.0), 0.0),
            (50, 6, NoiseEstimate::Shrinkage(Some(0.3)), 0.3),
            (10, 25, NoiseEstimate::Shrinkage(Some(0.3)), 0.3),
            (10, 25, NoiseEstimate::Shrinkage(Some(1.0)), 1.0),
        ] {
            let runs = runs(n, k, 0.7, |j| 1.0 + j as f64);
            let centred = &runs - &runs.mean_axis(Axis(0)).unwrap();
            let mut wanted = centred.t().dot(&centred) / (n - 1) as f64;
            for ((i, j), x) in wanted.indexed_iter_mut() {
                *x *= if i == j { 1.0 } else { 1.0 - part };
            }
            let apart = gamma(&estimated(runs, estimate).unwrap()) - wanted;
            assert!(apart.iter().all(|x| x.abs() < 1e-10), "{estimate:?}");
        }
        let few = estimated(runs(10, 25, 0.7, |_| 1.0), NoiseEstimate::Shrinkage(None));
        let few = few.unwrap();
        assert!(matches!(few.kept, Kept::Shrunk(part) if part > 0.0 && part < 1.0));
        for (estimate, words) in [
            (NoiseEstimate::Shrinkage(Some(0.0)), "is singular"),
            (NoiseEstimate::Modes(9), "at most 8 modes"),
        ] {
            let told = estimated(runs(10, 25, 0.7, |_| 1.0), estimate)
                .err()
                .unwrap();
            assert!(told.contains(words), "{told}");
        }
    }

    /// A warning says that the modes left out differ in variance: one pair of outputs that hardly differs, among independent ones.
    #[test]
    fn a_small_eigenvalue_that_is_averaged_away_is_told() {
        let mut runs = runs(400, 5, 0.0, |_| 1.0);
        let unlike = |runs: &Array2<f64>| match covariance(runs.clone()).kept {
            Kept::Leading { unlike, .. } => unlike,
            Kept::Shrunk(_) => None,
        };
        assert_eq!(unlike(&runs), None);
        let pair: Vec<f64> = runs
            .column(0)
            .iter()
            .zip(runs.column(1))
            .map(|(a, b)| a + 0.1 * b)
            .collect();
        runs.column_mut(1).assign(&Array1::from(pair));
        let [least, largest] = unlike(&runs).expect("they differ");
        assert!(least < 0.01 && largest > 0.5, "{least} {largest}");
    }
}
