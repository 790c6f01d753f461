//! Recurrent layers in mixed precision: products of bfloat16, by `kernels::bfloat::windows`.
//!
//! Sixteen samples are a place of those windows, and four places go through all steps before the next four. A place's state
//! is rows of pairs, [x_t; h_1; h_2; ...], each part from a row of its own on: what a layer reads, its inputs and its own
//! state, is one run of them. Sums, biases and activations are in single precision; what leaves them is rounded. The inputs
//! are put in such rows once for all members.

use ndarray::ArrayView2;

use super::RecurrentLayers;
use crate::forward::headed::PairedBody;
use crate::kernels::bfloat::windows::{
    BEYOND, LANES, PLACES, PutRows, Summer, Sums, UNITS, WindowShape, WindowSums, put_biases,
};
use crate::kernels::bfloat::{halves, pair_of, places};
use crate::kernels::real::Real;

/// A recurrent network's layers, seen so.
#[derive(Clone, Copy, Debug)]
pub struct Paired<'a>(pub &'a RecurrentLayers);

impl Paired<'_> {
    /// Rows of one place's state.
    fn along(self) -> usize {
        let parts = std::iter::once(&self.0.inputs).chain(&self.0.units);
        parts.map(|&numbers| places(numbers)).sum()
    }

    /// Numbers of the state of all places.
    fn state(self) -> usize {
        (PLACES * self.along() + BEYOND) * LANES
    }

    /// Numbers of the widest layer's own state at all places.
    fn widest(self) -> usize {
        PLACES * places(self.0.widest()) * LANES
    }

    /// Numbers of one step's inputs at one place.
    fn of_step(self) -> usize {
        places(self.0.inputs) * LANES
    }

    /// The weights that a layer of `b` units on `a` inputs reads.
    fn window(self, (a, b): (usize, usize)) -> WindowShape {
        WindowShape {
            height: 1,
            length: places(a) + places(b),
            down: 0,
            along: self.along(),
        }
    }

    /// Numbers that such a layer's weights and biases take.
    fn packed(self, layer: (usize, usize)) -> [usize; 2] {
        let biases = layer.1.next_multiple_of(UNITS) * LANES;
        [self.window(layer).weights(layer.1), biases]
    }

    fn all_packed(self) -> usize {
        self.0
            .layers()
            .flat_map(|layer| self.packed(layer))
            .sum::<usize>()
    }

    /// Puts a member's parameters in order.
    fn pack(self, mut member: &[f32], mut out: &mut [f32]) {
        for layer in self.0.layers() {
            let (a, b) = layer;
            let [weights, biases] = self.packed(layer);
            let (own_weights, rest) = out.split_at_mut(weights);
            let (own_biases, rest) = rest.split_at_mut(biases);
            out = rest;
            let (of_taps, after) = member.split_at((a + b) * b);
            let (of_units, after) = after.split_at(b);
            member = after;
            let weight = |unit: usize, row: usize| of_taps[row * b + unit];
            let (own_weights, of_inputs) = (bytemuck::cast_slice_mut(own_weights), places(a));
            self.window(layer)
                .put_weights(b, own_weights, |unit, _, k| {
                    let (first, end) = match k.checked_sub(of_inputs) {
                        None => (2 * k, a),
                        Some(k) => (a + 2 * k, a + b),
                    };
                    let odd = if first + 1 < end {
                        weight(unit, first + 1)
                    } else {
                        0.0
                    };
                    pair_of(weight(unit, first), odd)
                });
            put_biases(of_units, own_biases);
        }
    }

    /// One step of all layers at `count` places, whose x_t is in place; `own` holds the widest layer's state.
    fn step(
        self,
        mut packed: &[f32],
        (state, count): (&mut [u32], usize),
        own: &mut [u32],
        (summer, sums): (&mut Summer, &mut Sums),
    ) {
        let mut first = 0;
        for layer in self.0.layers() {
            let (a, b) = layer;
            let [of_weights, of_biases] = self.packed(layer);
            let (weights, rest) = packed.split_at(of_weights);
            let (biases, rest) = rest.split_at(of_biases);
            packed = rest;
            let shape = self.window(layer);
            let weights: &[u32] = bytemuck::cast_slice(weights);
            let tiles = weights
                .chunks_exact(shape.weights(UNITS.min(b)))
                .zip(biases.chunks_exact(UNITS * LANES));
            for ((weights, biases), unit) in tiles.zip((0..).step_by(UNITS)) {
                let units = UNITS.min(b - unit);
                summer.sum(
                    &WindowSums {
                        shape,
                        weights,
                        biases,
                        units,
                        inputs: state,
                        first,
                        places: count,
                    },
                    sums,
                );
                let of_places = &mut sums.0[..count];
                let flat = of_places.as_flattened_mut().as_flattened_mut();
                self.0.activation.apply_for_bfloat(flat);
                PutRows {
                    sums: of_places,
                    units,
                    in_order: false,
                    out: &mut own[unit / 2 * LANES..],
                    along: places(b),
                }
                .put();
            }
            // Not before all units have read the state.
            first += places(a);
            let width = places(b) * LANES;
            let of_places = state[first * LANES..].chunks_mut(shape.along * LANES);
            for (state, own) in of_places.zip(own.chunks_exact(width)).take(count) {
                state[..width].copy_from_slice(own);
            }
        }
    }
}

impl PairedBody for Paired<'_> {
    fn arranged(&self, m: usize) -> usize {
        m.div_ceil(LANES) * self.0.steps * self.of_step()
    }

    fn scratch(&self) -> usize {
        self.all_packed() + self.state() + self.widest()
    }

    fn arrange<T: Real>(&self, inputs: ArrayView2<T>, arranged: &mut [f32]) {
        let arranged: &mut [u32] = bytemuck::cast_slice_mut(arranged);
        arranged.fill(0);
        let of_place = self.0.steps * self.of_step();
        for (d, numbers) in inputs.rows().into_iter().enumerate() {
            let (t, i) = (d / self.0.inputs, d % self.0.inputs);
            let row = t * self.of_step() + i / 2 * LANES;
            for (sample, number) in numbers.iter().enumerate() {
                let number = number.as_f64() as f32; // which it is
                arranged[sample / LANES * of_place + row + sample % LANES] |= match i % 2 {
                    0 => pair_of(number, 0.0),
                    _ => pair_of(0.0, number),
                };
            }
        }
    }

    fn evaluate(&self, member: &[f32], arranged: &[f32], reached: &mut [f32], scratch: &mut [f32]) {
        let RecurrentLayers {
            steps,
            answers,
            ref units,
            ..
        } = *self.0;
        let last = units[units.len() - 1];
        let m = reached.len() / (answers * last);
        let (packed, rest) = scratch.split_at_mut(self.all_packed());
        self.pack(member, packed);
        let (state, own) = bytemuck::cast_slice_mut(rest).split_at_mut(self.state());
        let arranged: &[u32] = bytemuck::cast_slice(arranged);
        let (along, of_step) = (self.along() * LANES, self.of_step());
        let mut summer = Summer::ready();
        let mut sums = Sums::default();
        let inputs = arranged.chunks(PLACES * steps * of_step);
        for (inputs, first) in inputs.zip((0..m).step_by(PLACES * LANES)) {
            let count = inputs.len() / (steps * of_step);
            state.fill(0);
            for t in 0..steps {
                let of_places = inputs.chunks_exact(steps * of_step);
                for (state, inputs) in state.chunks_mut(along).zip(of_places) {
                    state[..of_step].copy_from_slice(&inputs[t * of_step..][..of_step]);
                }
                self.step(packed, (state, count), own, (&mut summer, &mut sums));
                if let Some(answer) = (t + answers).checked_sub(steps) {
                    let rows = &mut reached[answer * last * m..][..last * m];
                    let hidden = along - places(last) * LANES;
                    for (place, state) in state.chunks_exact(along).take(count).enumerate() {
                        put_states(&state[hidden..], first + place * LANES, rows, m);
                    }
                }
            }
        }
    }
}

/// Writes states, rows of pairs of units, to samples `first` and on of `rows`, units x m.
fn put_states(state: &[u32], first: usize, rows: &mut [f32], m: usize) {
    for (unit, row) in rows.chunks_exact_mut(m).enumerate() {
        let pairs = &state[unit / 2 * LANES..][..LANES];
        for (to, &pair) in row[first..].iter_mut().zip(pairs) {
            *to = halves(pair)[unit % 2];
        }
    }
}
