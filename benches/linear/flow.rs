//! What small steps follow on a linear map, in closed form.
//!
//! In observations weighted by Gamma^{-1/2}, B = Gamma^{-1/2} A and d = Gamma^{-1/2} y, let e = B ubar - d be the mean's
//! residual, E = B C B^T the members' covariance and C B^T theirs with the parameters. E(0) = Q diag(l_i) Q^T. Then
//!
//! ```text
//! EKI                       dE/dt = -2 E^2   e_i(t) = e_i(0) (1 + 2 l_i t)^{-1/2}
//! perturbed observations    dE/dt = -E^2     e_i(t) = e_i(0) (1 + l_i t)^{-1}      for J to infinity (Kalman & Bucy)
//! natural gradient          -                e(t)   = e(0) exp(-t)                 in the range of B
//! ```
//!
//! in coordinates along Q, and with du/dt = -C B^T e the mean is ubar(t) = ubar(0) - C(0) B^T Q diag(f_i(t)) Q^T e(0),
//! f_i the integral of E's factor times e's. Where l_i = 0 nothing moves: the residual's orthogonal part is constant.
//! Schillings & Stuart, SIAM J. Numer. Anal. 55 (2017) 1264, section 3; Kalman & Bucy, J. Basic Eng. 83 (1961) 95.

use eki_mpi::forward::elliptic::LinearProblem;
use eki_mpi::kernels::eigen::symmetric_eigen;
use ndarray::{Array1, Array2, Axis};

use super::inverse::centred;

/// Eigenvalues below this share of the largest are 0 but for rounding.
const ROUNDING: f64 = 1e-13;

/// A problem in weighted observations.
pub struct Weighted {
    /// B, K x P.
    pub b: Array2<f64>,
    /// d, K.
    pub d: Array1<f64>,
    /// The parameters that the observations come from.
    pub truth: Array1<f64>,
    /// B^+, P x K.
    pub inverse: Array2<f64>,
}

impl Weighted {
    /// `problem` with Gamma = `noise` I.
    pub fn new(problem: &LinearProblem, noise: f64) -> Self {
        let b = &problem.matrix / noise.sqrt();
        let (values, vectors) = eigen(b.dot(&b.t()));
        let largest = values.iter().copied().fold(0.0, f64::max);
        let reciprocal = values.mapv(|l| if l > ROUNDING * largest { 1.0 / l } else { 0.0 });
        Self {
            inverse: b.t().dot(&(&vectors * &reciprocal).dot(&vectors.t())),
            d: &problem.observations / noise.sqrt(),
            truth: problem.truth.clone(),
            b,
        }
    }

    /// e, K, at the parameters u.
    pub fn residual(&self, u: &Array1<f64>) -> Array1<f64> {
        self.b.dot(u) - &self.d
    }

    /// The parameters' l2 error over the truth's l2 norm.
    pub fn error(&self, u: &Array1<f64>) -> f64 {
        let miss = u - &self.truth;
        (miss.dot(&miss) / self.truth.dot(&self.truth)).sqrt()
    }
}

/// The mean of an ensemble's members.
pub fn mean(u: &Array2<f64>) -> Array1<f64> {
    u.mean_axis(Axis(0)).expect("members")
}

/// Covariances of an ensemble u, J x P: C B^T, P x K, and E, K x K.
pub fn covariances(problem: &Weighted, u: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
    let (members, anomalies) = (u.nrows() as f64, centred(u));
    let outputs = anomalies.dot(&problem.b.t());
    let with_parameters = anomalies.t().dot(&outputs) / members;
    (with_parameters, outputs.t().dot(&outputs) / members)
}

/// The eigenvalues of a symmetric matrix, ascending, and its eigenvectors in columns.
pub fn eigen(a: Array2<f64>) -> (Array1<f64>, Array2<f64>) {
    symmetric_eigen(a.view()).expect("finite numbers")
}

/// Which flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// EKI, and the discrete Kalman step without perturbed observations.
    Eki,
    /// The discrete Kalman step with perturbed observations, for many members.
    Perturbed,
}

/// The flow from one ensemble.
pub struct Flow<'a> {
    problem: &'a Weighted,
    start: Array1<f64>,
    values: Array1<f64>,
    vectors: Array2<f64>,
    /// e(0) along the eigenvectors.
    residual: Array1<f64>,
    /// C(0) B^T Q, P x K.
    moves: Array2<f64>,
}

impl<'a> Flow<'a> {
    /// From the ensemble u, J x P.
    pub fn new(problem: &'a Weighted, u: &Array2<f64>) -> Self {
        let (with_parameters, covariance) = covariances(problem, u);
        let (mut values, vectors) = eigen(covariance);
        let largest = values.iter().copied().fold(0.0, f64::max);
        // Members fewer than observations leave eigenvalues that are 0 but for rounding.
        values.mapv_inplace(|l| if l > ROUNDING * largest { l } else { 0.0 });
        let start = mean(u);
        Self {
            residual: vectors.t().dot(&problem.residual(&start)),
            moves: with_parameters.dot(&vectors),
            problem,
            start,
            values,
            vectors,
        }
    }

    /// The largest eigenvalue of E(0).
    pub fn stiffness(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }

    /// The squared norms of the parts of the residual e, K, in the span of the first anomalies and orthogonal to it.
    pub fn parts(&self, e: &Array1<f64>) -> (f64, f64) {
        let along = self.vectors.t().dot(e);
        along
            .iter()
            .zip(&self.values)
            .fold((0.0, 0.0), |(moves, stays), (e, l)| {
                if *l > 0.0 {
                    (moves + e * e, stays)
                } else {
                    (moves, stays + e * e)
                }
            })
    }

    /// ubar(t), P.
    pub fn mean(&self, law: Law, t: f64) -> Array1<f64> {
        let coordinates = self.values.mapv(|l| match law {
            Law::Eki => {
                let root = (1.0 + 2.0 * l * t).sqrt();
                2.0 * t / (root * (root + 1.0))
            }
            Law::Perturbed => t / (1.0 + l * t),
        });
        &self.start - &self.moves.dot(&(coordinates * &self.residual))
    }

    /// ubar(t) of natural gradient descent with the metric F = B^T B: u(0) - B^+ e(0) (1 - exp(-t)).
    pub fn natural(&self, t: f64) -> Array1<f64> {
        let whole = self
            .problem
            .inverse
            .dot(&self.problem.residual(&self.start));
        &self.start - &(whole * -(-t).exp_m1())
    }
}
