//! The Cholesky factorisation of a matrix in double precision, by blocks whose rows are shared among threads.
//!
//! The Kalman gain uses it. The bits do not depend on the number of threads: every block is one task of fixed shape.
//!
//! It is not left to faer, as `kernels::eigen` is, for two reasons. Almost every entry of faer's factor differs in its last
//! bits, and with it would every run with the gain. And up to some 500 rows faer is slower on one thread: 1.0 against 0.4 ms
//! at 100 rows, 11 against 1.3 ms at 200, 41 against 27 ms at 500; only at 1000 it wins, 84 against 167 ms.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::ThreadPool;
use serde::{Deserialize, Serialize};

use crate::kernels::real::{inner, product};
use crate::kernels::threads::for_each;

/// The side of the diagonal blocks and the rows of a task. Rounding, and so every result, depends on it.
const BLOCK: usize = 64;

/// The Cholesky factor L of an n x n matrix A = L L^T.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cholesky {
    /// L on and below the diagonal; above it the entries of A remain.
    lower: Array2<f64>,
    /// The inverses of the diagonal blocks of L.
    inverses: Vec<Array2<f64>>,
}

impl Cholesky {
    /// Factorises a symmetric A, of which only the lower triangle is read; None if A is not positive definite.
    #[must_use]
    pub fn new(mut a: Array2<f64>, pool: &ThreadPool) -> Option<Self> {
        let side = a.nrows();
        let mut inverses = Vec::new();
        for start in (0..side).step_by(BLOCK) {
            let width = BLOCK.min(side - start);
            let (_, rest) = a.view_mut().split_at(Axis(0), start);
            let (rows, mut below) = rest.split_at(Axis(0), width);
            let (left, mut block, _) = around(rows, start, start + width);
            product(block.view_mut(), 1.0, -1.0, left.view(), left.t());
            let inverse = factor(&mut block)?;
            for_each(
                pool,
                below.axis_chunks_iter_mut(Axis(0), BLOCK),
                |_, rows| {
                    let (own, mut block, _) = around(rows, start, start + width);
                    product(block.view_mut(), 1.0, -1.0, own.view(), left.t());
                    times(&mut block, inverse.t());
                },
            );
            inverses.push(inverse);
        }
        Some(Self { lower: a, inverses })
    }

    /// Returns the number n of rows of A.
    #[must_use]
    pub fn side(&self) -> usize {
        self.lower.nrows()
    }

    /// Returns the first row of each diagonal block of L, with the block's inverse.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, &Array2<f64>)> {
        let firsts = (0..self.inverses.len()).map(|block| block * BLOCK);
        firsts.zip(&self.inverses)
    }

    /// Replaces X, any number of rows of n numbers, by X L^{-T}.
    pub fn solve_rows(&self, mut x: ArrayViewMut2<f64>) {
        for (start, inverse) in self.blocks() {
            let end = start + inverse.nrows();
            let (before, mut own, _) = around(x.view_mut(), start, end);
            let lower = self.lower.slice(s![start..end, ..start]);
            product(own.view_mut(), 1.0, -1.0, before.view(), lower.t());
            times(&mut own, inverse.t());
        }
    }

    /// Replaces X, any number of rows of n numbers, by X A^{-1}.
    pub fn solve(&self, mut x: ArrayViewMut2<f64>) {
        self.solve_rows(x.view_mut());
        for (start, inverse) in self.blocks().rev() {
            let end = start + inverse.nrows();
            let (_, mut own, after) = around(x.view_mut(), start, end);
            let lower = self.lower.slice(s![end.., start..end]);
            product(own.view_mut(), 1.0, -1.0, after.view(), lower);
            times(&mut own, inverse.view());
        }
    }
}

/// The whitening of vectors with A as their covariance.
impl Cholesky {
    /// Replaces x, n numbers, by L^{-1} x.
    pub fn solve_lower(&self, x: &mut [f64]) {
        let rows = ArrayViewMut2::from_shape((1, x.len()), x);
        self.solve_rows(rows.expect("one row"));
    }

    /// Replaces x, n numbers, by L x.
    pub fn times_lower(&self, x: &mut [f64]) {
        for i in (0..x.len()).rev() {
            let row = self.lower.slice(s![i, ..=i]);
            x[i] = row.iter().zip(&*x).map(|(l, x)| l * x).sum();
        }
    }

    /// Returns the least square of a diagonal entry of L.
    #[must_use]
    pub fn least_pivot(&self) -> f64 {
        let squares = self.lower.diag().mapv(|pivot| pivot * pivot);
        squares.fold(f64::INFINITY, |least, &square| least.min(square))
    }
}

/// Splits `x` into the columns before `start`, those from `start` to `end`, and those from `end` on.
fn around(
    x: ArrayViewMut2<f64>,
    start: usize,
    end: usize,
) -> (ArrayViewMut2<f64>, ArrayViewMut2<f64>, ArrayViewMut2<f64>) {
    let (before, rest) = x.split_at(Axis(1), start);
    let (own, after) = rest.split_at(Axis(1), end - start);
    (before, own, after)
}

/// Replaces X by X B.
fn times(x: &mut ArrayViewMut2<f64>, b: ArrayView2<f64>) {
    let before = x.to_owned();
    product(x.view_mut(), 0.0, 1.0, before.view(), b);
}

/// Replaces a small symmetric matrix by its Cholesky factor and returns the inverse of the factor; None if it is not
/// positive definite.
fn factor(a: &mut ArrayViewMut2<f64>) -> Option<Array2<f64>> {
    let side = a.nrows();
    let mut l = Array2::<f64>::zeros((side, side));
    let mut inverse = Array2::<f64>::zeros((side, side));
    for i in 0..side {
        for j in 0..=i {
            let before = |row: usize| l.row(row).to_slice().expect("row-major").split_at(j).0;
            let rest = a[(i, j)] - inner(before(i), before(j));
            l[(i, j)] = if i == j {
                // False for NaN, too.
                (rest > 0.0).then(|| rest.sqrt())?
            } else {
                rest / l[(j, j)]
            };
        }
        let (done, mut row) = inverse.view_mut().split_at(Axis(0), i);
        let mut row = row.row_mut(0);
        row[i] = 1.0;
        for (j, known) in done.rows().into_iter().enumerate() {
            row.scaled_add(-l[(i, j)], &known);
        }
        row /= l[(i, i)];
    }
    a.assign(&l);
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns A = X X^T + 1, positive definite and far from diagonal.
    fn positive(side: usize) -> Array2<f64> {
        let x = Array2::from_shape_fn((side, side + 5), |(i, j)| {
            ((i * 7919 + j * 104_729) % 997) as f64 / 500.0 - 1.0
        });
        x.dot(&x.t()) + Array2::<f64>::eye(side)
    }

    #[test]
    fn what_is_solved_for_is_found_again_whatever_the_threads() {
        for side in [1, 5, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let a = positive(side);
            let x =
                Array2::from_shape_fn((9, side), |(i, j)| ((i * 31 + j * 17) % 13) as f64 - 6.0);
            let found = [1, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let factor = Cholesky::new(a.clone(), &pool.build().unwrap()).unwrap();
                let mut solved = x.dot(&a);
                factor.solve(solved.view_mut());
                solved
            });
            assert_eq!(found[0], found[1]);
            let apart = (&found[0] - &x).fold(0.0_f64, |most, x| most.max(x.abs()));
            assert!(apart < 1e-9, "{side}: {apart}");
        }
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_has_none() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        for bad in [0.0, -1.0, f64::NAN] {
            let mut a = positive(BLOCK + 9);
            a[(BLOCK + 3, BLOCK + 3)] = bad;
            assert!(Cholesky::new(a, &pool).is_none(), "{bad}");
        }
    }
}
