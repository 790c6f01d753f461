//! Localisation: covariances of parameters with outputs are known from J members to about 1/sqrt(J), so that small ones are mostly
//! sampling noise. They are damped or left out, entry by entry; members then leave the space that they span.
//!
//! ```text
//! sec         C_ik = r_ik |r_ik|^a s_i s_k        in place of  C_ik = (1/J) sum_j (u_j - ubar)_i W_jk = r_ik s_i s_k
//! distance    C_ik = rho(|x_i - x_k|) r_ik s_i s_k, and so the outputs' covariances among themselves (`method::gain`)
//! threshold   (C (I + h Omega W^T W / J)^{-1})_ik  where |r_ik| > t / sqrt(J), else 0: of the gain, not of the covariance
//! ```
//!
//! s are the deviations of parameter i and of output k over members, x their places, rho the taper of Gaspari & Cohn
//! (`data::distances`). Lee, Sampling error correction in ensemble Kalman inversion (2021), arXiv:2105.11341; Luo, Bhakta & Naevdal,
//! SPE J. 23 (2018) 396, and with t = 3 Vossepoel, Evensen & van Leeuwen, Mon. Weather Rev. (2025). Sampling error correction leaves
//! the outputs' covariances among themselves as they are.
//!
//! Once a step: the outputs' norms. Once a block of columns: the correction of K x w numbers, and for the threshold one more product;
//! by distance, the choice of the observations within reach of the block, and the products with these alone.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};

use crate::data::distances::Distances;
use crate::kernels::buffers::BufferPool;
use crate::kernels::panel::{PANEL, Packed};
use crate::kernels::real::Real;

/// How a run localises.
#[derive(Clone, Debug)]
pub enum Localisation {
    /// By the correlation to this power.
    Sec(u32),
    /// By correlations of at least this many times 1 / sqrt(J).
    Threshold(f64),
    /// By distance.
    Distances(Arc<Distances>),
}

/// The correction of one step's covariances by their correlations.
#[derive(Debug)]
pub struct Correlations<T> {
    /// The root of each output's sum of squared anomalies over members, K numbers.
    norms: Vec<f64>,
    factor: CorrelationFactor,
    /// W^T, K x J, where the products that are corrected are not of W itself.
    anomalies: Option<Packed<T>>,
}

/// The factor that a correlation r takes.
#[derive(Clone, Copy, Debug)]
pub enum CorrelationFactor {
    /// |r|^a.
    Power(u32),
    /// 1 where |r| is larger than this, else 0.
    Above(f64),
}

impl CorrelationFactor {
    /// Returns the factor of the correlation `r`.
    fn of(self, r: f64) -> f64 {
        match self {
            Self::Power(a) => std::iter::repeat_n(r.abs(), a as usize).product(),
            Self::Above(least) => f64::from(r.abs() > least),
        }
    }
}

impl<T: Real> Correlations<T> {
    /// Of outputs whose anomalies are W, J x K; with W^T `packed` where what is corrected are not products of W itself.
    #[must_use]
    pub fn new(
        anomalies: ArrayView2<T>,
        factor: CorrelationFactor,
        packed: Option<Packed<T>>,
    ) -> Self {
        let mut squares = vec![0.0; anomalies.ncols()];
        for row in anomalies.rows() {
            add_squares(&mut squares, row.to_slice().expect("row-major"));
        }
        Self {
            norms: squares.into_iter().map(f64::sqrt).collect(),
            factor,
            anomalies: packed,
        }
    }

    /// Returns its numbers to `buffers` for later steps.
    pub(crate) fn recycle(self, buffers: &BufferPool<T>) {
        if let Some(anomalies) = self.anomalies {
            anomalies.recycle(buffers);
        }
    }

    /// Multiplies `products`, K x w, by the factors of the correlations that `raw` makes, or the products themselves. All in panels;
    /// `centred` are the columns' deviations from their means, J x w.
    fn correct(&self, centred: &[T], products: &mut [T], raw: Option<&[T]>) {
        let size = self.norms.len() * PANEL;
        let panels = products.chunks_exact_mut(size);
        let members = centred.len() / panels.len();
        for (panel, (products, centred)) in panels.zip(centred.chunks_exact(members)).enumerate() {
            let mut squares = [0.0; PANEL];
            for row in centred.chunks_exact(PANEL) {
                add_squares(&mut squares, row);
            }
            let rows = products.chunks_exact_mut(PANEL).zip(&self.norms);
            for (k, (row, &norm)) in rows.enumerate() {
                let raw = raw.map(|raw| &raw[panel * size + k * PANEL..][..PANEL]);
                for (i, (x, square)) in row.iter_mut().zip(squares).enumerate() {
                    let most = norm * square.sqrt();
                    // Of what does not vary there is no correlation.
                    let r = if most > 0.0 {
                        raw.map_or(*x, |raw| raw[i]).as_f64() / most
                    } else {
                        0.0
                    };
                    *x *= T::from_f64(self.factor.of(r));
                }
            }
        }
    }
}

/// The move of members in which an observation informs the parameters near it alone.
#[derive(Debug)]
pub struct Near<T> {
    /// Where parameters and observations lie.
    pub distances: Arc<Distances>,
    /// V, J x K.
    pub gradients: Array2<T>,
    /// W, J x K.
    pub anomalies: Array2<T>,
    /// Whether products are of bfloat16.
    pub mixed: bool,
}

impl<T: Real> Near<T> {
    /// Returns the observations that inform any of the parameters `columns`, and of these V, J x K', and W^T, K' x J.
    pub(crate) fn factors(&self, columns: Range<usize>) -> (Vec<usize>, Packed<T>, Packed<T>) {
        let near = self.distances.near(columns);
        let packed = |matrix: ArrayView2<T>| {
            Packed::of(matrix).paired_if(self.mixed, &BufferPool::default())
        };
        let gradients = packed(self.gradients.select(Axis(1), &near).view());
        let anomalies = packed(self.anomalies.select(Axis(1), &near).t());
        (near, gradients, anomalies)
    }
}

/// What corrects the products W^T (u - ubar) of a block of columns.
pub(crate) enum Correction<'a, T> {
    Correlations(&'a Correlations<T>),
    /// With the block's first column, and the observation that each row of products is of.
    Distances(&'a Distances, usize, &'a [usize]),
}

impl<T: Real> Correction<'_, T> {
    /// Returns W^T where the products W^T (u - ubar) are needed beside those that are corrected.
    pub(crate) fn anomalies(&self) -> Option<&Packed<T>> {
        match self {
            Self::Correlations(correlations) => correlations.anomalies.as_ref(),
            Self::Distances(..) => None,
        }
    }

    /// Corrects `products`, K x w in panels, of columns whose deviations from their means, J x w in panels, are `centred`; `raw`, of
    /// the shape of the products, are W^T (u - ubar) where the products are others.
    pub(crate) fn apply(&self, centred: &[T], products: &mut [T], raw: Option<&[T]>) {
        match self {
            Self::Correlations(correlations) => correlations.correct(centred, products, raw),
            Self::Distances(distances, first, near) => {
                let panels = products.chunks_exact_mut(near.len() * PANEL);
                for (panel, products) in panels.enumerate() {
                    let first = first + panel * PANEL;
                    // The last panel has columns beyond the last parameter.
                    let wide = PANEL.min(distances.parameters.nrows() - first);
                    for (row, &k) in products.chunks_exact_mut(PANEL).zip(*near) {
                        for (i, x) in row[..wide].iter_mut().enumerate() {
                            *x *= T::from_f64(distances.taper(first + i, k));
                        }
                    }
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
