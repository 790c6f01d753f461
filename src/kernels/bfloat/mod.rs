//! Products of numbers rounded to bfloat16, summed in single precision: c_i <- keep c_i + scale sum_k a_ki b_k.
//!
//! bfloat16 is the upper half of a single-precision number: 8 bits of precision, the same range. Terms 2q and 2q + 1 of
//! a sum share one 32-bit word, the even one in its lower half. On processors with AVX-512 BF16 one instruction
//! multiplies and adds both. Elsewhere the same sums are computed in single precision, with the same bits as long as no
//! number is denormal: a product of two bfloat16 is exact in single precision, and both ways round twice per word, the
//! odd term first (Intel 64 and IA-32 Architectures Software Developer's Manual, VDPBF16PS). Processors with a matrix
//! unit (`amx`) use that: three to four times as fast as single precision, with sums in the unit's own order.
//!
//! The left operand is packed once (`pack_left`) in the order in which the processor reads it; the rows of the right
//! operand are paired.

#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "no crate offers VDPBF16PS, and vectors have no safe way in and out of memory"
)]
mod dot;
pub mod windows;

use crate::kernels::amx;
use crate::kernels::tile::{PANEL, PanelProduct, ROWS};

/// Rounds the f32 bits `x` to the nearest bfloat16, ties to even; returns it in the lower half.
#[inline(always)]
fn rounded(x: u32) -> u32 {
    if f32::from_bits(x).is_nan() {
        return 0x7fc0;
    }
    (x + 0x7fff + (x >> 16 & 1)) >> 16
}

/// Rounds two numbers to bfloat16 and packs them into one word.
#[inline(always)]
#[must_use]
pub fn pair_of(even: f32, odd: f32) -> u32 {
    rounded(even.to_bits()) | rounded(odd.to_bits()) << 16
}

/// Returns the even and the odd number of a pair.
#[inline(always)]
#[must_use]
pub fn halves(pair: u32) -> [f32; 2] {
    [pair << 16, pair & 0xffff_0000].map(f32::from_bits)
}

/// Returns the number of words that `terms` terms take.
#[must_use]
pub fn places(terms: usize) -> usize {
    terms.div_ceil(2)
}

/// Rounds two rows and writes their pairs to `pairs`. If `odd` is shorter, the missing numbers count as zeros.
#[inline(always)]
fn pair(even: &[u32], odd: &[u32], pairs: &mut [u32]) {
    let both = pairs.iter_mut().zip(even);
    both.for_each(|(pair, &x)| *pair = rounded(x));
    let both = pairs.iter_mut().zip(odd);
    both.for_each(|(pair, &x)| *pair |= rounded(x) << 16);
}

/// Rounds consecutive `rows` x `W` matrices in `numbers` to bfloat16 and pairs their rows two by two, in place.
/// Afterwards each matrix has `places(rows)` x `W` words, without gaps; an odd last row is paired with zeros.
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
                // Writing never overtakes reading.
                numbers[to..to + W].copy_from_slice(&pairs);
                to += W;
            }
        }
    }
}

/// Returns the number of rows of a left operand that are packed together.
#[must_use]
pub fn packed_left_height() -> usize {
    if amx::is_available() {
        amx::HEIGHT
    } else {
        ROWS
    }
}

/// Returns the number of words that `pack_left` writes for `terms` rows of `width` numbers.
#[must_use]
pub fn packed_left_len(terms: usize, width: usize) -> usize {
    if amx::is_available() {
        amx::tiled_len(width, terms)
    } else {
        places(terms) * width
    }
}

/// Packs a left operand in the order in which this processor reads it. Its a_ki is number k `width` + i of `numbers`.
pub fn pack_left(numbers: &[f32], width: usize, out: &mut [f32]) {
    pack_left_as(numbers, width, out, amx::is_available());
}

/// Packs a left operand, in tiles or in pairs of rows.
fn pack_left_as(numbers: &[f32], width: usize, out: &mut [f32], in_tiles: bool) {
    pulp::Arch::new().dispatch(PackLeft {
        numbers: bytemuck::cast_slice(numbers),
        width,
        out: bytemuck::cast_slice_mut(out),
        in_tiles,
    });
}

struct PackLeft<'a> {
    numbers: &'a [u32],
    width: usize,
    out: &'a mut [u32],
    in_tiles: bool,
}

impl pulp::WithSimd for PackLeft<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let (numbers, width) = (self.numbers, self.width);
        if self.in_tiles {
            let terms = numbers.len() / width.max(1);
            return amx::to_tiles((width, terms), self.out, |place, first| {
                let mut pairs = [0; amx::SIDE];
                let rows = first..width.min(first + amx::SIDE);
                let even = &numbers[2 * place * width..][..width];
                let odd = numbers[(2 * place + 1) * width..].get(..width);
                let odd = odd.map_or(&[][..], |odd| &odd[rows.clone()]);
                pair(&even[rows], odd, &mut pairs);
                pairs
            });
        }
        let pairs = self.out.chunks_exact_mut(width);
        for (rows, pairs) in numbers.chunks(2 * width).zip(pairs) {
            let (even, odd) = rows.split_at(width);
            pair(even, odd, pairs);
        }
    }
}

/// Computes a product on one panel on the calling thread alone: `a` packed by `pack_left`, the rows of `b` in pairs.
pub fn panel_product(product: PanelProduct<f32>) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if amx::is_available() {
        return amx::panel_product(product);
    }
    #[cfg(target_arch = "x86_64")]
    if dot::is_available() {
        return dot::panel_product(product);
    }
    plain_product(product);
}

/// Computes a product on one panel by single-precision instructions.
fn plain_product(product: PanelProduct<f32>) {
    pulp::Arch::new().dispatch(Plain(product));
}

struct Plain<'a>(PanelProduct<'a, f32>);

impl pulp::WithSimd for Plain<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self(mut product) = self;
        let (a, b): (&[u32], &[u32]) = (
            bytemuck::cast_slice(product.a),
            bytemuck::cast_slice(product.b),
        );
        for row in 0..product.rows {
            let mut sums = [0.0_f32; PANEL];
            let of_row = a[row..].iter().step_by(product.stride);
            for (&a, b) in of_row.zip(b.chunks_exact(PANEL)) {
                let [even, odd] = halves(a);
                for (sum, &b) in sums.iter_mut().zip(b) {
                    let b = halves(b);
                    *sum = even.mul_add(b[0], odd.mul_add(b[1], *sum));
                }
            }
            product.put(row, &sums);
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

    /// A function that computes a product on a panel, and whether it reads its left operand in tiles.
    type Way = (fn(PanelProduct<f32>), bool);

    const PLAIN: Way = (plain_product, false);

    /// Returns 0.7 a b, added to 1/4 if `keep`, row-major, as `way` computes it, for a, terms x rows, and b, terms x
    /// `PANEL`.
    fn product(
        (by, in_tiles): Way,
        (rows, terms, columns): (usize, usize, usize),
        keep: bool,
    ) -> Vec<f32> {
        let (a, mut b) = (numbers(terms * rows, 1), numbers(terms * PANEL, 2));
        let size = if in_tiles {
            amx::tiled_len(rows, terms)
        } else {
            places(terms) * rows
        };
        let mut left = vec![f32::NAN; size];
        pack_left_as(&a, rows, &mut left, in_tiles);
        pair_rows::<PANEL>(&mut b, terms);
        let mut out = vec![0.25; rows * PANEL];
        by(PanelProduct {
            a: &left,
            stride: rows,
            ahead: 0,
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

    const SIZES: [(usize, usize, usize); 9] = [
        (12, 40, 32),
        (5, 7, 32),
        (1, 1, 3),
        (11, 301, 31),
        (25, 64, 32),
        (12, 2000, 32),
        (33, 33, 32),
        (16, 32, 17),
        (100, 784, 32),
    ];

    #[test]
    fn products_are_those_of_the_rounded_numbers() {
        let round = |x: f32| f64::from(f32::from_bits(rounded(x.to_bits()) << 16));
        let here = (panel_product as fn(PanelProduct<f32>), amx::is_available());
        for (way, (rows, terms, columns)) in [here, PLAIN]
            .into_iter()
            .flat_map(|way| SIZES.map(|size| (way, size)))
        {
            let (a, b) = (numbers(terms * rows, 1), numbers(terms * PANEL, 2));
            let [added, written] =
                [true, false].map(|keep| product(way, (rows, terms, columns), keep));
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
            pack_left_as(matrix, 2, pairs, false);
        }
        assert_eq!(pairs[..18], one_by_one);
    }

    /// The instruction and its replacement agree; compared only on processors that have the instruction.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_and_its_replacement_give_the_same_bits() {
        if !dot::is_available() {
            eprintln!("skipped: this processor has no AVX-512 BF16");
            return;
        }
        for size in SIZES {
            for keep in [true, false] {
                assert_eq!(
                    product((dot::panel_product, false), size, keep),
                    product(PLAIN, size, keep)
                );
            }
        }
    }

    /// The unit's sums are those that its manual describes: for every thirty-two terms the even ones in order, the odd
    /// ones in order, the two sums together, then added to the sum so far. They depend on the terms alone, never on the
    /// tile or place.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn the_matrix_units_bits_are_those_of_its_definition() {
        if !amx::is_available() {
            eprintln!("skipped: this processor has no AMX, or the system does not give it");
            return;
        }
        let round = |x: f32| f32::from_bits(rounded(x.to_bits()) << 16);
        for (rows, terms, columns) in SIZES {
            let (a, b) = (numbers(terms * rows, 1), numbers(terms * PANEL, 2));
            let found = product((amx::panel_product, true), (rows, terms, columns), false);
            for i in 0..rows {
                for n in 0..columns {
                    let mut sum = 0.0_f32;
                    for run in (0..terms).step_by(32) {
                        let mut of_run = [0.0_f32; 2];
                        for k in run..terms.min(run + 32) {
                            let (a, b) = (round(a[k * rows + i]), round(b[k * PANEL + n]));
                            of_run[k % 2] = a.mul_add(b, of_run[k % 2]);
                        }
                        sum += of_run[0] + of_run[1];
                    }
                    assert_eq!(found[i * PANEL + n], 0.7 * sum, "{rows} {terms} {i} {n}");
                }
            }
        }
    }
}
