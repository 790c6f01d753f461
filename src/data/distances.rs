//! Distances of parameters from observations, and the taper of covariances by them.
//!
//! Gaspari & Cohn, Q. J. R. Meteorol. Soc. 125 (1999) 723, equation (4.10): a correlation function in up to three dimensions that is
//! 0 from the radius on, so that the product of a covariance with it, entry by entry, is a covariance (Schur).

use std::ops::Range;

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

/// Coordinates of parameters and observations, in units of the radius in each direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// The coordinates of the parameters, n x P with n from 1 to 3.
    parameters: Array2<f64>,
    /// The coordinates of the observations, n x K.
    observations: Array2<f64>,
    /// The observations in the order of their first coordinate.
    sorted: Vec<usize>,
}

impl Distances {
    /// Returns the distances of parameters and observations at these coordinates, P x n and K x n.
    #[must_use]
    pub fn new(parameters: &Array2<f64>, observations: &Array2<f64>) -> Self {
        let by_direction = |places: &Array2<f64>| places.t().as_standard_layout().into_owned();
        let mut sorted: Vec<usize> = (0..observations.nrows()).collect();
        sorted.sort_by(|&k, &l| observations[[k, 0]].total_cmp(&observations[[l, 0]]));
        Self {
            parameters: by_direction(parameters),
            observations: by_direction(observations),
            sorted,
        }
    }

    /// Returns the number P of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters.ncols()
    }

    /// Returns the number K of observations.
    #[must_use]
    pub fn observations(&self) -> usize {
        self.observations.ncols()
    }

    /// Writes the factors, from 0 to 1, of the covariances of observation `k` with the parameters from `first` on, as many as `out`
    /// holds. To be called within a dispatch to the processor's vectors.
    #[inline(always)]
    pub fn tapers(&self, k: usize, first: usize, out: &mut [f64]) {
        tapers(&self.observations, k, &self.parameters, first, out);
    }

    /// Writes the factors, from 0 to 1, of the covariances of observation `k` with the observations from the first on, as many as
    /// `out` holds.
    pub fn tapers_between(&self, k: usize, out: &mut [f64]) {
        let places = &self.observations;
        pulp::Arch::new().dispatch(|| tapers(places, k, places, 0, out));
    }

    /// Returns the observations within the radius of the smallest box around the `parameters`, in order.
    #[must_use]
    pub fn near(&self, parameters: Range<usize>) -> Vec<usize> {
        let bounds: Vec<(f64, f64)> = (self.parameters.rows().into_iter())
            .map(|places| {
                let of_box = places.slice(s![parameters.clone()]);
                let outside = (f64::INFINITY, f64::NEG_INFINITY);
                of_box.fold(outside, |(least, most), &x| (least.min(x), most.max(x)))
            })
            .collect();
        let squared = |k: usize| -> f64 {
            let beyond = self.observations.column(k).into_iter().zip(&bounds);
            let beyond = beyond.map(|(x, (least, most))| (least - x).max(x - most).max(0.0));
            beyond.map(|x| x.powi(2)).sum()
        };
        let (least, most) = bounds[0];
        let first = self.observations.row(0);
        let start = self.sorted.partition_point(|&k| first[k] < least - 1.0);
        let end = self.sorted.partition_point(|&k| first[k] <= most + 1.0);
        let within = self.sorted[start..end].iter().copied();
        let mut near: Vec<usize> = within.filter(|&k| squared(k) < 1.0).collect();
        near.sort_unstable();
        near
    }

    /// Returns the bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        8 * (self.parameters.len() + self.observations.len() + self.sorted.len())
    }
}

/// Writes the tapers at the distances of point `k` of `points`, n x K, from those of `others`, n x P, from `first` on, as many as `out`
/// holds.
#[inline(always)]
fn tapers(points: &Array2<f64>, k: usize, others: &Array2<f64>, first: usize, out: &mut [f64]) {
    out.fill(0.0);
    for (direction, places) in others.rows().into_iter().enumerate() {
        let from = points[[direction, k]];
        let places = &places.to_slice().expect("row-major")[first..][..out.len()];
        for (squared, x) in out.iter_mut().zip(places) {
            *squared += (x - from) * (x - from);
        }
    }
    for x in out {
        *x = gaspari_cohn(x.sqrt());
    }
}

/// Returns Gaspari & Cohn's function at distance `r` in units of its radius: 1 at 0, 0 from 1 on. All pieces are computed, so that
/// several can be side by side in the processor's vectors.
#[inline(always)]
#[must_use]
pub fn gaspari_cohn(r: f64) -> f64 {
    // Their c is half of the radius.
    let z = 2.0 * r;
    let near = (((-z / 4.0 + 0.5) * z + 0.625) * z - 5.0 / 3.0) * z * z + 1.0;
    let far =
        ((((z / 12.0 - 0.5) * z + 0.625) * z + 5.0 / 3.0) * z - 5.0) * z + 4.0 - 2.0 / (3.0 * z);
    let far = if far > 0.0 { far } else { 0.0 };
    let far = if z < 2.0 { far } else { 0.0 };
    if z <= 1.0 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// By hand: at half of the radius both pieces give -1/4 + 1/2 + 5/8 - 5/3 + 1 = 5/24.
    #[test]
    fn the_taper_falls_from_1_to_0_at_the_radius() {
        assert_eq!(gaspari_cohn(0.0), 1.0);
        for r in [0.5, 0.5 + 1e-12] {
            assert!((gaspari_cohn(r) - 5.0 / 24.0).abs() < 1e-10);
        }
        assert!(gaspari_cohn(1.0 - 1e-9) < 1e-9);
        assert_eq!(gaspari_cohn(1.0), 0.0);
        let falling: Vec<f64> = (0..=100)
            .map(|i| gaspari_cohn(f64::from(i) / 100.0))
            .collect();
        assert!(falling.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn distances_are_in_all_directions() {
        let parameters = array![[0.0, 0.0], [0.3, 0.4]];
        let observations = array![[1.0, 0.0], [0.0, 0.0]];
        let distances = Distances::new(&parameters, &observations);
        let mut out = [0.0; 2];
        distances.tapers(1, 0, &mut out);
        assert!(out[0] == 1.0 && (out[1] - 5.0 / 24.0).abs() < 1e-12);
        distances.tapers_between(0, &mut out);
        assert_eq!(out, [1.0, 0.0]);
        assert_eq!(distances.near(0..1), [1]);
        assert_eq!(distances.near(0..2), [0, 1]);
    }
}
