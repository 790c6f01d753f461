//! Baselines that a forecast of a series must beat: persistence and linear autoregression, one step ahead.
//!
//! ```text
//! persistence   x_{t+1} = x_t
//! AR(p)         x_{t+1} = c + sum_{k=0}^{p-1} a_k x_{t-k}
//! ```
//!
//! AR(p) is fitted by least squares (the conditional likelihood of Box & Jenkins, Time Series Analysis (1970)) to every
//! value that has p values before it, and evaluated on the same values: its error is an in-sample error.

use serde::Serialize;

use super::{Inputs, Samples, Targets};

/// Mean squared errors of the baselines, one step ahead, in squared units of the series as it is assimilated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baselines {
    /// The error of persistence, on every value but the first.
    pub mse_persistence: f64,
    /// The error of AR(2), if the series is long enough to fit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_ar2: Option<f64>,
    /// The error of AR(20), if the series is long enough to fit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_ar20: Option<f64>,
}

impl Baselines {
    /// Returns the baselines of the series from which [`super::series::lagged`] made `samples`; None if they are not a
    /// series.
    #[must_use]
    pub fn of(samples: &Samples) -> Option<Self> {
        let (Inputs::Reals(inputs), Targets::Values(targets)) = (&samples.inputs, &samples.targets)
        else {
            return None;
        };
        let first = *inputs.get((0, 0))?;
        let series: Vec<f64> = std::iter::once(first)
            .chain(targets.iter().copied())
            .collect();
        Some(Self {
            mse_persistence: persistence(&series),
            mse_ar2: autoregression(&series, 2),
            mse_ar20: autoregression(&series, 20),
        })
    }
}

/// Returns the mean of (x_{t+1} - x_t)^2; NaN for fewer than two values.
#[must_use]
pub fn persistence(series: &[f64]) -> f64 {
    let squares = series.windows(2).map(|x| (x[1] - x[0]).powi(2));
    squares.sum::<f64>() / series.len().saturating_sub(1) as f64
}

/// Returns the mean squared error of AR(`p`) on the values that it is fitted to; None if there are not more values than
/// the p + 1 coefficients, or the values do not determine them.
#[must_use]
pub fn autoregression(series: &[f64], p: usize) -> Option<f64> {
    // The last pivot of the Cholesky factor of [A b]^T [A b] is the norm of the residual.
    let (_, pivot) = factor(series, p)?;
    Some(pivot / (series.len() - p) as f64)
}

/// Returns the forecasts of AR(`p`), fitted to `series`, for the values 1 to N of its N: the last lies beyond its end, and the first p - 1
/// are not known. None where `autoregression` is.
#[must_use]
pub fn autoregression_forecasts(series: &[f64], p: usize) -> Option<Vec<Option<f64>>> {
    let (factor, _) = factor(series, p)?;
    let n = p + 2;
    // The rows of A make L L^T, the last row of the factor L^-1 A^T b: the coefficients solve L^T a = that.
    let mut a = factor[(n - 1) * n..(n - 1) * n + p + 1].to_vec();
    for i in (0..=p).rev() {
        let known: f64 = (i + 1..=p).map(|k| factor[k * n + i] * a[k]).sum();
        a[i] = (a[i] - known) / factor[i * n + i];
    }
    let forecast = |t: usize| {
        let before = (t + 1 >= p).then(|| (0..p).map(|k| a[k] * series[t - k]).sum::<f64>());
        before.map(|sum| sum + a[p])
    };
    Some((0..series.len()).map(forecast).collect())
}

/// Returns the Cholesky factor of [A b]^T [A b], (p + 2) x (p + 2), and the square of its last pivot, where a row of A holds the p values
/// before one of `series` and 1, and b that value. None if the values do not determine AR(`p`).
fn factor(series: &[f64], p: usize) -> Option<(Vec<f64>, f64)> {
    let count = series.len().saturating_sub(p);
    if count <= p + 1 {
        return None;
    }
    // A row is (x_t, ..., x_{t-p+1}, 1, x_{t+1}); its last number is to be predicted from the others.
    let row = |t: usize, k: usize| match k {
        k if k == p => 1.0,
        k if k > p => series[t + p],
        k => series[t + p - 1 - k],
    };
    let n = p + 2;
    let mut gram = vec![0.0; n * n];
    for t in 0..count {
        for i in 0..n {
            for j in 0..=i {
                gram[i * n + j] += row(t, i) * row(t, j);
            }
        }
    }
    let pivot = cholesky(&mut gram, n)?;
    Some((gram, pivot))
}

/// Replaces the symmetric n x n matrix whose lower triangle `a` holds by its Cholesky factor. Returns the square of the
/// last pivot, or None if an earlier pivot vanishes. Written by hand because the last pivot may be 0 or less, which
/// libraries refuse.
fn cholesky(a: &mut [f64], n: usize) -> Option<f64> {
    let mut last = 0.0;
    for j in 0..n {
        let before: f64 = (0..j).map(|k| a[j * n + k] * a[j * n + k]).sum();
        let square = a[j * n + j] - before;
        if j + 1 == n {
            last = square.max(0.0);
        } else if square <= a[j * n + j] * 1e-14 {
            return None;
        }
        let pivot = square.max(0.0).sqrt();
        a[j * n + j] = pivot;
        for i in j + 1..n {
            let products: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            a[i * n + j] = (a[i * n + j] - products) / pivot;
        }
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_recurrence_leaves_no_error_and_a_shorter_one_some() {
        let mut series = vec![0.3, 0.9];
        for t in 1..200 {
            series.push(0.1 + 1.2 * series[t] - 0.9 * series[t - 1]);
        }
        assert!(autoregression(&series, 2).unwrap() < 1e-12);
        assert!(autoregression(&series, 1).unwrap() > 1e-4);
        // AR(20) is not determined: 18 of its coefficients are free.
        assert_eq!(autoregression(&series, 20), None);
    }

    #[test]
    fn forecasts_of_an_exact_recurrence_are_its_values_and_one_beyond() {
        let mut series = vec![0.3, 0.9];
        for t in 1..200 {
            series.push(0.1 + 1.2 * series[t] - 0.9 * series[t - 1]);
        }
        let beyond = series.pop().unwrap();
        let found = autoregression_forecasts(&series, 2).unwrap();
        assert_eq!((found.len(), found[0]), (series.len(), None));
        for (found, value) in found[1..].iter().zip(series[2..].iter().chain([&beyond])) {
            assert!((found.unwrap() - value).abs() < 1e-6, "{found:?} {value}");
        }
        // Their errors are those that the residual of the fit has.
        let rough: Vec<f64> = (0..60).map(|t| f64::from((t * 37) % 23) / 23.0).collect();
        let found = autoregression_forecasts(&rough, 3).unwrap();
        let pairs = found
            .iter()
            .zip(&rough[1..])
            .filter_map(|(f, x)| Some(((*f)? - x).powi(2)));
        let errors: Vec<f64> = pairs.collect();
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        assert!((mean - autoregression(&rough, 3).unwrap()).abs() < 1e-12);
    }

    #[test]
    fn short_and_constant_series_have_no_autoregression() {
        assert_eq!(autoregression(&[1.0, 2.0, 3.0], 2), None);
        assert_eq!(autoregression(&[1.0; 50], 2), None);
        assert_eq!(persistence(&[1.0, 3.0, 2.0]), 2.5);
    }

    /// AR(1), solved by hand, is the regression of x_{t+1} on x_t.
    #[test]
    fn ar1_is_the_regression_line() {
        let series: Vec<f64> = (0..40).map(|t| f64::from((t * 37) % 23) / 23.0).collect();
        let (x, y) = (&series[..39], &series[1..]);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / 39.0;
        let (mx, my) = (mean(x), mean(y));
        let sum = |f: &dyn Fn(usize) -> f64| (0..39).map(f).sum::<f64>();
        let sxy = sum(&|i| (x[i] - mx) * (y[i] - my));
        let (sxx, syy) = (sum(&|i| (x[i] - mx).powi(2)), sum(&|i| (y[i] - my).powi(2)));
        let want = (syy - sxy * sxy / sxx) / 39.0;
        assert!((autoregression(&series, 1).unwrap() - want).abs() < 1e-12);
    }

    /// The published series, if their files are present: the numbers with which their results are compared.
    #[test]
    fn the_series_baselines_are_those_known() {
        let folder = crate::data::folder::data_dir(None);
        for (name, known) in [
            ("sunspots", [4.588_330e-3, 4.083_006e-3, 3.608_369e-3]),
            ("melbourne", [1.078_438e-2, 9.509_055e-3, 8.312_026e-3]),
        ] {
            let Ok(values) = crate::data::catalogue::load_series(name, &folder) else {
                eprintln!("skipped: no {name} in {}", folder.display());
                continue;
            };
            let (unit, _) = crate::data::series::to_unit(&values);
            let found = Baselines::of(&crate::data::series::lagged(&unit, 3)).unwrap();
            let found = [
                found.mse_persistence,
                found.mse_ar2.unwrap(),
                found.mse_ar20.unwrap(),
            ];
            for (found, known) in found.iter().zip(known) {
                assert!(
                    (found / known - 1.0).abs() < 1e-6,
                    "{name}: {found}, {known}"
                );
            }
        }
    }
}
