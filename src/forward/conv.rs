//! Convolutional networks: z_oyx = b_o + sum_cij w_ocij h_c(y+i)(x+j), pooling by the largest, dense layers last.
//!
//! Padding is 'same' (zeros, which no sum spends time on: windows are clipped) and the stride 1; pooling takes only
//! windows that lie inside. A chunk of samples goes through all layers before the next. Each place's sums are taken
//! directly from the rows of samples around it, without copying windows: at these sizes a general product would
//! spend as long on rearranging its operands as on multiplying.
//!
//! In mixed precision (`paired`) products are of bfloat16.

mod grid;
mod paired;

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis, s};

use super::activation::{Activation, Output};
use super::chunk::{chunks, copy_in, copy_out};
use super::dense::Dense;
use super::layers::{Layer, Shape};
use super::low_rank::LowRank;
use super::network::{Body, Network};
use super::{ForwardMap, SINGLE};
use paired::Paired;

use super::stage::{Stage, clip, pool};
use crate::prior::{Prior, Segment};
use crate::real::Real;
use crate::spare::{LOST, aligned};
use crate::window::{CHUNK, Window, WindowSums, pack};

/// A convolutional network. Parameters layer by layer: kernels, out x in x height x width, then biases; the dense
/// layers as in `Dense`.
#[derive(Clone, Debug)]
pub struct Convolutional {
    input: Shape,
    stages: Vec<Stage>,
    activation: Activation,
    head: Dense,
    /// Inputs of the first dense layer, and outputs of the last.
    ends: (usize, usize),
    /// The stages where products are of bfloat16; single precision alone has them.
    paired: Option<Paired>,
}

impl Convolutional {
    /// The network of `layers` on inputs of shape `input`, the last layer dense.
    ///
    /// # Errors
    /// What is wrong with `layers`, in words that follow "must".
    pub fn new(
        input: Shape,
        layers: &[Layer],
        activation: Activation,
        output: Output,
    ) -> Result<Self, String> {
        let (mut stages, mut widths, mut from) = (Vec::new(), Vec::new(), input);
        for &layer in layers {
            let stage = match layer {
                Layer::Dense { units } => {
                    widths.push(units);
                    continue;
                }
                Layer::Convolution { outputs, kernel } => Stage::Convolution {
                    from,
                    outputs,
                    kernel,
                },
                Layer::Pool { window, stride } => Stage::Pool {
                    from,
                    window,
                    stride,
                },
            };
            if !widths.is_empty() {
                return Err(format!("not have \"{layer}\" after a dense layer"));
            }
            if let Layer::Pool { window, .. } = layer
                && window > from.height.min(from.width)
            {
                let (height, width) = (from.height, from.width);
                return Err(format!(
                    "pool at most what is left, {height} x {width}, not \"{layer}\""
                ));
            }
            from = stage.to();
            stages.push(stage);
        }
        let last = *widths.last().ok_or("end with \"dense N\"")?;
        widths.insert(0, from.size());
        Ok(Self {
            input,
            stages,
            activation,
            head: Dense::new(widths, activation, output),
            ends: (from.size(), last),
            paired: None,
        })
    }

    /// The same with products of bfloat16, in single precision alone.
    #[must_use]
    pub fn in_mixed_precision(self) -> Self {
        Self {
            paired: (!self.stages.is_empty()).then(|| Paired::new(&self.stages)),
            head: self.head.in_mixed_precision(),
            ..self
        }
    }

    /// (Channels out, taps, the prior's deviation) of each convolution.
    pub(super) fn kernels(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        self.stages.iter().filter_map(|stage| match *stage {
            Stage::Convolution {
                from,
                outputs,
                kernel,
            } => Some((
                outputs,
                stage.size().0,
                (2.0 / ((from.channels + outputs) * kernel * kernel) as f64).sqrt(),
            )),
            Stage::Pool { .. } => None,
        })
    }

    /// The dense layers.
    pub(super) fn head(&self) -> &Dense {
        &self.head
    }

    /// Parameters before the dense layers'.
    fn body_parameters(&self) -> usize {
        self.stages.iter().map(|stage| stage.parameters()).sum()
    }

    fn packed(&self) -> usize {
        self.stages.iter().map(|stage| stage.packed()).sum()
    }

    /// Numbers of one sample in the largest layer.
    fn largest(&self) -> usize {
        let sizes = self.stages.iter().map(|stage| stage.to().size());
        sizes.chain([self.input.size()]).max().expect("the input")
    }

    fn pack<T: Real>(&self, member: &[T], mut out: &mut [T]) {
        let mut at = 0;
        for stage in &self.stages {
            let (taps, units) = stage.size();
            let (own, rest) = out.split_at_mut(stage.packed());
            let weights = &member[at..at + taps * units];
            let biases = &member[at + taps * units..at + (taps + 1) * units];
            pack(own, biases, taps, |o, k| weights[o * taps + k]);
            at += (taps + 1) * units;
            out = rest;
        }
    }

    /// A convolution and its activation on rows of `samples`.
    fn convolve<T: Real>(
        &self,
        (from, units, kernel): (Shape, usize, usize),
        (inputs, weights, outputs): (&[T], &[T], &mut [T]),
        samples: usize,
    ) {
        let (height, width) = (from.height, from.width);
        for y in 0..height {
            let (top, tap_row, rows) = clip(y, kernel, height);
            for x in 0..width {
                let (left, tap_column, columns) = clip(x, kernel, width);
                T::window_sums(WindowSums {
                    window: Window {
                        channels: from.channels,
                        rows,
                        columns,
                        input: [top * width + left, height * width, width],
                        weight: [tap_row * kernel + tap_column, kernel * kernel, kernel],
                    },
                    inputs,
                    weights,
                    taps: from.channels * kernel * kernel,
                    outputs,
                    place: y * width + x,
                    stride: height * width,
                    units,
                    samples,
                });
            }
            // Here, while the line is in the cache.
            for unit in 0..units {
                let line = (unit * height + y) * width * samples;
                let line = &mut outputs[line..line + width * samples];
                self.activation.apply(line, T::zero());
            }
        }
    }

    /// All layers before the dense ones on one chunk, which stands in the first of `rooms`; returns where the result is.
    fn body<'r, T: Real>(
        &self,
        mut weights: &[T],
        [mut here, mut there]: [&'r mut [T]; 2],
        line: &mut [T],
        samples: usize,
    ) -> &'r [T] {
        for stage in &self.stages {
            match *stage {
                Stage::Convolution {
                    from,
                    outputs,
                    kernel,
                } => {
                    let (own, rest) = weights.split_at(stage.packed());
                    self.convolve((from, outputs, kernel), (here, own, there), samples);
                    weights = rest;
                }
                Stage::Pool {
                    from,
                    window,
                    stride,
                } => pool((from, window, stride), here, there, line, samples),
            }
            std::mem::swap(&mut here, &mut there);
        }
        here
    }
}

impl Convolutional {
    /// Numbers that the layers before the dense ones need.
    fn rooms(&self) -> usize {
        match &self.paired {
            Some(paired) => paired.scratch(),
            None => (2 * self.largest() + self.input.width) * CHUNK + self.packed(),
        }
    }

    /// All layers before the dense ones on all samples: what they give, features x m, goes to `reached`.
    fn all_chunks<T: Real>(
        &self,
        member: &[T],
        inputs: ArrayView2<T>,
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        let (m, features) = (inputs.ncols(), self.ends.0);
        let mut reached = ArrayViewMut2::from_shape((features, m), reached).expect("room");
        let (here, rest) = rooms.split_at_mut(self.largest() * CHUNK);
        let (there, rest) = rest.split_at_mut(self.largest() * CHUNK);
        let (line, weights) = rest.split_at_mut(self.input.width * CHUNK);
        self.pack(member, weights);
        for chunk in chunks(m) {
            copy_in(inputs, chunk, here);
            let result = self.body(weights, [here, there], line, chunk.2);
            copy_out(&result[..features * chunk.2], chunk, reached.view_mut());
        }
    }
}

impl<T: Real> ForwardMap<T> for Convolutional {
    fn parameters(&self) -> usize {
        self.body_parameters() + ForwardMap::<T>::parameters(&self.head)
    }

    fn features(&self) -> usize {
        self.input.size()
    }

    fn outputs(&self) -> usize {
        self.ends.1
    }

    /// Glorot normal, N(0, 2/(fan_in + fan_out)) with fans counted over the kernel, for weights and biases alike.
    fn prior(&self) -> Prior {
        let body = self.kernels().map(|(channels, taps, deviation)| Segment {
            count: channels * (taps + 1),
            deviation,
        });
        Prior::new(body.chain(self.head.segments()).collect())
    }

    fn low_rank(&self) -> Option<&dyn LowRank<T>> {
        Some(self)
    }

    fn network(&self) -> Option<Network> {
        Some(self.head.network_on(Body::Images {
            from: self.input,
            layers: self.stages.iter().map(|stage| stage.layer()).collect(),
        }))
    }

    fn flops(&self, m: usize) -> f64 {
        let products: usize = self.stages.iter().map(|stage| stage.products()).sum();
        2.0 * m as f64 * products as f64 + ForwardMap::<T>::flops(&self.head, m)
    }

    fn scratch(&self, m: usize) -> usize {
        let head = self.ends.0 * m + ForwardMap::<T>::scratch(&self.head, m);
        2 * LOST + ForwardMap::<T>::arranged(self, m) + self.rooms() + head
    }

    fn arranged(&self, m: usize) -> usize {
        self.paired.as_ref().map_or(0, |paired| paired.arranged(m))
    }

    fn arrange(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        if let Some(paired) = &self.paired {
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
        let (m, features) = (inputs.ncols(), self.ends.0);
        let (rooms, rest) = aligned(scratch).split_at_mut(self.rooms());
        let (reached, rest) = rest.split_at_mut(features * m);
        let each = members.rows().into_iter();
        for (member, out) in each.zip(outputs.axis_chunks_iter_mut(Axis(0), 1)) {
            let of_member = member.to_slice().expect("row-major");
            match &self.paired {
                Some(paired) => paired.evaluate(
                    (T::single(of_member).expect(SINGLE), self.activation),
                    T::single(arranged).expect(SINGLE),
                    T::single_mut(reached).expect(SINGLE),
                    T::single_mut(rooms).expect(SINGLE),
                ),
                None => self.all_chunks(of_member, inputs, reached, rooms),
            }
            let reached = ArrayView2::from_shape((features, m), &*reached).expect("room");
            let head = member.slice(s![self.body_parameters()..]);
            self.head
                .evaluate(head.insert_axis(Axis(0)), reached, out, rest);
        }
    }
}

#[cfg(test)]
mod tests;
