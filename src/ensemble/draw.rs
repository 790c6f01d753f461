//! Draws of members: the prior's ensemble, re-randomisation, replacements of failed members, and the ensemble's digest.
//!
//! ```text
//! u_j = centre + sqrt(gamma) C_0^{1/2} xi_j ,  xi_j ~ N(0, I) from the stream (seed, purpose, step, member, block)
//! u_j = centre + sqrt(gamma / J_0) sum_k xi_jk (u_k - ubar)               where J_0 members u_k are the prior
//! ```
//!
//! Kovachki & Stuart (2019), section 4.3 (EKI(R)). Every draw is a function of its key, so any rank can make it.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2, s};
use sha2::{Digest as _, Sha256};

use crate::forward::prior::Prior;
use crate::kernels::real::{Real, product};
use crate::kernels::rng::{Key, Purpose};
use crate::parallel::partition::{Blocks, DRAWN};

/// No draw's magnitude reaches this: |xi| < 6.8 in single precision; in double, beyond it with probability 1e-57.
pub(crate) const LARGEST_DRAW: f64 = 16.0;

/// A family of draws: all members at one step, for one purpose.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// The seed of the run.
    pub seed: u64,
    /// The purpose of the draws.
    pub purpose: Purpose,
    /// The step they belong to.
    pub step: u64,
}

impl Draw {
    /// Returns the key of `member`'s numbers in `block`.
    #[must_use]
    pub fn key(&self, member: usize, block: usize) -> Key {
        let block = u32::try_from(block).expect("fewer than 2^32 blocks");
        Key {
            seed: self.seed,
            purpose: self.purpose,
            step: self.step,
            member: member as u64,
            block,
        }
    }

    /// Writes `member`'s standard normal draws xi from that of parameter `first` on, which stay within one key's.
    pub(crate) fn standard<T: Real>(&self, member: usize, first: usize, out: &mut [T]) {
        T::fill_normal(&self.key(member, first / DRAWN), first % DRAWN, out);
    }

    /// Writes `member`'s parameters from the `first` on, which stay within one key's: centre + deviations xi.
    fn fill<T: Real>(
        &self,
        member: usize,
        first: usize,
        centre: &[T],
        deviations: &[T],
        out: &mut [T],
    ) {
        self.standard(member, first, out);
        for ((x, &centre), &deviation) in out.iter_mut().zip(centre).zip(deviations) {
            *x = centre + deviation * *x;
        }
    }

    /// `member` in full, about the prior's mean: P numbers.
    #[must_use]
    pub fn point<T: Real>(&self, member: usize, prior: &Prior) -> Vec<T> {
        let blocks = Blocks::of_width(prior.parameters(), DRAWN);
        let mut point = vec![T::zero(); prior.parameters()];
        for b in 0..blocks.count() {
            let out = &mut point[blocks.range(b)];
            let (mean, mut deviations) = (prior.mean(blocks.range(b)), vec![T::zero(); out.len()]);
            let first = blocks.range(b).start;
            prior.deviations(first, 1.0, &mut deviations);
            self.fill(member, first, &mean, &deviations, out);
        }
        point
    }

    /// Writes the parameters `columns`, those of a block, of `members`, about `centre` with `spread` times the prior's
    /// deviations. Row j of `out` is member j.
    pub fn fill_block<T: Real>(
        &self,
        members: Range<usize>,
        columns: Range<usize>,
        centre: &[T],
        (prior, spread): (&Prior, f64),
        out: &mut ArrayRef2<T>,
    ) {
        let mut deviations = vec![T::zero(); columns.len()];
        prior.deviations(columns.start, spread, &mut deviations);
        for member in members {
            let mut row = out.row_mut(member);
            self.fill(
                member,
                columns.start,
                centre,
                &deviations,
                row.as_slice_mut().expect("row-major"),
            );
        }
    }

    /// Fills as `fill_block` does, by the covariance of `sample`, J_0 x w, in its columns, where that is the prior.
    pub fn fill_by<T: Real>(
        &self,
        (members, columns): (Range<usize>, Range<usize>),
        centre: &[T],
        ((prior, sample), spread): ((&Prior, Option<ArrayView2<T>>), f64),
        out: &mut ArrayRef2<T>,
    ) {
        match sample {
            Some(sample) => self.fill_from_sample(members, centre, (sample, spread), out),
            None => self.fill_block(members, columns, centre, (prior, spread), out),
        }
    }

    /// Writes a block of `members` about `centre`, w numbers, with `spread` squared times the covariance A^T A of the sample A, J_0 x w: in the
    /// space that it spans. Row j of `out` is member j.
    pub fn fill_from_sample<T: Real>(
        &self,
        members: Range<usize>,
        centre: &[T],
        (sample, spread): (ArrayView2<T>, f64),
        out: &mut ArrayRef2<T>,
    ) {
        let mut weights = Array2::zeros((members.len(), sample.nrows()));
        for (mut row, member) in weights.rows_mut().into_iter().zip(members.clone()) {
            let numbers = row.as_slice_mut().expect("row-major");
            T::fill_normal(&self.key(member, 0), 0, numbers);
        }
        let mut out = out.slice_mut(s![members, ..]);
        let spread = T::from_f64(spread);
        product(out.view_mut(), T::zero(), spread, weights.view(), sample);
        for mut row in out.rows_mut() {
            row.iter_mut()
                .zip(centre)
                .for_each(|(x, &centre)| *x += centre);
        }
    }
}

/// Returns the SHA-256 digest of the numbers of `blocks` that lie side by side, little-endian, row by row.
#[must_use]
pub fn digest_of<T: Real>(blocks: &[ArrayView2<T>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let rows = blocks.first().map_or(0, |block| block.nrows());
    for row in 0..rows {
        for block in blocks {
            let row = block.row(row);
            digest.update(bytemuck::cast_slice(row.as_slice().expect("row-major")));
        }
    }
    digest.finalize().into()
}

/// Returns a view of `rows x columns` numbers of scratch.
pub(crate) fn matrix<T>(scratch: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), &mut scratch[..rows * columns])
        .expect("scratch holds the matrix")
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::ensemble::stages::replacement::replace_failed;
    use crate::ensemble::survivors::Survivors;
    use crate::forward::prior::Segment;

    fn draw(step: u64) -> Draw {
        Draw {
            seed: 3,
            purpose: Purpose::Rerandomise,
            step,
        }
    }

    #[test]
    fn a_redrawn_ensemble_has_the_asked_mean_and_covariance() {
        let prior = Prior::new(vec![
            Segment {
                count: 1,
                deviation: 2.0,
            },
            Segment {
                count: 2,
                deviation: 0.5,
            },
        ]);
        let (members, centre) = (40_000, [1.0, -1.0, 0.0]);
        let mut u = Array2::<f64>::zeros((members, 3));
        draw(1).fill_block(0..members, 0..3, &centre, (&prior, 0.5), &mut u);
        let mean = u.mean_axis(ndarray::Axis(0)).unwrap();
        let covariance = (&u - &mean).t().dot(&(&u - &mean)) / members as f64;
        for i in 0..3 {
            assert!((mean[i] - centre[i]).abs() < 0.03, "mean {mean}");
            for j in 0..3 {
                let deviation = [1.0, 0.25, 0.25];
                let want = if i == j {
                    deviation[i] * deviation[i]
                } else {
                    0.0
                };
                assert!(
                    (covariance[[i, j]] - want).abs() < 0.03,
                    "covariance {covariance}"
                );
            }
        }
    }

    #[test]
    fn replacements_stay_in_the_span_of_the_survivors_and_leave_them_alone() {
        let mut u = Array2::<f64>::zeros((6, 40));
        let prior = Prior::new(vec![Segment {
            count: 40,
            deviation: 1.0,
        }]);
        draw(1).fill_block(0..6, 0..40, &[0.0; 40], (&prior, 1.0), &mut u);
        u.row_mut(2).fill(f64::NAN);
        let before = u.clone();
        let survivors = Survivors::new(vec![true, true, false, true, true, true]);
        replace_failed(&mut u, draw(2), &survivors);
        for j in [0, 1, 3, 4, 5] {
            assert_eq!(u.row(j), before.row(j));
        }
        // u_2 - ubar = sum a_k (u_k - ubar): solve the normal equations by repeated projection.
        let mean: ndarray::Array1<f64> = [0, 1, 3, 4, 5]
            .iter()
            .map(|&j| before.row(j).to_owned())
            .reduce(|a, b| a + b)
            .unwrap()
            / 5.0;
        let mut rest = &u.row(2) - &mean;
        let size = rest.dot(&rest);
        for _ in 0..2_000 {
            for j in [0, 1, 3, 4, 5] {
                let direction = &before.row(j) - &mean;
                let along = rest.dot(&direction) / direction.dot(&direction);
                rest = rest - along * direction;
            }
        }
        assert!(size > 1.0 && rest.dot(&rest) < 1e-16 * size);
    }

    /// Draws by a sample of three members, of two parameters of which the second is twice the first: they keep that relation about
    /// the centre, and their variance is gamma times the sample's, 1, within four standard errors.
    #[test]
    fn draws_by_a_sample_stay_in_its_span_and_have_its_covariance() {
        let root = 0.5_f64.sqrt();
        let sample = ndarray::array![[-root, -2.0 * root], [0.0, 0.0], [root, 2.0 * root]];
        let draw = Draw {
            seed: 3,
            purpose: Purpose::Rerandomise,
            step: 5,
        };
        let members = 2000;
        let mut drawn = Array2::zeros((members, 2));
        draw.fill_from_sample(1..members, &[1.0, 7.0], (sample.view(), 0.5), &mut drawn);
        assert_eq!(drawn.row(0).to_vec(), [0.0, 0.0]);
        let apart = drawn.rows().into_iter().skip(1).map(|u| u[0] - 1.0);
        let second = drawn.column(1).into_iter().skip(1);
        for (a, b) in apart.clone().zip(second) {
            assert!((b - 7.0 - 2.0 * a).abs() < 1e-12);
        }
        let count = (members - 1) as f64;
        let square = apart.clone().map(|a: f64| a * a).sum::<f64>() / count;
        assert!(
            (square / 0.25 - 1.0).abs() < 4.0 * (2.0 / count).sqrt(),
            "{square}"
        );
        // Each member's draw is its own, whichever are drawn beside it.
        let mut alone = Array2::zeros((members, 2));
        draw.fill_from_sample(7..8, &[1.0, 7.0], (sample.view(), 0.5), &mut alone);
        assert_eq!(alone.row(7), drawn.row(7));
    }
}
