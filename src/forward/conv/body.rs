//! The layers of a convolutional network before the dense ones, or some that follow each other of them.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::paired::Paired;
use crate::config::Activation;
use crate::forward::chunk::{chunks, copy_in, copy_out};
use crate::forward::layers::ImageShape;
use crate::forward::stage::{Stage, clip, pool};
use crate::kernels::real::Real;
use crate::kernels::window::{CHUNK, Window, WindowSums, pack};

/// Such layers, on inputs of one shape.
#[derive(Clone, Debug)]
pub struct Convolutions {
    pub(super) input: ImageShape,
    pub(super) stages: Vec<Stage>,
    pub(super) activation: Activation,
    /// The stages where products are of bfloat16; single precision alone has them.
    pub(super) paired: Option<Paired>,
}

impl Convolutions {
    /// The same with products of bfloat16.
    pub(super) fn in_mixed_precision(self) -> Self {
        Self {
            paired: (!self.stages.is_empty()).then(|| Paired::new(&self.stages)),
            ..self
        }
    }

    /// The first `at` layers, and the others.
    pub(super) fn cut(&self, at: usize) -> (Self, Self) {
        let part = |input, stages: &[Stage]| {
            let part = Self {
                input,
                stages: stages.to_vec(),
                activation: self.activation,
                paired: None,
            };
            match &self.paired {
                Some(_) => part.in_mixed_precision(),
                None => part,
            }
        };
        let (before, after) = self.stages.split_at(at);
        let before = part(self.input, before);
        let between = before.output();
        (before, part(between, after))
    }

    /// The shape of what it gives.
    pub(super) fn output(&self) -> ImageShape {
        self.stages.last().map_or(self.input, |stage| stage.to())
    }

    /// (Channels out, taps, the prior's deviation) of each convolution: Glorot's, with fans counted over the kernel.
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
        (from, units, kernel): (ImageShape, usize, usize),
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

    /// All layers on one chunk, which stands in the first of `rooms`; returns where the result is.
    fn chunk<'r, T: Real>(
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

    /// Numbers that `all_chunks` needs.
    pub(super) fn chunk_rooms(&self) -> usize {
        (2 * self.largest() + self.input.width) * CHUNK + self.packed()
    }

    /// Writes the features of `member` on all samples, features x m, chunk by chunk.
    pub(super) fn all_chunks<T: Real>(
        &self,
        member: &[T],
        inputs: ArrayView2<T>,
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        let (m, features) = (inputs.ncols(), self.output().size());
        let mut reached = ArrayViewMut2::from_shape((features, m), reached).expect("room");
        let (here, rest) = rooms.split_at_mut(self.largest() * CHUNK);
        let (there, rest) = rest.split_at_mut(self.largest() * CHUNK);
        let (line, weights) = rest.split_at_mut(self.input.width * CHUNK);
        self.pack(member, weights);
        for chunk in chunks(m) {
            copy_in(inputs, chunk, here);
            let result = self.chunk(weights, [here, there], line, chunk.2);
            copy_out(&result[..features * chunk.2], chunk, reached.view_mut());
        }
    }
}
