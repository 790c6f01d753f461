//! One layer of a convolutional network before the dense ones: what shape it makes of what, its sizes, and pooling,
//! z_yx = max_ij h_(sy+i)(sx+j).

use super::layers::{ImageShape, Layer};
use crate::kernels::real::Real;
use crate::kernels::window::packed;

/// A layer before the dense ones, with the shape it is given.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// 'same' padding, stride 1, `outputs` channels, kernels of side `kernel`.
    Convolution {
        from: ImageShape,
        outputs: usize,
        kernel: usize,
    },
    /// The largest of each window of side `window`.
    Pool {
        from: ImageShape,
        window: usize,
        stride: usize,
    },
}

impl Stage {
    /// It in the configuration's words.
    pub fn layer(self) -> Layer {
        match self {
            Self::Convolution {
                outputs, kernel, ..
            } => Layer::Convolution { outputs, kernel },
            Self::Pool { window, stride, .. } => Layer::Pool { window, stride },
        }
    }

    /// The shape it gives.
    pub fn to(self) -> ImageShape {
        match self {
            Self::Convolution { from, outputs, .. } => ImageShape {
                channels: outputs,
                ..from
            },
            Self::Pool {
                from,
                window,
                stride,
            } => ImageShape {
                height: (from.height - window) / stride + 1,
                width: (from.width - window) / stride + 1,
                ..from
            },
        }
    }

    /// Weights of one unit, units; (0, 0) of a pool.
    pub fn size(self) -> (usize, usize) {
        match self {
            Self::Convolution {
                from,
                outputs,
                kernel,
            } => (from.channels * kernel * kernel, outputs),
            Self::Pool { .. } => (0, 0),
        }
    }

    /// Its parameters.
    pub fn parameters(self) -> usize {
        let (taps, units) = self.size();
        (taps + 1) * units
    }

    /// Numbers its weights take as `pack` puts them.
    pub fn packed(self) -> usize {
        let (taps, units) = self.size();
        packed(units, taps)
    }

    /// Products of weights and inputs on one sample; windows are clipped at the edges.
    pub fn products(self) -> usize {
        match self {
            Self::Convolution {
                from,
                outputs,
                kernel,
            } => {
                let inside =
                    |size: usize| (0..size).map(|at| clip(at, kernel, size).2).sum::<usize>();
                outputs * from.channels * inside(from.height) * inside(from.width)
            }
            Self::Pool { .. } => 0,
        }
    }
}

/// The part of a window of `kernel` centred at `at` that lies in 0..`size`: its first input, first tap, and length.
pub fn clip(at: usize, kernel: usize, size: usize) -> (usize, usize, usize) {
    let before = (kernel - 1) / 2;
    let tap = before.saturating_sub(at);
    let first = at.saturating_sub(before);
    let end = (at + kernel - before).min(size);
    (first, tap, end - first)
}

/// The largest of each window, first down, then along the line that leaves.
pub fn pool<T: Real>(
    (from, window, stride): (ImageShape, usize, usize),
    inputs: &[T],
    outputs: &mut [T],
    line: &mut [T],
    samples: usize,
) {
    let (across, line) = (from.width * samples, &mut line[..from.width * samples]);
    let to = Stage::Pool {
        from,
        window,
        stride,
    }
    .to();
    let mut outputs = outputs.chunks_exact_mut(to.width * samples);
    for channel in 0..from.channels {
        for y in 0..to.height {
            let first = (channel * from.height + y * stride) * across;
            line.copy_from_slice(&inputs[first..first + across]);
            for row in inputs[first + across..first + window * across].chunks_exact(across) {
                keep_largest(line, row);
            }
            let out = outputs.next().expect("a line for each");
            for (x, out) in out.chunks_exact_mut(samples).enumerate() {
                let first = x * stride * samples;
                out.copy_from_slice(&line[first..first + samples]);
                let others = &line[first + samples..first + window * samples];
                for place in others.chunks_exact(samples) {
                    keep_largest(out, place);
                }
            }
        }
    }
}

/// The larger of each pair in `largest`; NaN if either is, so that the member counts as failed.
fn keep_largest<T: Real>(largest: &mut [T], others: &[T]) {
    for (largest, &x) in largest.iter_mut().zip(others) {
        let larger = if x > *largest { x } else { *largest };
        *largest = if x.is_nan() { x } else { larger };
    }
}
