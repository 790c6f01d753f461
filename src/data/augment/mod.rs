//! Training images moved and distorted a little, anew in each epoch, so that the network learns what such changes leave:
//!
//! ```text
//! x'(c, p) = x(c, o + (I + E) (p + f(p) - s - o))      c channel, p pixel, o the image's centre
//! ```
//!
//! s is a shift by whole pixels; E, 2 x 2, turns, stretches and shears; f is a smooth field of displacements, cubic
//! B-splines through numbers at every sixth pixel. Images are read between pixels by bilinear interpolation, as 0 beyond the
//! edge. s, E and f of a sample in an epoch are drawn from (seed, epoch, sample) alone, each number uniformly. After Simard,
//! Steinkraus & Platt, ICDAR 2003, whose field is noise smoothed by a Gaussian.

use ndarray::{Array2, Axis};
use rand::RngExt as _;
use rayon::ThreadPool;

use super::{BESIDE, Batch};
use crate::kernels::real::Real;
use crate::kernels::rng::{Key, Purpose};
use crate::kernels::threads::for_each;

/// How a run's training images are moved and distorted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augment {
    /// The run's seed.
    pub seed: u64,
    /// The most pixels n that an image is shifted by in each direction: s is in -n ..= n.
    pub shift: usize,
    /// The bound a of each entry of E, in [0, 1): E is in -a .. a.
    pub distort: f64,
    /// The bound of the numbers that a smooth field of displacements is made of, in pixels.
    pub warp: f64,
    /// Epochs after which images are shifted alone; none: never.
    pub epochs: Option<u64>,
    /// Channels, height and width of an image.
    pub image: (usize, usize, usize),
}

/// The change of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// s: rows, columns.
    pub shift: [f64; 2],
    /// I + E, of rows and columns.
    pub map: [[f64; 2]; 2],
    /// f: displacements at nodes PITCH pixels apart, the first a node before the corner; row after row; empty where none.
    pub field: Vec<[f64; 2]>,
    /// Nodes in a row.
    pub nodes: usize,
}

/// Pixels between the nodes of a field of displacements.
const PITCH: usize = 6;

impl Change {
    /// By how many rows and columns the image is shifted, where that is all.
    fn shift_alone(&self) -> Option<[isize; 2]> {
        let alone = self.field.is_empty() && self.map == [[1.0, 0.0], [0.0, 1.0]];
        alone.then(|| self.shift.map(|pixels| pixels as isize))
    }

    /// Where what the pixels of row `y` show is read from: their rows and their columns; `centre` likewise.
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

    /// The displacements, by rows and by columns, of the PITCH pixels whose nodes are those from `first` on.
    #[inline(always)]
    fn displacements(&self, blends: &[[[f64; PITCH]; 4]; 4], first: usize) -> [[f64; PITCH]; 2] {
        let mut sums = [[0.0; PITCH]; 2];
        if self.field.is_empty() {
            return sums;
        }
        for (line, of_line) in blends.iter().enumerate() {
            let nodes = &self.field[first + line * self.nodes..];
            for (weights, node) in of_line.iter().zip(nodes) {
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
    /// The change of `sample` in `epoch`.
    #[must_use]
    pub fn of(&self, epoch: u64, sample: usize) -> Change {
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

    /// Changes the images of `batch`, the samples `rows` of `epoch`; `zero` is what a pixel of 0 is scaled to.
    pub fn apply<T: Real>(
        &self,
        pool: &ThreadPool,
        batch: &mut Batch<T>,
        rows: &[usize],
        (epoch, zero): (u64, T),
    ) {
        let blends = blends();
        let groups = batch.inputs.axis_chunks_iter_mut(Axis(1), BESIDE);
        let groups = groups.zip(rows.chunks(BESIDE));
        for_each(pool, groups, |_, (mut group, rows)| {
            let before = group.t().as_standard_layout().into_owned();
            let mut after = Array2::from_elem(before.raw_dim(), zero);
            for ((&row, from), mut to) in rows.iter().zip(before.rows()).zip(after.rows_mut()) {
                let from = from.to_slice().expect("row-major");
                let to = to.as_slice_mut().expect("row-major");
                let change = self.of(epoch, row);
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

/// Writes an image moved by whole pixels where it then lies.
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

/// The distortion of one image, in whatever vectors the processor has.
struct Distort<'a, T> {
    change: &'a Change,
    blends: &'a Blends,
    image: (usize, usize, usize),
    /// What a pixel of 0 is scaled to.
    zero: T,
    from: &'a [T],
    to: &'a mut [T],
}

/// Pixels of 0 about an image: what lies beyond its edge is read from these.
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

/// The pixel at or before `place` along a side of so many, counted in the frame, and how far from it the place is.
#[inline(always)]
fn split(place: f64, side: usize) -> (usize, f64) {
    let before = place.floor();
    let within = before.clamp(-(MARGIN as f64), side as f64) + MARGIN as f64;
    (within as usize, place - before)
}

/// Nodes along a side of so many pixels.
fn nodes(side: usize) -> usize {
    (side - 1) / PITCH + 4
}

/// The weights of the 4 x 4 nodes about each place that a pixel may have between them: by its row there, the node, and its
/// column there.
type Blends = [[[[f64; PITCH]; 4]; 4]; PITCH];

fn blends() -> Blends {
    let along: [[f64; 4]; PITCH] = std::array::from_fn(weights);
    along.map(|down| {
        let at = |line: usize, node: usize| along.map(|right| down[line] * right[node]);
        std::array::from_fn(|line| std::array::from_fn(|node| at(line, node)))
    })
}

/// The cubic B-spline's weights of the four nodes about a pixel that lies so many after the second.
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
