//! Sums over a window of pairs of bfloat16, for sixteen units and sixteen samples, at up to four places beside each other:
//! what a convolution does in mixed precision.
//!
//! A *row* is sixteen samples' pairs of two channels at one place. The window reads as many runs of rows that follow each
//! other as it is high: the channels of a place stand together, and a place's next one after it. So a run is what the matrix
//! unit reads (`amx`), sixteen rows at a time, whose weights beyond the window's last are zero. Each sum begins with the bias.

use crate::kernels::amx;
use crate::kernels::bfloat::{halves, places};

/// Samples of a row.
pub const LANES: usize = 16;

/// Units whose sums are formed together.
pub const UNITS: usize = 16;

/// Places whose sums are formed together.
pub const PLACES: usize = 4;

/// Rows that may be read beyond a window's last; they must hold numbers.
pub const BEYOND: usize = amx::SIDE;

/// Numbers of a tile of weights: sixteen units', for sixteen rows.
const TILE: usize = UNITS * amx::SIDE;

/// The rows a window reads.
#[derive(Clone, Copy, Debug)]
pub struct WindowShape {
    /// Runs of rows.
    pub height: usize,
    /// Rows of a run.
    pub length: usize,
    /// Rows from one run's first to the next one's.
    pub down: usize,
    /// Rows from one place to the next.
    pub along: usize,
}

impl WindowShape {
    /// Tiles of weights that a run takes.
    fn tiles(&self) -> usize {
        self.length.div_ceil(amx::SIDE)
    }

    /// Numbers that `put_weights` writes for `units` units.
    #[must_use]
    pub fn weights(&self, units: usize) -> usize {
        units.div_ceil(UNITS) * self.height * self.tiles() * TILE
    }

    /// Puts the weights in the order in which they are read: `pair` tells that of unit o for row k of run i, rounded.
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

    /// All runs' rows in the order of summation: run, row.
    pub(super) fn terms(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let length = self.length;
        (0..self.height).flat_map(move |run| (0..length).map(move |k| (run, k)))
    }
}

/// Puts units' biases as sums are begun from them: each `LANES` times, zeros for the units missing.
pub fn put_biases(biases: &[f32], out: &mut [f32]) {
    let biases = biases.iter().chain(std::iter::repeat(&0.0));
    for (out, &bias) in out.chunks_exact_mut(LANES).zip(biases) {
        out.fill(bias);
    }
}

/// Sixteen units' sums at up to four places.
#[derive(Debug)]
pub struct WindowSums<'a> {
    /// The rows read at a place.
    pub shape: WindowShape,
    /// These units' weights as `put_weights` puts them.
    pub weights: &'a [u32],
    /// Their biases, each `LANES` times.
    pub biases: &'a [f32],
    /// How many units there are, at most `UNITS`; beyond them sums are of no meaning, but for that of a pair.
    pub units: usize,
    /// Rows.
    pub inputs: &'a [u32],
    /// The first row read at the first place.
    pub first: usize,
    /// How many places there are, at most `PLACES`; beyond them sums are of no meaning.
    pub places: usize,
}

impl WindowSums<'_> {
    /// The first row read at a place, or at the last.
    fn start(&self, place: usize) -> usize {
        self.first + place.min(self.places - 1) * self.shape.along
    }

    /// The row of a place's input.
    #[inline(always)]
    pub(super) fn inputs_of(&self, run: usize, k: usize, place: usize) -> &[u32; LANES] {
        let row = self.start(place) + run * self.shape.down + k;
        self.inputs[row * LANES..].first_chunk().expect("a row")
    }

    /// The weights of run `run`'s row k: unit o's at o `LANES`.
    #[inline(always)]
    pub(super) fn weights_of(&self, run: usize, k: usize) -> &[u32] {
        let tile = run * self.shape.tiles() + k / amx::SIDE;
        &self.weights[tile * TILE..][..TILE][k % amx::SIDE..]
    }
}

/// Each place's sums of each unit, on sixteen samples.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Sums(pub [[[f32; LANES]; UNITS]; PLACES]);

impl Default for Sums {
    fn default() -> Self {
        Self([[[0.0; LANES]; UNITS]; PLACES])
    }
}

/// Forms sums; as long as it lives this thread holds the matrix unit, where there is one, and `panel_product` must not be
/// called.
#[derive(Debug)]
pub struct Summer {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    tiles: Option<amx::Tiles>,
}

impl Summer {
    /// Ready to form sums on this thread.
    #[must_use]
    pub fn ready() -> Self {
        Self {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            tiles: amx::Tiles::hold(),
        }
    }

    /// The window's sums.
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
        if super::dot::is_there() {
            return super::dot::window(window, sums);
        }
        plain(window, sums);
    }
}

/// The same by single-precision instructions.
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

/// Pairs of numbers rounded to bfloat16 whose halves, as whole numbers with a sign, are in the order of the numbers they
/// stand for; of its own result it makes the pairs again. NaN, as `super::rounded` writes it, is the largest.
#[inline(always)]
#[must_use]
pub fn ordered(pair: u32) -> u32 {
    let signs = pair & 0x8000_8000;
    pair ^ (signs - (signs >> 15))
}

/// Units' sums that are to be rounded and written as rows, two units each.
#[derive(Debug)]
pub struct PutRows<'a> {
    /// Each place's sums.
    pub sums: &'a [[[f32; LANES]; UNITS]],
    /// How many units there are, at most `UNITS`.
    pub units: usize,
    /// Whether rows are `ordered`.
    pub in_order: bool,
    /// From the first row that is written on.
    pub out: &'a mut [u32],
    /// Rows from place to place.
    pub along: usize,
}

impl PutRows<'_> {
    /// Rounds and writes.
    pub fn put(mut self) {
        #[cfg(target_arch = "x86_64")]
        if super::dot::is_there() && super::dot::put_rows(&mut self) {
            return;
        }
        self.put_plainly();
    }

    /// The same without the instruction for it.
    fn put_plainly(self) {
        pulp::Arch::new().dispatch(self);
    }

    /// Each place's sums, two units each, and its rows.
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
