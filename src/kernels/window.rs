//! Sums over a window, for several units and all samples at once: s_o = b_o + sum_k w_ko x_k.
//!
//! A convolution computes them at each place and a recurrent layer at each step. They are too small for a general
//! product: sums of eight units on three vectors of samples stay in registers, each input is loaded once for eight
//! units, each weight once for three vectors. Every sum runs over the weights in order, whatever the width of the
//! vectors.
//!
//! Written here because no crate offers such sums on samples that run fastest; a general product would first copy every window.

use pulp::Simd;

use crate::kernels::simd::SimdFloat;

/// The number of units whose weights are stored next to each other.
pub const TOGETHER: usize = 8;

/// The number of samples of a chunk: three vectors of 512 bits in single precision.
pub const CHUNK: usize = 48;

/// The samples of a chunk are padded to a multiple of this: whole vectors on every machine.
pub const FULL: usize = 16;

/// The rows of the inputs that a sum reads: `channels` times `rows` runs of `columns` consecutive rows.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The number of channels.
    pub channels: usize,
    /// The number of runs in a channel.
    pub rows: usize,
    /// The number of consecutive input rows of a run.
    pub columns: usize,
    /// The first input row, and its distance between channels and between runs.
    pub input: [usize; 3],
    /// The first weight, and its distance between channels and between runs.
    pub weight: [usize; 3],
}

/// The operands of one window's sums for all units and samples.
#[derive(Debug)]
pub struct WindowSums<'a, T> {
    /// The input rows that are summed.
    pub window: Window,
    /// The inputs: rows of `samples` numbers.
    pub inputs: &'a [T],
    /// The biases and weights, packed by `pack` for `taps` weights a unit.
    pub weights: &'a [T],
    /// The number of weights of a unit.
    pub taps: usize,
    /// The output: rows of `samples` numbers. The sums of unit o go to row `place` + o `stride`.
    pub outputs: &'a mut [T],
    /// The row of the first unit.
    pub place: usize,
    /// The distance in rows from one unit to the next.
    pub stride: usize,
    /// The number of units.
    pub units: usize,
    /// The number of samples of a row, a multiple of `FULL`.
    pub samples: usize,
}

/// Returns the number of elements that `pack` writes for `units` of `taps` weights each.
#[must_use]
pub fn packed(units: usize, taps: usize) -> usize {
    units.div_ceil(TOGETHER) * TOGETHER * (taps + 1)
}

/// Packs biases and weights in the order in which `WindowSums` reads them: for every eight units their biases, then
/// their first weights, their second, ..., with zeros for missing units. `weight(o, k)` returns the k-th weight of unit
/// o.
pub fn pack<T: num_traits::Zero + Copy>(
    out: &mut [T],
    biases: &[T],
    taps: usize,
    weight: impl Fn(usize, usize) -> T,
) {
    let blocks = out.chunks_mut(TOGETHER * (taps + 1)).enumerate();
    for (block, out) in blocks {
        let first = block * TOGETHER;
        let present = TOGETHER.min(biases.len().saturating_sub(first));
        let (bias, weights) = out.split_at_mut(TOGETHER);
        bias.fill(T::zero());
        bias[..present].copy_from_slice(&biases[first..first + present]);
        for (k, out) in weights.chunks_mut(TOGETHER).enumerate() {
            out.fill(T::zero());
            for (o, out) in out[..present].iter_mut().enumerate() {
                *out = weight(first + o, k);
            }
        }
    }
}

impl pulp::WithSimd for WindowSums<'_, f32> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.all(simd);
    }
}

impl pulp::WithSimd for WindowSums<'_, f64> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.all(simd);
    }
}

impl<T> WindowSums<'_, T> {
    /// Computes the sums of every unit on every sample.
    #[inline(always)]
    fn all<S: Simd>(mut self, simd: S)
    where
        T: SimdFloat<S>,
    {
        for block in 0..self.units.div_ceil(TOGETHER) {
            let left = self.units - block * TOGETHER;
            // Sixteen registers hold four units on three vectors, thirty-two hold eight.
            if S::REGISTER_COUNT >= 32 && left > TOGETHER / 2 {
                self.units::<S, TOGETHER>(simd, block * TOGETHER, 0);
            } else {
                self.units::<S, { TOGETHER / 2 }>(simd, block * TOGETHER, 0);
                if left > TOGETHER / 2 {
                    self.units::<S, { TOGETHER / 2 }>(simd, block * TOGETHER, TOGETHER / 2);
                }
            }
        }
    }

    /// Computes `O` units, beginning at unit `first` + `half`, on every sample.
    #[inline(always)]
    fn units<S: Simd, const O: usize>(&mut self, simd: S, first: usize, half: usize)
    where
        T: SimdFloat<S>,
    {
        let lanes = size_of::<T::Vector>() / size_of::<T>();
        let vectors = self.samples / lanes;
        let mut at = 0;
        while at + 3 <= vectors {
            self.tile::<S, O, 3>(simd, first, half, at, vectors);
            at += 3;
        }
        while at < vectors {
            self.tile::<S, O, 1>(simd, first, half, at, vectors);
            at += 1;
        }
    }

    /// Computes `O` units on `N` vectors of samples, beginning at vector `at` of the `vectors` of a row.
    #[inline(always)]
    fn tile<S: Simd, const O: usize, const N: usize>(
        &mut self,
        simd: S,
        first: usize,
        half: usize,
        at: usize,
        vectors: usize,
    ) where
        T: SimdFloat<S>,
    {
        let window = self.window;
        let inputs = T::vectors(self.inputs);
        let (bias, weights) = self.weights[first * (self.taps + 1)..].split_at(TOGETHER);
        let mut sums = [[T::splat(simd, bias[0]); N]; O];
        for (sums, &bias) in sums.iter_mut().zip(&bias[half..half + O]) {
            *sums = [T::splat(simd, bias); N];
        }
        for channel in 0..window.channels {
            for row in 0..window.rows {
                let start = |[first, by_channel, by_row]: [usize; 3]| {
                    first + channel * by_channel + row * by_row
                };
                let mut x = start(window.input) * vectors + at;
                let mut w = start(window.weight) * TOGETHER + half;
                for _ in 0..window.columns {
                    let inputs: &[T::Vector; N] = inputs[x..].first_chunk().expect("inputs");
                    let weights: &[T; O] = weights[w..].first_chunk().expect("weights");
                    for (sums, &weight) in sums.iter_mut().zip(weights) {
                        let weight = T::splat(simd, weight);
                        for (sum, &input) in sums.iter_mut().zip(inputs) {
                            *sum = T::multiply_add(simd, weight, input, *sum);
                        }
                    }
                    x += vectors;
                    w += TOGETHER;
                }
            }
        }
        let outputs = T::vectors_mut(self.outputs);
        let units = self.units - (first + half);
        for (o, sums) in sums.iter().enumerate().take(units) {
            let row = (self.place + (first + half + o) * self.stride) * vectors + at;
            outputs[row..row + N].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::real::Real;

    fn check<T: Real>(units: usize, samples: usize, tolerance: f64) {
        let (height, width, channels) = (4, 5, 2);
        let number = |i: usize| T::from_f64(((i * 7919 + 31) % 199) as f64 / 100.0 - 1.0);
        let taps = channels * 2 * 3;
        let x: Vec<T> = (0..channels * height * width * samples)
            .map(number)
            .collect();
        let biases: Vec<T> = (0..units).map(|o| number(o + 5)).collect();
        let weight = |o: usize, k: usize| number(o * 17 + k);
        let mut weights = vec![T::nan(); packed(units, taps)];
        pack(&mut weights, &biases, taps, weight);
        let mut out = vec![T::zero(); (1 + units * 2) * samples];
        T::window_sums(WindowSums {
            window: Window {
                channels,
                rows: 2,
                columns: 3,
                input: [width + 1, height * width, width],
                weight: [0, 6, 3],
            },
            inputs: &x,
            weights: &weights,
            taps,
            outputs: &mut out,
            place: 1,
            stride: 2,
            units,
            samples,
        });
        for o in 0..units {
            for i in 0..samples {
                let mut want = biases[o].as_f64();
                for k in 0..taps {
                    let (c, y, column) = (k / 6, k / 3 % 2, k % 3);
                    let row = c * height * width + (y + 1) * width + 1 + column;
                    want += weight(o, k).as_f64() * x[row * samples + i].as_f64();
                }
                let got = out[(1 + 2 * o) * samples + i].as_f64();
                assert!((got - want).abs() < tolerance, "{o} {i}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn sums_are_the_definitions_for_any_number_of_units_and_samples() {
        for units in [1, 4, 5, 8, 12, 19] {
            for samples in [16, 32, 48, 64] {
                check::<f32>(units, samples, 1e-5);
                check::<f64>(units, samples, 1e-14);
            }
        }
    }
}
