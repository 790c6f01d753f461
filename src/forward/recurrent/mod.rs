//! Recurrent networks (Elman, Cognitive Science 14 (1990) 179): h_t = a(W^T x_t + U^T h_{t-1} + b), h_0 = 0, layer upon
//! layer; after the last step, or each of the last n, W^T h + b of the last layer, with its own output map.
//!
//! A chunk of samples goes through all steps before the next, so that its states stay in the first cache. A layer's
//! inputs and its own state stand one under the other, [x_t; h_1; h_2; ...], so that one sum runs over both.
//!
//! In mixed precision (`paired`) products are of bfloat16.

mod paired;

use ndarray::{ArrayView2, ArrayViewMut2, s};

use super::activation::Output;
use super::chunk::{chunks, copy_in, copy_out};
use super::dense::Dense;
use super::headed::{Body, Headed};
use super::network;
use crate::config::Activation;
use crate::forward::prior::Segment;
use crate::kernels::real::Real;
use crate::kernels::window::{CHUNK, Window, WindowSums, pack, packed};
use paired::Paired;

/// A recurrent network. Parameters for each layer: input weight, inputs x units, hidden weight, units x units, bias;
/// then the output's weight, units x c, and bias.
pub type Recurrent = Headed<RecurrentLayers>;

/// The recurrent layers of such a network.
#[derive(Clone, Debug)]
pub struct RecurrentLayers {
    steps: usize,
    inputs: usize,
    units: Vec<usize>,
    pub(super) activation: Activation,
    answers: usize,
    /// The prior's mean of each layer's hidden weights, times the identity, or a shift by so many units.
    recurrence: Vec<f64>,
    shift: usize,
    /// Deviations of the prior in units of Glorot's: of each layer's input and hidden weights.
    scales: Vec<f64>,
    /// True if products are rounded to bfloat16, which single precision alone has.
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
            head: Dense::new(vec![last, outputs], activation, output),
            body: RecurrentLayers {
                steps,
                inputs,
                activation,
                scales: vec![1.0; 2 * units.len()],
                recurrence: vec![0.0; units.len()],
                shift: 0,
                units,
                answers: 1,
                in_pairs: false,
            },
        }
    }

    /// The same, giving its outputs after each of the last `answers` steps, those of the earliest first.
    #[must_use]
    pub fn answering(self, answers: usize) -> Self {
        assert!(
            (1..=self.body.steps).contains(&answers),
            "answers at steps there are"
        );
        let body = RecurrentLayers {
            answers,
            ..self.body
        };
        Self { body, ..self }
    }

    /// The same with the prior's deviations multiplied by `scales`, of each layer's input weight (and bias) and hidden
    /// weight, then of the output's; and its mean of each layer's hidden weights the identity times `recurrence` (1: Le,
    /// Jaitly & Hinton, arXiv:1504.00941, by which a state lasts), or with a `shift` that to the unit so many further on,
    /// around the end (orthogonal, as in Arjovsky, Shah & Bengio, arXiv:1511.06464).
    #[must_use]
    pub fn with_prior(self, mut scales: Vec<f64>, recurrence: Vec<f64>, shift: usize) -> Self {
        let (body, head) = (self.body, self.head);
        let layers = body.recurrence.len();
        assert_eq!(scales.len(), 2 * layers + 1, "one for each matrix");
        assert_eq!(recurrence.len(), layers, "one for each layer");
        let of_head = scales.split_off(2 * layers);
        Self {
            body: RecurrentLayers {
                scales,
                recurrence,
                shift,
                ..body
            },
            head: head.with_scales(of_head),
        }
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            body: RecurrentLayers {
                in_pairs: true,
                ..self.body
            },
            head: self.head.in_mixed_precision(),
        }
    }
}

impl RecurrentLayers {
    fn last(&self) -> usize {
        *self.units.last().expect("at least one layer")
    }

    /// (inputs, units) of each layer.
    pub(super) fn layers(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let inputs = std::iter::once(self.inputs).chain(self.units.iter().copied());
        inputs.zip(self.units.iter().copied())
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

impl Body for RecurrentLayers {
    type Paired<'a> = Paired<'a>;

    fn inputs(&self) -> usize {
        self.steps * self.inputs
    }

    fn parameters(&self) -> usize {
        self.layers().map(|(a, b)| (a + b + 1) * b).sum()
    }

    fn features(&self) -> usize {
        self.last()
    }

    fn answers(&self) -> usize {
        self.answers
    }

    /// Glorot normal for each matrix, N(0, 2/(fan_in + fan_out)), biases as the input weight: a bias without spread
    /// never moves.
    fn segments(&self) -> Vec<Segment> {
        let glorot = |(a, b): (usize, usize), count: usize, scale: f64| Segment {
            count,
            deviation: scale * (2.0 / (a + b) as f64).sqrt(),
        };
        let layers = self.layers().zip(self.scales.chunks(2));
        let segments = layers.flat_map(|((a, b), scales)| {
            [
                glorot((a, b), a * b, scales[0]),
                glorot((b, b), b * b, scales[1]),
                glorot((a, b), b, scales[0]),
            ]
        });
        segments.collect()
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

    fn described(&self) -> network::Body {
        network::Body::Sequence {
            steps: self.steps,
            inputs: self.inputs,
            units: self.units.clone(),
        }
    }

    fn flops(&self, m: usize) -> f64 {
        let step: usize = self.layers().map(|(a, b)| (a + b) * b).sum();
        2.0 * m as f64 * (self.steps * step) as f64
    }

    fn paired(&self) -> Option<Paired<'_>> {
        self.in_pairs.then_some(Paired(self))
    }

    fn chunk_rooms(&self) -> usize {
        (self.rows() + self.widest()) * CHUNK + self.packed()
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
        let (m, last) = (inputs.ncols(), self.last());
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

#[cfg(test)]
mod tests;
