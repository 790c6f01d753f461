//! The gradient of the misfit at one point, by automatic differentiation of the network (candle):
//!
//! ```text
//! g = grad_u sum_i Psi(G(u, x_i), y_i)        over some samples i of a batch
//! ```
//!
//! Cross-entropy is that of the softmax itself, -ln z_y, without the delta that keeps the ensemble's gradients finite.
//! Through a recurrence this is backpropagation through time (Werbos, Proc. IEEE 78 (1990) 1550).

pub mod batch;
mod tensors;

use std::ops::Range;

use candle_core::{D, Result, Tensor};
use ndarray::{Array2, ArrayView2, s};

use crate::data::{Batch, BatchTargets};
use crate::forward::activation::Output;
use crate::forward::network::Network;
use crate::kernels::real::Real;
use crate::method::loss::Loss;
use tensors::{Parameters, numbers, tensor};

/// Returns the misfit of the parameters `point` summed over the samples `part` of `batch`, and its gradient, P numbers.
///
/// A series is entered with the state `hidden`, which is given, not differentiated; elsewhere `hidden` is empty.
///
/// # Panics
/// If `point` or the batch do not fit the network.
#[must_use]
pub fn gradient<T: Real>(
    network: &Network,
    loss: &Loss,
    (point, hidden): (&[T], &[T]),
    (batch, part): (&Batch<T>, Range<usize>),
) -> (f64, Vec<T>) {
    let whole = || {
        let parameters = Parameters::new(network, point)?;
        let inputs = samples_first(batch.inputs.slice(s![.., part.clone()]))?;
        let hidden = tensor(hidden, &[1, hidden.len()])?;
        let sums = tensors::sums(network, &parameters, &inputs, &hidden)?;
        let misfit = misfit(network.output, loss, &sums, (&batch.targets, part.clone()))?;
        let gradient = parameters.gradient(&misfit.backward()?)?;
        Ok::<_, candle_core::Error>((numbers::<T>(&misfit)?[0].as_f64(), gradient))
    };
    whole().expect("the network's shapes fit each other")
}

/// Returns the outputs, c x m, of the parameters `point` on `inputs`, d x m, by the tensors that gradients are taken of.
///
/// # Panics
/// As `gradient`.
#[must_use]
pub fn outputs<T: Real>(
    network: &Network,
    (point, hidden): (&[T], &[T]),
    inputs: ArrayView2<T>,
) -> Array2<T> {
    let whole = || {
        let parameters = Parameters::new(network, point)?;
        let hidden = tensor(hidden, &[1, hidden.len()])?;
        let sums = tensors::sums(network, &parameters, &samples_first(inputs)?, &hidden)?;
        let outputs = match network.output {
            Output::Softmax => log_softmax(&sums)?.exp()?,
            Output::Identity => sums,
        };
        let (m, c) = outputs.dims2()?;
        Ok::<_, candle_core::Error>((m, c, numbers::<T>(&outputs)?))
    };
    let (m, c, values) = whole().expect("the network's shapes fit each other");
    let samples = Array2::from_shape_vec((m, c), values).expect("m x c numbers");
    samples.reversed_axes()
}

/// Inputs d x m as a tensor m x d.
fn samples_first<T: Real>(inputs: ArrayView2<T>) -> Result<Tensor> {
    let values: Vec<T> = inputs.t().iter().copied().collect();
    tensor(&values, &[inputs.ncols(), inputs.nrows()])
}

/// Psi summed over the samples `part`, of the last layer's `sums`, m x c.
fn misfit<T: Real>(
    output: Output,
    loss: &Loss,
    sums: &Tensor,
    (targets, part): (&BatchTargets<T>, Range<usize>),
) -> Result<Tensor> {
    let c = sums.dim(D::Minus1)?;
    match (loss, targets) {
        (Loss::CrossEntropy { .. }, BatchTargets::Classes(labels)) => {
            let labels: Vec<u32> = labels[part].iter().copied().map(u32::from).collect();
            let labels = Tensor::from_slice(&labels, (labels.len(), 1), sums.device())?;
            log_softmax(sums)?.gather(&labels, 1)?.neg()?.sum_all()
        }
        _ => {
            let y = loss.targets(targets, c);
            let y = tensor(&y[part.start * c..part.end * c], &[part.len(), c])?;
            let z = match output {
                Output::Softmax => log_softmax(sums)?.exp()?,
                Output::Identity => sums.clone(),
            };
            let Loss::LeastSquares { variance } = loss else {
                unreachable!("the plan admits cross-entropy with classes only")
            };
            let weights = (0..c).map(|k| T::from_f64(0.5 / variance[k % variance.len()]));
            let weights = tensor(&weights.collect::<Vec<_>>(), &[1, c])?;
            (z - y)?.sqr()?.broadcast_mul(&weights)?.sum_all()
        }
    }
}

/// z - ln sum e^z along each row.
fn log_softmax(z: &Tensor) -> Result<Tensor> {
    // The gradient of the shift is zero whatever it is.
    let z = z.broadcast_sub(&z.max_keepdim(D::Minus1)?.detach())?;
    z.broadcast_sub(&z.exp()?.sum_keepdim(D::Minus1)?.log()?)
}
