//! Localisation: covariances of parameters with outputs are known from J members to about 1/sqrt(J), so that small ones are mostly
//! sampling noise. They are damped or left out, entry by entry; members then leave the space that they span.
//!
//! ```text
//! sec         C_ik = r_ik |r_ik|^a s_i s_k        in place of  C_ik = (1/J) sum_j (u_j - ubar)_i W_jk = r_ik s_i s_k
//! distance    C_ik = rho(|x_i - x_k|) r_ik s_i s_k, and so the outputs' covariances among themselves (`method::gain`)
//! fisher      C_ik = f r_ik s_i s_k  with  f = r_ik^2 / (r_ik^2 + d^2) ,  d = (tanh(z + e) - tanh(z - e)) / 2
//!                                    z = artanh r_ik ,  e = 1 / sqrt(J - 3)
//! taper       (C (I + h Omega W^T W / J)^{-1})_ik rho_ik  with rho from a file: of the gain
//! groups      C_ik of the observations k that inform parameter i alone, and the gain by these alone
//! threshold   (C (I + h Omega W^T W / J)^{-1})_ik  where |r_ik| > t / sqrt(J), else 0: of the gain, not of the covariance
//! ```
//!
//! s are the deviations of parameter i and of output k over members, x their places, rho the taper of Gaspari & Cohn
//! (`data::distances`). Lee, Sampling error correction in ensemble Kalman inversion (2021), arXiv:2105.11341; Luo, Bhakta & Naevdal,
//! SPE J. 23 (2018) 396, and with t = 3 Vossepoel, Evensen & van Leeuwen, Mon. Weather Rev. (2025). Sampling error correction leaves
//! the outputs' covariances among themselves as they are, and so does "fisher": f minimises the mean of (f r' - r)^2 over the r' of
//! samples with the mean r and the deviation d, derived here; the criterion is that of Flowerdew, Tellus A 67 (2015) 25257, for a known
//! correlation, in whose place the sample's stands. d is that of Fisher's transformation, symmetric in r.
//!
//! Once a step: the outputs' norms. Once a block of columns: the correction of K x w numbers, and for the threshold one more product;
//! by distance, matrix or groups, the choice of the observations that inform the block, and the products with these alone.

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use crate::data::distances::Distances;
use crate::data::groups::Groups;
use crate::data::taper_blocks::TaperBlocks;
use crate::kernels::buffers::BufferPool;
use crate::kernels::panel::{PANEL, Packed};
use crate::kernels::real::Real;

/// The localisation of a run.
#[derive(Clone, Debug)]
pub enum Localisation {
    /// By the members' correlations.
    Correlations(CorrelationFactor),
    /// By what is known of parameters and observations: blocks of parameters take the observations that inform them alone.
    Near(Reach),
}

impl Localisation {
    /// Returns true if it multiplies the gain's entries, not the covariances.
    #[must_use]
    pub fn of_gain(&self) -> bool {
        match self {
            Self::Correlations(factor) => factor.of_gain(),
            Self::Near(reach) => matches!(reach, Reach::Matrix(_)),
        }
    }
}

/// The factors by which observations inform parameters.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Their distances.
    Distances(Arc<Distances>),
    /// Groups of both: a row for each set of observations and each observation in it.
    Groups(Arc<Groups>),
    /// A matrix, of which this rank has its own columns.
    Matrix(Arc<TaperBlocks>),
}

impl Reach {
    /// Returns the rows that inform any of the parameters `columns`, one block, ascending: observations, but for groups.
    fn near(&self, columns: Range<usize>) -> Vec<usize> {
        match self {
            Self::Distances(distances) => distances.near(columns),
            Self::Groups(groups) => groups.near(columns),
            Self::Matrix(blocks) => blocks.near(columns),
        }
    }

    /// Returns the number of rows that inform any of the parameters `columns`, one block.
    pub(crate) fn count(&self, columns: Range<usize>) -> usize {
        self.near(columns).len()
    }

    /// Multiplies one panel of products, whose first column is the parameter `first`, by the factors of the rows `near`.
    fn correct<T: Real>(&self, near: &[usize], first: usize, wide: usize, products: &mut [T]) {
        pulp::Arch::new().dispatch(|| match self {
            Self::Distances(distances) => multiply_rows(products, wide, |place, out| {
                distances.tapers(near[place], first, out);
            }),
            Self::Groups(groups) => multiply_rows(products, wide, |place, out| {
                groups.tapers(near[place], first, out);
            }),
            Self::Matrix(blocks) => multiply_rows(products, wide, |place, out| {
                blocks.tapers(place, first, out);
            }),
        });
    }
}

/// Multiplies the rows of one panel, of which so many columns are there, by the factors that `tapers` writes for each row's place.
#[inline(always)]
fn multiply_rows<T: Real>(products: &mut [T], wide: usize, tapers: impl Fn(usize, &mut [f64])) {
    let mut factors = [0.0; PANEL];
    for (place, row) in products.chunks_exact_mut(PANEL).enumerate() {
        tapers(place, &mut factors[..wide]);
        let row = row.iter_mut().zip(factors);
        row.for_each(|(x, factor)| *x *= T::from_f64(factor));
    }
}

/// The correction of one step's covariances by their correlations.
#[derive(Debug)]
pub struct Correlations<T> {
    /// The root of each output's sum of squared anomalies over members, K numbers.
    norms: Vec<f64>,
    factor: CorrelationFactor,
    /// The number of members by which correlations are known.
    members: f64,
    /// W^T, K x J, where the products that are corrected are not of W itself.
    anomalies: Option<Packed<T>>,
}

/// The factor that a correlation r takes, of J members.
#[derive(Clone, Copy, Debug)]
pub enum CorrelationFactor {
    /// |r|^a, a at least 1.
    Power(u32),
    /// 1 where |r| is larger than this times 1 / sqrt(J), else 0.
    Threshold(f64),
    /// r^2 / (r^2 + s^2), s the deviation of a sample's correlation by Fisher's transformation.
    Fisher,
}

impl CorrelationFactor {
    /// Returns true if the factor is of the gain's entries, not of the covariances.
    #[must_use]
    pub fn of_gain(self) -> bool {
        matches!(self, Self::Threshold(_))
    }

    /// Returns the number that `replace` needs beside the correlations of so many `members`.
    fn constant(self, members: f64) -> f64 {
        match self {
            Self::Power(_) => 0.0,
            Self::Threshold(level) => level / members.sqrt(),
            // Fisher's z = artanh r has the deviation 1 / sqrt(J - 3); a run begins with at least four members.
            Self::Fisher => libm::tanh(1.0 / (members - 3.0).max(1.0).sqrt()),
        }
    }

    /// Replaces the `correlations` of so many `members` by their factors.
    pub(crate) fn replace_all(self, correlations: &mut [f64], members: usize) {
        let constant = self.constant(members as f64);
        for part in correlations.chunks_mut(PANEL) {
            let mut panel = [0.0; PANEL];
            panel[..part.len()].copy_from_slice(part);
            self.replace(&mut panel, constant);
            part.copy_from_slice(&panel[..part.len()]);
        }
    }

    /// Replaces the correlations `r` by their factors, with the `constant` of their number of members.
    #[inline(always)]
    fn replace(self, r: &mut [f64; PANEL], constant: f64) {
        match self {
            Self::Power(a) => {
                let sizes = r.map(f64::abs);
                *r = sizes;
                for _ in 1..a {
                    r.iter_mut().zip(sizes).for_each(|(r, size)| *r *= size);
                }
            }
            Self::Threshold(_) => {
                for r in r {
                    *r = if r.abs() > constant { 1.0 } else { 0.0 };
                }
            }
            Self::Fisher => {
                for r in r {
                    let square = *r * *r;
                    // (tanh(z + d) - tanh(z - d)) / 2 with r = tanh z and t = tanh d.
                    let of_t = 1.0 - square * constant * constant;
                    let deviation = constant * (1.0 - square) / of_t;
                    *r = square / (square + deviation * deviation);
                }
            }
        }
    }
}

impl<T: Real> Correlations<T> {
    /// Of outputs whose anomalies over so many `members` that count are W, J x K; with W^T `packed` where what is corrected are not
    /// products of W itself.
    #[must_use]
    pub fn new(
        anomalies: ArrayView2<T>,
        factor: CorrelationFactor,
        members: usize,
        packed: Option<Packed<T>>,
    ) -> Self {
        let mut squares = vec![0.0; anomalies.ncols()];
        pulp::Arch::new().dispatch(|| {
            for row in anomalies.rows() {
                add_squares(&mut squares, row.to_slice().expect("row-major"));
            }
        });
        Self {
            norms: squares.into_iter().map(f64::sqrt).collect(),
            factor,
            members: members as f64,
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
            let raw = raw.map(|raw| &raw[panel * size..][..size]);
            pulp::Arch::new().dispatch(CorrectPanel {
                correlations: self,
                centred,
                products,
                raw,
            });
        }
    }
}

/// The correction of one panel of products, in whatever vectors the processor has.
struct CorrectPanel<'a, T> {
    correlations: &'a Correlations<T>,
    centred: &'a [T],
    products: &'a mut [T],
    raw: Option<&'a [T]>,
}

impl<T: Real> pulp::WithSimd for CorrectPanel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Correlations {
            norms,
            factor,
            members,
            ..
        } = self.correlations;
        let constant = factor.constant(*members);
        let mut deviations = [0.0; PANEL];
        for row in self.centred.chunks_exact(PANEL) {
            add_squares(&mut deviations, row);
        }
        deviations.iter_mut().for_each(|x| *x = x.sqrt());
        let rows = self.products.chunks_exact_mut(PANEL).zip(norms);
        for (k, (row, norm)) in rows.enumerate() {
            let raw = self.raw.map_or(&*row, |raw| &raw[k * PANEL..][..PANEL]);
            let mut factors = [0.0; PANEL];
            for ((r, x), deviation) in factors.iter_mut().zip(raw).zip(deviations) {
                let most = norm * deviation;
                let correlation = x.as_f64() / most;
                // Of what does not vary there is no correlation.
                *r = if most > 0.0 { correlation } else { 0.0 };
            }
            factor.replace(&mut factors, constant);
            row.iter_mut()
                .zip(factors)
                .for_each(|(x, factor)| *x *= T::from_f64(factor));
        }
    }
}

/// The move of members in which an observation informs the parameters near it alone.
#[derive(Debug)]
pub struct Near<T> {
    reach: Reach,
    /// V, J x K; of groups a column for each row.
    gradients: Packed<T>,
    /// W^T, K x J.
    anomalies: Array2<T>,
    /// True if products are rounded to bfloat16.
    pub mixed: bool,
    /// Buffers that a block leaves for the next.
    buffers: BufferPool<T>,
}

impl<T: Real> Near<T> {
    /// By V, J x K (of groups with a column for each row), not paired, and W, J x K, in products of bfloat16 if `mixed`.
    #[must_use]
    pub fn new(
        reach: Reach,
        gradients: Packed<T>,
        anomalies: ArrayView2<T>,
        mixed: bool,
        buffers: &BufferPool<T>,
    ) -> Self {
        let mut transposed = buffers.array(anomalies.ncols(), anomalies.nrows());
        transposed.assign(&anomalies.t());
        Self {
            reach,
            gradients,
            anomalies: transposed,
            mixed,
            buffers: BufferPool::default(),
        }
    }

    /// Returns the rows that inform any of the parameters `columns`, and of these V, J x K', and W^T, K' x J.
    pub(crate) fn factors(&self, columns: Range<usize>) -> (Vec<usize>, Packed<T>, Packed<T>) {
        let near = self.reach.near(columns);
        let gradients = self.gradients.columns(&near, &self.buffers);
        let anomalies = match &self.reach {
            Reach::Groups(groups) => {
                let observed: Vec<usize> =
                    near.iter().map(|&row| groups.observation(row)).collect();
                Packed::of_rows(self.anomalies.view(), &observed, &self.buffers)
            }
            _ => Packed::of_rows(self.anomalies.view(), &near, &self.buffers),
        };
        let paired = |packed: Packed<T>| packed.paired_if(self.mixed, &self.buffers);
        (near, paired(gradients), paired(anomalies))
    }

    /// Returns the correction of the block `columns` by the rows `near`.
    pub(crate) fn correction<'a>(
        &'a self,
        columns: Range<usize>,
        near: &'a [usize],
    ) -> Correction<'a, T> {
        Correction::Near(&self.reach, columns, near)
    }

    /// Gives the memory of `factors` to the next block.
    pub(crate) fn put(&self, factors: [Packed<T>; 2]) {
        for factor in factors {
            factor.recycle(&self.buffers);
        }
    }

    /// Returns its numbers to `buffers` for later steps.
    pub(crate) fn recycle(self, buffers: &BufferPool<T>) {
        self.gradients.recycle(buffers);
        buffers.put_array(self.anomalies);
    }
}

/// A correction of the products W^T (u - ubar) of a block of columns.
pub(crate) enum Correction<'a, T> {
    Correlations(&'a Correlations<T>),
    /// With the block's columns, and the row that each row of products is of.
    Near(&'a Reach, Range<usize>, &'a [usize]),
}

impl<T: Real> Correction<'_, T> {
    /// Returns W^T where the products W^T (u - ubar) are needed beside those that are corrected.
    pub(crate) fn anomalies(&self) -> Option<&Packed<T>> {
        match self {
            Self::Correlations(correlations) => correlations.anomalies.as_ref(),
            Self::Near(..) => None,
        }
    }

    /// Corrects `products`, K x w in panels, of columns whose deviations from their means, J x w in panels, are `centred`; `raw`, of
    /// the shape of the products, are W^T (u - ubar) where the products are others.
    pub(crate) fn apply(&self, centred: &[T], products: &mut [T], raw: Option<&[T]>) {
        match self {
            Self::Correlations(correlations) => correlations.correct(centred, products, raw),
            Self::Near(reach, columns, near) => {
                let panels = products.chunks_exact_mut(near.len() * PANEL);
                for (first, products) in columns.clone().step_by(PANEL).zip(panels) {
                    let wide = PANEL.min(columns.end - first);
                    reach.correct(near, first, wide, products);
                }
            }
        }
    }
}

#[inline(always)]
fn add_squares<T: Real>(squares: &mut [f64], row: &[T]) {
    for (square, x) in squares.iter_mut().zip(row) {
        *square += x.as_f64() * x.as_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(factor: CorrelationFactor, members: f64, r: f64) -> f64 {
        let mut panel = [r; PANEL];
        factor.replace(&mut panel, factor.constant(members));
        assert!(panel.iter().all(|f| *f == panel[0]));
        panel[0]
    }

    /// By hand with t = tanh(1 / sqrt(J - 3)) = 1/2, which is J - 3 = 1 / artanh(1/2)^2: at r = 1/2 the deviation is
    /// (1/2) (3/4) / (1 - 1/16) = 2/5, and the factor (1/4) / (1/4 + 4/25) = 25/41.
    #[test]
    fn fishers_factor_is_as_worked_by_hand_and_symmetric() {
        let fisher = CorrelationFactor::Fisher;
        let members = 3.0 + 1.0 / 0.5_f64.atanh().powi(2);
        assert!((factor(fisher, members, 0.5) - 25.0 / 41.0).abs() < 1e-12);
        for r in [0.0, 0.1, 0.35, 0.8, 0.99, 1.0] {
            let found = factor(fisher, 100.0, r);
            assert_eq!(found, factor(fisher, 100.0, -r));
            // As it is defined, by tanh and artanh.
            let (z, e) = (r.min(1.0 - 1e-12).atanh(), 1.0 / 97.0_f64.sqrt());
            let deviation = ((z + e).tanh() - (z - e).tanh()) / 2.0;
            let defined = r * r / (r * r + deviation * deviation);
            assert!((found - defined).abs() < 1e-9, "{r}: {found} {defined}");
        }
        assert_eq!(factor(fisher, 2.0, 1.0), 1.0);
    }

    #[test]
    fn powers_and_thresholds_of_correlations() {
        assert_eq!(factor(CorrelationFactor::Power(3), 9.0, -0.5), 0.125);
        let threshold = CorrelationFactor::Threshold(3.0);
        let found = [0.29, -0.31].map(|r| factor(threshold, 100.0, r));
        assert_eq!(found, [0.0, 1.0]);
    }
}
