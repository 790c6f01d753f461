//! The posterior by one step of the first ensemble, as if outputs were linear: where covariances are localised, or where the first
//! members are themselves the prior.
//!
//! ```text
//! u_j <- u_j + G (y + e_j - z_j) ,  e_j ~ N(0, I)                      u: coordinates;  z, y: whitened outputs and observations
//! G = C^{uz} (C^{zz} + I)^{-1}                                         localised as in `ensemble::localisation`
//! m_p = ubar_p + (G (y - zbar))_p
//! s_p^2 = sum_j (U - Z G^T)_jp^2 / (J - 1) + sum_k G_pk^2              U, Z: anomalies
//! ```
//!
//! This is the step of `method::kalman` with h = 1, with its covariances by 1/J, and the expectation of its members' variance with
//! `method.perturb`. The stochastic filter's variance holds for any gain: Burgers, van Leeuwen & Evensen, Mon. Weather Rev. 126 (1998)
//! 1719. Columns of parameters are taken a block at a time: nothing is P x P, nor P x K.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::ThreadPool;

use super::replay::LinearPosterior;
use super::{StoredEnsemble, anomalies, whiten};
use crate::data::distances::Distances;
use crate::data::noise::Noise;
use crate::ensemble::localisation::{CorrelationFactor, Localisation, Reach};
use crate::error::{Error, Result};
use crate::kernels::cholesky::Cholesky;
use crate::parallel::partition::{BLOCK, Blocks};

/// The first ensemble of a run, and how its covariances are localised.
#[derive(Clone, Debug)]
pub struct FirstStep<'a> {
    /// The ensemble.
    pub ensemble: &'a StoredEnsemble,
    /// The localisation, if there is one: by correlations or by distances.
    pub localisation: Option<Localisation>,
}

/// A factorisation of C^{zz} + I.
enum OutputsSide {
    /// By its own factor, K x K.
    Outputs(Cholesky),
    /// By that of I + Z Z^T / J, J x J: (I + Z^T Z / J)^{-1} = I - Z^T (I + Z Z^T / J)^{-1} Z / J.
    Members(Cholesky),
}

impl FirstStep<'_> {
    /// Returns the posterior given those of the `observations`, K numbers, whose `places` are listed, with `noise`, which is theirs.
    ///
    /// # Errors
    /// Numbers too large to be solved with.
    pub fn posterior(
        &self,
        pool: &ThreadPool,
        observations: &[f64],
        (places, noise): (&[usize], &Noise),
    ) -> Result<LinearPosterior> {
        let ensemble = self.ensemble;
        let rows = ensemble.outputs.select(Axis(1), places);
        let (z, mean) = anomalies(noise, rows.as_standard_layout().to_owned());
        let mut y: Vec<f64> = places.iter().map(|&place| observations[place]).collect();
        whiten(noise, &mut y);
        let apart: Array1<f64> = y.iter().zip(&mean).map(|(y, z)| y - z).collect();
        let side = self.outputs_side(pool, &z, places)?;
        let centre = ensemble.xi.mean_axis(Axis(0)).expect("members");
        let blocks = Blocks::of_width(centre.len(), BLOCK);
        let (mut mean, mut deviations) = (centre.to_vec(), Vec::with_capacity(centre.len()));
        for columns in (0..blocks.count()).map(|b| blocks.range(b)) {
            let of_block = s![columns.clone()];
            let u = &ensemble.xi.slice(s![.., columns.clone()]) - &centre.slice(of_block);
            let gain = self.gain((&u, &z), &side, (columns.clone(), places)); // w x K
            let moves = gain.dot(&apart);
            let moved = mean[columns].iter_mut().zip(&moves);
            moved.for_each(|(mean, by)| *mean += by);
            let left = u - z.dot(&gain.t());
            let squares = |column: ndarray::ArrayView1<f64>| column.iter().map(|x| x * x).sum();
            let of_members = left.columns().into_iter().map(squares);
            let of_noise = gain.rows().into_iter().map(squares);
            let degrees = (ensemble.members() - 1) as f64;
            let variances = of_members
                .zip(of_noise)
                .map(|(a, b): (f64, f64)| a / degrees + b);
            deviations.extend(variances.map(f64::sqrt));
        }
        Ok(LinearPosterior {
            mean,
            deviations,
            linear: None,
        })
    }

    /// Factorises C^{zz} + I, tapered by the distances of the observations at `places` where these localise.
    fn outputs_side(
        &self,
        pool: &ThreadPool,
        z: &Array2<f64>,
        places: &[usize],
    ) -> Result<OutputsSide> {
        let (j, k) = z.dim();
        let scale = 1.0 / j as f64;
        let factor = |mut gram: Array2<f64>| {
            gram.diag_mut().map_inplace(|x| *x += 1.0);
            let finite = gram.iter().all(|x| x.is_finite());
            let factor = finite.then(|| Cholesky::new(gram, pool)).flatten();
            factor
                .ok_or_else(|| Error::Run("the outputs are too large to be solved with".to_owned()))
        };
        let distances = self.distances();
        if distances.is_none() && k > j {
            return factor(z.dot(&z.t()) * scale).map(OutputsSide::Members);
        }
        let mut gram = z.t().dot(z) * scale;
        if let Some(distances) = distances {
            let mut tapers = vec![0.0; distances.observations()];
            for (row, &k) in gram.rows_mut().into_iter().zip(places) {
                distances.tapers_between(k, &mut tapers);
                let row = row.into_iter().zip(places);
                row.for_each(|(x, &l)| *x *= tapers[l]);
            }
        }
        factor(gram).map(OutputsSide::Outputs)
    }

    /// Returns the gain's rows of the parameters `columns`, w x K, whose anomalies are `u`, J x w.
    fn gain(
        &self,
        (u, z): (&Array2<f64>, &Array2<f64>),
        side: &OutputsSide,
        (columns, places): (Range<usize>, &[usize]),
    ) -> Array2<f64> {
        let mut covariances = u.t().dot(z) / z.nrows() as f64;
        if let Some(Localisation::Correlations(factor)) = &self.localisation {
            let factors = factors(u.view(), z.view(), *factor);
            return match factor.of_gain() {
                true => solved(side, z, covariances) * factors,
                false => solved(side, z, covariances * factors),
            };
        }
        if let Some(distances) = self.distances() {
            let mut tapers = vec![0.0; columns.len()];
            for (mut column, &k) in covariances.columns_mut().into_iter().zip(places) {
                distances.tapers(k, columns.start, &mut tapers);
                let column = column.iter_mut().zip(&tapers);
                column.for_each(|(x, taper)| *x *= taper);
            }
        }
        solved(side, z, covariances)
    }

    /// Returns the distances, where these localise.
    fn distances(&self) -> Option<&Distances> {
        match &self.localisation {
            Some(Localisation::Near(Reach::Distances(distances))) => Some(distances),
            _ => None,
        }
    }
}

/// Returns `rows` (C^{zz} + I)^{-1}, w x K.
fn solved(side: &OutputsSide, z: &Array2<f64>, mut rows: Array2<f64>) -> Array2<f64> {
    match side {
        OutputsSide::Outputs(factor) => factor.solve(rows.view_mut()),
        OutputsSide::Members(factor) => {
            let mut along = rows.dot(&z.t()) / z.nrows() as f64;
            factor.solve(along.view_mut());
            rows -= &along.dot(z);
        }
    }
    rows
}

/// Returns the factors that the correlations of the columns of `u`, J x w, with those of `z`, J x K, take: w x K.
fn factors(u: ArrayView2<f64>, z: ArrayView2<f64>, factor: CorrelationFactor) -> Array2<f64> {
    let norms = |columns: ArrayView2<f64>| columns.map_axis(Axis(0), |x| x.dot(&x).sqrt());
    let (of_u, of_z) = (norms(u), norms(z));
    let mut products = u.t().dot(&z);
    for ((p, k), x) in products.indexed_iter_mut() {
        let most = of_u[p] * of_z[k];
        // Of what does not vary there is no correlation.
        *x = if most > 0.0 { *x / most } else { 0.0 };
    }
    for mut row in products.rows_mut() {
        factor.replace_all(row.as_slice_mut().expect("row-major"), u.nrows());
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::noise::Gamma;

    /// By hand: two members u = 1, -1 with outputs 2 u, noise 1, y = 1: G = 2/5, m = 2/5, s^2 = 2 (1/5)^2 + (2/5)^2 = 6/25. The same
    /// where the output is split into three, 2 u / sqrt(3) each, so that there are more outputs than members.
    #[test]
    fn a_step_is_that_of_a_case_worked_by_hand_by_either_side() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        for parts in [1, 3] {
            let root = (parts as f64).sqrt();
            let ensemble = StoredEnsemble {
                step: 0,
                failed: 0,
                xi: ndarray::array![[1.0], [-1.0]],
                outputs: Array2::from_shape_fn((2, parts), |(j, _)| [2.0, -2.0][j] / root),
            };
            let places: Vec<usize> = (0..parts).collect();
            let noise: Noise = Gamma::Diagonal(vec![1.0]).into();
            let about = (&places[..], &noise);
            let of = |localisation| FirstStep {
                ensemble: &ensemble,
                localisation,
            };
            let y = vec![1.0 / root; parts];
            let by = |factor| Some(Localisation::Correlations(factor));
            // A correlation of 1 is not damped.
            for localisation in [
                None,
                by(CorrelationFactor::Power(1)),
                by(CorrelationFactor::Threshold(1.0)),
            ] {
                let found = of(localisation).posterior(&pool, &y, about).unwrap();
                assert!((found.mean[0] - 0.4).abs() < 1e-14, "{found:?}");
                assert!(
                    (found.deviations[0] - 0.24_f64.sqrt()).abs() < 1e-14,
                    "{found:?}"
                );
            }
            // None reaches the threshold: the members stay, with their deviation as a sample.
            let found = of(by(CorrelationFactor::Threshold(2.0)))
                .posterior(&pool, &y, about)
                .unwrap();
            assert_eq!((found.mean[0], found.deviations[0]), (0.0, 2.0_f64.sqrt()));
        }
    }
}
