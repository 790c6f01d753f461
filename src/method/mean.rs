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

use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::{MeanMove, Transform};
use crate::error::Result;
use crate::kernels::real::{Real, inner};
use crate::method::Method;
use crate::method::outputs::{Factors, Outputs};
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;

/// EKI of the mean, by the plain gradient or with the Kalman gain (`Outputs::gain`).
pub struct Mean;

impl<T: Real> Method<T> for Mean {
    fn name(&self) -> &'static str {
        "mean"
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
}

impl<T: Real> Outputs<'_, T> {
    /// The coefficients of the mean's move, from vbar and W.
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

/// The mean's coefficients c = W vbar / J, J numbers: (1/J) sum_j (D u)_j = sum_k c_k (u_k - ubar).
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

/// The mean's coefficients sample by sample, w_ki = sum over the outputs of sample i of W_k vbar / J, for the members with
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
