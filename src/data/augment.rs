//! Training images shifted by a few pixels, anew in each epoch: x'(c, i, j) = x(c, i - a, j - b), zero beyond the edge.
//!
//! The shift (a, b) of a sample in an epoch is drawn from (seed, epoch, sample) alone, uniformly from -n .. n each.
//! Simard, Steinkraus & Platt, ICDAR 2003.

use rand::RngExt as _;

use super::Batch;
use crate::real::Real;
use crate::rng::{Key, Purpose};

/// The shifts of a run's training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shifts {
    /// The run's seed.
    pub seed: u64,
    /// The most pixels n in each direction.
    pub most: usize,
    /// Channels, height and width of an image.
    pub image: (usize, usize, usize),
}

impl Shifts {
    /// Rows and columns by which `sample` is moved in `epoch`.
    #[must_use]
    pub fn of(&self, epoch: u64, sample: usize) -> (isize, isize) {
        let key = Key {
            seed: self.seed,
            purpose: Purpose::Augment,
            step: epoch,
            member: sample as u64,
            block: 0,
        };
        let (mut stream, most) = (key.stream(), self.most as i32);
        let mut pixels = || stream.random_range(-most..=most) as isize;
        (pixels(), pixels())
    }

    /// Shifts the images of `batch`, the samples `rows` of `epoch`; `zero` is what a pixel of 0 is scaled to.
    pub fn apply<T: Real>(&self, batch: &mut Batch<T>, rows: &[usize], epoch: u64, zero: T) {
        let (channels, height, width) = self.image;
        let within = |at: isize, by: isize, size: usize| {
            usize::try_from(at - by).ok().filter(|&from| from < size)
        };
        let mut image = vec![zero; channels * height * width];
        for (mut column, &row) in batch.inputs.columns_mut().into_iter().zip(rows) {
            let (down, right) = self.of(epoch, row);
            image
                .iter_mut()
                .zip(&column)
                .for_each(|(to, &from)| *to = from);
            for (at, pixel) in column.iter_mut().enumerate() {
                let (line, x) = (at / width, at % width);
                let (channel, y) = (line / height, line % height);
                let from = within(y as isize, down, height).zip(within(x as isize, right, width));
                *pixel = from.map_or(zero, |(y, x)| image[(channel * height + y) * width + x]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BatchTargets;
    use ndarray::Array2;

    /// Every shift is met, each about as often; the images move by them, and what leaves one edge does not come back.
    #[test]
    fn images_move_by_shifts_that_depend_on_seed_epoch_and_sample_alone() {
        let shifts = Shifts {
            seed: 1,
            most: 1,
            image: (2, 3, 4),
        };
        let mut met = std::collections::BTreeMap::new();
        for sample in 0..900 {
            *met.entry(shifts.of(2, sample)).or_insert(0) += 1;
        }
        assert_eq!(met.len(), 9);
        assert!(met.values().all(|&times| times > 60), "{met:?}");
        assert!((0..20).any(|sample| shifts.of(2, sample) != shifts.of(3, sample)));
        let pixel = |c: usize, y: usize, x: usize| (c * 12 + y * 4 + x + 1) as f64;
        let rows: Vec<usize> = (0..20).collect();
        let mut batch = Batch {
            inputs: Array2::from_shape_fn((24, 20), |(i, _)| (i + 1) as f64),
            targets: BatchTargets::Classes(vec![0; 20]),
        };
        shifts.apply(&mut batch, &rows, 5, -7.0);
        for sample in rows {
            let (down, right) = shifts.of(5, sample);
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
}
