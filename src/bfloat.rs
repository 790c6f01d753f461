//! Products of numbers rounded to bfloat16, summed in single precision: c_i <- keep c_i + scale sum_k a_ki b_k.
//!
//! bfloat16 is the upper half of a single-precision number: 8 bits of precision, the same range. Terms 2q and 2q + 1 of
//! a sum stand in one 32-bit place, the even one in its lower half. Where the processor has AVX-512 BF16, one instruction
//! multiplies and adds both; elsewhere the same sums are formed in single precision, with the same bits as long as no
//! number is denormal: a product of two bfloat16 is exact in single precision, and both round twice a place, the odd
//! term first (Intel 64 and IA-32 Architectures Software Developer's Manual, VDPBF16PS).

use crate::tile::{PANEL, PanelProduct, ROWS};

/// `x` rounded to the nearest bfloat16, ties to even, in the lower half.
fn rounded(x: u32) -> u32 {
    if f32::from_bits(x).is_nan() {
        return 0x7fc0;
    }
    (x + 0x7fff + (x >> 16 & 1)) >> 16
}

/// Places that `terms` terms take.
#[must_use]
pub fn places(terms: usize) -> usize {
    terms.div_ceil(2)
}

/// Writes the pairs of two rows' numbers to `pairs`; of a row without a second with zeros.
#[inline(always)]
fn pair(even: &[u32], odd: &[u32], pairs: &mut [u32]) {
    let both = pairs.iter_mut().zip(even);
    both.for_each(|(pair, &x)| *pair = rounded(x));
    let both = pairs.iter_mut().zip(odd);
    both.for_each(|(pair, &x)| *pair |= rounded(x) << 16);
}

/// Rounds matrices that stand one after the other in `numbers`, `rows` x `W` each, and puts every two rows into one, in
/// place: afterwards they are `places(rows)` x `W`, closed up; an odd last row is paired with zeros.
pub fn pair_rows<const W: usize>(numbers: &mut [f32], rows: usize) {
    pulp::Arch::new().dispatch(PairRows::<W> {
        numbers: bytemuck::cast_slice_mut(numbers),
        rows,
    });
}

struct PairRows<'a, const W: usize> {
    numbers: &'a mut [u32],
    rows: usize,
}

impl<const W: usize> pulp::WithSimd for PairRows<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { numbers, rows } = self;
        let mut to = 0;
        for first in (0..numbers.len()).step_by((rows * W).max(1)) {
            for row in (0..rows).step_by(2) {
                let from = first + row * W;
                let mut pairs = [0; W];
                let odd = from + W..from + W * (rows - row).min(2);
                pair(&numbers[from..from + W], &numbers[odd], &mut pairs);
                // Never beyond what has been read.
                numbers[to..to + W].copy_from_slice(&pairs);
                to += W;
            }
        }
    }
}

/// Writes the pairs of every two of the rows of `width` numbers in `numbers` to `pairs`, an odd last row with zeros.
pub fn pairs_of(numbers: &[f32], width: usize, pairs: &mut [f32]) {
    pulp::Arch::new().dispatch(PairsOf {
        numbers: bytemuck::cast_slice(numbers),
        width,
        pairs: bytemuck::cast_slice_mut(pairs),
    });
}

struct PairsOf<'a> {
    numbers: &'a [u32],
    width: usize,
    pairs: &'a mut [u32],
}

impl pulp::WithSimd for PairsOf<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self {
            numbers,
            width,
            pairs,
        } = self;
        for (rows, pairs) in numbers.chunks(2 * width).zip(pairs.chunks_exact_mut(width)) {
            let (even, odd) = rows.split_at(width);
            pair(even, odd, pairs);
        }
    }
}

/// A product on one panel whose `a` and `b` hold pairs, on the calling thread alone.
pub fn panel_product(product: PanelProduct<f32>) {
    #[cfg(target_arch = "x86_64")]
    if dot::is_there() {
        return dot::all(product);
    }
    plain_product(product);
}

/// The same by single-precision instructions.
fn plain_product(product: PanelProduct<f32>) {
    pulp::Arch::new().dispatch(Plain(product));
}

/// Writes the sums of row `row` of a product.
#[inline(always)]
fn put(product: &mut PanelProduct<f32>, row: usize, sums: &[f32; PANEL]) {
    let (scale, start) = (product.scale, row * product.out_stride);
    let out = &mut product.out[start..start + product.columns];
    if product.keep {
        let both = out.iter_mut().zip(sums);
        both.for_each(|(out, &sum)| *out = scale.mul_add(sum, *out));
    } else {
        let both = out.iter_mut().zip(sums);
        both.for_each(|(out, &sum)| *out = scale * sum);
    }
}

struct Plain<'a>(PanelProduct<'a, f32>);

impl pulp::WithSimd for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self(mut product) = self;
        let upper = |pair: u32| f32::from_bits(pair & 0xffff_0000);
        let lower = |pair: u32| f32::from_bits(pair << 16);
        let (a, b): (&[u32], &[u32]) = (
            bytemuck::cast_slice(product.a),
            bytemuck::cast_slice(product.b),
        );
        for row in 0..product.rows {
            let mut sums = [0.0_f32; PANEL];
            let of_row = a[row..].iter().step_by(product.stride);
            for (&a, b) in of_row.zip(b.chunks_exact(PANEL)) {
                for (sum, &b) in sums.iter_mut().zip(b) {
                    *sum = lower(a).mul_add(lower(b), upper(a).mul_add(upper(b), *sum));
                }
            }
            put(&mut product, row, &sums);
        }
    }
}

/// By the instruction made for it.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "no crate offers VDPBF16PS, and vectors have no safe way in and out of memory"
)]
mod dot {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps, _mm512_setzero_ps};
    use std::mem::transmute;

    use super::{PANEL, PanelProduct, ROWS, put};

    /// Numbers, or pairs, of one vector.
    const LANES: usize = 16;

    /// Whether this processor has it.
    pub fn is_there() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    /// The whole product, where `is_there`.
    pub fn all(product: PanelProduct<f32>) {
        assert!(is_there());
        // SAFETY: the processor has what the function was compiled for, asserted just now.
        unsafe { tiles(product) }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn tiles(mut product: PanelProduct<f32>) {
        for first in (0..product.rows).step_by(ROWS) {
            let product = &mut product;
            match product.rows - first {
                ROWS.. => tile::<ROWS>(product, first),
                11 => tile::<11>(product, first),
                10 => tile::<10>(product, first),
                9 => tile::<9>(product, first),
                8 => tile::<8>(product, first),
                7 => tile::<7>(product, first),
                6 => tile::<6>(product, first),
                5 => tile::<5>(product, first),
                4 => tile::<4>(product, first),
                3 => tile::<3>(product, first),
                2 => tile::<2>(product, first),
                _ => tile::<1>(product, first),
            }
        }
    }

    /// `O` rows from number `first` on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn tile<const O: usize>(product: &mut PanelProduct<f32>, first: usize) {
        let (a, b): (&[u32], &[u32]) = (
            bytemuck::cast_slice(product.a),
            bytemuck::cast_slice(product.b),
        );
        let mut sums = [[_mm512_setzero_ps(); PANEL / LANES]; O];
        let of_rows = a[first..].chunks(product.stride);
        for (a, b) in of_rows.zip(b.chunks_exact(PANEL)) {
            let a: &[u32; O] = a.first_chunk().expect("a row's numbers");
            let b: &[u32; PANEL] = b.first_chunk().expect("whole panels");
            // SAFETY: both are 128 bytes, and any bits are vectors.
            let b: [__m512bh; PANEL / LANES] = unsafe { transmute(*b) };
            for (sums, &a) in sums.iter_mut().zip(a) {
                // SAFETY: both are 64 bytes, and any bits are a vector.
                let a: __m512bh = unsafe { transmute([a; LANES]) };
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = _mm512_dpbf16_ps(*sum, a, b);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            // SAFETY: both are 128 bytes, and any bits are numbers.
            let sums: [f32; PANEL] = unsafe { transmute::<[__m512; PANEL / LANES], _>(*sums) };
            put(product, first + row, &sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        let number = |i: usize| (((i + seed) * 7919 + 31) % 1999) as f32 / 1000.0 - 1.0;
        (0..count).map(number).collect()
    }

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        let round = |x: f32| f32::from_bits(rounded(x.to_bits()) << 16);
        assert_eq!(round(1.0), 1.0);
        assert_eq!(round(1.0 + 1.0 / 256.0), 1.0);
        assert_eq!(round(1.0 + 3.0 / 256.0), 1.0 + 1.0 / 64.0);
        assert_eq!(round(-1.0 - 1.1 / 256.0), -1.0 - 1.0 / 128.0);
        assert_eq!(round(f32::INFINITY), f32::INFINITY);
        assert!(round(f32::NAN).is_nan() && round(f32::from_bits(0x7f80_0001)).is_nan());
    }

    /// 0.7 a b, added to 1/4 or not, for a, terms x rows, and b, terms x `PANEL`, as `by` finds it, row-major.
    fn product(
        by: fn(PanelProduct<f32>),
        (rows, terms, columns): (usize, usize, usize),
        keep: bool,
    ) -> Vec<f32> {
        let (a, mut b) = (numbers(terms * rows, 1), numbers(terms * PANEL, 2));
        let mut pairs = vec![f32::NAN; places(terms) * rows];
        pairs_of(&a, rows, &mut pairs);
        pair_rows::<PANEL>(&mut b, terms);
        let mut out = vec![0.25; rows * PANEL];
        by(PanelProduct {
            a: &pairs,
            stride: rows,
            rows,
            b: &b[..places(terms) * PANEL],
            out: &mut out,
            out_stride: PANEL,
            columns,
            keep,
            scale: 0.7,
        });
        out
    }

    const SIZES: [(usize, usize, usize); 6] = [
        (12, 40, 32),
        (5, 7, 32),
        (1, 1, 3),
        (11, 301, 31),
        (25, 64, 32),
        (12, 2000, 32),
    ];

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        let round = |x: f32| f64::from(f32::from_bits(rounded(x.to_bits()) << 16));
        for (rows, terms, columns) in SIZES {
            let (a, b) = (numbers(terms * rows, 1), numbers(terms * PANEL, 2));
            let [added, written] =
                [true, false].map(|keep| product(panel_product, (rows, terms, columns), keep));
            for i in 0..rows {
                for n in 0..PANEL {
                    let term = |k: usize| round(a[k * rows + i]) * round(b[k * PANEL + n]);
                    let sum = 0.7 * (0..terms).map(term).sum::<f64>();
                    let want = |start: f64| if n < columns { start + sum } else { 0.25 };
                    let near = |x: f32, want: f64| (f64::from(x) - want).abs() < 2e-4;
                    assert!(near(added[i * PANEL + n], want(0.25)), "{rows} {terms}");
                    assert!(near(written[i * PANEL + n], want(0.0)), "{rows} {terms}");
                }
            }
        }
    }

    #[test]
    fn several_matrices_are_paired_in_place_one_after_the_other() {
        let whole = numbers(3 * 5 * 2, 3);
        let mut pairs = whole.clone();
        pair_rows::<2>(&mut pairs, 5);
        let mut one_by_one = vec![0.0; 3 * 3 * 2];
        for (matrix, pairs) in whole.chunks(10).zip(one_by_one.chunks_mut(6)) {
            pairs_of(matrix, 2, pairs);
        }
        assert_eq!(pairs[..18], one_by_one);
    }

    /// Where the processor has the instruction.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_and_its_replacement_give_the_same_bits() {
        if !dot::is_there() {
            eprintln!("skipped: this processor has no AVX-512 BF16");
            return;
        }
        for size in SIZES {
            for keep in [true, false] {
                let by = |by| product(by, size, keep);
                assert_eq!(by(panel_product), by(plain_product));
            }
        }
    }
}
