//! The Kalman gain: a step that is implicit in the misfit's curvature, as the discrete filter's is.
//!
//! ```text
//! S = W Omega W^T / J                                    J x J, Omega = diag of Psi's curvature at Gbar
//! D <- D (I + h S)^{-1}                                  explicit
//! g <- (I + h Omega W^T W / J)^{-1} g                    the same by each row g of V, where K is the smaller
//! ```
//!
//! With least squares Omega = Gamma^{-1} and u <- u - h D u is u_j <- u_j + C^{uw} (C^{ww} + Gamma/h)^{-1} (y - G(u_j)):
//! Iglesias, Law & Stuart, Inverse Problems 29 (2013) 045001, observations not perturbed; or with y plus noise of each
//! member's own, N(0, Gamma/h). As h falls it becomes the plain step. With other losses it is the Gauss-Newton form of the
//! same (Chen & Oliver, Math. Geosci. 44 (2012) 1), with cross-entropy by a curvature of our own (`Loss::curvature`).

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::ThreadPool;

use crate::kernels::cholesky::Cholesky;
use crate::kernels::real::{Real, product};

/// Rows that are multiplied or solved for as one task; part of the format, since rounding may depend on the shape.
pub const SOLVED: usize = 64;

/// I + h X X^T / J, by its Cholesky factor.
#[derive(Debug)]
pub struct Gain(Cholesky);

impl Gain {
    /// Factors I + (h / J) X X^T from the lower triangle of X X^T and `scale` = h / J; None where that is not finite.
    #[must_use]
    pub fn new(mut gram: Array2<f64>, scale: f64, pool: &ThreadPool) -> Option<Self> {
        gram *= scale;
        gram.diag_mut().map_inplace(|x| *x += 1.0);
        let finite = gram.iter().all(|x| x.is_finite());
        finite.then(|| Cholesky::new(gram, pool))?.map(Self)
    }

    /// Multiplies each of the rows, as long as a side, one after the other, by the inverse.
    pub fn apply(&self, rows: &mut [f64]) {
        let shape = (rows.len() / self.0.side(), self.0.side());
        self.0
            .solve(ArrayViewMut2::from_shape(shape, rows).expect("whole rows"));
    }
}

/// Rows `first..` of X X^T, as many as `out` has, up to the last one's place on the diagonal, with X, n x K.
pub fn gram_rows(x: ArrayView2<f64>, first: usize, mut out: ArrayViewMut2<f64>) {
    let end = first + out.nrows();
    let (own, others) = (x.slice(s![first..end, ..]), x.slice(s![..end, ..]));
    product(out.slice_mut(s![.., ..end]), 0.0, 1.0, own, others.t());
}

/// W Omega^{1/2}, in double precision, with the roots of Omega.
#[must_use]
pub fn scaled<T: Real>(anomalies: ArrayView2<T>, roots: &[f64]) -> Array2<f64> {
    let mut scaled = anomalies.mapv(T::as_f64);
    for mut row in scaled.rows_mut() {
        row.iter_mut().zip(roots).for_each(|(x, root)| *x *= root);
    }
    scaled
}

/// (I + h Omega W^T W / J)^{-1} g for one vector g, with `x` = W Omega^{1/2}, J x K: by the smaller of both sides. None
/// where the outputs are too large for doubles.
#[must_use]
pub fn one(
    x: ArrayView2<f64>,
    gram: Array2<f64>,
    scale: f64,
    roots: &[f64],
    g: &[f64],
    pool: &ThreadPool,
) -> Option<Vec<f64>> {
    let by_outputs = gram.nrows() == g.len();
    let gain = Gain::new(gram, scale, pool)?;
    let mut y: Vec<f64> = g.iter().zip(roots).map(|(g, root)| g / root).collect();
    if by_outputs {
        gain.apply(&mut y);
    } else {
        // (I + s X^T X)^{-1} = I - s X^T (I + s X X^T)^{-1} X
        let dot = |row: ndarray::ArrayView1<f64>| row.iter().zip(&y).map(|(x, y)| x * y).sum();
        let mut through: Vec<f64> = x.rows().into_iter().map(dot).collect();
        gain.apply(&mut through);
        for (row, t) in x.rows().into_iter().zip(&through) {
            y.iter_mut().zip(row).for_each(|(y, x)| *y -= scale * t * x);
        }
    }
    y.iter_mut().zip(roots).for_each(|(y, root)| *y *= root);
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;

    fn pool() -> ThreadPool {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2);
        threads.build().unwrap()
    }

    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(i, j)| {
            ((i * 7919 + j * 104_729 + seed * 31) % 997) as f64 / 500.0 - 1.0
        })
    }

    /// The solution that `one` returns solves (I + s Omega W^T W) x = g, by either side.
    #[test]
    fn both_sides_solve_the_same_equation() {
        for (members, outputs) in [(7, 90), (90, 7), (130, 130)] {
            let w = numbers(members, outputs, 1);
            let omega: Vec<f64> = (0..outputs).map(|i| 0.5 + i as f64).collect();
            let roots: Vec<f64> = omega.iter().map(|o| o.sqrt()).collect();
            let (x, scale) = (scaled(w.view(), &roots), 0.3);
            let g = numbers(1, outputs, 2).row(0).to_vec();
            let gram = if outputs <= members {
                x.t().dot(&x)
            } else {
                x.dot(&x.t())
            };
            let found = one(x.view(), gram, scale, &roots, &g, &pool()).unwrap();
            let found = Array1::from(found);
            let back = &found + &(&w.t().dot(&w.dot(&found)) * &Array1::from(omega) * scale);
            let apart = (&back - &Array1::from(g)).mapv(f64::abs);
            assert!(
                apart.iter().all(|x| *x < 1e-9),
                "{members} {outputs}: {apart}"
            );
        }
    }

    #[test]
    fn rows_of_a_gram_matrix_and_what_is_not_finite() {
        let x = numbers(SOLVED + 9, 12, 3);
        let mut rows = Array2::zeros((9, SOLVED + 9));
        gram_rows(x.view(), SOLVED, rows.view_mut());
        let whole = x.dot(&x.t());
        let apart = &rows - &whole.slice(s![SOLVED.., ..]);
        assert!(apart.iter().all(|x| x.abs() < 1e-12));
        assert!(Gain::new(whole, f64::INFINITY, &pool()).is_none());
    }
}
