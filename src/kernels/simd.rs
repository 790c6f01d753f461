//! One trait for the processor's vectors of f32 and f64, so that a kernel is written once for both.

use pulp::Simd;

/// Prefetches the number `distance` elements beyond `here` into the second-level cache, if the processor can; no result
/// depends on it.
#[inline(always)]
#[allow(unsafe_code, reason = "the request takes an address")]
pub fn fetch_beyond<T>(here: &T, distance: usize) {
    let address = std::ptr::from_ref(here).wrapping_add(distance);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: such a request changes nothing that the program can see, and whatever the address it never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// A number type that fills the lanes of the vectors of `S`.
pub(crate) trait SimdFloat<S: Simd>: Copy {
    /// A vector: the numbers that the processor works on at once.
    type Vector: Copy;
    /// Returns the whole vectors at the start of `numbers`.
    fn vectors(numbers: &[Self]) -> &[Self::Vector];
    /// Returns the whole vectors at the start of `numbers`, mutable.
    fn vectors_mut(numbers: &mut [Self]) -> &mut [Self::Vector];
    /// Returns `x` in every lane.
    fn splat(simd: S, x: Self) -> Self::Vector;
    /// Returns a b + c, with one rounding if the machine has a fused multiply-add.
    fn multiply_add(simd: S, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Returns a b.
    fn multiply(simd: S, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Loads at most one vector of numbers, with zeros beyond them.
    fn load(simd: S, from: &[Self]) -> Self::Vector;
    /// Stores the first numbers of `vector`, as many as `to` holds.
    fn store(simd: S, to: &mut [Self], vector: Self::Vector);
}

impl<S: Simd> SimdFloat<S> for f32 {
    type Vector = S::f32s;
    #[inline(always)]
    fn vectors(numbers: &[Self]) -> &[Self::Vector] {
        S::as_simd_f32s(numbers).0
    }
    #[inline(always)]
    fn vectors_mut(numbers: &mut [Self]) -> &mut [Self::Vector] {
        S::as_mut_simd_f32s(numbers).0
    }
    #[inline(always)]
    fn splat(simd: S, x: Self) -> Self::Vector {
        simd.splat_f32s(x)
    }
    #[inline(always)]
    fn multiply_add(simd: S, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        simd.mul_add_e_f32s(a, b, c)
    }
    #[inline(always)]
    fn multiply(simd: S, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        simd.mul_f32s(a, b)
    }
    #[inline(always)]
    fn load(simd: S, from: &[Self]) -> Self::Vector {
        simd.partial_load_f32s(from)
    }
    #[inline(always)]
    fn store(simd: S, to: &mut [Self], vector: Self::Vector) {
        simd.partial_store_f32s(to, vector);
    }
}

impl<S: Simd> SimdFloat<S> for f64 {
    type Vector = S::f64s;
    #[inline(always)]
    fn vectors(numbers: &[Self]) -> &[Self::Vector] {
        S::as_simd_f64s(numbers).0
    }
    #[inline(always)]
    fn vectors_mut(numbers: &mut [Self]) -> &mut [Self::Vector] {
        S::as_mut_simd_f64s(numbers).0
    }
    #[inline(always)]
    fn splat(simd: S, x: Self) -> Self::Vector {
        simd.splat_f64s(x)
    }
    #[inline(always)]
    fn multiply_add(simd: S, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        simd.mul_add_e_f64s(a, b, c)
    }
    #[inline(always)]
    fn multiply(simd: S, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        simd.mul_f64s(a, b)
    }
    #[inline(always)]
    fn load(simd: S, from: &[Self]) -> Self::Vector {
        simd.partial_load_f64s(from)
    }
    #[inline(always)]
    fn store(simd: S, to: &mut [Self], vector: Self::Vector) {
        simd.partial_store_f64s(to, vector);
    }
}
