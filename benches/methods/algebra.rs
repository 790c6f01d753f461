//! Factorisations of small symmetric matrices, plainly written: the answers must not rest on the library that they judge.

use ndarray::{Array1, Array2};

/// The lower factor L of A = L L^T, n x n; None unless A is positive definite.
pub fn cholesky(a: &Array2<f64>) -> Option<Array2<f64>> {
    let n = a.nrows();
    let mut l = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..=i {
            let rest = a[[i, j]] - (0..j).map(|k| l[[i, k]] * l[[j, k]]).sum::<f64>();
            l[[i, j]] = if i > j {
                rest / l[[j, j]]
            } else if rest > 0.0 {
                rest.sqrt()
            } else {
                return None;
            };
        }
    }
    Some(l)
}

/// L^{-1} b.
pub fn solve_lower(l: &Array2<f64>, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in 0..x.len() {
        let before: f64 = (0..i).map(|k| l[[i, k]] * x[k]).sum();
        x[i] = (x[i] - before) / l[[i, i]];
    }
    x
}

/// L^{-T} b.
pub fn solve_upper(l: &Array2<f64>, b: &[f64]) -> Vec<f64> {
    let mut x = b.to_vec();
    for i in (0..x.len()).rev() {
        let after: f64 = (i + 1..x.len()).map(|k| l[[k, i]] * x[k]).sum();
        x[i] = (x[i] - after) / l[[i, i]];
    }
    x
}

/// A^{-1} b by the factor of A.
pub fn solve(l: &Array2<f64>, b: &[f64]) -> Vec<f64> {
    solve_upper(l, &solve_lower(l, b))
}

/// The mean and the covariance of N(0, I) under y = A u + N(0, I): (I + A^T A)^{-1} A^T y, and (I + A^T A)^{-1}.
pub fn posterior(a: &Array2<f64>, y: &[f64]) -> (Vec<f64>, Array2<f64>) {
    let p = a.ncols();
    let precision = a.t().dot(a) + Array2::<f64>::eye(p);
    let l = cholesky(&precision).expect("at least the identity");
    let mean = solve(&l, &a.t().dot(&Array1::from(y.to_vec())).to_vec());
    let mut covariance = Array2::zeros((p, p));
    for i in 0..p {
        let unit: Vec<f64> = (0..p).map(|k| f64::from(u8::from(k == i))).collect();
        let column = solve(&l, &unit);
        (0..p).for_each(|k| covariance[[k, i]] = column[k]);
    }
    (mean, covariance)
}
