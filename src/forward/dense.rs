//! Dense networks: h_0 = x, h_l = a(W_l^T h_{l-1} + b_l), the last layer with its own output map.
//!
//! Units are rows and samples columns throughout, so a narrow layer still fills the vectors. Where the first layer is
//! narrow, the weights of several members stand side by side in one product, since all share its input.

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::ForwardMap;
use super::activation::{Activation, Output};
use crate::prior::{Prior, Segment};
use crate::real::{Real, product};

/// A dense network; parameters layer by layer, the weight fan_in x fan_out row-major, then the bias.
#[derive(Clone, Debug)]
pub struct Dense {
    layers: Vec<usize>,
    activation: Activation,
    output: Output,
    /// The prior's deviation in each layer, in units of Glorot's.
    scales: Vec<f64>,
}

/// Below this many units in the first layer, members are grouped until their units come to twice as many.
const NARROW: usize = 64;

impl Dense {
    /// Widths of `layers`, inputs first, outputs last: at least two, none 0.
    #[must_use]
    pub fn new(layers: Vec<usize>, activation: Activation, output: Output) -> Self {
        assert!(
            layers.len() >= 2 && layers.iter().all(|&n| n > 0),
            "a network needs inputs and outputs"
        );
        Self {
            scales: vec![1.0; layers.len() - 1],
            layers,
            activation,
            output,
        }
    }

    /// The same with `scales` times Glorot's deviation in the prior, one for each layer.
    #[must_use]
    pub fn with_scales(self, scales: Vec<f64>) -> Self {
        assert_eq!(scales.len(), self.scales.len(), "one for each layer");
        Self { scales, ..self }
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Glorot normal, N(0, 2/(fan_in + fan_out)) but for the scales, for weights and biases alike: a bias without spread never
    /// moves.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.pairs()
            .zip(&self.scales)
            .map(|((a, b), scale)| Segment {
                count: (a + 1) * b,
                deviation: scale * (2.0 / (a + b) as f64).sqrt(),
            })
    }

    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// Members whose first layers are one product.
    fn grouped(&self) -> usize {
        let width = self.layers[1];
        if width < NARROW {
            (2 * NARROW).div_ceil(width)
        } else {
            1
        }
    }

    /// The widest hidden layer after the first, 0 if there is none: what passes between two layers.
    fn widest_hidden(&self) -> usize {
        self.layers[1..self.layers.len() - 1]
            .iter()
            .copied()
            .max()
            .unwrap_or(0)
    }

    /// First-layer sums of all members, group x width x m, in `sums`.
    fn first_layer<T: Real>(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        sums: &mut [T],
        packed: &mut [T],
    ) {
        let (group, d, width, m) = (
            members.nrows(),
            self.layers[0],
            self.layers[1],
            inputs.ncols(),
        );
        let sums = ArrayViewMut2::from_shape((group * width, m), sums).expect("room");
        if group == 1 {
            let weight = weight(members.row(0).to_slice().expect("row-major"), d, width);
            product(sums, T::zero(), T::one(), weight.t(), inputs);
            return;
        }
        let mut packed = ArrayViewMut2::from_shape((d, group * width), packed).expect("room");
        for (i, member) in members.rows().into_iter().enumerate() {
            let weight = weight(member.to_slice().expect("row-major"), d, width);
            packed
                .slice_mut(s![.., i * width..(i + 1) * width])
                .assign(&weight);
        }
        product(sums, T::zero(), T::one(), packed.t(), inputs);
    }

    /// The layers after the first for one member: `first` holds its first-layer sums, width x m; c x m in `out`.
    fn later_layers<T: Real>(
        &self,
        member: &[T],
        first: &mut [T],
        rooms: [&mut [T]; 2],
        out: ArrayViewMut2<T>,
    ) {
        let m = out.ncols();
        let (mut at, last) = (0, self.layers.len() - 2);
        let [mut hidden, mut next] = rooms;
        let mut out = Some(out);
        for (l, (fan_in, fan_out)) in self.pairs().enumerate() {
            let weight = weight(&member[at..], fan_in, fan_out);
            let bias = &member[at + fan_in * fan_out..at + (fan_in + 1) * fan_out];
            at += (fan_in + 1) * fan_out;
            if l == last {
                let mut out = out.take().expect("one last layer");
                let input = if l == 1 { &*first } else { &*hidden };
                let input =
                    ArrayView2::from_shape((fan_in, m), &input[..fan_in * m]).expect("room");
                product(out.view_mut(), T::zero(), T::one(), weight.t(), input);
                self.output.apply(out, bias);
                return;
            }
            if l > 0 {
                let input = if l == 1 { &*first } else { &*hidden };
                let input =
                    ArrayView2::from_shape((fan_in, m), &input[..fan_in * m]).expect("room");
                let sums = ArrayViewMut2::from_shape((fan_out, m), &mut next[..fan_out * m])
                    .expect("room");
                product(sums, T::zero(), T::one(), weight.t(), input);
                std::mem::swap(&mut hidden, &mut next);
            }
            let sums = if l == 0 { &mut *first } else { &mut *hidden };
            for (row, &bias) in sums.chunks_mut(m).zip(bias) {
                self.activation.apply(row, bias);
            }
        }
    }
}

/// The weight fan_in x fan_out at the start of `parameters`.
pub(super) fn weight<T>(parameters: &[T], fan_in: usize, fan_out: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((fan_in, fan_out), &parameters[..fan_in * fan_out]).expect("parameters")
}

impl<T: Real> ForwardMap<T> for Dense {
    fn parameters(&self) -> usize {
        self.pairs().map(|(a, b)| (a + 1) * b).sum()
    }

    fn features(&self) -> usize {
        self.layers[0]
    }

    fn outputs(&self) -> usize {
        *self.layers.last().expect("at least two layers")
    }

    fn prior(&self) -> Prior {
        Prior::new(self.segments().collect())
    }

    fn group(&self) -> usize {
        self.grouped()
    }

    fn low_rank(&self) -> Option<&dyn super::low_rank::LowRank<T>> {
        Some(self)
    }

    fn flops(&self, m: usize) -> f64 {
        self.pairs()
            .map(|(a, b)| 2.0 * m as f64 * a as f64 * b as f64)
            .sum()
    }

    fn scratch(&self, m: usize) -> usize {
        let group = self.grouped();
        let packed = if group > 1 {
            self.layers[0] * group * self.layers[1]
        } else {
            0
        };
        packed + group * self.layers[1] * m + 2 * self.widest_hidden() * m
    }

    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let (group, width, m) = (members.nrows(), self.layers[1], inputs.ncols());
        let packed = if group > 1 {
            self.layers[0] * group * width
        } else {
            0
        };
        let (packed, rest) = scratch.split_at_mut(packed);
        if self.layers.len() == 2 {
            let sums = outputs.as_slice_mut().expect("row-major");
            self.first_layer(members, inputs, sums, packed);
            let bias_at = self.layers[0] * width;
            for (member, out) in members
                .rows()
                .into_iter()
                .zip(outputs.axis_iter_mut(Axis(0)))
            {
                self.output
                    .apply(out, &member.to_slice().expect("row-major")[bias_at..]);
            }
            return;
        }
        let (sums, rest) = rest.split_at_mut(group * width * m);
        let (hidden, next) = rest.split_at_mut(self.widest_hidden() * m);
        self.first_layer(members, inputs, sums, packed);
        let each = members
            .rows()
            .into_iter()
            .zip(sums.chunks_mut(width * m))
            .zip(outputs.axis_iter_mut(Axis(0)));
        for ((member, first), out) in each {
            let member = member.to_slice().expect("row-major");
            self.later_layers(member, first, [&mut *hidden, &mut next[..]], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            ((i * 7919 + j * 104_729 + seed * 31) % 997) as f64 / 500.0 - 1.0
        })
    }

    /// One output of one sample, straight from the definition.
    fn plain(
        layers: &[usize],
        activation: Activation,
        output: Output,
        u: &[f64],
        x: &[f64],
    ) -> Vec<f64> {
        let (mut h, mut at) = (x.to_vec(), 0);
        for (l, pair) in layers.windows(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            h = (0..b)
                .map(|j| u[at + a * b + j] + (0..a).map(|i| h[i] * u[at + i * b + j]).sum::<f64>())
                .collect();
            at += (a + 1) * b;
            if l + 2 < layers.len() {
                for z in &mut h {
                    *z = match activation {
                        Activation::Relu => z.max(0.0),
                        Activation::Tanh => z.tanh(),
                        Activation::Heaviside => f64::from(u8::from(*z > 0.0)),
                    };
                }
            }
        }
        if output == Output::Softmax {
            let total: f64 = h.iter().map(|z| z.exp()).sum();
            h = h.iter().map(|z| z.exp() / total).collect();
        }
        h
    }

    fn evaluate<T: Real>(
        net: &Dense,
        members: &Array2<f64>,
        inputs: &Array2<f64>,
    ) -> ndarray::Array3<f64> {
        let (members, inputs) = (members.mapv(T::of), inputs.mapv(T::of));
        let c = ForwardMap::<T>::outputs(net);
        let mut out = ndarray::Array3::zeros((members.nrows(), c, inputs.ncols()));
        let mut scratch = vec![T::nan(); ForwardMap::<T>::scratch(net, inputs.ncols())];
        net.evaluate(members.view(), inputs.view(), out.view_mut(), &mut scratch);
        out.mapv(Real::wide)
    }

    #[test]
    fn outputs_are_the_definitions_in_both_precisions() {
        for layers in [
            vec![5, 3],
            vec![5, 70, 3],
            vec![7, 9, 4, 3],
            vec![3, 80, 5, 6, 2],
        ] {
            for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
                for output in [Output::Softmax, Output::Identity] {
                    let net = Dense::new(layers.clone(), activation, output);
                    let (group, p) = (
                        ForwardMap::<f64>::group(&net),
                        ForwardMap::<f64>::parameters(&net),
                    );
                    let (members, inputs) = (numbers(group, p, 1), numbers(layers[0], 70, 2));
                    let (double, single) = (
                        evaluate::<f64>(&net, &members, &inputs),
                        evaluate::<f32>(&net, &members, &inputs),
                    );
                    for j in 0..group {
                        for i in 0..70 {
                            let x: Vec<f64> = inputs.column(i).to_vec();
                            let want = plain(
                                &layers,
                                activation,
                                output,
                                members.row(j).as_slice().unwrap(),
                                &x,
                            );
                            for (k, want) in want.iter().enumerate() {
                                assert!(
                                    (double[[j, k, i]] - want).abs() < 1e-12 * (1.0 + want.abs()),
                                    "{net:?}"
                                );
                                let close =
                                    (single[[j, k, i]] - want).abs() < 1e-4 * (1.0 + want.abs());
                                // A sum within rounding of 0 may fall on either side of Heaviside's step.
                                assert!(close || activation == Activation::Heaviside, "{net:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_members_bits_do_not_depend_on_the_rest_of_its_group() {
        let net = Dense::new(vec![64, 10], Activation::Relu, Output::Softmax);
        let (group, p) = (
            ForwardMap::<f32>::group(&net),
            ForwardMap::<f32>::parameters(&net),
        );
        let (members, inputs) = (numbers(group, p, 3), numbers(64, 50, 4));
        let all = evaluate::<f32>(&net, &members, &inputs);
        let mut alone = Array2::zeros((group, p));
        alone.row_mut(2).assign(&members.row(2));
        let alone = evaluate::<f32>(&net, &alone, &inputs);
        assert_eq!(all.index_axis(Axis(0), 2), alone.index_axis(Axis(0), 2));
    }
}
