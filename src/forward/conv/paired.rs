//! The layers before the dense ones in mixed precision: products of bfloat16, by `kernels::bfloat::windows`.
//!
//! Sixteen samples go through all layers before the next. What stands between two layers is a *grid*: rows of sixteen
//! samples' pairs of channels, a place's rows together, with the border of zeros that the next layer's windows reach into.
//! Sums, biases and activations are in single precision; what leaves them is rounded. The inputs are put in grids once for all
//! members, and where the first layer is a convolution, the kernel's height among the channels: so few channels fill the
//! rows better.

use ndarray::ArrayView2;

use super::grid::{Grid, put_features};
use crate::config::Activation;
use crate::forward::headed::PairedBody;
use crate::forward::stage::Stage;
use crate::kernels::bfloat::pair_of;
use crate::kernels::bfloat::windows::{
    LANES, PLACES, PutRows, Summer, Sums, UNITS, WindowShape, WindowSums, ordered, put_biases,
};
use crate::kernels::real::Real;

/// One layer, what it reads and where it writes.
#[derive(Clone, Copy, Debug)]
struct Step {
    stage: Stage,
    from: Grid,
    to: Grid,
}

impl Step {
    /// The window of a convolution.
    fn window(&self, kernel: usize) -> WindowShape {
        let pairs = self.from.pairs();
        WindowShape {
            height: self.from.around[0] + 1,
            length: kernel * pairs,
            down: self.from.line(),
            along: pairs,
        }
    }

    /// Numbers that its weights and biases take.
    fn packed(&self) -> [usize; 2] {
        match self.stage {
            Stage::Convolution {
                outputs, kernel, ..
            } => {
                let biases = outputs.next_multiple_of(UNITS) * LANES;
                [self.window(kernel).weights(outputs), biases]
            }
            Stage::Pool { .. } => [0; 2],
        }
    }
}

/// The layers before the dense ones; at least one.
#[derive(Clone, Debug)]
pub struct Paired {
    steps: Vec<Step>,
}

impl Paired {
    /// These layers.
    #[must_use]
    pub fn new(stages: &[Stage]) -> Self {
        let grid = |at: usize| {
            let from = stages.get(at).map(|&stage| Grid::of(stage, at == 0));
            from.unwrap_or_else(|| Grid::bare(stages[at - 1].to()))
        };
        let stages = stages.iter().enumerate();
        let steps = stages.map(|(at, &stage)| Step {
            stage,
            from: grid(at),
            to: grid(at + 1),
        });
        Self {
            steps: steps.collect(),
        }
    }

    /// Puts a member's parameters in order.
    fn pack(&self, mut member: &[f32], mut out: &mut [f32]) {
        for step in &self.steps {
            let Stage::Convolution {
                from,
                outputs,
                kernel,
            } = step.stage
            else {
                continue;
            };
            let [weights, biases] = step.packed();
            let (own_weights, rest) = out.split_at_mut(weights);
            let (own_biases, rest) = rest.split_at_mut(biases);
            out = rest;
            let taps = from.channels * kernel * kernel;
            let (of_taps, after) = member.split_at(outputs * taps);
            let (of_units, after) = after.split_at(outputs);
            member = after;
            let (pairs, in_rows) = (step.from.pairs(), step.from.around[0] == 0);
            let weight = |unit: usize, run: usize, column: usize, channel: usize| {
                if channel >= step.from.shape.channels {
                    return 0.0;
                }
                let (channel, row) = match in_rows {
                    true => (channel % from.channels, channel / from.channels),
                    false => (channel, run),
                };
                of_taps[unit * taps + (channel * kernel + row) * kernel + column]
            };
            step.window(kernel).put_weights(
                outputs,
                bytemuck::cast_slice_mut(own_weights),
                |unit, run, k| {
                    let (column, channel) = (k / pairs, 2 * (k % pairs));
                    let of = |channel| weight(unit, run, column, channel);
                    pair_of(of(channel), of(channel + 1))
                },
            );
            put_biases(of_units, own_biases);
        }
    }
}

/// These layers with their activation.
#[derive(Clone, Copy, Debug)]
pub struct PairedLayers<'a> {
    pub(super) paired: &'a Paired,
    pub(super) activation: Activation,
}

impl PairedBody for PairedLayers<'_> {
    fn arranged(&self, m: usize) -> usize {
        m.div_ceil(LANES) * self.paired.steps[0].from.numbers()
    }

    fn scratch(&self) -> usize {
        let steps = self.paired.steps.iter();
        steps
            .map(|step| step.to.numbers() + step.packed().iter().sum::<usize>())
            .sum()
    }

    fn arrange<T: Real>(&self, inputs: ArrayView2<T>, arranged: &mut [f32]) {
        let arranged: &mut [u32] = bytemuck::cast_slice_mut(arranged);
        arranged.fill(0);
        let Step { stage, from, .. } = self.paired.steps[0];
        let (shape, taps) = match stage {
            Stage::Convolution { from, kernel, .. } => (from, kernel),
            Stage::Pool { from, .. } => (from, 1),
        };
        let above = (taps - 1) / 2;
        for (grid, first) in arranged
            .chunks_exact_mut(from.numbers())
            .zip((0..inputs.ncols()).step_by(LANES))
        {
            for (d, numbers) in inputs.rows().into_iter().enumerate() {
                let (c, y, x) = (
                    d / (shape.height * shape.width),
                    d / shape.width % shape.height,
                    d % shape.width,
                );
                // The lines whose windows reach this one, by which tap.
                for tap in 0..taps {
                    let line = (y + above).checked_sub(tap);
                    let Some(line) = line.filter(|&line| line < shape.height) else {
                        continue;
                    };
                    let channel = tap * shape.channels + c;
                    let row = from.row(line, x) + channel / 2;
                    let pairs = grid[row * LANES..][..LANES].iter_mut();
                    for (pair, &number) in pairs.zip(numbers.iter().skip(first)) {
                        let number = number.as_f64() as f32; // which it is
                        *pair |= match channel % 2 {
                            0 => pair_of(number, 0.0),
                            _ => pair_of(0.0, number),
                        };
                    }
                }
            }
        }
        if from.ordered {
            arranged.iter_mut().for_each(|pair| *pair = ordered(*pair));
        }
    }

    fn evaluate(&self, member: &[f32], arranged: &[f32], reached: &mut [f32], scratch: &mut [f32]) {
        let (steps, activation) = (&self.paired.steps, self.activation);
        let last = steps[steps.len() - 1].to;
        let m = reached.len() / last.shape.size();
        let packed = steps.iter().flat_map(Step::packed).sum();
        let (weights, grids) = scratch.split_at_mut(packed);
        self.paired.pack(member, weights);
        let grids: &mut [u32] = bytemuck::cast_slice_mut(grids);
        grids.fill(0); // borders stay so
        let arranged: &[u32] = bytemuck::cast_slice(arranged);
        let mut summer = Summer::ready();
        let mut sums = Sums::default();
        let firsts = (0..m).step_by(LANES);
        for (inputs, first) in arranged.chunks_exact(steps[0].from.numbers()).zip(firsts) {
            let (mut here, mut grids, mut weights) = (inputs, &mut *grids, &*weights);
            for step in steps {
                let (there, rest) = grids.split_at_mut(step.to.numbers());
                let [of_weights, of_biases] = step.packed();
                let (own, after) = weights.split_at(of_weights + of_biases);
                match step.stage {
                    Stage::Convolution {
                        outputs, kernel, ..
                    } => {
                        let own = own.split_at(of_weights);
                        let convolution = Convolution {
                            step,
                            window: step.window(kernel),
                            units: outputs,
                            activation,
                        };
                        convolution.all(own, here, there, (&mut summer, &mut sums));
                    }
                    Stage::Pool { window, stride, .. } => {
                        pool(step, (window, stride), here, there);
                    }
                }
                (here, grids, weights) = (there, rest, after);
            }
            put_features(last, here, (first, m), reached);
        }
    }
}

/// A convolution and its activation on a grid.
struct Convolution<'a> {
    step: &'a Step,
    window: WindowShape,
    units: usize,
    activation: Activation,
}

impl Convolution<'_> {
    fn all(
        &self,
        (weights, biases): (&[f32], &[f32]),
        inputs: &[u32],
        outputs: &mut [u32],
        (summer, sums): (&mut Summer, &mut Sums),
    ) {
        let Step { from, to, .. } = self.step;
        let weights: &[u32] = bytemuck::cast_slice(weights);
        let of_units = self.window.weights(UNITS.min(self.units));
        let tiles = weights
            .chunks_exact(of_units)
            .zip(biases.chunks_exact(UNITS * LANES));
        for y in 0..to.shape.height {
            for x in (0..to.shape.width).step_by(PLACES) {
                let places = PLACES.min(to.shape.width - x);
                for ((weights, biases), first) in tiles.clone().zip((0..).step_by(UNITS)) {
                    let units = UNITS.min(self.units - first);
                    let sum = WindowSums {
                        shape: self.window,
                        weights,
                        biases,
                        units,
                        inputs,
                        first: y * from.line() + x * from.pairs(),
                        places,
                    };
                    summer.sum(&sum, sums);
                    let flat = sums.0[..places].as_flattened_mut().as_flattened_mut();
                    self.activation.apply_for_bfloat(flat);
                    let row = to.row(y, x) + first / 2;
                    let out = &mut outputs[row * LANES..];
                    let rows = PutRows {
                        sums: &sums.0[..places],
                        units,
                        in_order: to.ordered,
                        out,
                        along: to.pairs(),
                    };
                    rows.put();
                }
            }
        }
    }
}

/// The largest of each window: down the lines, then along.
fn pool(step: &Step, (window, stride): (usize, usize), inputs: &[u32], outputs: &mut [u32]) {
    pulp::Arch::new().dispatch(Pool {
        step,
        window,
        stride,
        inputs,
        outputs,
    });
}

struct Pool<'a> {
    step: &'a Step,
    window: usize,
    stride: usize,
    inputs: &'a [u32],
    outputs: &'a mut [u32],
}

impl pulp::WithSimd for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Step { from, to, .. } = self.step;
        let (inputs, _) = self.inputs.as_chunks::<LANES>();
        let (outputs, _) = self.outputs.as_chunks_mut::<LANES>();
        for y in 0..to.shape.height {
            for x in 0..to.shape.width {
                for pair in 0..from.pairs() {
                    let mut largest = [i16::MIN; 2 * LANES];
                    for line in y * self.stride..y * self.stride + self.window {
                        let first = from.row(line, x * self.stride) + pair;
                        let places = inputs[first..].iter().step_by(from.pairs());
                        for place in places.take(self.window) {
                            let place: &[i16; 2 * LANES] = bytemuck::cast_ref(place);
                            for (largest, &x) in largest.iter_mut().zip(place) {
                                *largest = x.max(*largest);
                            }
                        }
                    }
                    outputs[to.row(y, x) + pair] = bytemuck::cast(largest);
                }
            }
            // Apart, or the compiler takes halves apart above.
            if !to.ordered {
                let line = &mut outputs[to.row(y, 0)..][..to.shape.width * to.pairs()];
                for pair in line.as_flattened_mut() {
                    *pair = ordered(*pair);
                }
            }
        }
    }
}
