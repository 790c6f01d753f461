//! Linear inverse problems drawn from a seed: y = A u + noise, noise ~ N(0, Gamma).
//!
//! The elliptic one is Schillings & Stuart's (SIAM J. Numer. Anal. 55 (2017) 1264, section 5): find u from 15 equally
//! spaced observations of p, where -p'' + p = u on (0, pi), p = 0 at both ends, on a mesh of 2^8 intervals, with prior
//! N(0, beta (-d^2/dx^2)^{-1}), beta = 10. Parameters are Karhunen-Loeve coordinates, so their prior is N(0, I):
//!
//! ```text
//! u(x) = sum_k xi_k sqrt(beta) / k * sqrt(2 / pi) sin(k x) ,  k = 1 .. 255
//! ```

use ndarray::{Array1, Array2};

use crate::kernels::rng::{Key, Purpose};

/// A linear problem with a known truth.
#[derive(Clone, Debug)]
pub struct LinearProblem {
    /// A, K x P.
    pub matrix: Array2<f64>,
    /// The parameters the observations come from, P.
    pub truth: Array1<f64>,
    /// y, K.
    pub observations: Array1<f64>,
}

/// Intervals of the elliptic problem's mesh.
const MESH: usize = 256;
/// Its observations.
const OBSERVATIONS: usize = 15;
/// The scale of its prior.
const BETA: f64 = 10.0;
/// Observations and parameters of the random problem.
const RANDOM: (usize, usize) = (20, 100);

/// The elliptic problem, with `noise` the variance of an observation's noise.
#[must_use]
pub fn elliptic(seed: u64, noise: f64) -> LinearProblem {
    let width = std::f64::consts::PI / MESH as f64;
    let mut matrix = Array2::zeros((OBSERVATIONS, MESH - 1));
    for (k, mut column) in matrix.columns_mut().into_iter().enumerate() {
        let k = (k + 1) as f64;
        let scale = BETA.sqrt() / k * (2.0 / std::f64::consts::PI).sqrt();
        let source = (1..MESH)
            .map(|i| scale * (k * i as f64 * width).sin())
            .collect();
        let solution = solve(source, width);
        for (i, out) in column.iter_mut().enumerate() {
            *out = solution[(i + 1) * MESH / (OBSERVATIONS + 1) - 1];
        }
    }
    observe(seed, matrix, noise)
}

/// A problem whose A has independent N(0, 1/P) entries.
#[must_use]
pub fn random(seed: u64, noise: f64) -> LinearProblem {
    let (k, p) = RANDOM;
    let mut matrix = Array2::zeros((k, p));
    key(seed, 2).fill_normal_f64(0, matrix.as_slice_mut().expect("row-major"));
    observe(seed, matrix / (p as f64).sqrt(), noise)
}

fn key(seed: u64, block: u32) -> Key {
    Key {
        seed,
        purpose: Purpose::Synthetic,
        step: 0,
        member: 0,
        block,
    }
}

/// Draws a truth from N(0, I) and observes it.
fn observe(seed: u64, matrix: Array2<f64>, noise: f64) -> LinearProblem {
    let mut truth = Array1::zeros(matrix.ncols());
    key(seed, 0).fill_normal_f64(0, truth.as_slice_mut().expect("one row"));
    let mut error = Array1::zeros(matrix.nrows());
    key(seed, 1).fill_normal_f64(0, error.as_slice_mut().expect("one row"));
    let observations = matrix.dot(&truth) + noise.sqrt() * error;
    LinearProblem {
        matrix,
        truth,
        observations,
    }
}

/// Solves -p'' + p = u by central differences on a mesh of the given width: Thomas's algorithm.
fn solve(mut u: Vec<f64>, width: f64) -> Vec<f64> {
    let (off, diagonal) = (-1.0 / (width * width), 2.0 / (width * width) + 1.0);
    let mut ratio = vec![0.0; u.len()];
    let mut pivot = diagonal;
    u[0] /= pivot;
    for i in 1..u.len() {
        ratio[i] = off / pivot;
        pivot = diagonal - off * ratio[i];
        u[i] = (u[i] - off * u[i - 1]) / pivot;
    }
    for i in (1..u.len()).rev() {
        u[i - 1] -= ratio[i] * u[i];
    }
    u
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sin(k x) is an eigenfunction: -p'' + p = sin(k x) has the solution sin(k x) / (k^2 + 1).
    #[test]
    fn the_solver_knows_the_eigenfunctions() {
        let width = std::f64::consts::PI / MESH as f64;
        for k in [1.0, 2.0, 5.0] {
            let u: Vec<f64> = (1..MESH).map(|i| (k * i as f64 * width).sin()).collect();
            for (p, u) in solve(u.clone(), width).iter().zip(&u) {
                assert!((p - u / (k * k + 1.0)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn observations_are_the_truths_within_the_noise() {
        for problem in [elliptic(3, 1e-4), random(3, 1e-4)] {
            let misfit = &problem.observations - &problem.matrix.dot(&problem.truth);
            assert!(misfit.iter().all(|e| e.abs() < 0.05) && misfit.iter().any(|e| e.abs() > 1e-4));
        }
    }
}
