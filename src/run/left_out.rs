//! Observations that are left out of a run, because no member of the first ensemble comes near them (`data.conflict = "drop"`).
//!
//! ```text
//! r <- r - Q Q^T r          r = W (z - y), K numbers; Q: an orthonormal basis of the columns W e_k of what is left out, W Gamma W^T = I
//! ```
//!
//! |r|^2 then is the least over the values that the observations left out could have: the misfit of the others alone, also where their
//! errors are correlated with those. With independent noise the output takes the observation's place. A sum over the misfit counts
//! as of all K: that of the others is scaled up.

use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::kernels::real::{Real, inner};
use crate::method::loss::Loss;

/// The observations that a run leaves out; at first none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    /// Their places among the K observations, in order.
    places: Vec<usize>,
    /// Q, as columns of K numbers; none with independent noise.
    along: Vec<Vec<f64>>,
    /// K over the number of the others.
    scale: f64,
}

impl LeftOut {
    /// Leaves out the observations at `places` of `k`, whose misfit is `loss`.
    ///
    /// # Errors
    /// None would be left.
    pub fn new(places: Vec<usize>, loss: &Loss, k: usize) -> Result<Self> {
        if places.is_empty() {
            return Ok(Self::default());
        }
        if places.len() >= k {
            let why = "data.conflict = \"drop\": all observations conflict with the prior, and none would be left";
            return Err(Error::Run(why.to_owned()));
        }
        let along = match loss {
            Loss::Whitened(covariance) => orthonormal(places.iter().map(|&place| {
                let mut column = vec![0.0; k];
                column[place] = 1.0;
                covariance.whiten(&mut column);
                column
            })),
            _ => Vec::new(),
        };
        let scale = k as f64 / (k - places.len()) as f64;
        Ok(Self {
            places,
            along,
            scale,
        })
    }

    /// Returns the places of the observations that are left out.
    #[must_use]
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Returns the share of `k` observations that count: by it the variance of misfits, which are scaled up to `k`, is that of a sum over
    /// as many as count, scaled up.
    #[must_use]
    pub fn share_counted(&self, k: usize) -> f64 {
        (k - self.places.len()) as f64 / k as f64
    }

    /// Returns their names and groups, by their `table`.
    #[must_use]
    pub fn names(&self, table: &ObservationTable) -> Vec<String> {
        let places = self.places.iter();
        places.map(|&place| table.name_and_group(place)).collect()
    }

    /// Takes what is left out from `z`, K numbers as they enter D, with targets `y`; returns the misfit.
    pub fn take<T: Real>(&self, loss: &Loss, z: &mut [T], y: &[T]) -> f64 {
        if self.along.is_empty() {
            self.places.iter().for_each(|&place| z[place] = y[place]);
        } else {
            let apart = z.iter().zip(y).map(|(z, y)| z.as_f64() - y.as_f64());
            let mut apart: Vec<f64> = apart.collect();
            self.along.iter().for_each(|q| take_along(&mut apart, q));
            for ((z, y), r) in z.iter_mut().zip(y).zip(apart) {
                *z = T::from_f64(y.as_f64() + r);
            }
        }
        self.scale * loss.misfit(z, y)
    }
}

/// Takes from `r` what lies along the unit vector `q`.
fn take_along(r: &mut [f64], q: &[f64]) {
    let along = inner(r, q);
    r.iter_mut().zip(q).for_each(|(r, q)| *r -= along * q);
}

/// Returns an orthonormal basis of `columns`, which are independent, by Gram and Schmidt's process, each step taken twice.
fn orthonormal(columns: impl Iterator<Item = Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut column in columns {
        for _ in 0..2 {
            basis.iter().for_each(|q| take_along(&mut column, q));
        }
        let length = inner(&column, &column).sqrt();
        column.iter_mut().for_each(|x| *x /= length);
        basis.push(column);
    }
    basis
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::array;

    use super::*;
    use crate::data::noise::Gamma;
    use crate::data::noise::covariance::Covariance;

    /// The misfit without an observation is that by the covariance without its row and column, scaled to all three.
    #[test]
    fn what_is_left_is_the_marginal_misfit_of_the_others() {
        let gamma = array![[2.0, 0.6, 0.3], [0.6, 1.0, -0.2], [0.3, -0.2, 0.5]];
        let full = Arc::new(Covariance::full(gamma.clone()).unwrap());
        let (y, z) = ([1.0, -1.0, 0.5], [1.5, -0.2, 9.0]);
        // Of the first two alone: r^T Gamma^{-1} r / 2 by hand.
        let (a, b, c) = (gamma[[0, 0]], gamma[[0, 1]], gamma[[1, 1]]);
        let (r, s) = (z[0] - y[0], z[1] - y[1]);
        let wanted = (c * r * r - 2.0 * b * r * s + a * s * s) / (a * c - b * b) / 2.0;
        let whitened = |x: [f64; 3]| {
            let mut x = x.to_vec();
            full.whiten(&mut x);
            x
        };
        let (y_in, mut z_in) = (whitened(y), whitened(z));
        let correlated = Loss::Whitened(full.clone());
        let left = LeftOut::new(vec![2], &correlated, 3).unwrap();
        let misfit = left.take(&correlated, &mut z_in, &y_in);
        assert!((misfit - 1.5 * wanted).abs() < 1e-12, "{misfit} {wanted}");
        let independent = Loss::least_squares(&Gamma::Diagonal(vec![2.0, 1.0, 0.5]));
        let left = LeftOut::new(vec![2], &independent, 3).unwrap();
        let mut z = z;
        let misfit = left.take(&independent, &mut z, &y);
        assert!((misfit - 1.5 * (r * r / a + s * s / c) / 2.0).abs() < 1e-12);
        assert_eq!(z, [1.5, -0.2, 0.5]);
        assert_eq!(left.share_counted(3), 2.0 / 3.0);
        assert_eq!(LeftOut::default().share_counted(3), 1.0);
        assert!(LeftOut::new(vec![0, 1, 2], &independent, 3).is_err());
        assert_eq!(
            LeftOut::new(vec![], &independent, 3).unwrap(),
            LeftOut::default()
        );
    }
}
