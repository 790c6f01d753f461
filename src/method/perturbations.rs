//! Second-order exact perturbations of observations: without sampling error in what the update reads of them.
//!
//! ```text
//! E    standard normal draws, a row a member                              J x K
//! E <- E - ebar                                                           mean 0
//! E <- E - A A^T E ,  A orthonormal with the span of the outputs' X       no correlation with the outputs
//! E <- E L^{-T} h^{-1/2} ,  L L^T = E^T E / J                             covariance 1/h
//! ```
//!
//! With plain draws the sample mean, covariance and correlations differ from these by some J^{-1/2}, and so does the posterior that
//! the members end at. The mean is removed always; the rest where members are enough for the outputs (`is_exact`), else the draws
//! are scaled so that their expected covariance is right. Pham, Mon. Weather Rev. 129 (2001) 1194; Hoteit, Pham, Gharamti & Luo,
//! Mon. Weather Rev. 143 (2015) 2918.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::ThreadPool;

use crate::ensemble::draw::matrix;
use crate::ensemble::exact_draw::is_exact;
use crate::error::Result;
use crate::kernels::cholesky::Cholesky;
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::{Real, product};
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::gain;
use crate::method::outputs::{Factors, Outputs};
use crate::method::products::{gram, shared_rows, too_large};
use crate::parallel::comm::Comm;
use crate::parallel::partition::OUTPUTS;

/// The share of the largest variance below which a direction of the outputs is rounding.
const NONE: f64 = 1e-10;

/// Returns `cost` of a step's transform on `rank` with that of second-order exact perturbations: two Gram matrices of side K, the
/// eigenvectors of one and the factor of the other on every rank, and three products of all members' rows.
pub(crate) fn with_exact_noise(cost: MethodCost, sizes: &StepSizes, rank: usize) -> MethodCost {
    let (j, k) = (sizes.members, sizes.outputs);
    if !is_exact(j, k + 1) {
        // By samples each thread draws one block of them after the other, else all are drawn at once.
        let drawn = match !sizes.by_rows() && cost.side == j {
            true => sizes.threads * OUTPUTS.min(k),
            false => k,
        };
        let solving = cost.solving + 8 * j * drawn;
        return MethodCost { solving, ..cost };
    }
    let side = k as f64;
    let on_every_rank = (9.0 + 1.0 / 3.0) * side.powi(3);
    let shared = 2.0 * sizes.gram_flops(k, j, rank)
        + 2.0 * sizes.solved_flops(j, k, rank)
        + 2.0 * (sizes.solved_of(k, rank) * k) as f64 * j as f64;
    MethodCost {
        flops: cost.flops + on_every_rank + shared,
        sent: cost.sent + 3 * sizes.rows_sent(k, k, rank) + 2 * sizes.rows_sent(j, k, rank),
        solving: cost.solving + 8 * (j * k + 4 * k * k),
        ..cost
    }
}

impl<T: Real> Outputs<'_, T> {
    /// Returns the perturbations of all members, J x K, in units of Omega^{-1/2}, on every rank: second-order exact, where that is asked
    /// for; `x` are the outputs' anomalies in the same units. Called by all ranks.
    ///
    /// # Errors
    /// Outputs too large to be solved with.
    pub(crate) fn exact_noise(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        x: ArrayView2<f64>,
    ) -> Result<Option<Array2<f64>>> {
        let Some(h) = self
            .gain
            .filter(|_| self.second_order && self.noise.is_some())
        else {
            return Ok(None);
        };
        let outputs = x.ncols();
        let count = self.survivors.count();
        let mut e = self.centred_noise(0..outputs);
        if !is_exact(count, outputs + 1) {
            return Ok(Some(e));
        }
        let (values, vectors) =
            symmetric_eigen(gram(comm, pool, x.t()).view()).ok_or_else(too_large)?;
        let least = NONE * values.last().copied().unwrap_or_default();
        let kept: Vec<usize> = (0..outputs).filter(|&i| values[i] > least).collect();
        if !is_exact(count, outputs + kept.len()) {
            return Ok(Some(e));
        }
        // X^T E, then V Lambda^{-1} V^T of it: E - X times that has no part in the span of X.
        let mut along = Array2::zeros((outputs, outputs));
        shared_rows(comm, pool, &mut along, |first, out| {
            let rows = out.len() / outputs;
            let own = x.slice(s![.., first..first + rows]);
            product(matrix(out, rows, outputs), 0.0, 1.0, own.t(), e.view());
        });
        let v = vectors.select(Axis(1), &kept);
        let mut along = v.t().dot(&along);
        for (mut row, &i) in along.rows_mut().into_iter().zip(&kept) {
            row /= values[i];
        }
        let along = v.dot(&along);
        shared_rows(comm, pool, &mut e, |first, out| {
            let rows = out.len() / outputs;
            let own = x.slice(s![first..first + rows, ..]);
            product(matrix(out, rows, outputs), 1.0, -1.0, own, along.view());
        });
        let covariance = gram(comm, pool, e.t()) * (h / count as f64);
        let root = Cholesky::new(covariance, pool).ok_or_else(too_large)?;
        shared_rows(comm, pool, &mut e, |_, out| {
            let rows = out.len() / outputs;
            root.solve_rows(matrix(out, rows, outputs));
        });
        Ok(Some(e))
    }

    /// Returns the perturbations of all members on those `columns` of a step's K, whole blocks of them, less their mean over
    /// survivors and scaled so that their expected covariance is as before; zero for others.
    pub(crate) fn centred_noise(&self, columns: Range<usize>) -> Array2<f64> {
        let alive = |j: &usize| self.survivors.contains(*j);
        let mut e = Array2::zeros((self.members.items(), columns.len()));
        for j in (0..e.nrows()).filter(alive) {
            let drawn = self.noise(j, columns.clone()).into_iter().flatten();
            let row = e.row_mut(j).into_iter();
            row.zip(drawn).for_each(|(e, drawn)| *e = drawn);
        }
        let count = self.survivors.count() as f64;
        let scale = (count / (count - 1.0)).sqrt();
        let means = e.sum_axis(Axis(0)) / count;
        for j in (0..e.nrows()).filter(alive) {
            let mut row = e.row_mut(j);
            row -= &means;
            row *= scale;
        }
        e
    }

    /// Takes second-order exact perturbations from the gradients of `factors`, where they are asked for. Called by all ranks.
    ///
    /// # Errors
    /// Outputs too large to be solved with.
    pub(crate) fn take_exact_noise(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        factors: &mut Factors<T>,
    ) -> Result<()> {
        let roots = self.expanded(&factors.means, 0).roots();
        let x = gain::scaled(factors.anomalies.view(), &roots);
        let Some(e) = self.exact_noise(comm, pool, x.view())? else {
            return Ok(());
        };
        for (mut v, e) in factors.gradients.rows_mut().into_iter().zip(e.rows()) {
            for ((v, e), root) in v.iter_mut().zip(e).zip(&roots) {
                *v = T::from_f64(v.as_f64() - root * e);
            }
        }
        Ok(())
    }
}
