//! Recurrent networks (Elman, Cognitive Science 14 (1990) 179): h_t = a(W^T x_t + U^T h_{t-1} + b), h_0 = 0, layer upon
//! layer; after the last step, or each of the last n, W^T h + b of the last layer, with its own output map.
//!
//! A chunk of samples goes through all steps before the next, so that its states stay in the first cache. A layer's
//! inputs and its own state stand one under the other, [x_t; h_1; h_2; ...], so that one sum runs over both.
//!
//! In mixed precision (`paired`) products are of bfloat16.

mod paired;

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::activation::Output;
use super::chunk::{chunks, copy_in, copy_out};
use super::dense::Dense;
use super::network::{Body, Network};
use super::{ForwardMap, MapShape, SINGLE};
use crate::config::Activation;
use paired::Paired;

use crate::forward::prior::{Prior, Segment};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::real::Real;
use crate::kernels::window::{CHUNK, Window, WindowSums, pack, packed};

/// A recurrent network. Parameters for each layer: input weight, inputs x units, hidden weight, units x units, bias;
/// then the output's weight, units x c, and bias.
#[derive(Clone, Debug)]
pub struct Recurrent {
    steps: usize,
    inputs: usize,
    units: Vec<usize>,
    pub(super) activation: Activation,
    pub(super) output: Output,
    head: Dense,
    pub(super) outputs: usize,
    answers: usize,
    /// The prior's mean of each layer's hidden weights, times the identity, or a shift by so many units.
    recurrence: Vec<f64>,
    shift: usize,
    /// Deviations of the prior in units of Glorot's: of each layer's input and hidden weights, then of the output's.
    scales: Vec<f64>,
    /// Whether products are of bfloat16; single precision alone has them.
    in_pairs: bool,
}

impl Recurrent {
    /// `steps` steps of `inputs` numbers each (input t * inputs + i is number i at step t), layers of `units`, `outputs`
    /// numbers after the last step. None may be 0.
    #[must_use]
    pub fn new(
        steps: usize,
        inputs: usize,
        units: Vec<usize>,
        outputs: usize,
        (activation, output): (Activation, Output),
    ) -> Self {
        assert!(
            steps > 0 && inputs > 0 && !units.is_empty() && units.iter().all(|&n| n > 0),
            "a recurrent network needs steps, inputs and units"
        );
        let last = *units.last().expect("at least one layer");
        Self {
            steps,
            inputs,
            activation,
            output,
            head: Dense::new(vec![last, outputs], activation, output),
            outputs,
            scales: vec![1.0; 2 * units.len() + 1],
            recurrence: vec![0.0; units.len()],
            shift: 0,
            units,
            answers: 1,
            in_pairs: false,
        }
    }

    /// The same, giving its outputs after each of the last `answers` steps, those of the earliest first.
    #[must_use]
    pub fn answering(self, answers: usize) -> Self {
        assert!(
            (1..=self.steps).contains(&answers),
            "answers at steps there are"
        );
        Self { answers, ..self }
    }

    /// The same with the prior's deviations multiplied by `scales`, of each layer's input weight (and bias) and hidden
    /// weight, then of the output's; and its mean of each layer's hidden weights the identity times `recurrence` (1: Le,
    /// Jaitly & Hinton, arXiv:1504.00941, by which a state lasts), or with a `shift` that to the unit so many further on,
    /// around the end (orthogonal, as in Arjovsky, Shah & Bengio, arXiv:1511.06464).
    #[must_use]
    pub fn with_prior(self, scales: Vec<f64>, recurrence: Vec<f64>, shift: usize) -> Self {
        assert_eq!(scales.len(), self.scales.len(), "one for each matrix");
        assert_eq!(
            recurrence.len(),
            self.recurrence.len(),
            "one for each layer"
        );
        Self {
            scales,
            recurrence,
            shift,
            ..self
        }
    }

    /// The prior's mean where it is not 0: on the diagonals of hidden weights, or beside them.
    fn prior_mean(&self) -> Vec<(usize, f64)> {
        let mut at = 0;
        let mut mean = Vec::new();
        for ((a, b), &value) in self.layers().zip(&self.recurrence) {
            if value != 0.0 {
                let target = |i| (i + self.shift) % b;
                mean.extend((0..b).map(|i| (at + (a + i) * b + target(i), value)));
            }
            at += (a + b + 1) * b;
        }
        mean
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            in_pairs: true,
            head: self.head.in_mixed_precision(),
            ..self
        }
    }

    fn paired(&self) -> Option<Paired<'_>> {
        self.in_pairs.then_some(Paired(self))
    }

    /// (inputs, units) of each layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let inputs = std::iter::once(self.inputs).chain(self.units.iter().copied());
        inputs.zip(self.units.iter().copied())
    }

    fn recurrent_parameters(&self) -> usize {
        self.layers().map(|(a, b)| (a + b + 1) * b).sum()
    }

    fn packed(&self) -> usize {
        self.layers().map(|(a, b)| packed(b, a + b)).sum()
    }

    /// Rows of [x_t; h_1; h_2; ...].
    fn rows(&self) -> usize {
        self.inputs + self.units.iter().sum::<usize>()
    }

    fn widest(&self) -> usize {
        self.units.iter().copied().max().expect("a layer")
    }

    /// All layers' weights in the order the sums read them.
    fn pack<T: Real>(&self, member: &[T], mut out: &mut [T]) {
        let mut at = 0;
        for (a, b) in self.layers() {
            let (own, rest) = out.split_at_mut(packed(b, a + b));
            // The hidden weight follows the input weight: rows of one matrix, as their inputs are.
            let weights = &member[at..at + (a + b) * b];
            at += (a + b) * b;
            pack(own, &member[at..at + b], a + b, |o, k| weights[k * b + o]);
            at += b;
            out = rest;
        }
    }

    /// One step of all layers on `state`, rows of `samples`, whose x_t is in place; `sums` holds the widest layer's.
    fn step<T: Real>(&self, mut weights: &[T], state: &mut [T], sums: &mut [T], samples: usize) {
        let mut first = 0;
        for (a, b) in self.layers() {
            let taps = a + b;
            let (own, rest) = weights.split_at(packed(b, taps));
            let sums = &mut sums[..b * samples];
            T::window_sums(WindowSums {
                window: Window {
                    channels: 1,
                    rows: 1,
                    columns: taps,
                    input: [first, 0, 0],
                    weight: [0, 0, 0],
                },
                inputs: state,
                weights: own,
                taps,
                outputs: sums,
                place: 0,
                stride: 1,
                units: b,
                samples,
            });
            self.activation.apply(sums, T::zero());
            first += a;
            state[first * samples..(first + b) * samples].copy_from_slice(sums);
            weights = rest;
        }
    }
}

impl Recurrent {
    /// Numbers that the recurrent layers need.
    fn rooms(&self) -> usize {
        match self.paired() {
            Some(paired) => paired.scratch(),
            None => (self.rows() + self.widest()) * CHUNK + self.packed(),
        }
    }

    /// All steps on all samples: the last layer's states after each step that is answered, answers units x m, go to
    /// `reached`.
    fn all_chunks<T: Real>(
        &self,
        member: &[T],
        inputs: ArrayView2<T>,
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        let (m, last) = (inputs.ncols(), *self.units.last().expect("a layer"));
        let (state, rest) = rooms.split_at_mut(self.rows() * CHUNK);
        let (sums, weights) = rest.split_at_mut(self.widest() * CHUNK);
        let shape = (self.answers * last, m);
        let mut reached = ArrayViewMut2::from_shape(shape, reached).expect("room");
        self.pack(member, weights);
        for chunk in chunks(m) {
            let samples = chunk.2;
            let state = &mut state[..self.rows() * samples];
            state.fill(T::zero());
            for t in 0..self.steps {
                let x = s![t * self.inputs..(t + 1) * self.inputs, ..];
                copy_in(inputs.slice(x), chunk, state);
                self.step(weights, state, sums, samples);
                if let Some(answer) = (t + self.answers).checked_sub(self.steps) {
                    let hidden = &state[(self.rows() - last) * samples..];
                    let rows = s![answer * last..(answer + 1) * last, ..];
                    copy_out(hidden, chunk, reached.slice_mut(rows));
                }
            }
        }
    }
}

impl<T: Real> ForwardMap<T> for Recurrent {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.recurrent_parameters() + ForwardMap::<T>::parameters(&self.head),
            features: self.steps * self.inputs,
            outputs: self.answers * self.outputs,
        }
    }

    /// Glorot normal for each matrix, N(0, 2/(fan_in + fan_out)), biases as the input weight: a bias without spread
    /// never moves.
    fn prior(&self) -> Prior {
        let glorot = |(a, b): (usize, usize), count: usize, scale: f64| Segment {
            count,
            deviation: scale * (2.0 / (a + b) as f64).sqrt(),
        };
        let (layers, last) = self.scales.split_at(2 * self.units.len());
        let layers = self.layers().zip(layers.chunks(2));
        let layers = layers.flat_map(|((a, b), scales)| {
            [
                glorot((a, b), a * b, scales[0]),
                glorot((b, b), b * b, scales[1]),
                glorot((a, b), b, scales[0]),
            ]
        });
        let units = *self.units.last().expect("a layer");
        let head = glorot((units, self.outputs), (units + 1) * self.outputs, last[0]);
        Prior::new(layers.chain([head]).collect()).with_mean(self.prior_mean())
    }

    fn network(&self) -> Option<Network> {
        Some(self.head.network_on(Body::Sequence {
            steps: self.steps,
            inputs: self.inputs,
            units: self.units.clone(),
        }))
    }

    fn flops(&self, m: usize) -> f64 {
        let step: usize = self.layers().map(|(a, b)| (a + b) * b).sum();
        2.0 * m as f64 * (self.steps * step) as f64
            + self.answers as f64 * ForwardMap::<T>::flops(&self.head, m)
    }

    fn scratch(&self, m: usize) -> usize {
        let last = *self.units.last().expect("a layer");
        let head = self.answers * last * m + ForwardMap::<T>::scratch(&self.head, m);
        2 * LOST + ForwardMap::<T>::arranged(self, m) + self.rooms() + head
    }

    fn arranged(&self, m: usize) -> usize {
        self.paired().map_or(0, |paired| paired.arranged(m))
    }

    fn arrange(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        if let Some(paired) = self.paired() {
            paired.arrange(inputs, T::single_mut(arranged).expect(SINGLE));
        }
    }

    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        super::arrange_and_evaluate(self, members, inputs, outputs, scratch);
    }

    fn evaluate_arranged(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        arranged: &[T],
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let (m, last) = (inputs.ncols(), *self.units.last().expect("a layer"));
        let (rooms, rest) = aligned(scratch).split_at_mut(self.rooms());
        let (features, rest) = rest.split_at_mut(self.answers * last * m);
        for (member, mut out) in members
            .rows()
            .into_iter()
            .zip(outputs.axis_chunks_iter_mut(Axis(0), 1))
        {
            let of_member = member.to_slice().expect("row-major");
            match self.paired() {
                Some(paired) => paired.evaluate(
                    T::single(of_member).expect(SINGLE),
                    T::single(arranged).expect(SINGLE),
                    T::single_mut(features).expect(SINGLE),
                    T::single_mut(rooms).expect(SINGLE),
                ),
                None => self.all_chunks(of_member, inputs, features, rooms),
            }
            let head = member
                .slice(s![self.recurrent_parameters()..])
                .insert_axis(Axis(0));
            let answers = out.axis_chunks_iter_mut(Axis(1), self.outputs);
            for (features, answer) in features.chunks_exact(last * m).zip(answers) {
                let features = ArrayView2::from_shape((last, m), features).expect("room");
                self.head.evaluate(head, features, answer, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
