//! Eigenvalues and eigenvectors of a symmetric matrix in double precision.
//!
//! faer does the work on the calling thread alone, so that the result has the same bits for any number of threads, and on
//! every rank that holds the same matrix; between hosts of unlike processors the last bits may differ, as those of every
//! matrix product do. Cholesky's factor is not left to it: `kernels::cholesky` says why.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par};
use ndarray::{Array1, Array2, ArrayView2, ShapeBuilder};

/// Returns the eigenvalues of a symmetric matrix, n x n, in ascending order, and its orthonormal eigenvectors as the
/// columns of an n x n array in the same order. Only the lower triangle is read.
///
/// None if the matrix holds a number that is not finite, or the iteration doesn't converge.
///
/// # Panics
/// If the matrix is not square.
#[must_use]
pub fn symmetric_eigen(a: ArrayView2<f64>) -> Option<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    assert_eq!(n, a.ncols(), "a square matrix");
    if !a.iter().all(|x| x.is_finite()) {
        return None;
    }
    let a = a.as_standard_layout();
    let a = MatRef::from_row_major_slice(a.as_slice().expect("row-major"), n, n);
    let mut values = Array1::zeros(n);
    let mut vectors = Array2::zeros((n, n).f());
    let columns = vectors.as_slice_memory_order_mut().expect("contiguous");
    let settings = Default::default();
    let memory = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, settings);
    self_adjoint_evd(
        a,
        DiagMut::from_slice_mut(values.as_slice_mut().expect("contiguous")),
        Some(MatMut::from_column_major_slice_mut(columns, n, n)),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(memory)),
        settings,
    )
    .ok()?;
    Some((values, vectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symmetric matrix of rank `rank` at most.
    fn symmetric(n: usize, rank: usize) -> Array2<f64> {
        let x = Array2::from_shape_fn((n, rank), |(i, j)| {
            ((i * 7919 + j * 104_729) % 997) as f64 / 500.0 - 1.0
        });
        let signs = Array2::from_diag(&Array1::from_shape_fn(rank, |j| 1.0 - 0.1 * j as f64));
        x.dot(&signs).dot(&x.t())
    }

    fn largest(a: &Array2<f64>) -> f64 {
        a.fold(0.0, |most, x| x.abs().max(most))
    }

    /// Below and above the size from which faer divides and conquers, and with eigenvalues that are 0 many times over.
    #[test]
    fn eigenvectors_are_orthonormal_and_make_the_matrix_up_again() {
        for (n, rank) in [(1, 1), (2, 2), (7, 7), (64, 20), (150, 150), (300, 40)] {
            let a = symmetric(n, rank);
            let mut lower = a.clone();
            lower.indexed_iter_mut().for_each(|((i, j), x)| {
                if i < j {
                    *x = 1e9;
                }
            });
            let (values, vectors) = symmetric_eigen(lower.view()).unwrap();
            assert!(
                values
                    .iter()
                    .zip(values.iter().skip(1))
                    .all(|(a, b)| a <= b)
            );
            let unit = vectors.t().dot(&vectors) - Array2::<f64>::eye(n);
            assert!(largest(&unit) < 1e-12, "{n}: {}", largest(&unit));
            let again = (&vectors * &values).dot(&vectors.t());
            let apart = largest(&(again - &a)) / largest(&a);
            assert!(apart < 1e-12, "{n}: {apart}");
        }
    }

    /// Every thread that computes it gets the same bits, alone or beside others, from either order of memory.
    #[test]
    fn bits_depend_neither_on_threads_nor_on_layout() {
        let a = symmetric(200, 150);
        let a = &a + &a.t(); // to the bit
        let bits = |(values, vectors): (Array1<f64>, Array2<f64>)| -> Vec<u64> {
            let all = values.iter().chain(&vectors);
            all.map(|x| x.to_bits()).collect()
        };
        let alone = bits(symmetric_eigen(a.view()).unwrap());
        for threads in [1, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let found = pool.build().unwrap().broadcast(|_| symmetric_eigen(a.t()));
            for found in found {
                assert!(bits(found.unwrap()) == alone, "{threads}");
            }
        }
    }

    #[test]
    fn a_matrix_that_is_not_finite_has_none() {
        let mut a = symmetric(3, 3);
        for bad in [f64::NAN, f64::INFINITY] {
            a[(2, 0)] = bad;
            assert!(symmetric_eigen(a.view()).is_none(), "{bad}");
        }
    }
}
