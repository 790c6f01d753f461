//! Temporary.
use super::ForwardMap;
use crate::prior::{Prior, Segment};
use crate::real::Real;
use ndarray::*;
#[allow(missing_docs)]
pub struct Linear {
    a: Array2<f64>,
}
impl Linear {
    #[allow(missing_docs)]
    pub fn new(a: Array2<f64>) -> Self {
        Self { a }
    }
}
impl<T: Real> ForwardMap<T> for Linear {
    fn parameters(&self) -> usize {
        self.a.ncols()
    }
    fn features(&self) -> usize {
        0
    }
    fn outputs(&self) -> usize {
        self.a.nrows()
    }
    fn prior(&self) -> Prior {
        Prior::new(vec![Segment {
            count: self.a.ncols(),
            deviation: 1.0,
        }])
    }
    fn flops(&self, _m: usize) -> f64 {
        2.0 * self.a.len() as f64
    }
    fn scratch(&self, _m: usize) -> usize {
        0
    }
    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _i: ArrayView2<T>,
        mut outputs: ArrayViewMut3<T>,
        _s: &mut [T],
    ) {
        for (z, row) in outputs.iter_mut().zip(self.a.rows()) {
            *z = T::of(
                row.iter()
                    .zip(members.row(0))
                    .map(|(a, u)| a * u.wide())
                    .sum(),
            );
        }
    }
}
