//! exp and tanh over slices in single precision: branch-free, so that they fill the lanes of a vector.
//!
//! Only additions, multiplications, a division and integer shifts, each rounded once and never contracted: the bits are
//! the same on every processor, whatever its vectors' width. Coefficients of the exponential: Cephes' `expf` (S. L. Moshier).

/// Replaces each x by e^x; relative error below 3e-7 for -87 < x < 88, clamped to that range beyond it. NaN stays NaN.
pub fn exp_in_place(values: &mut [f32]) {
    pulp::Arch::new().dispatch(Each::<Exp> {
        values,
        map: std::marker::PhantomData,
    });
}

/// Replaces each x by tanh x; absolute error below 5e-7. NaN stays NaN.
pub fn tanh_in_place(values: &mut [f32]) {
    pulp::Arch::new().dispatch(Each::<Tanh> {
        values,
        map: std::marker::PhantomData,
    });
}

/// A function to be applied to every element. Not a closure: that would not be compiled for the processor's vectors.
trait Map {
    fn of(x: f32) -> f32;
}

struct Exp;

impl Map for Exp {
    #[inline(always)]
    fn of(x: f32) -> f32 {
        exp(x)
    }
}

struct Tanh;

impl Map for Tanh {
    #[inline(always)]
    fn of(x: f32) -> f32 {
        tanh(x)
    }
}

struct Each<'a, M> {
    values: &'a mut [f32],
    map: std::marker::PhantomData<M>,
}

impl<M: Map> pulp::WithSimd for Each<'_, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for x in self.values {
            *x = M::of(*x);
        }
    }
}

/// tanh x = x p(x^2) / q(x^2): half the operations of 1 - 2/(e^2x + 1). Coefficients: Eigen's `generic_fast_tanh_float`.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    // Where the quotient reaches 1; comparisons that NaN fails leave it NaN.
    const END: f32 = 7.905_311;
    let x = if x > END { END } else { x };
    let x = if x < -END { -END } else { x };
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

/// e^x = 2^n e^r, n the integer nearest to x / ln 2, |r| <= ln 2 / 2.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons that NaN fails leave it NaN.
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
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
        let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        exp_in_place(&mut odd);
        assert!(odd[0].is_nan() && odd[1] > 1e38 && odd[2] < 1e-37 && odd[3] == 1.0);
    }
}
