//! What stands between layers and after the last: max(x, 0), tanh x, 1 if x > 0 else 0; softmax e^z / sum e^z.
//!
//! All run over samples, which lie next to each other: one row is one unit on all samples of a batch.

use ndarray::{ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use crate::real::Real;

/// The activation of hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 if x > 0, else 0: no gradient passes it.
    Heaviside,
}

/// What the last layer's sums become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Probabilities e^z / sum e^z.
    Softmax,
    /// The sums themselves.
    Identity,
}

impl Activation {
    /// Adds `bias` to one unit's sums on all samples and applies the activation, in one pass.
    pub fn apply<T: Real>(self, sums: &mut [T], bias: T) {
        let zero = T::zero();
        match self {
            // A NaN must pass, so that the member counts as failed: `max` would swallow it.
            Self::Relu => sums.iter_mut().for_each(|x| {
                let z = *x + bias;
                *x = if z < zero { zero } else { z };
            }),
            Self::Tanh => {
                sums.iter_mut().for_each(|x| *x += bias);
                T::tanh_in_place(sums);
            }
            Self::Heaviside => sums.iter_mut().for_each(|x| {
                let z = *x + bias;
                *x = if z > zero {
                    T::one()
                } else if z <= zero {
                    zero
                } else {
                    z
                };
            }),
        }
    }
}

/// Samples whose softmax is taken together: a few vectors of each class stay in registers and the first cache.
const TOGETHER: usize = 64;

impl Output {
    /// Adds `bias`, c numbers, to the last layer's sums, c x m, and turns them into outputs, in place.
    pub fn apply<T: Real>(self, mut sums: ArrayViewMut2<T>, bias: &[T]) {
        for (mut row, &bias) in sums.rows_mut().into_iter().zip(bias) {
            row.iter_mut().for_each(|z| *z += bias);
        }
        if self == Self::Softmax {
            for chunk in sums.axis_chunks_iter_mut(Axis(1), TOGETHER) {
                softmax(chunk);
            }
        }
    }
}

/// Softmax down each column of `z`, c x at most `TOGETHER`.
fn softmax<T: Real>(mut z: ArrayViewMut2<T>) {
    let (mut largest, mut total) = ([T::neg_infinity(); TOGETHER], [T::zero(); TOGETHER]);
    for row in z.rows() {
        for (largest, &z) in largest
            .iter_mut()
            .zip(row.to_slice().expect("samples are consecutive"))
        {
            // NaN wins, and then makes the whole column NaN.
            *largest = if *largest > z { *largest } else { z };
        }
    }
    for mut row in z.rows_mut() {
        let row = row.as_slice_mut().expect("samples are consecutive");
        for (z, &largest) in row.iter_mut().zip(&largest) {
            *z -= largest;
        }
        T::exp_in_place(row);
        for (total, &e) in total.iter_mut().zip(&*row) {
            *total += e;
        }
    }
    total
        .iter_mut()
        .for_each(|total| *total = T::one() / *total);
    for mut row in z.rows_mut() {
        for (z, &scale) in row
            .as_slice_mut()
            .expect("samples are consecutive")
            .iter_mut()
            .zip(&total)
        {
            *z *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn softmax_gives_probabilities_also_of_large_sums() {
        let mut z = array![[1e3_f32, 0.0], [1e3, 2.0_f32.ln()], [-1e3, 0.0]];
        Output::Softmax.apply(z.view_mut(), &[0.0, 0.0, 0.0]);
        let want = array![[0.5, 0.25], [0.5, 0.5], [0.0, 0.25]];
        assert!((&z - &want).iter().all(|d: &f32| d.abs() < 1e-6), "{z}");
    }

    #[test]
    fn a_nan_passes_every_activation() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
            let mut x = [f64::NAN, -1.0, 1.0];
            activation.apply(&mut x, 0.0);
            assert!(
                x[0].is_nan() && x[1] <= 0.0 && x[2] > 0.7,
                "{activation:?} {x:?}"
            );
        }
        let mut z = array![[f64::NAN, 1.0], [0.0, 1.0]];
        Output::Softmax.apply(z.view_mut(), &[0.0, 0.0]);
        assert!(z[[0, 0]].is_nan() && z[[1, 0]].is_nan() && z[[0, 1]] == 0.5);
    }
}
