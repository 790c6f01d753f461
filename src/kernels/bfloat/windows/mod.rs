//! Sums over a window of pairs of bfloat16, for sixteen units and sixteen samples, at up to four neighbouring places:
//! what a convolution computes in mixed precision.
//!
//! A *row* holds the pairs of two channels at one place for sixteen samples. A window reads as many runs of consecutive
//! rows as it is high: the channels of a place follow each other, then those of the next place. The matrix unit (`amx`)
//! reads a run sixteen rows at a time; weights beyond the window's last row are zero. Each sum begins with the bias.

use crate::kernels::amx;
use crate::kernels::bfloat::{halves, places};

/// The number of samples of a row.
pub const LANES: usize = 16;

/// The number of units whose sums are computed together.
pub const UNITS: usize = 16;

/// The number of places whose sums are computed together.
pub const PLACES: usize = 4;

/// The number of rows that may be read beyond a window's last; they must hold numbers.
pub const BEYOND: usize = amx::SIDE;

/// The number of weights of a tile: those of sixteen units for sixteen rows.
const TILE: usize = UNITS * amx::SIDE;

/// The rows that a window reads.
#[derive(Clone, Copy, Debug)]
pub struct WindowShape {
    /// The number of runs of rows.
    pub height: usize,
    /// The number of rows of a run.
    pub length: usize,
    /// The number of rows from the start of one run to the start of the next.
    pub down: usize,
    /// The number of rows from one place to the next.
    pub along: usize,
}

impl WindowShape {
    /// Returns the number of tiles of weights for one run.
    fn tiles(&self) -> usize {
        self.length.div_ceil(amx::SIDE)
    }

    /// Returns the number of weights that `put_weights` writes for `units` units.
    #[must_use]
    pub fn weights(&self, units: usize) -> usize {
        units.div_ceil(UNITS) * self.height * self.tiles() * TILE
    }

    /// Writes the weights in the order in which they are read. `pair(o, i, k)` returns the rounded weights of unit o
    /// for row k of run i.
    pub fn put_weights(
        &self,
        units: usize,
        out: &mut [u32],
        pair: impl Fn(usize, usize, usize) -> u32,
    ) {
        let mut tiles = out.chunks_exact_mut(TILE);
        for first in (0..units).step_by(UNITS) {
            for run in 0..self.height {
                for start in (0..self.length).step_by(amx::SIDE) {
                    let tile = tiles.next().expect("a tile for each");
                    tile.fill(0);
                    let count = amx::SIDE.min(self.length - start);
                    let of_units = tile.chunks_exact_mut(amx::SIDE).zip(first..units);
                    for (tile, unit) in of_units {
                        let numbers = tile[..count].iter_mut().enumerate();
                        numbers.for_each(|(k, out)| *out = pair(unit, run, start + k));
                    }
                }
            }
        }
    }

    /// Returns all (run, row) pairs in the order of summation.
    pub(super) fn terms(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let length = self.length;
        (0..self.height).flat_map(move |run| (0..length).map(move |k| (run, k)))
    }
}

/// Writes the units' biases as the sums start from them: each `LANES` times, zeros for missing units.
pub fn put_biases(biases: &[f32], out: &mut [f32]) {
    let biases = biases.iter().chain(std::iter::repeat(&0.0));
    for (out, &bias) in out.chunks_exact_mut(LANES).zip(biases) {
        out.fill(bias);
    }
}

/// The input of the sums of up to sixteen units at up to four places.
#[derive(Debug)]
pub struct WindowSums<'a> {
    /// The rows read at each place.
    pub shape: WindowShape,
    /// The weights of these units, written by `put_weights`.
    pub weights: &'a [u32],
    /// The biases of these units, each `LANES` times.
    pub biases: &'a [f32],
    /// The number of units, at most `UNITS`. Sums of units beyond it are meaningless, except the one that completes a
    /// pair.
    pub units: usize,
    /// Input rows.
    pub inputs: &'a [u32],
    /// The first row read at the first place.
    pub first: usize,
    /// The number of places, at most `PLACES`. Sums of places beyond it are meaningless.
    pub places: usize,
}

impl WindowSums<'_> {
    /// Returns the first row read at a place; for places beyond the last, that of the last.
    fn start(&self, place: usize) -> usize {
        self.first + place.min(self.places - 1) * self.shape.along
    }

    /// Returns row `k` of run `run` at a place.
    #[inline(always)]
    pub(super) fn inputs_of(&self, run: usize, k: usize, place: usize) -> &[u32; LANES] {
        let row = self.start(place) + run * self.shape.down + k;
        self.inputs[row * LANES..].first_chunk().expect("a row")
    }

    /// Returns the weights for row `k` of run `run`: the weight of unit o is number o `LANES`.
    #[inline(always)]
    pub(super) fn weights_of(&self, run: usize, k: usize) -> &[u32] {
        let tile = run * self.shape.tiles() + k / amx::SIDE;
        &self.weights[tile * TILE..][..TILE][k % amx::SIDE..]
    }
}

/// The sums of each unit at each place, on sixteen samples.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Sums(pub [[[f32; LANES]; UNITS]; PLACES]);

impl Default for Sums {
    fn default() -> Self {
        Self([[[0.0; LANES]; UNITS]; PLACES])
    }
}

/// Computes the sums of windows. While it lives, its thread holds the matrix unit, if there is one, and must not call
/// `panel_product`.
#[derive(Debug)]
pub struct Summer {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    tiles: Option<amx::Tiles>,
}

impl Summer {
    /// Prepares this thread to compute sums.
    #[must_use]
    pub fn ready() -> Self {
        Self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            tiles: amx::Tiles::hold(),
        }
    }

    /// Computes the sums of a window.
    pub fn sum(&mut self, window: &WindowSums, sums: &mut Sums) {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(tiles) = &mut self.tiles {
            let shape = window.shape;
            let counts = [shape.height, shape.tiles()];
            let starts = std::array::from_fn(|place| window.start(place));
            let (inputs, _) = window.inputs.as_chunks();
            let (weights, biases) = (window.weights, window.biases);
            return tiles.windows(
                (counts, shape.down),
                (weights, biases),
                (inputs, starts),
                &mut sums.0,
            );
        }
        #[cfg(target_arch = "x86_64")]
        if super::dot::is_available() {
            return super::dot::window_sums(window, sums);
        }
        plain(window, sums);
    }
}

/// Computes the sums of a window by single-precision instructions.
fn plain(window: &WindowSums, sums: &mut Sums) {
    pulp::Arch::new().dispatch(Plain(window, sums));
}

struct Plain<'a, 'b>(&'a WindowSums<'a>, &'b mut Sums);

impl pulp::WithSimd for Plain<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        const TOGETHER: usize = 4;
        let Self(window, sums) = self;
        for (place, sums) in sums.0[..window.places].iter_mut().enumerate() {
            for first in (0..window.units).step_by(TOGETHER) {
                let mut totals = [[0.0_f32; LANES]; TOGETHER];
                for (o, totals) in totals.iter_mut().enumerate() {
                    *totals = [window.biases[(first + o) * LANES]; LANES];
                }
                for run in 0..window.shape.height {
                    for k in 0..window.shape.length {
                        let pairs = window.inputs_of(run, k, place);
                        let [even, odd] = [0, 1].map(|half| pairs.map(|pair| halves(pair)[half]));
                        let weights = &window.weights_of(run, k)[first * amx::SIDE..];
                        for (o, totals) in totals.iter_mut().enumerate() {
                            let weight = halves(weights[o * amx::SIDE]);
                            for ((total, even), odd) in totals.iter_mut().zip(even).zip(odd) {
                                *total = weight[0].mul_add(even, weight[1].mul_add(odd, *total));
                            }
                        }
                    }
                }
                sums[first..first + TOGETHER].copy_from_slice(&totals);
            }
        }
    }
}

/// Maps the two halves of a pair of bfloat16 to signed integers in the same order as the numbers they stand for;
/// applied twice it returns the pair. NaN, as `super::rounded` writes it, is the largest.
#[inline(always)]
#[must_use]
pub fn ordered(pair: u32) -> u32 {
    let signs = pair & 0x8000_8000;
    pair ^ (signs - (signs >> 15))
}

/// Sums of units that are to be rounded and written as rows, two units to a row.
#[derive(Debug)]
pub struct PutRows<'a> {
    /// The sums at each place.
    pub sums: &'a [[[f32; LANES]; UNITS]],
    /// The number of units, at most `UNITS`.
    pub units: usize,
    /// If true, rows are mapped by `ordered`.
    pub in_order: bool,
    /// The output, from the first row to be written.
    pub out: &'a mut [u32],
    /// The number of rows from one place to the next.
    pub along: usize,
}

impl PutRows<'_> {
    /// Rounds and writes the sums.
    pub fn put(mut self) {
        #[cfg(target_arch = "x86_64")]
        if super::dot::is_available() && super::dot::put_rows(&mut self) {
            return;
        }
        self.put_plainly();
    }

    /// Rounds and writes the sums by single-precision instructions.
    fn put_plainly(self) {
        pulp::Arch::new().dispatch(self);
    }

    /// Returns for each place its sums, in pairs of units, and its output rows.
    #[inline(always)]
    pub(super) fn places(
        &mut self,
    ) -> impl Iterator<Item = (&[[[f32; LANES]; 2]], &mut [[u32; LANES]])> {
        let rows = places(self.units);
        let outs = self.out.chunks_mut(self.along * LANES);
        self.sums.iter().zip(outs).map(move |(sums, out)| {
            let (sums, out) = (sums.as_chunks().0, out.as_chunks_mut().0);
            (&sums[..rows], &mut out[..rows])
        })
    }
}

impl pulp::WithSimd for PutRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(mut self, _: S) {
        let in_order = self.in_order;
        for (sums, rows) in self.places() {
            for ([even, odd], row) in sums.iter().zip(rows) {
                for ((pair, &even), &odd) in row.iter_mut().zip(even).zip(odd) {
                    let both = super::pair_of(even, odd);
                    *pair = if in_order { ordered(both) } else { both };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
