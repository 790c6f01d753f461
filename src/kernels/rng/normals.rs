//! Single-precision normal draws from a ChaCha8 stream, by a branch-free Box-Muller transform (Box & Muller, Ann. Math. Stat.
//! 29 (1958) 610).
//!
//! Two words of the stream always give two draws, in vectors. Only additions, multiplications and square roots are used,
//! each correctly rounded and never contracted, so the bits are the same on every processor.

/// Fills a slice with normal draws, in vectors of the processor's width. A type, since a closure would not be compiled
/// for those vectors.
pub(super) struct Normals<'a> {
    /// The ChaCha key.
    pub key: [u32; 8],
    /// The number of the first draw.
    pub first: usize,
    /// The slice to fill.
    pub out: &'a mut [f32],
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

/// The number of ChaCha blocks computed side by side. The sequence of draws depends on it.
const LANES: usize = 16;
/// The number of words in these blocks, 16 each.
const WORDS: usize = 16 * LANES;

/// Computes blocks `16 batch .. 16 batch + 16` of the ChaCha8 stream of `key`, word by word: first the first words of
/// all blocks.
///
/// The words equal those of `rand_chacha`, in an order that needs no shuffling between lanes. Written with explicit
/// vectors: from loops over arrays, compilers make gathers and scatters here.
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

/// Applies ChaCha's quarter round to four words of the state.
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

/// Applies the Box-Muller transform to pairs of words: the radius from the first half, the angle from the second.
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

/// Computes ln((w + 1/2) / 2^32), relative error below 3e-7 (minimax polynomial of Cephes' `logf`, S. L. Moshier).
#[inline(always)]
fn ln_unit(w: u32) -> f32 {
    // Signed conversion is one instruction on every processor; splitting into two halves keeps it exact up to rounding.
    let x = (w >> 16) as i32 as f32 * 65536.0 + (w & 0xffff) as i32 as f32 + 0.5;
    let bits = x.to_bits();
    // 0x3f35_04f3 is sqrt(1/2): the mantissa is then in [sqrt(1/2), sqrt(2)), and the polynomial's argument small.
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

/// Returns the sine and cosine of 2 pi w / 2^32, absolute error below 1e-7 (polynomials of Cephes' `sinf`, `cosf`).
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
    use crate::kernels::rng::{Key, Purpose};

    const KEY: Key = Key {
        seed: 1,
        purpose: Purpose::Initial,
        step: 0,
        member: 9,
        block: 0,
    };

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

    /// The blocks of the fourth batch, computed in the processor's vectors.
    struct Words([u32; 8]);

    impl pulp::WithSimd for Words {
        type Output = [[u32; LANES]; 16];

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> Self::Output {
            chacha8(simd, &self.0, 3)
        }
    }

    /// In every lane the vectorised blocks are those of the library's generator, whatever the width of the vectors.
    #[test]
    fn the_words_are_chacha8s() {
        use rand::rand_core::Rng as _;
        let mut stream = KEY.stream();
        let key = bytemuck::cast(KEY.bytes());
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
}
