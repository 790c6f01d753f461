//! A recurrent network whose members carry their hidden state from one batch to the next: the samples of a batch are
//! consecutive steps in time, h_t = a(W^T x_t + U^T h_{t-1} + b), z_t = V^T h_t + c (Elman, Cognitive Science 14 (1990)
//! 179), layer upon layer.
//!
//! With one sample a batch there is nothing to run over but the units: they stand next to each other.

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3};

use super::network::{Body, Network};
use super::recurrent::Recurrent;
use super::{ForwardMap, MapShape};
use crate::forward::prior::Prior;
use crate::kernels::real::Real;

/// A forward map whose members carry a hidden state: the samples it is given are consecutive in time.
pub trait Carrying<T: Real>: ForwardMap<T> {
    /// The numbers H of one member's hidden state; zero before the first step.
    fn hidden(&self) -> usize;

    /// Takes `member`, P numbers, with its `hidden` state, H numbers, through the steps `inputs`, d x m: writes the
    /// outputs, c x m, and leaves the state after the last step. `scratch` holds at least `self.scratch(m)` numbers.
    fn advance(
        &self,
        member: &[T],
        hidden: &mut [T],
        inputs: ArrayView2<T>,
        outputs: ArrayViewMut2<T>,
        scratch: &mut [T],
    );
}

/// A recurrent network that sees one step a sample. Parameters as `Recurrent`'s.
#[derive(Clone, Debug)]
pub struct Online {
    net: Recurrent,
}

impl Online {
    /// `net`, of one step a sample, carrying its state.
    #[must_use]
    pub fn new(net: Recurrent) -> Self {
        Self { net }
    }

    fn units(&self) -> usize {
        self.net.body.layers().map(|(_, units)| units).sum()
    }

    /// Numbers of the widest layer, and of the inputs and outputs.
    fn widest(&self) -> usize {
        let layers = self.net.body.layers().flat_map(|(a, b)| [a, b]);
        layers.fold(self.net.head.width(), usize::max)
    }

    /// One step: `x` holds the inputs on entry and the outputs on return, `sums` is room.
    #[inline(always)]
    fn step<T: Real>(&self, member: &[T], mut hidden: &mut [T], x: &mut [T], sums: &mut [T]) {
        let mut parameters = member;
        for (a, b) in self.net.body.layers() {
            let (own, rest) = std::mem::take(&mut hidden).split_at_mut(b);
            let sums = &mut sums[..b];
            sums.copy_from_slice(&parameters[(a + b) * b..(a + b + 1) * b]);
            add_products(sums, &parameters[..a * b], &x[..a]);
            add_products(sums, &parameters[a * b..(a + b) * b], own);
            self.net.body.activation.apply(sums, T::zero());
            own.copy_from_slice(sums);
            x[..b].copy_from_slice(sums);
            parameters = &parameters[(a + b + 1) * b..];
            hidden = rest;
        }
        let outputs = self.net.head.width();
        let (weights, bias) = parameters.split_at(parameters.len() - outputs);
        let sums = &mut sums[..outputs];
        sums.fill(T::zero());
        add_products(sums, weights, &x[..weights.len() / outputs]);
        self.net.head.output_map().apply_sample(sums, bias);
        x[..outputs].copy_from_slice(sums);
    }
}

/// sums += W^T x, W of x.len() rows of sums.len() numbers.
#[inline(always)]
fn add_products<T: Real>(sums: &mut [T], weights: &[T], x: &[T]) {
    for (row, &x) in weights.chunks_exact(sums.len()).zip(x) {
        for (sum, &w) in sums.iter_mut().zip(row) {
            *sum += w * x;
        }
    }
}

impl<T: Real> Carrying<T> for Online {
    fn hidden(&self) -> usize {
        self.units()
    }

    fn advance(
        &self,
        member: &[T],
        hidden: &mut [T],
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut2<T>,
        scratch: &mut [T],
    ) {
        let (x, sums) = scratch.split_at_mut(self.widest());
        for (input, output) in inputs.columns().into_iter().zip(outputs.columns_mut()) {
            x.iter_mut().zip(input).for_each(|(x, &input)| *x = input);
            pulp::Arch::new().dispatch(|| self.step(member, hidden, x, sums));
            output
                .into_iter()
                .zip(&*x)
                .for_each(|(output, &x)| *output = x);
        }
    }
}

impl<T: Real> ForwardMap<T> for Online {
    fn shape(&self) -> MapShape {
        ForwardMap::<T>::shape(&self.net)
    }

    fn prior(&self) -> Prior {
        ForwardMap::<T>::prior(&self.net)
    }

    fn flops(&self, m: usize) -> f64 {
        ForwardMap::<T>::flops(&self.net, m)
    }

    fn scratch(&self, _m: usize) -> usize {
        2 * self.widest() + self.units()
    }

    fn network(&self) -> Option<Network> {
        let network = ForwardMap::<T>::network(&self.net)?;
        let Body::Sequence { inputs, units, .. } = network.body else {
            unreachable!("a recurrent network's body")
        };
        Some(Network {
            body: Body::Series { inputs, units },
            ..network
        })
    }

    fn carrying(&self) -> Option<&dyn Carrying<T>> {
        Some(self)
    }

    /// From the hidden state zero: the whole batch is one stretch of time.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let (hidden, scratch) = scratch.split_at_mut(self.units());
        for (member, outputs) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
            hidden.fill(T::zero());
            let member = member.to_slice().expect("row-major");
            self.advance(member, hidden, inputs, outputs, scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::activation::Output;
    use super::super::testing::numbers;
    use super::*;
    use crate::config::Activation;

    fn nets(steps: usize) -> Vec<Recurrent> {
        let tanh = (Activation::Tanh, Output::Identity);
        let relu = (Activation::Relu, Output::Softmax);
        vec![
            Recurrent::new(steps, 1, vec![7], 1, tanh),
            Recurrent::new(steps, 3, vec![5, 9], 1, tanh),
            Recurrent::new(steps, 2, vec![4], 3, relu),
        ]
    }

    /// Carried over T batches of one step, the last outputs are those of the network that sees all T steps at once.
    #[test]
    fn carried_step_by_step_the_outputs_are_the_whole_sequences() {
        let steps = 6;
        for (whole, one) in nets(steps).into_iter().zip(nets(1)) {
            let p = ForwardMap::<f64>::parameters(&whole);
            let d = ForwardMap::<f64>::features(&one);
            let (member, inputs) = (numbers(1, p, 3), numbers(steps * d, 1, 4));
            let want = super::super::testing::evaluate::<f64>(&whole, &member, &inputs);
            let online = Online::new(one);
            let map: &dyn Carrying<f64> = &online;
            let (c, member) = (map.outputs(), member.as_slice().unwrap());
            let mut hidden = vec![0.0; map.hidden()];
            let mut scratch = vec![0.0; map.scratch(1)];
            let mut out = ndarray::Array2::zeros((c, 1));
            for t in 0..steps {
                let x = inputs.slice(ndarray::s![t * d..(t + 1) * d, ..]);
                map.advance(member, &mut hidden, x, out.view_mut(), &mut scratch);
            }
            for o in 0..c {
                assert!(
                    (out[[o, 0]] - want[[0, o, 0]]).abs() < 1e-12,
                    "{out} {want}"
                );
            }
        }
    }

    /// One batch of all steps, cut anywhere, is the same to the bit.
    #[test]
    fn a_batch_of_steps_may_be_cut_anywhere() {
        for net in nets(1) {
            let online = Online::new(net);
            let (p, d) = (
                ForwardMap::<f32>::parameters(&online),
                ForwardMap::<f32>::features(&online),
            );
            let member = numbers(1, p, 5).mapv(|x| x as f32);
            let inputs = numbers(d, 9, 6).mapv(|x| x as f32);
            let whole = {
                let mut out = ndarray::Array3::zeros((1, ForwardMap::<f32>::outputs(&online), 9));
                let mut scratch = vec![9.0; ForwardMap::<f32>::scratch(&online, 9)];
                online.evaluate(member.view(), inputs.view(), out.view_mut(), &mut scratch);
                out
            };
            let mut hidden = vec![0.0; Carrying::<f32>::hidden(&online)];
            let mut scratch = vec![7.0; ForwardMap::<f32>::scratch(&online, 9)];
            for part in [0..2, 2..3, 3..9] {
                let mut out = ndarray::Array2::zeros((whole.dim().1, part.len()));
                let columns = ndarray::s![.., part.clone()];
                let (member, x) = (member.as_slice().unwrap(), inputs.slice(columns));
                online.advance(member, &mut hidden, x, out.view_mut(), &mut scratch);
                assert_eq!(out, whole.slice(ndarray::s![0, .., part]));
            }
        }
    }
}
