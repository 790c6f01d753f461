//! Random numbers keyed by (seed, purpose, step, member, block), never by rank, thread or time.
//!
//! Every key opens its own ChaCha8 stream, so whoever needs a draw makes it where it stands, and all ranks agree
//! on it without a message. Normals in single precision come from a branch-free Box-Muller transform (Box & Muller,
//! Ann. Math. Stat. 29 (1958) 610) of fixed consumption: two words in, two normals out, vectorised; those in double
//! precision from `rand_distr`. Only additions, multiplications and square roots are used in the former, each
//! correctly rounded and never contracted, so its bits are the same on every processor.

use rand::SeedableRng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// What a stream of random numbers is for; part of its key, so that no two uses ever share a number.
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
    /// Examples of a task that is drawn.
    Examples = 12,
}

/// The full name of one stream. Its 32 bytes are the ChaCha key itself, so distinct keys never collide.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The run's seed.
    pub seed: u64,
    /// What the numbers are for.
    pub purpose: Purpose,
    /// The step (or epoch) they belong to.
    pub step: u64,
    /// The member they belong to.
    pub member: u64,
    /// The block of columns they fill.
    pub block: u32,
}

impl Key {
    /// The stream of this key, from its start.
    #[must_use]
    pub fn stream(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.bytes())
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.purpose as u32).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.block.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.step.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.member.to_le_bytes());
        bytes
    }

    /// A permutation of `0..n`.
    #[must_use]
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut self.stream());
        order
    }

    /// Fills `out` with independent N(0, 1) draws in double precision, from the `first` of this key on.
    pub fn fill_normal_f64(&self, first: usize, out: &mut [f64]) {
        let mut stream = self.stream();
        let mut draws = StandardNormal.sample_iter(&mut stream).skip(first);
        out.fill_with(|| draws.next().expect("a stream has no end"));
    }

    /// Fills `out` with independent N(0, 1) draws in single precision, |x| < 6.8, from the `first` of this key on.
    pub fn fill_normal_f32(&self, first: usize, out: &mut [f32]) {
        pulp::Arch::new().dispatch(Normals {
            key: bytemuck::cast(self.bytes()),
            first,
            out,
        });
    }
}

/// Fills a slice with normals, in whatever vectors the processor has. A type of its own, since a closure would not be
/// compiled for them.
struct Normals<'a> {
    key: [u32; 8],
    first: usize,
    out: &'a mut [f32],
}

impl pulp::WithSimd for Normals<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        let (mut batch, mut passed, mut rest) = (self.first / WORDS, self.first % WORDS, self.out);
        while !rest.is_empty() {
            let words = chacha8(simd, &self.key, batch as u32);
            let length = rest.len().min(WORDS - passed);
            let (chunk, after) = rest.split_at_mut(length);
            match <&mut [f32; WORDS]>::try_from(&mut *chunk) {
                Ok(whole) => box_muller(&words, whole),
                Err(_) => {
                    let mut whole = [0.0; WORDS];
                    box_muller(&words, &mut whole);
                    chunk.copy_from_slice(&whole[passed..][..length]);
                }
            }
            (batch, passed, rest) = (batch + 1, 0, after);
        }
    }
}

/// ChaCha blocks computed side by side; part of the format of the draws.
const LANES: usize = 16;
/// The words they give: 16 each.
const WORDS: usize = 16 * LANES;

/// Blocks `16 batch .. 16 batch + 16` of the ChaCha8 stream of `key`, word by word: first the first words of all blocks.
///
/// The same words as `rand_chacha` gives, in an order that needs no shuffling between lanes. In vectors by name: of loops
/// over arrays, compilers make gathers and scatters here.
#[inline(always)]
fn chacha8<S: pulp::Simd>(simd: S, key: &[u32; 8], batch: u32) -> [[u32; LANES]; 16] {
    let counters: [u32; LANES] =
        std::array::from_fn(|lane| (batch.wrapping_mul(LANES as u32)).wrapping_add(lane as u32));
    let mut words = [[0; LANES]; 16];
    for first in (0..LANES).step_by(S::U32_LANES) {
        let lanes = first..first + S::U32_LANES;
        let mut start = [simd.splat_u32s(0); 16];
        let constants = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
        for (start, &word) in start.iter_mut().zip(constants.iter().chain(key)) {
            *start = simd.splat_u32s(word);
        }
        start[12] = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&counters[lanes.clone()]));
        let mut s = start;
        for _ in 0..4 {
            quarter_round::<S, 0, 4, 8, 12>(simd, &mut s);
            quarter_round::<S, 1, 5, 9, 13>(simd, &mut s);
            quarter_round::<S, 2, 6, 10, 14>(simd, &mut s);
            quarter_round::<S, 3, 7, 11, 15>(simd, &mut s);
            quarter_round::<S, 0, 5, 10, 15>(simd, &mut s);
            quarter_round::<S, 1, 6, 11, 12>(simd, &mut s);
            quarter_round::<S, 2, 7, 8, 13>(simd, &mut s);
            quarter_round::<S, 3, 4, 9, 14>(simd, &mut s);
        }
        for ((words, s), start) in words.iter_mut().zip(s).zip(start) {
            let sum = simd.add_u32s(s, start);
            bytemuck::cast_slice_mut(&mut words[lanes.clone()])
                .copy_from_slice(bytemuck::bytes_of(&sum));
        }
    }
    words
}

#[inline(always)]
fn quarter_round<S: pulp::Simd, const A: usize, const B: usize, const C: usize, const D: usize>(
    simd: S,
    s: &mut [S::u32s; 16],
) {
    for (sum, with, turn, by) in [(A, B, D, 16), (C, D, B, 12), (A, B, D, 8), (C, D, B, 7)] {
        s[sum] = simd.add_u32s(s[sum], s[with]);
        let x = simd.xor_u32s(s[turn], s[sum]);
        let left = simd.wrapping_dyn_shl_u32s(x, simd.splat_u32s(by));
        let right = simd.wrapping_dyn_shr_u32s(x, simd.splat_u32s(32 - by));
        s[turn] = simd.or_u32s(left, right);
    }
}

/// The Box-Muller transform of pairs of words: radius from the first half, angle from the second.
#[inline(always)]
fn box_muller(words: &[[u32; LANES]; 16], out: &mut [f32; WORDS]) {
    let (first, second) = out.split_at_mut(WORDS / 2);
    let rows = first
        .chunks_exact_mut(LANES)
        .zip(second.chunks_exact_mut(LANES));
    for ((first, second), (radii, angles)) in rows.zip(words[..8].iter().zip(&words[8..])) {
        for lane in 0..LANES {
            let radius = (-2.0 * ln_unit(radii[lane])).sqrt();
            let (sin, cos) = sin_cos_turn(angles[lane]);
            first[lane] = radius * cos;
            second[lane] = radius * sin;
        }
    }
}

/// ln((w + 1/2) / 2^32), relative error below 3e-7 (minimax polynomial of Cephes' `logf`, S. L. Moshier).
#[inline(always)]
fn ln_unit(w: u32) -> f32 {
    // Signed conversion is one instruction everywhere; the two halves keep it exact to rounding.
    let x = (w >> 16) as i32 as f32 * 65536.0 + (w & 0xffff) as i32 as f32 + 0.5;
    let bits = x.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)), so that the polynomial's argument stays small.
    let shifted = bits.wrapping_sub(0x3f35_04f3);
    let exponent = ((shifted as i32) >> 23) as f32 - 32.0;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let mut p = 7.037_683_6e-2_f32;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * m + c;
    }
    let square = m * m;
    exponent * std::f32::consts::LN_2 + (m - 0.5 * square + p * m * square)
}

/// Sine and cosine of 2 pi w / 2^32, absolute error below 1e-7 (polynomials of Cephes' `sinf`, `cosf`).
#[inline(always)]
fn sin_cos_turn(w: u32) -> (f32, f32) {
    // The nearest quarter turn, and the signed remainder in (-1/8, 1/8] of a turn, exactly.
    let quarter = w.wrapping_add(1 << 29) >> 30;
    let rest = w.wrapping_sub(quarter << 30) as i32;
    let x = rest as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
    let z = x * x;
    let sin = x + x * z * ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1);
    let cos = 1.0 - 0.5 * z + z * z * ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2);
    let (s, c) = if quarter & 1 == 0 {
        (sin, cos)
    } else {
        (cos, sin)
    };
    let s = if quarter & 2 == 0 { s } else { -s };
    let c = if quarter.wrapping_add(1) & 2 == 0 {
        c
    } else {
        -c
    };
    (s, c)
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

    #[test]
    fn the_transform_follows_the_real_functions() {
        for i in 0..2_000_u32 {
            let w = i.wrapping_mul(2_147_483_659_u32.wrapping_add(i));
            let ln = ((f64::from(w) + 0.5) / 4_294_967_296.0).ln();
            assert!(
                (f64::from(ln_unit(w)) - ln).abs() < 4e-7 * (1.0 + ln.abs()),
                "{w}"
            );
            let angle = f64::from(w) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (s, c) = sin_cos_turn(w);
            assert!((f64::from(s) - angle.sin()).abs() < 2e-7, "{w}");
            assert!((f64::from(c) - angle.cos()).abs() < 2e-7, "{w}");
        }
        assert!(ln_unit(u32::MAX) <= 0.0 && ln_unit(0).is_finite());
    }

    /// Kolmogorov's distance of n draws from the normal law stays below 1.95 / sqrt(n) (level 0.001).
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

    /// The normal distribution function by Simpson's rule: slow, but independent of what it checks.
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

    /// The blocks of the fourth batch, in whatever vectors the processor has.
    struct Words([u32; 8]);

    impl pulp::WithSimd for Words {
        type Output = [[u32; LANES]; 16];

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> Self::Output {
            chacha8(simd, &self.0, 3)
        }
    }

    /// Lane by lane, the vectorised blocks are those of the library's generator, whatever the vectors' width.
    #[test]
    fn the_words_are_chacha8s() {
        use rand::rand_core::Rng as _;
        let mut stream = key(9).stream();
        let key = bytemuck::cast(key(9).bytes());
        for batch in 0..4 {
            let words = chacha8(pulp::Scalar::new(), &key, batch);
            assert!(batch != 3 || words == pulp::Arch::new().dispatch(Words(key)));
            for lane in 0..LANES {
                for of_lanes in &words {
                    assert_eq!(
                        of_lanes[lane],
                        stream.next_u32(),
                        "batch {batch} lane {lane}"
                    );
                }
            }
        }
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

    /// Blocks of parameters begin anywhere among a key's numbers.
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
