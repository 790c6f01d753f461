//! The layers of a convolutional network before the dense ones, or some that follow each other of them.

use ndarray::{ArrayView2, ArrayViewMut2};

use super::paired::Paired;
use crate::config::Activation;
use crate::forward::SINGLE;
use crate::forward::chunk::{chunks, copy_in, copy_out};
use crate::forward::layers::ImageShape;
use crate::forward::stage::{Stage, clip, pool};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::real::Real;
use crate::kernels::window::{CHUNK, Window, WindowSums, pack};

/// Such layers, on inputs of one shape.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub input: ImageShape,
    pub stages: Vec<Stage>,
    pub activation: Activation,
    /// The stages where products are of bfloat16; single precision alone has them.
    pub paired: Option<Paired>,
}

impl Body {
    /// The same with products of bfloat16.
    pub fn in_mixed_precision(self) -> Self {
        Self {
            paired: (!self.stages.is_empty()).then(|| Paired::new(&self.stages)),
            ..self
        }
    }

    /// The first `at` layers, and the others.
    pub fn cut(&self, at: usize) -> (Self, Self) {
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
    pub fn output(&self) -> ImageShape {
        self.stages.last().map_or(self.input, |stage| stage.to())
    }

    pub fn parameters(&self) -> usize {
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

    pub fn flops(&self, m: usize) -> f64 {
        let products: usize = self.stages.iter().map(|stage| stage.products()).sum();
        2.0 * m as f64 * products as f64
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

    /// Numbers that the layers need.
    pub fn rooms(&self) -> usize {
        match &self.paired {
            Some(paired) => paired.scratch(),
            None => (2 * self.largest() + self.input.width) * CHUNK + self.packed(),
        }
    }

    pub fn arranged(&self, m: usize) -> usize {
        self.paired.as_ref().map_or(0, |paired| paired.arranged(m))
    }

    pub fn arrange<T: Real>(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        if let Some(paired) = &self.paired {
            paired.arrange(inputs, T::single_mut(arranged).expect(SINGLE));
        }
    }

    /// What `member` makes of all samples, the inputs d x m and as they are `arranged`: features x m.
    pub fn reach<T: Real>(
        &self,
        member: &[T],
        (inputs, arranged): (ArrayView2<T>, &[T]),
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        match &self.paired {
            Some(paired) => paired.evaluate(
                (T::single(member).expect(SINGLE), self.activation),
                T::single(arranged).expect(SINGLE),
                T::single_mut(reached).expect(SINGLE),
                T::single_mut(rooms).expect(SINGLE),
            ),
            None => self.all_chunks(member, inputs, reached, rooms),
        }
    }

    /// As `reach`, of the layers' own parameters `point`, in room made for it.
    pub fn reach_once<T: Real>(&self, point: &[T], inputs: ArrayView2<T>, reached: &mut [T]) {
        let arranged_size = self.arranged(inputs.ncols());
        let mut room = vec![T::zero(); arranged_size + self.rooms() + 2 * LOST];
        let (arranged, rooms) = aligned(&mut room).split_at_mut(arranged_size);
        self.arrange(inputs, arranged);
        self.reach(point, (inputs, arranged), reached, aligned(rooms));
    }

    fn all_chunks<T: Real>(
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
