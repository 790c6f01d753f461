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

use super::Batch;
use crate::layout::for_each;
use crate::real::Real;
use crate::rng::{Key, Purpose};

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

/// Images that are changed together: so many of a pixel's numbers lie side by side in a batch.
const BESIDE: usize = 16;

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
                    let [left, next] = [x, x + 1].map(|x| framed[y * line + x].wide());
                    (1.0 - right) * left + right * next
                };
                *to = T::of((1.0 - down) * line_at(y) + down * line_at(y + 1));
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
mod tests {
    use super::*;
    use crate::data::BatchTargets;

    const SMALL: Augment = Augment {
        seed: 1,
        shift: 1,
        distort: 0.0,
        warp: 0.0,
        epochs: None,
        image: (2, 3, 4),
    };

    /// Twenty images of one another's pixels: 1, 2, ... in order.
    fn counted(features: usize) -> Batch<f64> {
        Batch {
            inputs: Array2::from_shape_fn((features, 20), |(i, _)| (i + 1) as f64),
            targets: BatchTargets::Classes(vec![0; 20]),
        }
    }

    fn pool(threads: usize) -> ThreadPool {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        builder.build().expect("a pool")
    }

    /// Every shift is met, each about as often; the images move by them, and what leaves one edge does not come back.
    fn displacement(change: &Change, blends: &Blends, [y, x]: [usize; 2]) -> [f64; 2] {
        let of_cell = y / PITCH * change.nodes + x / PITCH;
        let [rows, columns] = change.displacements(&blends[y % PITCH], of_cell);
        [rows[x % PITCH], columns[x % PITCH]]
    }

    /// A plane, height x width, at a place between its pixels, each looked up by itself; -7 beyond the edge.
    fn between(plane: &[f64], (height, width): (usize, usize), at: [f64; 2]) -> f64 {
        let [(y, down), (x, right)] = at.map(|v| (v.floor() as isize, v - v.floor()));
        let pixel = |y: isize, x: isize| {
            let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
            let at = inside.then(|| y as usize * width + x as usize);
            at.map_or(-7.0, |at| plane[at])
        };
        let line = |y: isize| (1.0 - right) * pixel(y, x) + right * pixel(y, x + 1);
        (1.0 - down) * line(y) + down * line(y + 1)
    }

    /// Shifts as copies, and distortions within a frame, give to the bit what looking up every pixel by itself gives, on
    /// any number of threads; of images of which some leave their frame altogether.
    #[test]
    fn every_pixel_is_what_the_formula_says() {
        let (channels, height, width) = (2, 7, 9);
        for (shift, distort, warp) in [
            (1, 0.0, 0.0),
            (12, 0.0, 0.0),
            (2, 0.3, 0.0),
            (0, 0.0, 2.0),
            (30, 0.9, 4.0),
        ] {
            let drawn = Augment {
                shift,
                distort,
                warp,
                image: (channels, height, width),
                ..SMALL
            };
            let rows: Vec<usize> = (3..23).collect();
            let given = counted(channels * height * width);
            let [batch, other] = [1, 3].map(|threads| {
                let mut batch = given.clone();
                drawn.apply(&pool(threads), &mut batch, &rows, (5, -7.0));
                batch.inputs
            });
            assert_eq!(batch, other);
            for (i, &row) in rows.iter().enumerate() {
                let (change, image) = (drawn.of(5, row), given.inputs.column(i).to_vec());
                let Change { shift, map, .. } = &change;
                for at in 0..channels * height * width {
                    let (plane, y, x) = (at / (height * width), at / width % height, at % width);
                    let moved = displacement(&change, &blends(), [y, x]);
                    let from = [
                        y as f64 + moved[0] - shift[0] - 3.0,
                        x as f64 + moved[1] - shift[1] - 4.0,
                    ];
                    let place = [
                        3.0 + (map[0][0] * from[0] + map[0][1] * from[1]),
                        4.0 + (map[1][0] * from[0] + map[1][1] * from[1]),
                    ];
                    let plane = &image[plane * height * width..][..height * width];
                    let want = between(plane, (height, width), place);
                    assert_eq!(
                        batch[[at, i]],
                        want,
                        "{shift:?} {distort} {warp}: {row} {at}"
                    );
                }
            }
        }
    }

    #[test]
    fn images_move_by_shifts_that_depend_on_seed_epoch_and_sample_alone() {
        let mut met = std::collections::BTreeMap::new();
        for sample in 0..900 {
            let shift = SMALL.of(2, sample).shift.map(|pixels| pixels as isize);
            *met.entry(shift).or_insert(0) += 1;
        }
        assert_eq!(met.len(), 9);
        assert!(met.values().all(|&times| times > 60), "{met:?}");
        assert!((0..20).any(|sample| SMALL.of(2, sample) != SMALL.of(3, sample)));
        let pixel = |c: usize, y: usize, x: usize| (c * 12 + y * 4 + x + 1) as f64;
        let rows: Vec<usize> = (0..20).collect();
        let mut batch = counted(24);
        SMALL.apply(&pool(1), &mut batch, &rows, (5, -7.0));
        for sample in rows {
            let [down, right] = SMALL.of(5, sample).shift.map(|pixels| pixels as isize);
            for at in 0..24 {
                let (y, x) = ((at / 4 % 3) as isize - down, (at % 4) as isize - right);
                let inside = (0..3).contains(&y) && (0..4).contains(&x);
                let want = if inside {
                    pixel(at / 12, y as usize, x as usize)
                } else {
                    -7.0
                };
                assert_eq!(batch.inputs[[at, sample]], want, "{sample} {at}");
            }
        }
    }

    /// Images of later epochs are shifted as they would be, and no more.
    #[test]
    fn images_are_distorted_in_the_first_epochs_alone() {
        let early = Augment {
            distort: 0.2,
            warp: 2.0,
            epochs: Some(3),
            ..SMALL
        };
        let always = Augment {
            epochs: None,
            ..early
        };
        for sample in 0..20 {
            assert_eq!(early.of(2, sample), always.of(2, sample));
            assert_ne!(early.of(2, sample).map, SMALL.of(2, sample).map);
            assert_eq!(early.of(3, sample), SMALL.of(3, sample));
        }
    }

    /// Where its numbers are a linear function of their nodes' places, so is the field of its pixels: what cubic B-splines
    /// leave as it is; numbers drawn stay within their bound, and so does what is blended of them.
    #[test]
    fn fields_of_displacements_are_blended_smoothly() {
        let nodes = nodes(15);
        let linear = |y: f64, x: f64| [1.0 + 0.5 * y - 0.25 * x, 2.0 - y + 0.125 * x];
        let place = |node: usize| (node as f64 - 1.0) * PITCH as f64;
        let change = Change {
            shift: [0.0; 2],
            map: [[1.0, 0.0], [0.0, 1.0]],
            field: (0..nodes * nodes)
                .map(|at| linear(place(at / nodes), place(at % nodes)))
                .collect(),
            nodes,
        };
        let drawn = Augment {
            warp: 2.0,
            image: (1, 15, 15),
            ..SMALL
        };
        let drawn = drawn.of(3, 4);
        let largest = |field: &[[f64; 2]]| field.iter().flatten().fold(0.0, |m, d| d.abs().max(m));
        assert!((1.5..2.0).contains(&largest(&drawn.field)));
        let (blends, mut seen) = (blends(), Vec::new());
        for (y, x) in (0..15).flat_map(|y| (0..15).map(move |x| (y, x))) {
            let [[a, b], [c, d]] = [
                displacement(&change, &blends, [y, x]),
                linear(y as f64, x as f64),
            ];
            assert!((a - c).abs() < 1e-12 && (b - d).abs() < 1e-12, "{y} {x}");
            seen.push(displacement(&drawn, &blends, [y, x]));
        }
        let steps = seen.windows(2).enumerate().filter(|(at, _)| at % 15 < 14);
        let steps: Vec<[f64; 2]> = steps
            .map(|(_, pair)| [0, 1].map(|i| pair[1][i] - pair[0][i]))
            .collect();
        assert!((0.3..2.0).contains(&largest(&seen)), "{}", largest(&seen));
        assert!(largest(&steps) < 0.5, "{}", largest(&steps));
    }

    /// Of an image that is linear in its rows and columns, bilinear interpolation is exact wherever it stays inside: the
    /// distorted image is that linear function at the place read from. Entries of E fill their range, each its own.
    #[test]
    fn images_are_distorted_about_their_centre() {
        let wide = Augment {
            distort: 0.2,
            image: (1, 9, 9),
            ..SMALL
        };
        let drawn: Vec<[f64; 4]> = (0..900)
            .map(|sample| {
                let [[a, b], [c, d]] = wide.of(2, sample).map;
                [a - 1.0, b, c, d - 1.0]
            })
            .collect();
        for entry in 0..4 {
            let of = |f: fn(f64, f64) -> f64| drawn.iter().map(|e| e[entry]).fold(0.0, f);
            assert!((-0.2..-0.18).contains(&of(f64::min)) && (0.18..0.2).contains(&of(f64::max)));
        }
        assert!(drawn.iter().all(|[a, b, c, d]| a != b && b != c && c != d));
        let mut batch = counted(81);
        let rows: Vec<usize> = (0..20).collect();
        wide.apply(&pool(2), &mut batch, &rows, (5, -7.0));
        let mut inside = 0;
        for sample in rows {
            let change = wide.of(5, sample);
            let [[a, b], [c, d]] = change.map;
            for (at, &seen) in batch.inputs.column(sample).iter().enumerate() {
                let (y, x) = ((at / 9) as f64, (at % 9) as f64);
                let (down, right) = (y - change.shift[0] - 4.0, x - change.shift[1] - 4.0);
                let (y, x) = (4.0 + a * down + b * right, 4.0 + c * down + d * right);
                if (0.0..=8.0).contains(&y) && (0.0..=8.0).contains(&x) {
                    assert!((seen - (9.0 * y + x + 1.0)).abs() < 1e-9, "{sample} {at}");
                    inside += 1;
                } else if !(-1.0..9.0).contains(&y) || !(-1.0..9.0).contains(&x) {
                    assert_eq!(seen, -7.0, "{sample} {at}");
                }
            }
        }
        assert!(inside > 900, "{inside}");
    }
}
