//! The linear map G(u) = A u: one sample without inputs, whose c = K outputs are the observations.

use ndarray::{Array2, ArrayView2, ArrayViewMut3};

use super::{ForwardMap, MapShape};
use crate::kernels::real::Real;

/// G(u) = A u with prior N(0, I).
#[derive(Clone, Debug)]
pub struct Linear {
    matrix: Array2<f64>, // K x P
}

impl Linear {
    /// A, K x P.
    #[must_use]
    pub fn new(matrix: Array2<f64>) -> Self {
        Self { matrix }
    }
}

impl<T: Real> ForwardMap<T> for Linear {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.matrix.ncols(),
            features: 0,
            outputs: self.matrix.nrows(),
        }
    }

    fn flops(&self, m: usize) -> f64 {
        2.0 * m as f64 * self.matrix.len() as f64
    }

    /// In double precision throughout: the map is small, and its errors should not be the study's.
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        _scratch: &mut [T],
    ) {
        for (member, mut out) in members.rows().into_iter().zip(outputs.outer_iter_mut()) {
            for (row, mut out) in self.matrix.rows().into_iter().zip(out.rows_mut()) {
                let sum: f64 = row.iter().zip(member).map(|(a, u)| a * u.as_f64()).sum();
                debug_assert_eq!(out.len(), inputs.ncols());
                out.fill(T::from_f64(sum));
            }
        }
    }
}
