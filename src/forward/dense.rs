//! Temporary.
use super::ForwardMap;
use super::activation::{Activation, Output};
use crate::prior::{Prior, Segment};
use crate::real::{Real, product};
use ndarray::*;
#[allow(missing_docs)]
pub struct Dense {
    layers: Vec<usize>,
    activation: Activation,
    output: Output,
}
impl Dense {
    #[allow(missing_docs)]
    pub fn new(layers: Vec<usize>, activation: Activation, output: Output) -> Self {
        Self {
            layers,
            activation,
            output,
        }
    }
}
impl<T: Real> ForwardMap<T> for Dense {
    fn parameters(&self) -> usize {
        self.layers.windows(2).map(|w| w[0] * w[1] + w[1]).sum()
    }
    fn features(&self) -> usize {
        self.layers[0]
    }
    fn outputs(&self) -> usize {
        *self.layers.last().unwrap()
    }
    fn prior(&self) -> Prior {
        Prior::new(
            self.layers
                .windows(2)
                .map(|w| Segment {
                    count: w[0] * w[1] + w[1],
                    deviation: (2.0 / (w[0] + w[1]) as f64).sqrt(),
                })
                .collect(),
        )
    }
    fn flops(&self, m: usize) -> f64 {
        self.layers
            .windows(2)
            .map(|w| 2.0 * (m * w[0] * w[1]) as f64)
            .sum()
    }
    fn scratch(&self, m: usize) -> usize {
        2 * m * self.layers.iter().max().unwrap()
    }
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        _s: &mut [T],
    ) {
        let u = members.row(0);
        let u = u.as_slice().unwrap();
        let mut h = inputs.to_owned();
        let mut o = 0;
        let last = self.layers.len() - 2;
        for (i, w) in self.layers.windows(2).enumerate() {
            let weight = ArrayView2::from_shape((w[0], w[1]), &u[o..o + w[0] * w[1]]).unwrap();
            o += w[0] * w[1];
            let bias = &u[o..o + w[1]];
            o += w[1];
            let mut z = Array2::zeros((h.nrows(), w[1]));
            product(z.view_mut(), T::zero(), T::one(), h.view(), weight);
            for mut r in z.rows_mut() {
                for (z, b) in r.iter_mut().zip(bias) {
                    *z += *b;
                    if i < last {
                        *z = match self.activation {
                            Activation::Relu => z.max(T::zero()),
                            Activation::Tanh => z.tanh(),
                            Activation::Heaviside => {
                                if *z > T::zero() {
                                    T::one()
                                } else {
                                    T::zero()
                                }
                            }
                        }
                    }
                }
                if i == last && self.output == Output::Softmax {
                    let m = r.iter().fold(T::neg_infinity(), |a, b| a.max(*b));
                    let mut s = T::zero();
                    for z in r.iter_mut() {
                        *z = (*z - m).exp();
                        s += *z;
                    }
                    for z in r.iter_mut() {
                        *z /= s;
                    }
                }
            }
            h = z;
        }
        outputs.index_axis_mut(Axis(0), 0).assign(&h);
    }
}
