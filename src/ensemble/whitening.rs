//! Draws spread against what a layer's inputs tell alike, so that its units' sums differ in all directions of these.
//!
//! ```text
//! A = E[(h, 1)(h, 1)^T]                        n + 1 square: the layer's inputs h at the point members are drawn about,
//!                                              over samples, and a convolution's places; 1 is the bias's
//! R R^T = t (A + damping t I)^{-1}             t = tr A / (n + 1) ;  R^T = sqrt(t) L^{-1}, L Cholesky's factor
//! (w, b)_k = (w, b) + sqrt(gamma) C_0^{1/2} R xi_k         each unit's weights and bias
//! ```
//!
//! Without it a unit's sum differs most along the few directions in which inputs are large and alike (their mean, above all),
//! and what lies across them is learned slowly. The mean's move is multiplied by R R^T: the inputs' factor of the natural
//! gradient (Martens & Grosse, arXiv:1503.05671), which does most of its work alone (Benzing, arXiv:2201.12250). No derivative
//! is taken: the inputs are those of a forward pass. This extends the publication.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use rayon::ThreadPool;

use crate::forward::ForwardMap;
use crate::forward::inputs::LayerInputs;
use crate::kernels::real::{Real, product};
use crate::kernels::threads::for_each;

/// Samples over which A is taken; part of the format.
pub const SAMPLES: usize = 128;

/// The whitening of draws by the moments of their layer's inputs; by default none.
#[derive(Clone, Debug)]
pub struct Whitening<T> {
    layers: Vec<LayerWhitening<T>>,
}

impl<T> Default for Whitening<T> {
    fn default() -> Self {
        Self { layers: Vec::new() }
    }
}

impl<T: Real> Whitening<T> {
    /// Whitens from now on the draws of `layers`, from 0, of the network `map`, by the moments at `centre`, P numbers, over `samples`, d x m.
    ///
    /// # Panics
    /// If the map doesn't tell what its layers sum over.
    pub fn renew(
        &mut self,
        pool: &ThreadPool,
        map: &dyn ForwardMap<T>,
        (centre, samples): (&[T], ArrayView2<T>),
        layers: Range<usize>,
        damping: f64,
    ) {
        let prior = map.prior();
        let layers = layers.start..layers.end.min(prior.segments());
        // The first layer's inputs are the samples, wherever the centre is.
        self.layers
            .retain(|layer| layer.parameters.start == 0 && layers.start == 0);
        let missing: Vec<usize> = layers.skip(self.layers.len()).collect();
        let mut found: Vec<Option<LayerWhitening<T>>> = vec![None; missing.len()];
        for_each(
            pool,
            missing.into_iter().zip(&mut found),
            |_, (layer, found)| {
                let inputs = map.layer_inputs(layer, centre, samples);
                let inputs = inputs.expect("a network of which the inputs are known");
                let parameters = prior.within(layer..layer + 1);
                *found = Some(LayerWhitening::new(parameters, &inputs, damping));
            },
        );
        self.layers.extend(found.into_iter().flatten());
    }

    /// Returns true if draws are not whitened.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.layers.is_empty()
    }

    /// Makes points about `centre` of deviations: `out` are those of the last parameters of all, where these layers' stand.
    pub fn spread_about(&self, centre: &[T], out: &mut [T]) {
        let first = centre.len() - out.len();
        for layer in &self.layers {
            let own = layer.parameters.clone();
            let out = &mut out[own.start - first..own.end - first];
            layer.multiply(layer.root.view(), out);
            for (x, &centre) in out.iter_mut().zip(&centre[own]) {
                *x = centre + *x;
            }
        }
    }

    /// Spreads a sum of draws, P numbers.
    pub fn spread_sums(&self, sums: &mut [f64]) {
        for layer in &self.layers {
            layer.multiply(layer.wide.view(), &mut sums[layer.parameters.clone()]);
        }
    }

    /// Each layer's parameters with the mean square of what becomes of numbers whose mean square is 1: tr R R^T / (n + 1).
    pub fn mean_squares(&self) -> impl Iterator<Item = (Range<usize>, f64)> + '_ {
        self.layers.iter().map(|layer| {
            let square: f64 = layer.wide.iter().map(|x| x * x).sum();
            (layer.parameters.clone(), square / layer.wide.nrows() as f64)
        })
    }
}

/// The whitening of one layer's draws.
#[derive(Clone, Debug)]
struct LayerWhitening<T> {
    /// The layer's parameters.
    parameters: Range<usize>,
    units: usize,
    units_first: bool,
    /// R^T, lower triangular.
    root: Array2<T>,
    /// The factor of the mean's move.
    wide: Array2<f64>,
}

impl<T: Real> LayerWhitening<T> {
    /// Returns the whitening of the layer that has the parameters `parameters` and whose units sum over `inputs`; `damping` is greater than 0.
    fn new(parameters: Range<usize>, inputs: &LayerInputs<T>, damping: f64) -> Self {
        let mut a = moments(inputs.columns.view());
        let t = a.diag().mean().expect("the bias's at least");
        a.diag_mut().map_inplace(|x| *x += damping * t);
        let wide = inverse_of_factor(a) * t.sqrt();
        Self {
            parameters,
            units: inputs.units,
            units_first: inputs.units_first,
            root: wide.mapv(T::from_f64),
            wide,
        }
    }

    /// Each unit's (w, b) times `root`, lower triangular.
    fn multiply<N: Real>(&self, root: ArrayView2<N>, numbers: &mut [N]) {
        let n = root.nrows() - 1;
        let (weights, biases) = numbers.split_at_mut(n * self.units);
        let mut weights = if self.units_first {
            ArrayViewMut2::from_shape((self.units, n), weights).expect("the layer's")
        } else {
            let by_inputs = ArrayViewMut2::from_shape((n, self.units), weights);
            by_inputs.expect("the layer's").reversed_axes()
        };
        let drawn = weights.to_owned();
        let (square, last) = (root.slice(s![..n, ..n]), root.slice(s![n, ..n]));
        product(
            weights.view_mut(),
            N::zero(),
            N::one(),
            drawn.view(),
            square,
        );
        for (mut weights, bias) in weights.rows_mut().into_iter().zip(biases) {
            weights.scaled_add(*bias, &last);
            *bias *= root[[n, n]];
        }
    }
}

/// Returns the second moments, (n + 1) x (n + 1), of the `columns` h, n x m, with a constant 1 after each.
fn moments<T: Real>(columns: ArrayView2<T>) -> Array2<f64> {
    let (n, count) = columns.dim();
    let h = columns.mapv(T::as_f64);
    let mut a = Array2::eye(n + 1);
    let each = 1.0 / count as f64;
    product(a.slice_mut(s![..n, ..n]), 0.0, each, h.view(), h.t());
    let mean = h.sum_axis(ndarray::Axis(1)) * each;
    a.slice_mut(s![n, ..n]).assign(&mean);
    a
}

/// L^{-1} of A = L L^T, of which the lower triangle is read. It is not finite where A is not.
///
/// By hand, not by `kernels::cholesky` or faer: their order of sums would change the bits of every run with whitening, and
/// what is not finite must come out as such.
fn inverse_of_factor(mut a: Array2<f64>) -> Array2<f64> {
    let n = a.nrows();
    for i in 0..n {
        for j in 0..=i {
            let (of_i, of_j) = (a.slice(s![i, ..j]), a.slice(s![j, ..j]));
            let rest = a[[i, j]] - of_i.dot(&of_j);
            a[[i, j]] = if i == j {
                rest.sqrt()
            } else {
                rest / a[[j, j]]
            };
        }
    }
    // Row by row: L_ii x_i = e_i - sum_{k < i} L_ik x_k.
    let mut inverse = Array2::zeros((n, n));
    for i in 0..n {
        let (above, mut own) = inverse.multi_slice_mut((s![..i, ..], s![i, ..]));
        let scale = 1.0 / a[[i, i]];
        own[i] = scale;
        for (k, row) in above.rows().into_iter().enumerate() {
            let by = -scale * a[[i, k]];
            own.slice_mut(s![..=k]).scaled_add(by, &row.slice(s![..=k]));
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(n: usize, count: usize, units: usize, units_first: bool) -> LayerInputs<f64> {
        let number = |(i, j): (usize, usize)| ((i * 7919 + j * 104_729) % 997) as f64 / 400.0 - 0.3;
        LayerInputs {
            columns: Array2::from_shape_fn((n, count), number),
            units,
            units_first,
        }
    }

    fn of_one(parameters: Range<usize>, inputs: &LayerInputs<f64>, damping: f64) -> Whitening<f64> {
        let layers = vec![LayerWhitening::new(parameters, inputs, damping)];
        Whitening { layers }
    }

    /// R R^T is the damped inverse it is to be, in either order of the weights, for draws as for sums of them.
    #[test]
    fn a_units_draws_have_the_inverse_moments_for_covariance() {
        let (n, units, damping) = (5, 3, 0.1);
        let (before, own) = (10, (n + 1) * units);
        for units_first in [true, false] {
            let inputs = inputs(n, 40, units, units_first);
            let mut a = Array2::<f64>::zeros((n + 1, n + 1));
            for column in inputs.columns.columns() {
                let h: Vec<f64> = column.iter().copied().chain([1.0]).collect();
                a += &Array2::from_shape_fn((n + 1, n + 1), |(i, j)| h[i] * h[j] / 40.0);
            }
            let t = a.diag().mean().unwrap();
            let whitening = of_one(before..before + own, &inputs, damping);
            let centre: Vec<f64> = (0..before + own).map(|i| i as f64).collect();
            // Where a unit's weights and bias stand.
            let place = |unit: usize, i: usize| match (i == n, units_first) {
                (true, _) => n * units + unit,
                (false, true) => unit * n + i,
                (false, false) => i * units + unit,
            };
            for unit in 0..units {
                // What becomes of the draw that is 1 at one of them.
                let column = |i: usize| {
                    let mut sums = vec![0.0; before + own];
                    sums[before + place(unit, i)] = 1.0;
                    let mut whole = sums.clone();
                    whitening.spread_about(&centre, &mut whole);
                    let mut last = sums[before - 4..].to_vec();
                    whitening.spread_about(&centre, &mut last);
                    assert_eq!(last, whole[before - 4..], "with room for fewer");
                    assert!(whole[..before].iter().all(|x| *x == 0.0), "not its own");
                    whitening.spread_sums(&mut sums);
                    let about = centre.iter().zip(&sums).map(|(c, x)| c + x);
                    assert!(about.skip(before).eq(whole[before..].iter().copied()));
                    let of_unit: Vec<f64> =
                        (0..=n).map(|k| sums[before + place(unit, k)]).collect();
                    let total = |numbers: &[f64]| numbers.iter().map(|x| x.abs()).sum::<f64>();
                    assert!(total(&sums) - total(&of_unit) < 1e-12, "another unit's");
                    of_unit
                };
                let columns: Vec<Vec<f64>> = (0..=n).map(column).collect();
                let r = Array2::from_shape_fn((n + 1, n + 1), |(k, i)| columns[i][k]);
                let damped = &a + &(Array2::<f64>::eye(n + 1) * (damping * t));
                let unit = damped.dot(&r).dot(&r.t()) / t;
                let apart = (unit - Array2::<f64>::eye(n + 1)).mapv(f64::abs);
                assert!(apart.iter().all(|x| *x < 1e-12), "{apart}");
                let square = r.iter().map(|x| x * x).sum::<f64>() / (n + 1) as f64;
                for (parameters, found) in whitening.mean_squares() {
                    assert_eq!(parameters, before..before + own);
                    assert!((found - square).abs() < 1e-12);
                }
            }
        }
    }

    /// Inputs without number leave none in the draws: members drawn so fail, as those of such a mean do.
    #[test]
    fn what_is_not_finite_stays_so() {
        let mut inputs = inputs(3, 8, 1, true);
        inputs.columns[[1, 2]] = f64::NAN;
        let mut draws = [1.0; 4];
        of_one(0..4, &inputs, 0.1).spread_about(&[0.0; 4], &mut draws);
        assert!(draws.iter().any(|x| x.is_nan()));
    }
}
