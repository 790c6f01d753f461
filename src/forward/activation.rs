//! What stands between layers and after the last: max(x, 0), tanh x, 1 if x > 0 else 0; softmax e^z / sum e^z.
//!
//! All run over samples, which lie next to each other: one row is one unit on all samples of a batch.

use crate::config::Activation;
use serde::{Deserialize, Serialize};

use crate::kernels::elementary::tanh_in_place_for_bfloat;
use crate::kernels::panel::PANEL;
use crate::kernels::real::Real;

/// The activation of the last layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Probabilities e^z / sum e^z.
    Softmax,
    /// The sums themselves.
    Identity,
}

impl Activation {
    /// Adds `bias` to one unit's sums on all samples and applies the activation, in one pass.
    pub fn apply<T: Real>(self, sums: &mut [T], bias: T) {
        match self {
            Self::Relu => each(sums, bias, Relu),
            Self::Tanh => {
                each(sums, bias, Same);
                T::tanh_in_place(sums);
            }
            Self::Heaviside => each(sums, bias, Heaviside),
        }
    }

    /// Applies the activation to sums that hold their biases, and are to be rounded to bfloat16.
    pub fn apply_for_bfloat(self, sums: &mut [f32]) {
        match self {
            Self::Tanh => tanh_in_place_for_bfloat(sums),
            _ => self.apply(sums, 0.0),
        }
    }

    /// Applies `apply` to all units on one panel: `sums`, units x `PANEL`, with each unit's `bias`.
    pub fn apply_panel<T: Real>(self, sums: &mut [T], bias: &[T]) {
        match self {
            Self::Relu => each_row(sums, bias, Relu),
            Self::Tanh => {
                each_row(sums, bias, Same);
                T::tanh_in_place(sums);
            }
            Self::Heaviside => each_row(sums, bias, Heaviside),
        }
    }

    /// The same for sums that are put together in that pass, written to `out`, units x `PANEL`.
    pub fn apply_own<T: Real>(self, sums: OwnSums<T>, bias: &[T], out: &mut [T]) {
        match self {
            Self::Relu => each_own(sums, bias, out, Relu),
            Self::Tanh => {
                each_own(sums, bias, out, Same);
                T::tanh_in_place(out);
            }
            Self::Heaviside => each_own(sums, bias, out, Heaviside),
        }
    }
}

/// The activation of a sum. Not a closure: that would not be compiled for the processor's vectors.
trait Step: Copy {
    fn of<T: Real>(self, z: T) -> T;
}

#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct Heaviside;
#[derive(Clone, Copy)]
struct Same;

impl Step for Relu {
    /// A NaN must pass, so that the member counts as failed: `max` would swallow it.
    #[inline(always)]
    fn of<T: Real>(self, z: T) -> T {
        if z < T::zero() { T::zero() } else { z }
    }
}

impl Step for Heaviside {
    #[inline(always)]
    fn of<T: Real>(self, z: T) -> T {
        if z > T::zero() {
            T::one()
        } else if z <= T::zero() {
            T::zero()
        } else {
            z
        }
    }
}

impl Step for Same {
    #[inline(always)]
    fn of<T: Real>(self, z: T) -> T {
        z
    }
}

struct Each<'a, T, M> {
    sums: &'a mut [T],
    bias: T,
    step: M,
}

impl<T: Real, M: Step> pulp::WithSimd for Each<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for x in self.sums {
            *x = self.step.of(*x + self.bias);
        }
    }
}

fn each<T: Real>(sums: &mut [T], bias: T, step: impl Step) {
    pulp::Arch::new().dispatch(Each { sums, bias, step });
}

struct EachRow<'a, T, M> {
    sums: &'a mut [T],
    bias: &'a [T],
    step: M,
}

impl<T: Real, M: Step> pulp::WithSimd for EachRow<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (row, &bias) in panel_rows(self.sums).zip(self.bias) {
            for x in row {
                *x = self.step.of(*x + bias);
            }
        }
    }
}

fn each_row<T: Real>(sums: &mut [T], bias: &[T], step: impl Step) {
    pulp::Arch::new().dispatch(EachRow { sums, bias, step });
}

/// The rows of one panel. Where the compiler knows their length it unrolls rows and gathers down them, three times
/// slower.
#[inline(always)]
fn panel_rows<T>(panel: &mut [T]) -> impl Iterator<Item = &mut [T]> {
    panel.chunks_exact_mut(std::hint::black_box(PANEL))
}

/// Sums base_i + right_i p of all units i on one panel, `projected` being the row p.
#[derive(Clone, Copy)]
pub struct OwnSums<'a, T> {
    /// What units share with other members, units x `PANEL`; None: what stands where the sums are written.
    pub base: Option<&'a [T]>,
    /// The factor of p in each unit.
    pub right: &'a [T],
    /// p.
    pub projected: &'a [T],
}

struct EachOwn<'a, T, M> {
    sums: OwnSums<'a, T>,
    bias: &'a [T],
    out: &'a mut [T],
    step: M,
}

impl<T: Real, M: Step> pulp::WithSimd for EachOwn<'_, T, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let p: &[T; PANEL] = self.sums.projected.try_into().expect("a panel's row");
        let units = self.sums.right.iter().zip(self.bias);
        let rows = panel_rows(self.out).zip(units);
        if let Some(base) = self.sums.base {
            for ((out, (&b, &bias)), base) in rows.zip(base.chunks_exact(PANEL)) {
                for ((out, &base), &p) in out.iter_mut().zip(base).zip(p) {
                    *out = self.step.of(base + b * p + bias);
                }
            }
        } else {
            for (out, (&b, &bias)) in rows {
                for (out, &p) in out.iter_mut().zip(p) {
                    *out = self.step.of(*out + b * p + bias);
                }
            }
        }
    }
}

fn each_own<T: Real>(sums: OwnSums<T>, bias: &[T], out: &mut [T], step: impl Step) {
    pulp::Arch::new().dispatch(EachOwn {
        sums,
        bias,
        out,
        step,
    });
}

impl Output {
    /// Adds `bias`, c numbers, to the last layer's sums on one panel, c x `PANEL`, and turns them into outputs.
    pub fn apply<T: Real>(self, sums: &mut [T], bias: &[T]) {
        match self {
            Self::Identity => each_row(sums, bias, Same),
            Self::Softmax => {
                let arch = pulp::Arch::new();
                arch.dispatch(LessLargest {
                    sums: &mut *sums,
                    bias,
                });
                T::exp_in_place(sums);
                arch.dispatch(OverTotal { sums });
            }
        }
    }

    /// The same for the last layer's sums on one sample, c numbers.
    pub fn apply_sample<T: Real>(self, sums: &mut [T], bias: &[T]) {
        sums.iter_mut().zip(bias).for_each(|(z, &b)| *z += b);
        if self == Self::Softmax {
            // NaN wins, and then makes the whole sample NaN.
            let larger = |a: T, &b: &T| if a > b { a } else { b };
            let largest = sums.iter().fold(T::neg_infinity(), larger);
            sums.iter_mut().for_each(|z| *z -= largest);
            T::exp_in_place(sums);
            let total = sums.iter().fold(T::zero(), |sum, &z| sum + z);
            let scale = T::one() / total;
            sums.iter_mut().for_each(|z| *z *= scale);
        }
    }
}

/// z + bias less its largest over the classes, sample by sample.
struct LessLargest<'a, T> {
    sums: &'a mut [T],
    bias: &'a [T],
}

impl<T: Real> pulp::WithSimd for LessLargest<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let mut largest = [T::neg_infinity(); PANEL];
        for (row, &bias) in panel_rows(self.sums).zip(self.bias) {
            for (z, largest) in row.iter_mut().zip(&mut largest) {
                *z += bias;
                // NaN wins, and then makes the whole sample NaN.
                *largest = if *largest > *z { *largest } else { *z };
            }
        }
        for row in panel_rows(self.sums) {
            for (z, &largest) in row.iter_mut().zip(&largest) {
                *z -= largest;
            }
        }
    }
}

/// Numbers over their total, sample by sample.
struct OverTotal<'a, T> {
    sums: &'a mut [T],
}

impl<T: Real> pulp::WithSimd for OverTotal<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let mut total = [T::zero(); PANEL];
        for row in panel_rows(self.sums) {
            for (total, &e) in total.iter_mut().zip(&*row) {
                *total += e;
            }
        }
        for total in &mut total {
            *total = T::one() / *total;
        }
        for row in panel_rows(self.sums) {
            for (z, &scale) in row.iter_mut().zip(&total) {
                *z *= scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Softmax of each column of `z`, which begins a panel of zeros.
    fn softmax<T: Real>(z: &Array2<T>) -> Array2<T> {
        let mut panel = vec![T::zero(); z.nrows() * PANEL];
        crate::kernels::panel::to_panels(z.view(), &mut panel);
        Output::Softmax.apply(&mut panel, &vec![T::zero(); z.nrows()]);
        Array2::from_shape_fn(z.dim(), |(i, j)| panel[i * PANEL + j])
    }

    #[test]
    fn softmax_gives_probabilities_also_of_large_sums() {
        let z = softmax(&array![[1e3_f32, 0.0], [1e3, 2.0_f32.ln()], [-1e3, 0.0]]);
        let want = array![[0.5, 0.25], [0.5, 0.5], [0.0, 0.25]];
        assert!((&z - &want).iter().all(|d: &f32| d.abs() < 1e-6), "{z}");
    }

    #[test]
    fn a_nan_passes_every_activation() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
            let mut x = [f64::NAN, -1.0, 1.0];
            activation.apply(&mut x, 0.0);
            let mut panel = [0.0; PANEL];
            panel[..3].copy_from_slice(&[f64::NAN, -3.0, -1.0]);
            activation.apply_panel(&mut panel, &[2.0]);
            for x in [&x[..], &panel[..3]] {
                assert!(
                    x[0].is_nan() && x[1] <= 0.0 && x[2] > 0.7,
                    "{activation:?} {x:?}"
                );
            }
        }
        let z = softmax(&array![[f64::NAN, 1.0], [0.0, 1.0]]);
        assert!(z[[0, 0]].is_nan() && z[[1, 0]].is_nan() && z[[0, 1]] == 0.5);
    }
}
