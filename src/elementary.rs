//! exp and tanh over slices in single precision: branch-free, so that they fill the lanes of a vector.
//!
//! Only additions, multiplications, a division and integer shifts, each rounded once and never contracted: the bits are
//! the same on every processor, whatever its vectors' width. Coefficients: Cephes' `expf` (S. L. Moshier).

/// Replaces each x by e^x; relative error below 3e-7 for -87 < x < 88, clamped to that range beyond it. NaN stays NaN.
pub fn exp_in_place(values: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || values.iter_mut().for_each(|x| *x = exp(*x)),
    );
}

/// Replaces each x by tanh x; absolute error below 3e-7. NaN stays NaN.
pub fn tanh_in_place(values: &mut [f32]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            values
                .iter_mut()
                .for_each(|x| *x = 1.0 - 2.0 / (exp(2.0 * *x) + 1.0))
        },
    );
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
                (f64::from(t) - f64::from(x).tanh()).abs() < 3e-7,
                "tanh({x}) = {t}"
            );
        }
        let mut odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        exp_in_place(&mut odd);
        assert!(odd[0].is_nan() && odd[1] > 1e38 && odd[2] < 1e-37 && odd[3] == 1.0);
    }
}
