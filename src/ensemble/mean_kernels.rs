//! The inner loops of the mean form, in whatever vectors the processor has.

use std::ops::Range;
use std::sync::Mutex;

use crate::ensemble::draw::{Draw, LARGEST_DRAW};
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::parallel::partition::Blocks;
use crate::parallel::ranks::Ranks;

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
struct AddRounded<'a, T> {
    sums: &'a mut [f64],
    xi: &'a [T],
    coefficient: f64,
    quantum: Quantum,
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

/// Adds sum_k c_k xi_k over this rank's members `own` to `sums`, P numbers: full draws by blocks, in the parameters `differing`
/// alone. Each term is rounded so that sums over ranks are exact.
pub(super) fn sum_full<T: Real>(
    ranks: Ranks,
    (draw, blocks, differing): (Draw, Blocks, &Range<usize>),
    (own, coefficients): (Range<usize>, &[f64]),
    sums: &mut [f64],
) {
    let largest = coefficients.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
    let quantum = Quantum::new(largest * LARGEST_DRAW, coefficients.len());
    let rooms: Vec<Mutex<Vec<T>>> = (0..ranks.pool.current_num_threads())
        .map(|_| Mutex::default())
        .collect();
    for_each(
        ranks.pool,
        sums.chunks_mut(blocks.range(0).len())
            .enumerate()
            .filter(|(b, _)| {
                let columns = blocks.range(*b);
                columns.start < differing.end && differing.start < columns.end
            }),
        |thread, (b, sums)| {
            let mut xi = rooms[thread].lock().expect("one thread each");
            xi.resize(sums.len(), T::zero());
            for member in own.clone() {
                T::fill_normal(&draw.key(member, b), 0, &mut xi);
                pulp::Arch::new().dispatch(AddRounded {
                    sums: &mut *sums,
                    xi: &xi,
                    coefficient: coefficients[member],
                    quantum,
                });
            }
        },
    );
}
