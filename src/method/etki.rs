//! Ensemble transform Kalman inversion (ETKI): a deterministic square root of the Kalman step.
//!
//! ```text
//! S    = h W Omega W^T / J                       J x J; Omega: Psi's curvature at Gbar, 1/Gamma for least squares
//! c    = (I + S)^{-1} W grad Psi(Gbar) / J       J numbers
//! T    = (I + S)^{-1/2}                          symmetric; T 1 = 1, so that deviations keep a mean of 0
//! u_j <- ubar + sum_k (T_jk - h c_k) (u_k - ubar)
//! ```
//!
//! The mean moves as with the Kalman gain, and deviations shrink to the analysis covariance exactly: no noise is drawn. With a
//! linear G, steps whose h add up to 1 end at the posterior of the first ensemble's own mean and covariance (divisor J).
//! Huang, Huang, Reich & Stuart, Inverse Problems 38 (2022) 125006; Bishop, Etherton & Majumdar, Mon. Weather Rev. 129
//! (2001) 420.
//!
//! What is exact is the mean and the covariance, not quantiles: where G is not linear or the first members are not normal, a few
//! members may carry most of the spread (Lawson & Hansen, Mon. Weather Rev. 132 (2004) 1966). Members with perturbed observations
//! (`kalman`) stay a sample.
//!
//! Once a step: the outputs' products, and on every rank the eigenvalues and eigenvectors of S. Once a block of columns: the
//! update by a J x J matrix (`ensemble::transform`).

use ndarray::{Array1, Array2, ArrayViewMut2, s};
use rayon::ThreadPool;

use crate::config::{FormKind, Localise};
use crate::ensemble::transform::{MemberMove, Transform};
use crate::error::Result;
use crate::kernels::eigen::symmetric_eigen;
use crate::kernels::real::{Real, product};
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::kalman::check_gain_keys;
use crate::method::outputs::{Outputs, pack};
use crate::method::products::{Products, shared_rows, too_large};
use crate::method::{Method, ProblemShape};
use crate::parallel::ranks::Ranks;

/// The ensemble transform Kalman step.
pub struct Etki;

impl<T: Real> Method<T> for Etki {
    fn name(&self) -> &'static str {
        "etki"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        check_gain_keys(problem)?;
        problem.refuse_mean_keys()?;
        let config = &problem.resolved.config;
        let refuse = |key: &str, allowed: &str| {
            problem.refuse(key, format!("{allowed} with method.kind = \"etki\""))
        };
        if config.method.perturb {
            return refuse(
                "method.perturb",
                "must be false, as its members need no noise,",
            );
        }
        if config.method.localise != Localise::None {
            return refuse("method.localise", "must be \"none\"");
        }
        if !matches!(config.method.form, FormKind::Auto | FormKind::Explicit) {
            return refuse("method.form", "must be \"auto\" or \"explicit\"");
        }
        if config.ensemble.redrawn_each_step() {
            return refuse(
                "ensemble.rerandomise",
                "must not be each step, as members drawn anew lose the analysis covariance,",
            );
        }
        Ok(())
    }

    /// ||D||_F is that of the step without the gain.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let (comm, pool) = (ranks.comm, ranks.pool);
        let h = outputs.gain.expect("a step with the Kalman gain has its h");
        let count = outputs.survivors.count() as f64;
        let Products {
            through: mut c,
            residual,
            gram: mut s,
        } = outputs.products(comm, pool)?;
        c.iter_mut().for_each(|c| *c /= count);
        let norm = outputs.norm_by_products(&c, &residual);
        drop(residual);
        s *= h / count;
        let (values, vectors) = symmetric_eigen(s.view()).ok_or_else(too_large)?;
        drop(s);
        let values = values.mapv(|lambda| lambda.max(0.0));
        // c = Q (1 + lambda)^{-1} Q^T c
        let c = vectors.t().dot(&Array1::from(c)) / values.mapv(|lambda| 1.0 + lambda);
        let c = vectors.dot(&c);
        // (I - T) / h by eigenvalues, in which nothing cancels where S is small.
        let shrinks = values.mapv(|lambda| lambda / (h * (1.0 + lambda + (1.0 + lambda).sqrt())));
        let scaled = &vectors * &shrinks;
        let mut x = Array2::zeros(vectors.dim());
        shared_rows(comm, pool, &mut x, |first, out| {
            let rows = out.len() / values.len();
            let out = ArrayViewMut2::from_shape((rows, values.len()), out).expect("whole rows");
            let own = scaled.slice(s![first..first + rows, ..]);
            product(out, 0.0, 1.0, own, vectors.t());
        });
        for (j, mut row) in x.rows_mut().into_iter().enumerate() {
            if outputs.survivors.contains(j) {
                row += &c;
            } else {
                row.fill(0.0);
            }
        }
        let x = pack(pool, x.mapv(T::from_f64).view(), outputs.buffers);
        let x = outputs.paired_if_mixed(pool, x);
        Ok((Transform::Members(MemberMove::Matrix(x)), norm))
    }

    fn factor(&self, matrix: Array2<f64>, _: &ThreadPool) -> bool {
        symmetric_eigen(matrix.view()).is_some()
    }

    /// The cost of the Kalman gain in explicit form, but for the eigenvectors: about 9 J^3 flops on every rank (Golub & Van Loan,
    /// Matrix Computations, 4th edition, section 8.3), and Q, Q scaled and X in memory.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let j = sizes.members;
        let base = sizes.of_products(9.0 * (j as f64).powi(3), rank);
        MethodCost {
            solving: base.solving.max(8 * 4 * j * j),
            ..base
        }
    }
}
