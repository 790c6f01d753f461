//! exp and tanh over slices in both precisions, without branches so that they fill the lanes of a vector; sine and
//! cosine.
//!
//! They use additions, multiplications, a division and integer shifts only, each rounded once, and fused multiply-adds
//! only where `mul_add` is written. The bits are therefore the same on every processor, whatever the width of its
//! vectors; those of the C library differ from one version to the next. Coefficients: Cephes' `expf`, `exp`, `tanh` and
//! `sin` (S. L. Moshier).
//!
//! Written here because no crate vectorises them with the same bits on every processor.

/// Replaces each x by e^x; relative error below 3e-7 for -87 < x < 88, clamped to that range beyond it. NaN stays NaN.
pub fn exp_in_place(values: &mut [f32]) {
    each::<f32, Exp>(values);
}

/// Replaces each x by tanh x; absolute error below 5e-7. NaN stays NaN.
pub fn tanh_in_place(values: &mut [f32]) {
    each::<f32, Tanh>(values);
}

/// Replaces each x by tanh x, for results that are then rounded to bfloat16; relative error below 1e-4, a fortieth of
/// that rounding. NaN stays NaN.
pub fn tanh_in_place_for_bfloat(values: &mut [f32]) {
    each::<f32, TanhForBfloat>(values);
}

/// Replaces each x by e^x; relative error below 5e-16 for |x| < 708, clamped to that range beyond it. NaN stays NaN.
pub fn exp_in_place_f64(values: &mut [f64]) {
    each::<f64, Exp>(values);
}

/// Replaces each x by tanh x; relative error below 5e-16. NaN stays NaN.
pub fn tanh_in_place_f64(values: &mut [f64]) {
    each::<f64, Tanh>(values);
}

/// Returns sin x and cos x for |x| <= pi/4, which is not checked; error below 2e-16.
#[must_use]
pub fn sin_cos(x: f64) -> (f64, f64) {
    let z = x * x;
    let (mut p, mut q) = (1.589_623_015_765_465_6e-10, -1.135_853_652_138_768_2e-11);
    for (sin_coefficient, cos_coefficient) in [
        (-2.505_074_776_285_780_7e-8, 2.087_570_084_197_473e-9),
        (2.755_731_362_138_572_4e-6, -2.755_731_417_929_674e-7),
        (-1.984_126_982_958_954e-4, 2.480_158_728_885_170_3e-5),
        (8.333_333_333_322_119e-3, -1.388_888_888_887_305_6e-3),
        (-1.666_666_666_666_663e-1, 4.166_666_666_666_659_3e-2),
    ] {
        p = p * z + sin_coefficient;
        q = q * z + cos_coefficient;
    }
    (x + x * z * p, 1.0 - 0.5 * z + z * z * q)
}

/// A function of one number that is applied to every element. A closure would not be compiled for the processor's
/// vectors.
trait Map<T> {
    fn apply(x: T) -> T;
}

struct Exp;

impl Map<f32> for Exp {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        exp(x)
    }
}

impl Map<f64> for Exp {
    #[inline(always)]
    fn apply(x: f64) -> f64 {
        exp_f64(x)
    }
}

struct Tanh;

impl Map<f32> for Tanh {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        tanh(x)
    }
}

impl Map<f64> for Tanh {
    #[inline(always)]
    fn apply(x: f64) -> f64 {
        tanh_f64(x)
    }
}

struct TanhForBfloat;

impl Map<f32> for TanhForBfloat {
    #[inline(always)]
    fn apply(x: f32) -> f32 {
        tanh_for_bfloat(x)
    }
}

struct Each<'a, T, M> {
    values: &'a mut [T],
    map: std::marker::PhantomData<M>,
}

impl<T: Copy, M: Map<T>> pulp::WithSimd for Each<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for x in self.values {
            *x = M::apply(*x);
        }
    }
}

fn each<T: Copy, M: Map<T>>(values: &mut [T]) {
    pulp::Arch::new().dispatch(Each::<T, M> {
        values,
        map: std::marker::PhantomData,
    });
}

/// Clamps x to the range; the comparisons are false for NaN, which stays NaN.
#[inline(always)]
fn clamped<T: PartialOrd>(x: T, low: T, high: T) -> T {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// Computes tanh x = x p(x^2) / q(x^2): half the operations of 1 - 2/(e^2x + 1). Coefficients: Eigen's `generic_fast_tanh_float`.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    // The argument at which the quotient reaches 1.
    const END: f32 = 7.905_311;
    let x = clamped(x, -END, END);
    let square = x * x;
    let mut p = -2.760_768_5e-16_f32;
    for c in [
        2.000_188e-13,
        -8.604_672e-11,
        5.122_297e-8,
        1.485_722_4e-5,
        6.372_619_3e-4,
        4.893_524_6e-3,
    ] {
        p = p * square + c;
    }
    let mut q = 1.198_258_4e-6_f32;
    for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = q * square + c;
    }
    x * p / q
}

/// Computes tanh x = x p(x^2) / q(x^2) with quadratic p and q, fitted for the least relative error on |x| <= 5, with
/// fused multiply-adds throughout.
#[inline(always)]
fn tanh_for_bfloat(x: f32) -> f32 {
    const END: f32 = 5.0;
    let x = clamped(x, -END, END);
    let square = x * x;
    let p = 6.705_668_4e-4_f32.mul_add(square, 0.102_417_715);
    let q = 0.012_819_9_f32.mul_add(square, 0.435_432_5);
    x * p.mul_add(square, 0.999_948) / q.mul_add(square, 1.0)
}

/// Computes e^x = 2^n e^r, with n the integer nearest to x / ln 2 and |r| <= ln 2 / 2.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = clamped(x, -87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4_f32;
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        p = p * r + c;
    }
    let e = p * r * r + r + 1.0;
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    e * scale
}

/// Computes e^x = 2^n (1 + 2 r p(r^2) / (q(r^2) - r p(r^2))), with n the integer nearest to x / ln 2 and r the
/// remainder.
#[inline(always)]
fn exp_f64(x: f64) -> f64 {
    // Adding 1.5 * 2^52 rounds to an integer, which then stands in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = clamped(x, -708.0, 708.0);
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * 6.931_457_519_531_25e-1) - n * 1.428_606_820_309_417_2e-6;
    let z = r * r;
    let p = (1.261_771_930_748_105_9e-4 * z + 3.029_944_077_074_419_6e-2) * z + 1.0;
    let q = ((3.001_985_051_386_644_6e-6 * z + 2.524_483_403_496_841e-3) * z
        + 2.272_655_482_081_550_3e-1)
        * z
        + 2.0;
    let odd = r * p;
    let e = 1.0 + 2.0 * (odd / (q - odd));
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    e * scale
}

/// Computes tanh x = x + x^3 p(x^2) / q(x^2) near 0, where 1 - 2/(e^2x + 1) loses digits, and the latter elsewhere.
#[inline(always)]
fn tanh_f64(x: f64) -> f64 {
    let z = x * x;
    let p =
        (-9.643_991_794_250_523e-1 * z - 9.928_772_310_019_185e1) * z - 1.614_687_684_417_084_5e3;
    let q = ((z + 1.128_116_784_916_329_3e2) * z + 2.235_488_390_601_004_5e3) * z
        + 4.844_063_053_251_255e3;
    let near = x + x * z * (p / q);
    // Computed from |x|: for x < 0 the difference would lose digits. NaN fails both comparisons and stays NaN.
    let size = if x < 0.0 { -x } else { x };
    let far = 1.0 - 2.0 / (exp_f64(2.0 * size) + 1.0);
    let far = if x < 0.0 { -far } else { far };
    if size < 0.625 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_tanh_follow_the_real_functions() {
        let x: Vec<f32> = (0..=40_000)
            .map(|i| (i as f32 - 20_000.0) / 230.0)
            .collect();
        let (mut e, mut t) = (x.clone(), x.clone());
        exp_in_place(&mut e);
        tanh_in_place(&mut t);
        for ((&x, &e), &t) in x.iter().zip(&e).zip(&t) {
            if x.abs() < 86.9 {
                let exact = f64::from(x).exp();
                assert!(
                    (f64::from(e) - exact).abs() < 3e-7 * exact,
                    "exp({x}) = {e}"
                );
            }
            assert!(
                (f64::from(t) - f64::from(x).tanh()).abs() < 5e-7,
                "tanh({x}) = {t}"
            );
        }
        let mut rough = x.clone();
        tanh_in_place_for_bfloat(&mut rough);
        for (&x, &t) in x.iter().zip(&rough) {
            let exact = f64::from(x).tanh();
            let error = (f64::from(t) - exact).abs();
            assert!(error <= 1e-4 * exact.abs(), "tanh({x}) = {t}");
        }
        let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        tanh_in_place_for_bfloat(&mut odd);
        assert!(odd[0].is_nan() && odd[1] > 0.999 && odd[2] < -0.999 && odd[3] == 0.0);
        let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        exp_in_place(&mut odd);
        assert!(odd[0].is_nan() && odd[1] > 1e38 && odd[2] < 1e-37 && odd[3] == 1.0);
    }

    #[test]
    fn exp_and_tanh_follow_the_real_functions_in_double_precision() {
        let x: Vec<f64> = (0..=60_000)
            .map(|i| f64::from(i - 30_000) / 42.5)
            .chain((0..20_000).map(|i| f64::from(i - 10_000) / 4_321.0))
            .collect();
        let (mut e, mut t) = (x.clone(), x.clone());
        exp_in_place_f64(&mut e);
        tanh_in_place_f64(&mut t);
        for ((&x, &e), &t) in x.iter().zip(&e).zip(&t) {
            let (exact, slope) = (x.exp(), x.tanh());
            assert!((e - exact).abs() < 5e-16 * exact, "exp({x}) = {e}");
            assert!((t - slope).abs() <= 5e-16 * slope.abs(), "tanh({x}) = {t}");
        }
        let mut odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
        exp_in_place_f64(&mut odd);
        assert!(odd[0].is_nan() && odd[1] > 1e307 && odd[2] < 1e-307 && odd[3] == 1.0);
        let mut odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0];
        tanh_in_place_f64(&mut odd);
        assert!(odd[0].is_nan() && odd[1..] == [1.0, -1.0, 0.0]);
    }

    #[test]
    fn sine_and_cosine_follow_the_real_functions() {
        for i in -10_000..=10_000 {
            let x = f64::from(i) / 10_000.0 * std::f64::consts::FRAC_PI_4;
            let (sin, cos) = sin_cos(x);
            assert!((sin - x.sin()).abs() < 2e-16, "sin({x}) = {sin}");
            assert!((cos - x.cos()).abs() < 2e-16, "cos({x}) = {cos}");
        }
    }

    /// The bits are part of the promise: a compiler or processor that contracts or reorders would change them.
    #[test]
    fn lanes_and_single_calls_agree_bit_by_bit() {
        let x: Vec<f64> = (0..103).map(|i| f64::from(i) * 0.37 - 19.0).collect();
        let (mut e, mut t) = (x.clone(), x.clone());
        exp_in_place_f64(&mut e);
        tanh_in_place_f64(&mut t);
        for ((&x, e), t) in x.iter().zip(e).zip(t) {
            assert_eq!(e.to_bits(), exp_f64(x).to_bits());
            assert_eq!(t.to_bits(), tanh_f64(x).to_bits());
        }
    }
}
