//! Random numbers keyed by (seed, purpose, step, member, block), never by rank, thread or time.
//!
//! Every key opens its own ChaCha8 stream, so any rank can compute any draw, and all ranks agree on it without a
//! message. Single-precision normal draws come from `normals`; double-precision ones from `rand_distr`.
//!
//! The generator is rand_chacha's. The single-precision normals are written here because `rand_distr` draws by rejection, with a
//! varying number of words, and calls functions whose bits differ between systems.

mod normals;

use rand::SeedableRng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use crate::kernels::rng::normals::Normals;

/// The use of a random stream; part of its key, so that no two uses share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The initial ensemble and members that join it later.
    Initial = 1,
    /// Re-randomisation about the mean.
    Rerandomise = 2,
    /// The order of the samples in an epoch.
    Order = 3,
    /// The split of a data set into training and test parts.
    Split = 4,
    /// Synthetic problems: their operators, truths and noise.
    Synthetic = 5,
    /// Members redrawn in place of failed ones.
    Replace = 6,
    /// The shifts and distortions of training images.
    Augment = 7,
    /// Noise on the observations, for each member.
    Perturb = 8,
    /// The noise of a sampler's members.
    Diffuse = 13,
    /// Examples of a generated task.
    Examples = 12,
    /// Draws of the normal law that sigma points stand for.
    Posterior = 17,
    /// Noise of additive inflation, for each member.
    Inflate = 15,
}

/// The full name of one stream. Its 32 bytes are the ChaCha key itself, so distinct keys never collide.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// The use of the numbers.
    pub purpose: Purpose,
    /// The step (or epoch) they belong to.
    pub step: u64,
    /// The member they belong to.
    pub member: u64,
    /// The block of columns they fill.
    pub block: u32,
}

impl Key {
    /// Returns the stream of this key, from its start.
    #[must_use]
    pub fn stream(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.bytes())
    }

    /// Returns the ChaCha key.
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.purpose as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.step.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.member.to_le_bytes());
        bytes
    }

    /// Returns a permutation of `0..n`.
    #[must_use]
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut self.stream());
        order
    }

    /// Fills `out` with independent N(0, 1) draws in double precision, beginning at draw number `first` of this key.
    pub fn fill_normal_f64(&self, first: usize, out: &mut [f64]) {
        let mut stream = self.stream();
        let mut draws = StandardNormal.sample_iter(&mut stream).skip(first);
        out.fill_with(|| draws.next().expect("a stream has no end"));
    }

    /// Fills `out` with independent N(0, 1) draws in single precision, |x| < 6.8, beginning at draw number `first` of
    /// this key.
    pub fn fill_normal_f32(&self, first: usize, out: &mut [f32]) {
        pulp::Arch::new().dispatch(Normals {
            key: bytemuck::cast(self.bytes()),
            first,
            out,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(member: u64) -> Key {
        Key {
            seed: 1,
            purpose: Purpose::Initial,
            step: 0,
            member,
            block: 0,
        }
    }

    /// Asserts that Kolmogorov's distance of n draws from the normal law is below 1.95 / sqrt(n) (level 0.001).
    fn assert_normal(mut draws: Vec<f64>) {
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let fourth = draws.iter().map(|x| (x - mean).powi(4)).sum::<f64>() / n;
        assert!(mean.abs() < 4.0 / n.sqrt(), "mean {mean}");
        assert!(
            (variance - 1.0).abs() < 6.0 / n.sqrt(),
            "variance {variance}"
        );
        assert!(
            (fourth - 3.0).abs() < 40.0 / n.sqrt(),
            "fourth moment {fourth}"
        );
        draws.sort_by(f64::total_cmp);
        let distance = draws
            .iter()
            .enumerate()
            .map(|(i, &x)| (normal_cdf(x) - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "distance {distance}");
    }

    /// Returns the normal distribution function by Simpson's rule: slow, but independent of what it checks.
    fn normal_cdf(x: f64) -> f64 {
        let n = 200;
        let h = x / f64::from(n);
        let density = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
        let inner: f64 = (1..n)
            .map(|i| density(f64::from(i) * h) * if i % 2 == 1 { 4.0 } else { 2.0 })
            .sum();
        0.5 + h / 3.0 * (density(0.0) + inner + density(x))
    }

    #[test]
    fn draws_are_standard_normal_in_both_precisions() {
        let mut single = vec![0.0; 100_000];
        key(0).fill_normal_f32(0, &mut single);
        assert_normal(single.into_iter().map(f64::from).collect());
        let mut double = vec![0.0; 100_000];
        key(1).fill_normal_f64(0, &mut double);
        assert_normal(double);
        let across: Vec<f64> = (0..50_000)
            .map(|j| {
                let mut one = [0.0; 3];
                key(j).fill_normal_f32(0, &mut one);
                f64::from(one[2])
            })
            .collect();
        assert_normal(across);
    }

    #[test]
    fn a_key_gives_the_same_draws_each_time_and_a_prefix_when_shorter() {
        let (mut a, mut b, mut c) = (vec![0.0; 300], vec![0.0; 300], vec![0.0; 137]);
        key(7).fill_normal_f32(0, &mut a);
        key(7).fill_normal_f32(0, &mut b);
        key(7).fill_normal_f32(0, &mut c);
        assert_eq!(a, b);
        assert_eq!(a[..137], c);
        key(8).fill_normal_f32(0, &mut b);
        assert_ne!(a, b);
    }

    /// Blocks of parameters may begin anywhere in the sequence of a key's numbers.
    #[test]
    fn draws_from_the_first_asked_for_on_are_those_of_the_whole() {
        let (mut whole, mut double) = (vec![0.0; 700], vec![0.0; 700]);
        key(7).fill_normal_f32(0, &mut whole);
        key(7).fill_normal_f64(0, &mut double);
        for (first, length) in [
            (0, 128),
            (128, 128),
            (256, 444),
            (200, 256),
            (511, 1),
            (3, 690),
        ] {
            let (mut part, mut of_double) = (vec![0.0; length], vec![0.0; length]);
            key(7).fill_normal_f32(first, &mut part);
            key(7).fill_normal_f64(first, &mut of_double);
            assert_eq!(part, whole[first..][..length], "{length} from {first}");
            assert_eq!(
                of_double,
                double[first..][..length],
                "{length} from {first}"
            );
        }
    }

    /// The bits themselves are part of the format: a change here breaks every stored run.
    #[test]
    fn the_first_draws_are_as_recorded() {
        let mut first = [0.0; 4];
        key(0).fill_normal_f32(0, &mut first);
        let bits: Vec<u32> = first.iter().map(|x| x.to_bits()).collect();
        assert_eq!(bits, RECORDED, "draws {first:?}");
    }

    const RECORDED: [u32; 4] = [1_068_855_993, 3_218_016_825, 3_205_759_302, 1_060_037_400];
}
