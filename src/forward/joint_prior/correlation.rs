//! Correlated parameters: the coordinates of some are mixed by the Cholesky factor of their correlation matrix.
//!
//! ```text
//! z = L xi ,  L L^T = R ,  xi ~ N(0, I)  ->  z ~ N(0, R) ,  and each parameter's law is at its own z
//! ```
//!
//! That is the Gaussian copula with the correlation matrix R: each parameter keeps its law, and R is the correlation of normal
//! parameters, of the logarithms of lognormal ones, and so on. Sums run in a fixed order: identical results on every machine.

use ndarray::ArrayView2;

/// The tolerance between two entries that should be equal, in units of the deviations: files are often rounded.
const TOLERANCE: f64 = 1e-6;
/// The least variance, of 1, that may be left to a parameter once those before it are known.
const LEAST_LEFT: f64 = 1e-10;

/// The factor L of the correlation matrix of n parameters.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Correlation {
    /// The coordinates that are correlated, of numbers below P, in the order of the matrix.
    coordinates: Vec<usize>,
    /// The rows of L up to the diagonal, one after the other.
    lower: Vec<f64>,
}

/// The first number of row `i` of a lower triangle.
fn start(i: usize) -> usize {
    i * (i + 1) / 2
}

/// The sum of the products of two rows, in their order.
fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Correlation {
    /// The correlation of `coordinates` by the n x n matrix `r`.
    ///
    /// # Errors
    /// What is wrong with the matrix, in words that follow "must"; `names` are those of its parameters.
    pub fn new(
        coordinates: Vec<usize>,
        names: &[&str],
        r: ArrayView2<f64>,
    ) -> Result<Self, String> {
        check(names, r)?;
        let count = r.nrows();
        let mut lower: Vec<f64> = Vec::with_capacity(start(count));
        for i in 0..count {
            for j in 0..i {
                let (own, other) = (&lower[start(i)..], &lower[start(j)..start(j + 1)]);
                let left = r[[i, j]] - inner(own, &other[..j]);
                let by = other[j];
                lower.push(left / by);
            }
            let own = &lower[start(i)..];
            let left = 1.0 - inner(own, own);
            if left < LEAST_LEFT {
                let before = match &names[..i] {
                    few @ ([] | [_] | [_, _] | [_, _, _]) => few.join(", "),
                    [a, b, ..] => format!("{a}, {b} and {} more parameters before it", i - 2),
                };
                return Err(format!(
                    "be positive definite: {} is determined by {before}, or contradicts them",
                    names[i]
                ));
            }
            lower.push(left.sqrt());
        }
        Ok(Self { coordinates, lower })
    }

    /// The number of numbers of the factor.
    pub fn size(&self) -> usize {
        self.lower.len()
    }

    /// Replaces the coordinates `xi`, P numbers, by z.
    pub fn correlate(&self, xi: &mut [f64]) {
        let own: Vec<f64> = self.coordinates.iter().map(|&c| xi[c]).collect();
        for (i, &c) in self.coordinates.iter().enumerate() {
            xi[c] = inner(&self.lower[start(i)..start(i + 1)], &own);
        }
    }

    /// Replaces `z`, P numbers, by the coordinates xi that `correlate` takes there.
    pub fn decorrelate(&self, z: &mut [f64]) {
        let mut own: Vec<f64> = Vec::with_capacity(self.coordinates.len());
        for (i, &c) in self.coordinates.iter().enumerate() {
            let row = &self.lower[start(i)..start(i + 1)];
            own.push((z[c] - inner(&row[..i], &own)) / row[i]);
        }
        for (&c, xi) in self.coordinates.iter().zip(own) {
            z[c] = xi;
        }
    }
}

/// Checks that `r` is a matrix of correlations, but for its definiteness.
fn check(names: &[&str], r: ArrayView2<f64>) -> Result<(), String> {
    for (i, name) in names.iter().enumerate() {
        if r[[i, i]].is_nan() || (r[[i, i]] - 1.0).abs() > TOLERANCE {
            return Err(format!(
                "have 1 on its diagonal, not {:?} for {name}",
                r[[i, i]]
            ));
        }
        for (j, other) in names[..i].iter().enumerate() {
            let (a, b) = (r[[i, j]], r[[j, i]]);
            if !a.is_finite() || !b.is_finite() {
                return Err(format!(
                    "hold finite numbers, not {a:?} and {b:?} for {name} and {other}"
                ));
            }
            if a.abs() > 1.0 + TOLERANCE {
                return Err(format!(
                    "hold correlations between -1 and 1, not {a:?} for {name} and {other}"
                ));
            }
            if (a - b).abs() > TOLERANCE {
                return Err(format!(
                    "be symmetric: it has {a:?} and {b:?} for {name} and {other}"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    const NAMES: [&str; 3] = ["a", "b", "c"];

    #[test]
    fn the_factor_gives_the_matrix_and_is_undone() {
        let r = array![[1.0, 0.5, -0.3], [0.5, 1.0, 0.2], [-0.3, 0.2, 1.0]];
        let found = Correlation::new(vec![3, 0, 1], &NAMES, r.view()).unwrap();
        // L L^T, by what becomes of each coordinate alone.
        let mut columns = Array2::<f64>::zeros((3, 3));
        for (i, c) in [3, 0, 1].into_iter().enumerate() {
            let mut xi = [0.0; 4];
            xi[c] = 1.0;
            found.correlate(&mut xi);
            assert_eq!(xi[2], 0.0);
            columns.row_mut(i).assign(&array![xi[3], xi[0], xi[1]]);
        }
        let apart = &columns.t().dot(&columns) - &r;
        assert!(apart.iter().all(|x| x.abs() < 1e-15), "{apart}");
        let xi = [0.3, -1.2, 5.0, 2.0];
        let mut z = xi;
        found.correlate(&mut z);
        assert_eq!((z[3], z[2]), (2.0, 5.0));
        found.decorrelate(&mut z);
        assert!(
            z.iter().zip(xi).all(|(a, b)| (a - b).abs() < 1e-14),
            "{z:?}"
        );
    }

    #[test]
    fn matrices_that_are_no_correlation_are_refused() {
        let refused =
            |r: Array2<f64>| Correlation::new(vec![0, 1, 2], &NAMES, r.view()).unwrap_err();
        let mut r = Array2::eye(3);
        r[[2, 1]] = 0.1;
        assert!(refused(r.clone()).contains("be symmetric: it has 0.1 and 0.0 for c and b"));
        r[[1, 1]] = 2.0;
        assert!(refused(r).contains("1 on its diagonal, not 2.0 for b"));
        let r = array![[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]];
        assert!(refused(r).contains("be positive definite: c is"));
        let mut r = Array2::eye(3);
        (r[[0, 1]], r[[1, 0]]) = (f64::NAN, f64::NAN);
        assert!(refused(r.clone()).contains("finite"));
        r[[0, 0]] = f64::NAN;
        assert!(refused(r).contains("1 on its diagonal, not NaN for a"));
    }
}
