//! The posterior with other noise, or with observations left out, from stored members and outputs: a linearisation.
//!
//! ```text
//! z ~ zbar + A (xi - xibar),   A = Z^T U^+        U, Z: anomalies of coordinates, J x P, and of whitened outputs, J x K
//! xi | y ~ N(m, C),   C^{-1} = I + A^T A,   C^{-1} m = A^T (y - zbar + A xibar)
//! ```
//!
//! A is the statistical linearisation by the members (Evensen, Ocean Dynamics 53 (2003) 343, for its use in ensemble smoothers;
//! Raanes, Stordal & Evensen, Nonlin. Processes Geophys. 26 (2019) 325). The prior is N(0, I). With U U^T = L diag(s) L^T, all but the
//! prior's own part lies along R = U^T L diag(s)^{-1/2}, P x r, and there A^T A = diag(s)^{-1/2} L^T Z Z^T L diag(s)^{-1/2}. Where J <= P
//! the other directions keep their prior.

use ndarray::{Array1, Array2, Axis, s};
use serde::Serialize;

use super::{StoredEnsemble, anomalies, whiten};
use crate::data::noise::Noise;
use crate::error::{Error, Result};
use crate::forward::joint_prior::JointPrior;
use crate::kernels::eigen::symmetric_eigen;

/// The least share of the largest eigenvalue of U U^T that counts: below it lies rounding.
const LEAST: f64 = 1e-12;

/// The members' anomalies of the coordinates, decomposed.
#[derive(Clone, Debug)]
pub struct Linearisation<'a> {
    ensemble: &'a StoredEnsemble,
    /// The mean of the coordinates, P numbers.
    mean: Array1<f64>,
    /// s, r numbers.
    squares: Vec<f64>,
    /// L diag(s)^{-1/2}, J x r.
    weights: Array2<f64>,
    /// R, P x r.
    directions: Array2<f64>,
}

/// A posterior, and how well it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearPosterior {
    /// The mean of the coordinates, P numbers.
    pub mean: Vec<f64>,
    /// Their deviations.
    pub deviations: Vec<f64>,
    /// The share of the outputs' variance, in deviations of the noise, that is linear in the coordinates; None where the members are
    /// too few to tell.
    pub linear: Option<f64>,
}

/// One parameter with other settings, and as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shifted {
    /// Its name.
    pub name: String,
    /// The median in its own unit, and a deviation below and above it.
    pub was: [f64; 3],
    /// The same now.
    pub is: [f64; 3],
    /// The shift of the coordinate's mean, in its deviations before.
    pub shift: f64,
    /// The coordinate's deviation now, as a multiple of what it was.
    pub deviation_ratio: f64,
}

impl<'a> Linearisation<'a> {
    /// Returns the linearisation by `ensemble`.
    ///
    /// # Errors
    /// Its members are all alike.
    pub fn new(ensemble: &'a StoredEnsemble) -> Result<Self> {
        let mean = ensemble.xi.mean_axis(Axis(0)).expect("members");
        let u = &ensemble.xi - &mean;
        let (values, vectors) = symmetric_eigen(u.dot(&u.t()).view())
            .ok_or_else(|| Error::Run("the members' coordinates are not finite".to_owned()))?;
        let largest = values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..values.len())
            .filter(|&i| values[i] > LEAST * largest)
            .collect();
        if kept.is_empty() {
            return Err(Error::Run(format!(
                "the members after {} steps are all alike: nothing follows from their outputs",
                ensemble.step
            )));
        }
        let mut weights = vectors.select(Axis(1), &kept);
        for (mut column, &i) in weights.columns_mut().into_iter().zip(&kept) {
            column /= values[i].sqrt();
        }
        Ok(Self {
            ensemble,
            mean,
            squares: kept.iter().map(|&i| values[i]).collect(),
            directions: u.t().dot(&weights),
            weights,
        })
    }

    /// Returns the number of directions in which the members differ.
    #[must_use]
    pub fn directions(&self) -> usize {
        self.weights.ncols()
    }

    /// Returns the posterior given those of the `observations`, K numbers, whose `places` are listed, with `noise`, which is theirs.
    ///
    /// # Errors
    /// Numbers too large to be solved with.
    pub fn posterior(
        &self,
        observations: &[f64],
        (places, noise): (&[usize], &Noise),
    ) -> Result<LinearPosterior> {
        let rows = self.ensemble.outputs.select(Axis(1), places);
        let (z, mean) = anomalies(noise, rows.as_standard_layout().to_owned());
        let mut y: Vec<f64> = places.iter().map(|&place| observations[place]).collect();
        whiten(noise, &mut y);
        let apart: Array1<f64> = y.iter().zip(&mean).map(|(y, z)| y - z).collect();
        // A^T, r x K, and A^T A.
        let by_outputs = self.weights.t().dot(&z);
        let information = by_outputs.dot(&by_outputs.t());
        let (values, vectors) = symmetric_eigen(information.view())
            .ok_or_else(|| Error::Run("the outputs are too large to be solved with".to_owned()))?;
        let along = self.directions.t().dot(&self.mean);
        let right = by_outputs.dot(&apart) + information.dot(&along);
        // (I + A^T A)^{-1}, by its eigenvectors.
        let scales = values.mapv(|value| 1.0 / (1.0 + value.max(0.0)));
        let solved = vectors.dot(&(&scales * &vectors.t().dot(&right)));
        let rotated = self.directions.dot(&vectors); // P x r
        let deviation = |p: usize| {
            let row = rotated.slice(s![p, ..]);
            let lost: f64 = row
                .iter()
                .zip(&scales)
                .map(|(r, m)| r * r * (1.0 - m))
                .sum();
            (1.0 - lost).max(0.0).sqrt()
        };
        let total: f64 = z.iter().map(|z| z * z).sum();
        let explained = information.diag().into_iter().zip(&self.squares);
        let explained: f64 = explained.map(|(a, square)| a * square).sum();
        let (j, p) = self.ensemble.xi.dim();
        Ok(LinearPosterior {
            mean: self.directions.dot(&solved).to_vec(),
            deviations: (0..p).map(deviation).collect(),
            linear: (j > 2 * (p + 1)).then(|| explained / total),
        })
    }
}

/// Returns each free parameter of `prior` by the posterior that it `is`, beside that it `was`. Units are the parameters' own, at the
/// quantiles of their coordinates.
#[must_use]
pub fn shifted(prior: &JointPrior, was: &LinearPosterior, is: &LinearPosterior) -> Vec<Shifted> {
    let free: Vec<usize> = prior.free().collect();
    let own = |posterior: &LinearPosterior, coordinate: usize| {
        [0.0, -1.0, 1.0].map(|deviations| {
            let mut xi = posterior.mean.clone();
            xi[coordinate] += deviations * posterior.deviations[coordinate];
            prior.at(&xi)[free[coordinate]]
        })
    };
    let one = |coordinate: usize| Shifted {
        name: prior.name(free[coordinate]).into_owned(),
        was: own(was, coordinate),
        is: own(is, coordinate),
        shift: (is.mean[coordinate] - was.mean[coordinate]) / was.deviations[coordinate],
        deviation_ratio: is.deviations[coordinate] / was.deviations[coordinate],
    };
    (0..free.len()).map(one).collect()
}
