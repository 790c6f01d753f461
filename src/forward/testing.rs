//! What the tests of the networks share: numbers, and every map against its definition in plain loops.

use ndarray::{Array2, Array3, Axis};

use super::ForwardMap;
use super::activation::Output;
use crate::config::Activation;
use crate::kernels::real::Real;

/// Numbers between -1 and 1 without a pattern that matters.
pub fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        ((i * 7919 + j * 104_729 + seed * 31) % 997) as f64 / 500.0 - 1.0
    })
}

/// The activation's definition.
pub fn apply(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Relu => z.max(0.0),
        Activation::Tanh => z.tanh(),
        Activation::Heaviside => f64::from(u8::from(z > 0.0)),
    }
}

/// A last layer of `c` outputs.
pub fn dense(u: &[f64], h: &[f64], c: usize, output: Output) -> Vec<f64> {
    let sum = |j: usize| {
        u[h.len() * c + j]
            + h.iter()
                .enumerate()
                .map(|(i, h)| h * u[i * c + j])
                .sum::<f64>()
    };
    let z: Vec<f64> = (0..c).map(sum).collect();
    match output {
        Output::Identity => z,
        Output::Softmax => {
            let total: f64 = z.iter().map(|z| z.exp()).sum();
            z.iter().map(|z| z.exp() / total).collect()
        }
    }
}

/// Returns true if `a` equals `b` within `tolerance`, relative where b is large.
pub fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + b.abs())
}

/// The outputs, group x c x m, computed in precision `T` in scratch full of NaN.
pub fn evaluate<T: Real>(
    net: &(impl ForwardMap<T> + ?Sized),
    members: &Array2<f64>,
    inputs: &Array2<f64>,
) -> Array3<f64> {
    let (members, inputs) = (members.mapv(T::from_f64), inputs.mapv(T::from_f64));
    let mut out = Array3::zeros((members.nrows(), net.outputs(), inputs.ncols()));
    let mut scratch = vec![T::nan(); net.scratch(inputs.ncols())];
    net.evaluate(members.view(), inputs.view(), out.view_mut(), &mut scratch);
    out.mapv(Real::as_f64)
}

/// Compares the network with `plain`, (parameters, one sample) to outputs, on 1, `m` - 1 and `m` samples; in single
/// precision to `single`. Two members, so that what one leaves behind must not reach the next.
pub fn check<N: ForwardMap<f32> + ForwardMap<f64>>(
    net: &N,
    m: usize,
    plain: impl Fn(&[f64], &[f64]) -> Vec<f64>,
    single: f64,
) {
    let (p, d) = (
        ForwardMap::<f64>::parameters(net),
        ForwardMap::<f64>::features(net),
    );
    let members = numbers(2, p, 1);
    for m in [1, m - 1, m] {
        let inputs = numbers(d, m, 2);
        let wide = evaluate::<f64>(net, &members, &inputs);
        let narrow = evaluate::<f32>(net, &members, &inputs);
        for (j, u) in members.outer_iter().enumerate() {
            for (i, x) in inputs.axis_iter(Axis(1)).enumerate() {
                for (k, want) in plain(&u.to_vec(), &x.to_vec()).into_iter().enumerate() {
                    let (wide, narrow) = (wide[[j, k, i]], narrow[[j, k, i]]);
                    assert!(close(wide, want, 1e-11), "{j} {k} {i}: {wide}, not {want}");
                    assert!(
                        close(narrow, want, single),
                        "{j} {k} {i}: {narrow}, not {want}"
                    );
                }
            }
        }
    }
}
