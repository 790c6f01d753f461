//! A sample that is the prior: first members by whose covariance others are drawn, and by whose inverse the prior holds members.
//!
//! ```text
//! A_k = (u_k - m) / sqrt(J_0) ,  C_0 = A^T A               J_0 first members u_k, m their mean; the divisor of all methods here
//! C_0 = V Lambda V^T ,  z = Lambda^{-1/2} V^T (u - m)      the sample has mean 0 and covariance I in z; needs J_0 > P
//! ```

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, s};

use super::centre::rounded_means;
use super::survivors::Survivors;
use crate::error::{Error, Result};
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::{Real, product};
use crate::parallel::ranks::Ranks;
use crate::parallel::slab::Layout;

/// The share of the largest eigenvalue of a covariance below which one is rounding.
const SINGULAR: f64 = 1e-10;

/// The first members, where they are the prior, on the rank that owns their blocks of columns.
pub(super) struct PriorSample<T> {
    /// The number J_0 of its members.
    pub(super) members: usize,
    /// This rank's blocks, (J_0 + 1) x w: the deviations A, then the mean m.
    pub(super) blocks: Vec<Array2<T>>,
    /// The coordinates in which the sample is standard normal, if the prior is a part of the misfit.
    pub(super) whitening: Option<Whitening>,
}

impl<T: Real> PriorSample<T> {
    /// Returns the sample of `members` whose `blocks` follow one another.
    pub(super) fn of<'a>(members: usize, blocks: impl Iterator<Item = ArrayView2<'a, T>>) -> Self {
        Self {
            members,
            blocks: blocks.map(deviations_and_mean).collect(),
            whitening: None,
        }
    }

    /// Returns a sample of zeros, to be filled, whose blocks have so many columns.
    pub(super) fn blank(members: usize, widths: impl Iterator<Item = usize>) -> Self {
        let block = |width| Array2::zeros((members + 1, width));
        Self {
            members,
            blocks: widths.map(block).collect(),
            whitening: None,
        }
    }

    /// Finds the coordinates in which this sample is standard normal, whose blocks ranks own as `layout` says. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks: a covariance that has no inverse.
    pub(super) fn whiten(&mut self, ranks: Ranks, layout: &Layout) -> Result<()> {
        let mut all = Array2::zeros((self.members + 1, layout.blocks.columns()));
        for (b, own) in layout.own_blocks().zip(&self.blocks) {
            let mut columns = all.slice_mut(s![.., layout.blocks.range(b)]);
            columns.assign(&own.mapv(T::as_f64));
        }
        // Each number is zero on all ranks but its owner: the sum is exact.
        ranks.comm.sum_exact(all.as_slice_mut().expect("row-major"));
        self.whitening = Whitening::new(deviations(&all), all.row(self.members));
        match self.whitening {
            Some(_) => Ok(()),
            None => Err(Error::Run(
                "the covariance of the first members has no inverse".to_owned(),
            )),
        }
    }
}

/// Returns the part of `sample` in each of a rank's blocks, in order; None without end where there is no sample.
pub(super) fn of_blocks<T: Real>(
    sample: Option<&PriorSample<T>>,
) -> Box<dyn Iterator<Item = Option<ArrayView2<'_, T>>> + Send + '_> {
    match sample {
        Some(sample) => Box::new(sample.blocks.iter().map(|block| Some(deviations(block)))),
        None => Box::new(std::iter::repeat(None)),
    }
}

/// Returns the deviations A, J_0 x w, of a block of a sample.
pub(super) fn deviations<T>(block: &Array2<T>) -> ArrayView2<'_, T> {
    block.slice(s![..block.nrows() - 1, ..])
}

/// Returns the deviations A of the `members`, J_0 x w, and below them their mean.
fn deviations_and_mean<T: Real>(members: ArrayView2<T>) -> Array2<T> {
    let count = members.nrows();
    let means: Array1<T> = rounded_means(members, &Survivors::new(vec![true; count])).into();
    let scale = T::from_f64(1.0 / (count as f64).sqrt());
    let mut block = (&members - &means).mapv_into(|x| x * scale);
    block.push_row(means.view()).expect("of one length");
    block
}

/// The coordinates z in which a sample has mean 0 and covariance I.
pub struct Whitening {
    mean: Array1<f64>,
    /// V Lambda^{-1/2}, P x P.
    scaled: Array2<f64>,
}

impl Whitening {
    /// Returns the coordinates of the sample of `members`, J_0 x P; None if its covariance has no inverse.
    #[must_use]
    pub fn of_members<T: Real>(members: ArrayView2<T>) -> Option<Self> {
        let block = deviations_and_mean(members).mapv(T::as_f64);
        Self::new(deviations(&block), block.row(block.nrows() - 1))
    }

    /// Returns the coordinates of a sample of these `deviations` A, J_0 x P, about this `mean`; None if its covariance has no inverse.
    pub(super) fn new(deviations: ArrayView2<f64>, mean: ArrayView1<f64>) -> Option<Self> {
        let parameters = deviations.ncols();
        if deviations.nrows() <= parameters {
            return None;
        }
        let mut covariance = Array2::zeros((parameters, parameters));
        product(covariance.view_mut(), 0.0, 1.0, deviations.t(), deviations);
        let (values, vectors) = symmetric_eigen(covariance.view())?;
        let largest = values.last().copied()?;
        // Also where these are no numbers.
        let is_sound = values[0] > SINGULAR * largest;
        is_sound.then(|| Self {
            mean: mean.to_owned(),
            scaled: &vectors * &values.mapv(|value| 1.0 / value.sqrt()),
        })
    }

    /// Writes the coordinates of the point `u` to `z`, P numbers each.
    pub fn apply<T: Real>(&self, u: &[T], mut z: ndarray::ArrayViewMut1<T>) {
        let about = u.iter().zip(&self.mean);
        let apart: Array1<f64> = about.map(|(u, mean)| u.as_f64() - mean).collect();
        let mut found = Array2::zeros((1, apart.len()));
        let row = apart.insert_axis(Axis(0));
        product(found.view_mut(), 0.0, 1.0, row.view(), self.scaled.view());
        z.iter_mut()
            .zip(&found)
            .for_each(|(z, &found)| *z = T::from_f64(found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The four members (+-2, 0) and (0, +-1) about (5, 7) have the variances 2 and 1/2 and no correlation: (7, 8) is sqrt(2) away in both
    /// directions. Turned by 45 degrees, distances in z stay.
    #[test]
    fn coordinates_of_a_sample_by_hand() {
        let apart = ndarray::array![[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        let root = 0.5_f64.sqrt();
        let turns = [
            ndarray::array![[1.0, 0.0], [0.0, 1.0]],
            ndarray::array![[root, root], [-root, root]],
        ];
        for turn in turns {
            let members = apart.dot(&turn) + ndarray::array![5.0, 7.0];
            let whitening = Whitening::of_members(members.view()).unwrap();
            let u = ndarray::array![2.0, 1.0].dot(&turn) + ndarray::array![5.0, 7.0];
            let mut z = Array1::zeros(2);
            whitening.apply(u.as_slice().unwrap(), z.view_mut());
            assert!((z.dot(&z) - 4.0).abs() < 1e-12, "{z}");
            whitening.apply(&[5.0, 7.0], z.view_mut());
            assert!(z.dot(&z) < 1e-24, "{z}");
        }
        // Members on a line, and no more members than parameters.
        let line = ndarray::array![[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [5.0, 10.0]];
        assert!(Whitening::of_members(line.view()).is_none());
        assert!(Whitening::of_members(apart.slice(s![..2, ..])).is_none());
    }
}
