//! EKI of the mean alone, where all members are drawn anew about it at each step.
//!
//! ```text
//! c    = W vbar / J                       J numbers; vbar = (1/J) sum_j grad Psi(G(u_j))
//! ubar <- ubar - h_n sum_k c_k (u_k - ubar)
//! ```
//!
//! which is the mean of u_j <- u_j - h_n (D u)_j (Kovachki & Stuart, Inverse Problems 35 (2019) 095005): 2 J P flops, and no
//! parameters travel between ranks. With the Kalman gain vbar is (I + h Omega W^T W / J)^{-1} grad Psi(Gbar). Where draws are
//! of low rank and the mean moves by the layers' pre-activations, the coefficients are wanted sample by sample.

use ndarray::{Array2, ArrayView2, s};
use rayon::ThreadPool;

use crate::config::{Covariance, DrawKind, ModelKind};
use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::{MeanMove, Transform};
use crate::error::Result;
use crate::kernels::real::{Real, inner};
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::gain::{self, Gain};
use crate::method::kalman::check_gain_keys;
use crate::method::outputs::{Factors, Outputs};
use crate::method::products::{gram, too_large};
use crate::method::{Method, ProblemShape};
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;

/// EKI of the mean.
pub struct Mean {
    /// True if the gradient at the mean is multiplied by the Kalman gain.
    pub with_gain: bool,
}

impl<T: Real> Method<T> for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn check(&self, problem: &ProblemShape) -> Result<()> {
        match self.with_gain {
            true => check_gain_keys(problem)?,
            false => problem.refuse_gain_keys()?,
        }
        problem.refuse_localisation()?;
        let config = &problem.resolved.config;
        let low_rank = config.ensemble.draw == DrawKind::LowRank;
        let (dense, conv) = (
            config.model.kind == ModelKind::Dense,
            config.model.kind == ModelKind::Conv,
        );
        if low_rank && !(dense || conv) {
            let needed = "\"low-rank\" needs model.kind = \"dense\" or \"conv\"";
            return problem.refuse("ensemble.draw", needed);
        }
        if config.ensemble.active_layers != [1] {
            check_layers(problem, conv && !low_rank)?;
        }
        if config.ensemble.whiten > 0.0 && (low_rank || !(dense || conv)) {
            return problem.refuse_whitening();
        }
        if config.method.covariance == Covariance::Sums && !(low_rank && dense) {
            return problem.refuse_sums();
        }
        Ok(())
    }

    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)> {
        let Factors {
            gradients,
            anomalies,
            means,
        } = outputs.factors(ranks.comm, ranks.pool, 0..outputs.members.items());
        let norm = outputs.factored_norm(ranks.comm, ranks.pool, &gradients, &anomalies);
        let mean_gradient = match outputs.gain {
            None => column_means(gradients.view(), outputs.survivors),
            Some(h) => {
                outputs.mean_gradient_with_gain(ranks.comm, ranks.pool, h, (&anomalies, &means))?
            }
        };
        let transform = outputs.of_mean(ranks.comm, &mean_gradient, anomalies.view());
        outputs.buffers.put_array(gradients);
        outputs.buffers.put_array(anomalies);
        Ok((transform, norm))
    }

    fn factor(&self, matrix: Array2<f64>, pool: &ThreadPool) -> bool {
        self.with_gain && Gain::new(matrix, 1.0, pool).is_some()
    }

    /// Beside V, W and the norm: 2 J K flops for c; with the gain n^3/3 and half a Gram matrix, n the smaller of J and K.
    fn cost(&self, sizes: &StepSizes, rank: usize) -> MethodCost {
        let (j, k) = (sizes.members, sizes.outputs);
        let mut cost = sizes.of_factors(2 * j * k, rank);
        cost.flops += 2.0 * j as f64 * k as f64;
        if self.with_gain {
            let (side, long) = (j.min(k), j.max(k));
            cost.flops += (side as f64).powi(3) / 3.0 + sizes.gram_flops(side, long, rank);
            cost.sent += sizes.rows_sent(side, side, rank);
            cost.solving = 8 * (j * k + side * side);
            cost.side = side;
        }
        cost
    }
}

/// Checks `ensemble.active_layers` where blocks of layers take turns; `possible`: with full draws of a convolutional network.
fn check_layers(problem: &ProblemShape, possible: bool) -> Result<()> {
    let config = &problem.resolved.config;
    if !possible {
        return problem.refuse_layers();
    }
    let network = config.model.network.iter();
    let layers = 1 + network
        .filter(|l| l.trim_start().starts_with("conv"))
        .count();
    if config
        .ensemble
        .active_layers
        .iter()
        .any(|&layer| layer > layers)
    {
        let allowed =
            format!("must hold numbers from 1 to {layers}, the dense layers counting as one");
        return problem.refuse("ensemble.active_layers", allowed);
    }
    Ok(())
}

impl<T: Real> Outputs<'_, T> {
    /// (I + h Omega W^T W / J)^{-1} g, K numbers, g being grad Psi at the mean outputs.
    pub(crate) fn mean_gradient_with_gain(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        h: f64,
        (anomalies, means): (&Array2<T>, &[T]),
    ) -> Result<Vec<f64>> {
        let about = self.expanded(means, 0);
        let roots = about.roots();
        let x = gain::scaled(anomalies.view(), &roots);
        let (members, outputs) = x.dim();
        let gram = gram(
            comm,
            pool,
            if outputs <= members { x.t() } else { x.view() },
        );
        let scale = h / self.survivors.count() as f64;
        gain::one(x.view(), gram, scale, &roots, &about.gradient, pool).ok_or_else(too_large)
    }

    /// Returns the coefficients of the mean's move, from vbar and W.
    fn of_mean(&self, comm: &Comm, mean_gradient: &[f64], w: ArrayView2<T>) -> Transform<T> {
        let Some(samples) = self.samples else {
            return Transform::Mean(MeanMove::Members(mean_coefficients(
                mean_gradient,
                w,
                self.survivors,
            )));
        };
        let own = w.slice(s![self.members.range(comm.rank()), ..]);
        let count = self.survivors.count();
        Transform::Mean(MeanMove::Samples(sample_coefficients(
            own,
            mean_gradient,
            count,
            samples,
        )))
    }
}

/// Returns the mean's coefficients c = W vbar / J, J numbers: (1/J) sum_j (D u)_j = sum_k c_k (u_k - ubar).
#[must_use]
pub fn mean_coefficients<T: Real>(
    mean_gradient: &[f64],
    anomalies: ArrayView2<T>,
    survivors: &Survivors,
) -> Vec<f64> {
    let count = survivors.count() as f64;
    anomalies
        .rows()
        .into_iter()
        .map(|row| {
            let row = row.to_slice().expect("row-major");
            inner(row, mean_gradient) / count
        })
        .collect()
}

/// Returns the mean's coefficients sample by sample, w_ki = sum over the outputs of sample i of W_k vbar / J, for the members with
/// the anomalies W, n x K: n x m; `survivors` members in all. Row k sums to c_k.
#[must_use]
pub fn sample_coefficients<T: Real>(
    anomalies: ArrayView2<T>,
    mean_gradient: &[f64],
    survivors: usize,
    samples: usize,
) -> Array2<T> {
    let each = mean_gradient.len() / samples;
    let scaled: Vec<T> = mean_gradient
        .iter()
        .map(|v| T::from_f64(v / survivors as f64))
        .collect();
    let mut weights = Array2::zeros((anomalies.nrows(), samples));
    for (mut row, of_member) in weights.rows_mut().into_iter().zip(anomalies.rows()) {
        let of_member = of_member.to_slice().expect("row-major");
        let of_samples = of_member.chunks(each).zip(scaled.chunks(each));
        for (w, (of_sample, v)) in row.iter_mut().zip(of_samples) {
            *w = of_sample.iter().zip(v).map(|(&w, &v)| w * v).sum();
        }
    }
    weights
}
