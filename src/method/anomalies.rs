//! Ensemble Kalman inversion: the update of one block of columns, in each of its forms, as functions of arrays.
//!
//! With gradients V and anomalies W (both J x K; row j of V is grad Psi at member j's own outputs, row k of W is
//! G(u_k) - Gbar):
//!
//! ```text
//! D = V W^T / J                     J x J, rows sum to zero
//! u <- u - h_n D (u - ubar)         explicit: 2 J^2 P flops
//! u <- u - h_n/J V (W^T (u - ubar)) factored: 4 J K P flops
//! ubar <- ubar - h_n c^T u          mean alone, c = W vbar / J: 2 J P flops
//! ```
//!
//! In mixed precision (`Packed::paired`) what is multiplied is rounded to bfloat16; u, ubar and all sums are not.
//!
//! Kovachki & Stuart, Inverse Problems 35 (2019) 095005. A failed member's rows of V and W are zero: it neither moves
//! nor moves others, and J counts the survivors.

use crate::ensemble::centre::rounded_means;
use crate::ensemble::survivors::Survivors;
use ndarray::{ArrayView2, ArrayViewMut2};

use crate::kernels::real::Real;
use crate::method::loss::Loss;

/// Turns the selected outputs, J x w, into the anomalies W, in place, and returns their means, w numbers; `before` is given
/// each survivor's number and outputs while they are whole.
pub fn anomalies<T: Real>(
    mut outputs: ArrayViewMut2<T>,
    survivors: &Survivors,
    mut before: impl FnMut(usize, &[T]),
) -> Vec<T> {
    let means = rounded_means(outputs.view(), survivors);
    for (j, mut z) in outputs.rows_mut().into_iter().enumerate() {
        if !survivors.contains(j) {
            z.fill(T::zero());
            continue;
        }
        let z = z.as_slice_mut().expect("row-major");
        before(j, z);
        for (z, &mean) in z.iter_mut().zip(&means) {
            *z -= mean;
        }
    }
    means
}

/// Makes anomalies of the samples `first..first + w` in place, and writes the gradients V. `y` holds the targets of these w columns.
pub fn anomalies_and_gradients<T: Real>(
    outputs: ArrayViewMut2<T>,
    mut gradients: ArrayViewMut2<T>,
    y: &[T],
    first: usize,
    loss: &Loss,
    survivors: &Survivors,
) {
    for failed in survivors.failed() {
        gradients.row_mut(failed).fill(T::zero());
    }
    anomalies(outputs, survivors, |j, z| {
        let mut g = gradients.row_mut(j);
        loss.gradient(z, y, first, g.as_slice_mut().expect("row-major"));
    });
}

/// Returns the largest Euclidean norm of the rows of `a`: |(V W^T)_jk| <= largest_row(V) largest_row(W).
#[must_use]
pub fn largest_row<T: Real>(a: ArrayView2<T>) -> f64 {
    a.rows()
        .into_iter()
        .map(|row| {
            row.iter()
                .map(|x| x.as_f64() * x.as_f64())
                .sum::<f64>()
                .sqrt()
        })
        .fold(0.0, f64::max)
}
