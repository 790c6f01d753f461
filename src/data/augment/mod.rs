//! Data augmentation: training images are shifted and distorted a little, anew in each epoch, so that the network
//! learns what such changes do not alter.
//!
//! ```text
//! x'(c, p) = x(c, o + (I + E) (p + f(p) - s - o))      c channel, p pixel, o the image's centre
//! ```
//!
//! s is a shift by whole pixels; E, 2 x 2, rotates, stretches and shears; f is a smooth field of displacements, cubic
//! B-splines through values at every sixth pixel. Images are read between pixels by bilinear interpolation, with 0
//! beyond the edge. s, E and f of a sample in an epoch are drawn from (seed, epoch, sample) alone, each number
//! uniformly. After Simard, Steinkraus & Platt, ICDAR 2003, whose field is noise smoothed by a Gaussian.

use ndarray::{Array2, Axis};
use rand::RngExt as _;
use rayon::ThreadPool;

use super::{Batch, GATHERED};
use crate::kernels::real::Real;
use crate::kernels::rng::{Key, Purpose};
use crate::kernels::threads::for_each;

/// The settings of a run's augmentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augment {
    /// The run's seed.
    pub seed: u64,
    /// The largest shift n in pixels in each direction: s is in -n ..= n.
    pub shift: usize,
    /// The bound a of each entry of E, in [0, 1): E is in -a .. a.
    pub distort: f64,
    /// The bound of the displacements at the field's nodes, in pixels.
    pub warp: f64,
    /// The number of epochs after which images are only shifted; None: distorted to the end.
    pub epochs: Option<u64>,
    /// Channels, height and width of an image.
    pub image: (usize, usize, usize),
}

/// The shift and distortion of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// s: rows and columns.
    pub shift: [f64; 2],
    /// I + E, for rows and columns.
    pub map: [[f64; 2]; 2],
    /// f: displacements at nodes PITCH pixels apart, the first one node before the corner, row after row; empty for no
    /// field.
    pub field: Vec<[f64; 2]>,
    /// The number of nodes in a row.
    pub nodes: usize,
}

/// The distance in pixels between the nodes of a field of displacements.
const PITCH: usize = 6;

impl Change {
    /// Returns the shift in rows and columns if the change is nothing but a shift.
    fn shift_alone(&self) -> Option<[isize; 2]> {
        let alone = self.field.is_empty() && self.map == [[1.0, 0.0], [0.0, 1.0]];
        alone.then(|| self.shift.map(|pixels| pixels as isize))
    }

    /// Computes for the pixels of row `y` the rows and columns from which they are read, into `places`. `centre` is the
    /// image's centre, row and column.
    #[inline(always)]
    fn sources(&self, blends: &Blends, centre: [f64; 2], y: usize, places: [&mut [f64]; 2]) {
        let [rows, columns] = places.map(|side| side.chunks_mut(PITCH));
        for (cell, (rows, columns)) in rows.zip(columns).enumerate() {
            let first = y / PITCH * self.nodes + cell;
            let moved = self.displacements(&blends[y % PITCH], first);
            for (i, (row, column)) in rows.iter_mut().zip(columns).enumerate() {
                let pixel = [y, cell * PITCH + i];
                let from = [0, 1].map(|side| {
                    pixel[side] as f64 + moved[side][i] - self.shift[side] - centre[side]
                });
                [*row, *column] = [0, 1].map(|side| {
                    let [by_row, by_column] = self.map[side];
                    centre[side] + (by_row * from[0] + by_column * from[1])
                });
            }
        }
    }

    /// Returns the displacements, in rows and in columns, of the PITCH pixels whose nodes begin at node `first`.
    #[inline(always)]
    fn displacements(&self, blends: &[[[f64; PITCH]; 4]; 4], first: usize) -> [[f64; PITCH]; 2] {
        let mut sums = [[0.0; PITCH]; 2];
        if self.field.is_empty() {
            return sums;
        }
        for (line, line_weights) in blends.iter().enumerate() {
            let nodes = &self.field[first + line * self.nodes..];
            for (weights, node) in line_weights.iter().zip(nodes) {
                for (sums, node) in sums.iter_mut().zip(node) {
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum += weight * node;
                    }
                }
            }
        }
        sums
    }
}

impl Augment {
    /// Returns the change of `sample` in `epoch`.
    #[must_use]
    pub fn change(&self, epoch: u64, sample: usize) -> Change {
        let key = Key {
            seed: self.seed,
            purpose: Purpose::Augment,
            step: epoch,
            member: sample as u64,
            block: 0,
        };
        let (mut stream, most) = (key.stream(), self.shift as i32);
        let over = self.epochs.is_some_and(|epochs| epoch >= epochs);
        let (distort, warp) = if over {
            (0.0, 0.0)
        } else {
            (self.distort, self.warp)
        };
        let shift = [(); 2].map(|()| f64::from(stream.random_range(-most..=most)));
        let mut map = [[1.0, 0.0], [0.0, 1.0]];
        if distort > 0.0 {
            for entry in map.as_flattened_mut() {
                *entry += stream.random_range(-distort..distort);
            }
        }
        let mut field = Vec::new();
        if warp > 0.0 {
            let drawn = |_| [(); 2].map(|()| stream.random_range(-warp..warp));
            field.extend((0..nodes(self.image.1) * nodes(self.image.2)).map(drawn));
        }
        Change {
            shift,
            map,
            field,
            nodes: nodes(self.image.2),
        }
    }

    /// Changes the images of `batch`, the samples `rows` of `epoch`; `zero` is the scaled value of a pixel of 0.
    pub fn apply<T: Real>(
        &self,
        pool: &ThreadPool,
        batch: &mut Batch<T>,
        rows: &[usize],
        (epoch, zero): (u64, T),
    ) {
        let blends = blends();
        let groups = batch.inputs.axis_chunks_iter_mut(Axis(1), GATHERED);
        let groups = groups.zip(rows.chunks(GATHERED));
        for_each(pool, groups, |_, (mut group, rows)| {
            let before = group.t().as_standard_layout().into_owned();
            let mut after = Array2::from_elem(before.raw_dim(), zero);
            for ((&row, from), mut to) in rows.iter().zip(before.rows()).zip(after.rows_mut()) {
                let from = from.to_slice().expect("row-major");
                let to = to.as_slice_mut().expect("row-major");
                let change = self.change(epoch, row);
                match change.shift_alone() {
                    Some(shift) => move_by(shift, self.image, from, to),
                    None => pulp::Arch::new().dispatch(Distort {
                        change: &change,
                        blends: &blends,
                        image: self.image,
                        zero,
                        from,
                        to,
                    }),
                }
            }
            group.assign(&after.t());
        });
    }
}

/// Writes an image shifted by whole pixels; pixels that nothing is shifted to keep their value.
fn move_by<T: Real>(
    [down, right]: [isize; 2],
    (_, height, width): (usize, usize, usize),
    from: &[T],
    to: &mut [T],
) {
    let kept = width.saturating_sub(right.unsigned_abs());
    let [first, place] = [-right, right].map(|pixels| pixels.max(0).cast_unsigned());
    let planes = from.chunks_exact(height * width);
    for (from, to) in planes.zip(to.chunks_exact_mut(height * width)) {
        for (y, to) in to.chunks_exact_mut(width).enumerate() {
            let row = y.checked_add_signed(-down).filter(|row| *row < height);
            if let Some(row) = row.filter(|_| kept > 0) {
                let from = &from[row * width + first..][..kept];
                to[place..][..kept].copy_from_slice(from);
            }
        }
    }
}

/// The distortion of one image, in vectors of the processor's width.
struct Distort<'a, T> {
    change: &'a Change,
    blends: &'a Blends,
    image: (usize, usize, usize),
    /// The scaled value of a pixel of 0.
    zero: T,
    from: &'a [T],
    to: &'a mut [T],
}

/// The width in pixels of the frame of zeros around an image, from which pixels beyond the edge are read.
const MARGIN: usize = 2;

impl<T: Real> pulp::WithSimd for Distort<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let (_, height, width) = self.image;
        let centre = [height, width].map(|side| (side - 1) as f64 / 2.0);
        let size = height * width;
        let (mut rows, mut columns) = (vec![0.0; size], vec![0.0; size]);
        let places = rows.chunks_mut(width).zip(columns.chunks_mut(width));
        for (y, (rows, columns)) in places.enumerate() {
            self.change.sources(self.blends, centre, y, [rows, columns]);
        }
        let line = width + 2 * MARGIN;
        let mut framed = vec![self.zero; (height + 2 * MARGIN) * line];
        let planes = self.from.chunks_exact(size);
        for (plane, to) in planes.zip(self.to.chunks_exact_mut(size)) {
            let inside = framed.chunks_exact_mut(line).skip(MARGIN);
            for (framed, from) in inside.zip(plane.chunks_exact(width)) {
                framed[MARGIN..][..width].copy_from_slice(from);
            }
            for ((to, &row), &column) in to.iter_mut().zip(&rows).zip(&columns) {
                let ((y, down), (x, right)) = (split(row, height), split(column, width));
                let line_at = |y: usize| {
                    let [left, next] = [x, x + 1].map(|x| framed[y * line + x].as_f64());
                    (1.0 - right) * left + right * next
                };
                *to = T::from_f64((1.0 - down) * line_at(y) + down * line_at(y + 1));
            }
        }
    }
}

/// Returns the pixel at or before `place` along a side of `side` pixels, counted within the frame, and the distance to
/// it.
#[inline(always)]
fn split(place: f64, side: usize) -> (usize, f64) {
    let before = place.floor();
    let within = before.clamp(-(MARGIN as f64), side as f64) + MARGIN as f64;
    (within as usize, place - before)
}

/// Returns the number of nodes along a side of `side` pixels.
fn nodes(side: usize) -> usize {
    (side - 1) / PITCH + 4
}

/// The weights of the 4 x 4 nodes around a pixel, for each place the pixel may have between them: by its row, the node,
/// and its column.
type Blends = [[[[f64; PITCH]; 4]; 4]; PITCH];

/// Computes the weights of the nodes around a pixel.
fn blends() -> Blends {
    let along: [[f64; 4]; PITCH] = std::array::from_fn(weights);
    along.map(|down| {
        let at = |line: usize, node: usize| along.map(|right| down[line] * right[node]);
        std::array::from_fn(|line| std::array::from_fn(|node| at(line, node)))
    })
}

/// Returns the weights of a cubic B-spline for the four nodes around a pixel that is `after` pixels past the second
/// node.
fn weights(after: usize) -> [f64; 4] {
    let t = after as f64 / PITCH as f64;
    let s = 1.0 - t;
    [
        s * s * s / 6.0,
        (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
        (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0,
        t * t * t / 6.0,
    ]
}

#[cfg(test)]
mod tests;
