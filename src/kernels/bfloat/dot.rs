//! Sums of products of bfloat16 by the processor's instruction for them, VDPBF16PS (AVX-512 BF16).

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _CMP_UNORD_Q, _mm512_and_si512, _mm512_cmp_ps_mask,
    _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_srli_epi32, _mm512_sub_epi32, _mm512_xor_si512,
};
use std::mem::transmute;

use super::windows::{LANES as SAMPLES, PLACES, PutRows, Sums, WindowSums};
use crate::kernels::tile::{PANEL, PanelProduct, ROWS};

/// The number of 32-bit lanes of a vector: f32 numbers, or pairs of bfloat16.
const LANES: usize = 16;

/// Returns true if this processor has VDPBF16PS.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// Computes a whole product on one panel. Panics if the instruction is not available.
pub fn panel_product(product: PanelProduct<f32>) {
    assert!(is_available());
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

/// Computes `O` rows of a product, beginning at row `first`.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn tile<const O: usize>(product: &mut PanelProduct<f32>, first: usize) {
    let (a, b): (&[u32], &[u32]) = (
        bytemuck::cast_slice(product.a),
        bytemuck::cast_slice(product.b),
    );
    let mut sums = [[_mm512_setzero_ps(); PANEL / LANES]; O];
    let rows = a[first..].chunks(product.stride);
    for (a, b) in rows.zip(b.chunks_exact(PANEL)) {
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
        product.put(first + row, &sums);
    }
}

/// The number of units of a window that are summed together.
const TOGETHER: usize = 4;

/// Computes the sums of a window. Panics if the instruction is not available.
pub fn window_sums(window: &WindowSums, sums: &mut Sums) {
    assert!(is_available());
    for first in (0..window.units).step_by(TOGETHER) {
        // SAFETY: the processor has what the function was compiled for, asserted just now.
        unsafe { units(window, first, sums) }
    }
}

/// Rounds and writes `rows`. Returns false, with rows of any value, if a number is NaN. Panics if the instruction is
/// not available.
#[must_use]
pub fn put_rows(rows: &mut PutRows) -> bool {
    assert!(is_available());
    // SAFETY: the processor has what the function was compiled for, asserted just now.
    unsafe { all_rows(rows) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn all_rows(rows: &mut PutRows) -> bool {
    // The order of the result: number i of the first vector, then number i of the second.
    let mut by_turns = [0_u16; 2 * LANES];
    for (i, places) in by_turns.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        *places = [i as u16, (LANES + i) as u16];
    }
    // SAFETY: both are 64 bytes, and any bits are a vector.
    let by_turns: __m512i = unsafe { transmute(by_turns) };
    let signs = _mm512_set1_epi32(0x8000_8000_u32 as i32);
    let mut strange = 0;
    let in_order = rows.in_order;
    for (sums, rows) in rows.places() {
        for (units, row) in sums.iter().zip(rows) {
            // SAFETY: both are 128 bytes, and any bits are vectors.
            let [even, odd]: [__m512; 2] = unsafe { transmute(*units) };
            strange |= _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(even, odd);
            // SAFETY: both are 64 bytes, and any bits are a vector.
            let both: __m512i = unsafe { transmute(_mm512_cvtne2ps_pbh(odd, even)) };
            let mut pairs = _mm512_permutexvar_epi16(by_turns, both);
            if in_order {
                let signs = _mm512_and_si512(pairs, signs);
                let ones = _mm512_sub_epi32(signs, _mm512_srli_epi32::<15>(signs));
                pairs = _mm512_xor_si512(pairs, ones);
            }
            // SAFETY: both are 64 bytes, and any bits are numbers.
            *row = unsafe { transmute::<__m512i, [u32; LANES]>(pairs) };
        }
    }
    strange == 0
}

/// Sums `TOGETHER` units, beginning at unit `first`, at all places.
#[target_feature(enable = "avx512f,avx512bf16")]
fn units(window: &WindowSums, first: usize, sums: &mut Sums) {
    let mut totals = [[_mm512_setzero_ps(); PLACES]; TOGETHER];
    for (o, totals) in totals.iter_mut().enumerate() {
        let bias = window.biases[(first + o) * SAMPLES];
        // SAFETY: both are 64 bytes, and any bits are a vector.
        *totals = [unsafe { transmute::<[f32; SAMPLES], __m512>([bias; SAMPLES]) }; PLACES];
    }
    for (row, k) in window.shape.terms() {
        let weights = window.weights_of(row, k);
        let inputs: [__m512bh; PLACES] = std::array::from_fn(|place| {
            // SAFETY: both are 64 bytes, and any bits are vectors.
            unsafe { transmute(*window.inputs_of(row, k, place)) }
        });
        for (o, totals) in totals.iter_mut().enumerate() {
            // SAFETY: both are 64 bytes, and any bits are a vector.
            let weight: __m512bh = unsafe { transmute([weights[(first + o) * LANES]; LANES]) };
            for (total, &input) in totals.iter_mut().zip(&inputs) {
                *total = _mm512_dpbf16_ps(*total, weight, input);
            }
        }
    }
    for (o, totals) in totals.iter().enumerate() {
        for (place, &total) in totals.iter().enumerate() {
            // SAFETY: both are 64 bytes, and any bits are numbers.
            sums.0[place][first + o] = unsafe { transmute::<__m512, [f32; SAMPLES]>(total) };
        }
    }
}
