//! What a low-rank member adds to shared sums of its own: its inputs' products with A, times B.

use ndarray::{ArrayView2, ArrayViewMut2, s};

use crate::forward::activation::OwnSums;
use crate::forward::low_rank::Layer;
use crate::kernels::panel::PANEL;
use crate::kernels::real::{Real, product};

/// A^T x of the first layer for all members of a unit, rank x n x m in whole panels.
pub(super) fn project_first<T: Real>(
    first: Layer,
    rank: usize,
    draws: ArrayView2<T>,
    inputs: ArrayView2<T>,
    projected: &mut [T],
) {
    let (n, m) = (draws.nrows(), inputs.ncols());
    let full = m.next_multiple_of(PANEL);
    for (r, projected) in projected.chunks_mut(n * full).enumerate() {
        let from = first.left(rank).start + r * first.fan_in;
        let left = draws.slice(s![.., from..from + first.fan_in]); // n x fan_in
        let mut out = ArrayViewMut2::from_shape((n, full), projected).expect("room");
        out.slice_mut(s![.., m..]).fill(T::zero());
        let out = out.slice_move(s![.., ..m]);
        product(out, T::zero(), T::one(), left, inputs);
    }
}

/// Row i of `out` <- row i of `base`, or of `out` itself, plus b_i p, on one panel: a member's own part of its sums.
pub(super) struct AddOwn<'a, T> {
    /// Base, b (s included), and p: what its inputs times A come to.
    pub(super) own: OwnSums<'a, T>,
    pub(super) out: &'a mut [T],
}

impl<T: Real> pulp::WithSimd for AddOwn<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let OwnSums {
            base,
            right,
            projected,
        } = self.own;
        let p: &[T; PANEL] = projected.try_into().expect("a panel's row");
        let rows = self.out.chunks_exact_mut(PANEL).enumerate();
        for ((i, out), &b) in rows.zip(right) {
            let out: &mut [T; PANEL] = out.try_into().expect("a panel's row");
            if let Some(base) = base {
                out.copy_from_slice(&base[i * PANEL..(i + 1) * PANEL]);
            }
            for (z, &p) in out.iter_mut().zip(p) {
                *z += b * p;
            }
        }
    }
}
