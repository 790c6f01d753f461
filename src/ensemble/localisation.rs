//! Sampling error correction: what J members tell of a parameter's correlation with an output is off by about 1/sqrt(J), so
//! small correlations are shrunk most: each r is taken times |r|^a.
//!
//! ```text
//! u <- u - h V C^T ,   C_ik = r_ik |r_ik|^a s_i s_k    in place of  C_ik = (1/J) sum_j (u_j - ubar)_i W_jk = r_ik s_i s_k
//! ```
//!
//! s are the deviations of parameter i and of output k over members. Members then leave the space that they span. Lee,
//! Sampling error correction in ensemble Kalman inversion (2021), arXiv:2105.11341; of the covariance with the outputs
//! alone, not of that among them.

use ndarray::ArrayView2;

use crate::kernels::panel::PANEL;
use crate::kernels::real::Real;

/// The correction of one step's covariances of parameters with outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Localised {
    /// The root of each output's sum of squared anomalies over members, K numbers.
    norms: Vec<f64>,
    /// a.
    power: usize,
}

impl Localised {
    /// To the power `power` > 0, where the anomalies are W, J x K.
    #[must_use]
    pub fn new<T: Real>(anomalies: ArrayView2<T>, power: usize) -> Self {
        let mut squares = vec![0.0; anomalies.ncols()];
        for row in anomalies.rows() {
            add_squares(&mut squares, row.to_slice().expect("row-major"));
        }
        let norms = squares.into_iter().map(f64::sqrt).collect();
        Self { norms, power }
    }

    /// Corrects `products` = W^T (u - ubar), K x w, of a group of columns whose deviations from their means, J x w, are
    /// `centred`; both in panels.
    pub(crate) fn correct<T: Real>(&self, centred: &[T], products: &mut [T]) {
        let outputs = self.norms.len();
        let panels = products.chunks_exact_mut(outputs * PANEL);
        let members = centred.len() / panels.len();
        for (products, centred) in panels.zip(centred.chunks_exact(members)) {
            let mut squares = [0.0; PANEL];
            for row in centred.chunks_exact(PANEL) {
                add_squares(&mut squares, row);
            }
            for (row, &norm) in products.chunks_exact_mut(PANEL).zip(&self.norms) {
                for (x, square) in row.iter_mut().zip(squares) {
                    let most = norm * square.sqrt();
                    // Of what does not vary there is no correlation.
                    let r = if most > 0.0 {
                        (x.as_f64() / most).abs()
                    } else {
                        0.0
                    };
                    let factor: f64 = std::iter::repeat_n(r, self.power).product();
                    *x *= T::from_f64(factor);
                }
            }
        }
    }
}

fn add_squares<T: Real>(squares: &mut [f64], row: &[T]) {
    for (square, x) in squares.iter_mut().zip(row) {
        *square += x.as_f64() * x.as_f64();
    }
}
