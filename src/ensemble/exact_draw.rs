//! The first ensemble by second-order exact sampling: its mean and covariance are those of the prior, not a sample's.
//!
//! ```text
//! Xi <- Xi - xibar                                     mean 0 in the coordinate in which the prior is N(0, I)
//! Xi <- Xi L^{-T} ,  L L^T = Xi^T Xi / J               covariance I, where members are enough for the parameters (`is_exact`)
//! Xi <- Xi (J / (J - 1))^{1/2}                         else, so that the expected covariance is I
//! ```
//!
//! Of J plain draws the mean is off by some J^{-1/2} deviations and a variance by (2/J)^{1/2} of itself, and the posterior of a linear
//! problem is off by as much. The rows of Xi stay a random rotation of J points: what is exact are their first two moments. Pham,
//! Mon. Weather Rev. 129 (2001) 1194.
//!
//! Draws are functions of their keys, so that a rank draws the columns of others anew in place of receiving them: once for L, once for
//! its own columns of Xi L^{-T}. All work is by blocks of columns, the same for any number of ranks and threads.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2, ArrayView2, Axis, s};

use crate::ensemble::draw::Draw;
use crate::error::{Error, Result};
use crate::forward::prior::Prior;
use crate::kernels::cholesky::Cholesky;
use crate::kernels::real::{Real, product};
use crate::kernels::threads::for_each;
use crate::parallel::partition::{BLOCK, Blocks, Partition};
use crate::parallel::ranks::Ranks;

/// The rows of L^{-T} that are solved for as one task; part of the format, since rounding may depend on the shape.
const ROWS: usize = 64;

/// Returns true if `members` members are enough for a sample covariance of `numbers` numbers that is far from singular.
#[must_use]
pub fn is_exact(members: usize, numbers: usize) -> bool {
    members >= 2 + numbers + numbers.div_ceil(4)
}

/// Returns the bytes that every rank holds while members of `parameters` numbers are drawn so.
#[must_use]
pub fn bytes(members: usize, parameters: usize) -> f64 {
    match is_exact(members, parameters) {
        true => 16.0 * (parameters as f64).powi(2),
        false => 0.0,
    }
}

/// The draws of a first ensemble with the prior's own moments.
pub struct ExactDraw {
    draw: Draw,
    members: usize,
    blocks: Blocks,
    /// L^{-T}, P x P and upper triangular; None where members are too few for it.
    root: Option<Array2<f64>>,
}

impl ExactDraw {
    /// Prepares the draws of `members` members of `parameters` numbers of type T. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: draws that span less than the parameters.
    pub fn new<T: Real>(
        ranks: Ranks,
        draw: Draw,
        members: usize,
        parameters: usize,
    ) -> Result<Self> {
        let blocks = Blocks::new(parameters);
        let mut exact = Self {
            draw,
            members,
            blocks,
            root: None,
        };
        if is_exact(members, parameters) {
            exact.root = Some(exact.root_of::<T>(ranks)?);
        }
        Ok(exact)
    }

    /// Returns true if the covariance is exact, not only the mean.
    #[must_use]
    pub fn is_of_covariance(&self) -> bool {
        self.root.is_some()
    }

    /// Returns L^{-T}. Called by all ranks.
    fn root_of<T: Real>(&self, ranks: Ranks) -> Result<Array2<f64>> {
        let (comm, pool, parameters) = (ranks.comm, ranks.pool, self.blocks.columns());
        let own = Partition::new(self.blocks.count(), comm.size()).range(comm.rank());
        let mut covariance = Array2::zeros((parameters, parameters));
        let span = self.blocks.span(own.clone());
        let mut rows = covariance.slice_mut(s![span, ..]);
        let mut rows: Vec<_> = rows.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
        for_each(pool, own.zip(&mut rows), |_, (b, rows)| {
            let xi = self.centred::<T>(b);
            for other in 0..=b {
                let columns = self.blocks.range(other);
                let beside = self.centred::<T>(other);
                let out = rows.slice_mut(s![.., columns]);
                product(out, 0.0, 1.0 / self.members as f64, xi.t(), beside.view());
            }
        });
        // Each number is zero on all ranks but its owner: the sum is exact.
        comm.sum_exact(covariance.as_slice_mut().expect("row-major"));
        let root = Cholesky::new(covariance, pool).ok_or_else(|| {
            Error::Run(
                "ensemble.second_order_exact: the draws span less than the parameters".to_owned(),
            )
        })?;
        let mut inverse = Array2::eye(parameters);
        for_each(
            pool,
            inverse.axis_chunks_iter_mut(Axis(0), ROWS),
            |_, rows| {
                root.solve_rows(rows);
            },
        );
        Ok(inverse)
    }

    /// The draws of block `b` less their mean, J x w.
    fn centred<T: Real>(&self, b: usize) -> Array2<f64> {
        let columns = self.blocks.range(b);
        let mut xi = Array2::zeros((self.members, columns.len()));
        let mut drawn = vec![T::zero(); columns.len()];
        for (member, mut row) in xi.rows_mut().into_iter().enumerate() {
            self.draw.standard(member, columns.start, &mut drawn);
            row.iter_mut()
                .zip(&drawn)
                .for_each(|(x, drawn)| *x = drawn.as_f64());
        }
        let means = xi.sum_axis(Axis(0)) / self.members as f64;
        xi.rows_mut().into_iter().for_each(|mut row| row -= &means);
        xi
    }

    /// Writes block `b` of all members, about `centre`, P numbers, with `spread` times the prior's deviations, to `out`, J x w.
    pub fn fill<T: Real>(
        &self,
        (b, columns): (usize, Range<usize>),
        centre: &[T],
        (prior, spread): (&Prior, f64),
        out: &mut ArrayRef2<T>,
    ) {
        let xi = self.block::<T>(b);
        let mut deviations = vec![T::zero(); columns.len()];
        prior.deviations(columns.start, spread, &mut deviations);
        let centre = &centre[columns];
        for (mut row, xi) in out.rows_mut().into_iter().zip(xi.rows()) {
            let about = centre.iter().zip(&deviations);
            for ((x, xi), (&centre, &deviation)) in row.iter_mut().zip(xi).zip(about) {
                *x = centre + deviation * T::from_f64(*xi);
            }
        }
    }

    /// Returns block `b` of Xi with its moments made exact, J x w.
    fn block<T: Real>(&self, b: usize) -> Array2<f64> {
        let Some(root) = &self.root else {
            let count = self.members as f64;
            return self.centred::<T>(b) * (count / (count - 1.0)).sqrt();
        };
        let columns = self.blocks.range(b);
        let mut whole = Array2::zeros((self.members, columns.len()));
        for other in 0..=b {
            let own: ArrayView2<f64> = root.slice(s![self.blocks.range(other), columns.clone()]);
            product(
                whole.view_mut(),
                1.0,
                1.0,
                self.centred::<T>(other).view(),
                own,
            );
        }
        whole
    }
}
