//! Distances of parameters from observations, and the taper of covariances by them.
//!
//! Gaspari & Cohn, Q. J. R. Meteorol. Soc. 125 (1999) 723, equation (4.10): a correlation function in up to three dimensions that is
//! 0 from the radius on, so that the product of a covariance with it, entry by entry, is a covariance (Schur).

use std::ops::Range;
use std::path::PathBuf;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::noise::KeptFile;

/// Where parameters and observations lie, in units of the radius in each direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// The coordinates of each parameter, P x n with n from 1 to 3.
    pub parameters: Array2<f64>,
    /// The coordinates of each observation, K x n.
    pub observations: Array2<f64>,
    /// The file of the parameters' coordinates.
    pub path: PathBuf,
    /// The files of both.
    pub files: Vec<KeptFile>,
}

impl Distances {
    /// Returns the factor of the covariance of parameter `i` with observation `k`, from 0 to 1.
    #[must_use]
    pub fn taper(&self, i: usize, k: usize) -> f64 {
        tapered(row(&self.parameters, i), row(&self.observations, k))
    }

    /// Returns the observations within the radius of the smallest box around the `parameters`, in order.
    #[must_use]
    pub fn near(&self, parameters: Range<usize>) -> Vec<usize> {
        let bounds: Vec<(f64, f64)> = (0..self.parameters.ncols())
            .map(|d| {
                let of_box = parameters.clone().map(|i| self.parameters[[i, d]]);
                let outside = (f64::INFINITY, f64::NEG_INFINITY);
                of_box.fold(outside, |(least, most), x| (least.min(x), most.max(x)))
            })
            .collect();
        let within = |k: &usize| {
            let beyond = row(&self.observations, *k).iter().zip(&bounds);
            let squared: f64 = beyond
                .map(|(x, (least, most))| (least - x).max(x - most).max(0.0).powi(2))
                .sum();
            squared < 1.0
        };
        (0..self.observations.nrows()).filter(within).collect()
    }

    /// Returns the factor of the covariance of observations `k` and `l`, from 0 to 1.
    #[must_use]
    pub fn taper_between(&self, k: usize, l: usize) -> f64 {
        tapered(row(&self.observations, k), row(&self.observations, l))
    }

    /// Returns the bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        8 * (self.parameters.len() + self.observations.len())
    }

    /// Returns the digest of a run's data with that of the files of coordinates added.
    #[must_use]
    pub fn digest(&self, data: [u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(data);
        self.files.iter().for_each(|file| hash.update(file.digest));
        hash.finalize().into()
    }
}

/// Returns row `i` of `coordinates`.
fn row(coordinates: &Array2<f64>, i: usize) -> &[f64] {
    let n = coordinates.ncols();
    &coordinates.as_slice().expect("row-major")[i * n..(i + 1) * n]
}

/// Returns the taper at the distance of two points.
fn tapered(a: &[f64], b: &[f64]) -> f64 {
    let squared: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    if squared < 1.0 {
        gaspari_cohn(squared.sqrt())
    } else {
        0.0
    }
}

/// Returns Gaspari & Cohn's function at distance `r` in units of its radius: 1 at 0, 0 from 1 on.
#[must_use]
pub fn gaspari_cohn(r: f64) -> f64 {
    // Their c is half of the radius.
    let z = 2.0 * r;
    let near = |z: f64| (((-z / 4.0 + 0.5) * z + 0.625) * z - 5.0 / 3.0) * z * z + 1.0;
    let far = |z: f64| {
        ((((z / 12.0 - 0.5) * z + 0.625) * z + 5.0 / 3.0) * z - 5.0) * z + 4.0 - 2.0 / (3.0 * z)
    };
    match z {
        z if z <= 1.0 => near(z),
        z if z < 2.0 => far(z).max(0.0),
        _ => 0.0,
    }
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
        let distances = Distances {
            parameters: array![[0.0, 0.0], [0.3, 0.4]],
            observations: array![[0.0, 0.0], [1.0, 0.0]],
            path: PathBuf::new(),
            files: Vec::new(),
        };
        assert_eq!(distances.taper(0, 0), 1.0);
        assert!((distances.taper(1, 0) - 5.0 / 24.0).abs() < 1e-12);
        assert_eq!(distances.taper_between(0, 1), 0.0);
        assert_eq!(distances.near(0..1), [0]);
        assert_eq!(distances.near(0..2), [0, 1]);
    }
}
