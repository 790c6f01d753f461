//! The inner loops of the mean form, in whatever vectors the processor has.

use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;

/// Writes centre + spread deviation xi to `out`.
pub(super) struct Place<'a, T> {
    pub(super) out: &'a mut [T],
    pub(super) xi: &'a [T],
    pub(super) centre: &'a [T],
    pub(super) deviations: &'a [T],
    pub(super) spread: T,
}

impl<T: Real> pulp::WithSimd for Place<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let drawn = self.centre.iter().zip(self.deviations).zip(self.xi);
        for (x, ((&centre, &deviation), &xi)) in self.out.iter_mut().zip(drawn) {
            *x = centre + self.spread * deviation * xi;
        }
    }
}

/// Adds c xi, rounded to a quantum, to the sums.
pub(super) struct AddRounded<'a, T> {
    pub(super) sums: &'a mut [f64],
    pub(super) xi: &'a [T],
    pub(super) coefficient: f64,
    pub(super) quantum: Quantum,
}

impl<T: Real> pulp::WithSimd for AddRounded<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for (sum, xi) in self.sums.iter_mut().zip(self.xi) {
            *sum += self.quantum.round(self.coefficient * xi.as_f64());
        }
    }
}
