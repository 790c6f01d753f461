//! The methods that the linear study compares, each from the same ensemble, one step at a time.
//!
//! ```text
//! EKI, MEKI           the library's update, h_n = h / (||D||_F + epsilon)
//! natural gradient    u <- u - h B^+ (B u - d)                                 the Fisher metric of the weighted misfit
//! Kalman step         u_j <- u_j + C B^T (E + I / h_n)^{-1} (d_j - B u_j)      d_j = d, or d + N(0, I / h_n)
//! ```
//!
//! The Kalman step with d_j = d tends to EKI as h_n does to 0 (Schillings & Stuart 2017, section 2). It takes EKI's h_n,
//! so that all but the natural gradient go through time alike. Time is the sum of the h_n.
#![allow(dead_code, reason = "the tests use a part")]

use eki_mpi::ensemble::stages::momentum;
use eki_mpi::ensemble::transform::Form;
use eki_mpi::kernels::rng::{Key, Purpose};
use eki_mpi::method::step_size::StepSize;
use ndarray::Array2;

use super::flow::{Weighted, covariances, eigen, mean};
use super::inverse::{Linear, frobenius};

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// EKI.
    Eki,
    /// With Nesterov's momentum.
    Meki,
    /// Natural gradient descent from the ensemble's mean.
    NaturalGradient,
    /// The discrete Kalman step, all members with the same observations.
    Kalman,
    /// With observations perturbed for each member.
    KalmanPerturbed,
}

/// All of them.
pub const METHODS: [Method; 5] = [
    Method::Eki,
    Method::Meki,
    Method::NaturalGradient,
    Method::Kalman,
    Method::KalmanPerturbed,
];

impl Method {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eki => "EKI",
            Self::Meki => "MEKI (Nesterov)",
            Self::NaturalGradient => "natural gradient",
            Self::Kalman => "Kalman step",
            Self::KalmanPerturbed => "Kalman step, perturbed",
        }
    }
}

/// A method under way.
pub struct Course<'a> {
    method: Method,
    problem: &'a Weighted,
    plain: Linear,
    rule: StepSize,
    steps: u64,
    previous: Array2<f64>,
    /// The points that are evaluated, J x P; one row for the natural gradient.
    pub u: Array2<f64>,
    /// The sum of the step sizes.
    pub time: f64,
}

impl<'a> Course<'a> {
    /// `method` from the ensemble u, J x P.
    pub fn new(method: Method, problem: &'a Weighted, u: &Array2<f64>, rule: StepSize) -> Self {
        let u = if method == Method::NaturalGradient {
            mean(u).insert_axis(ndarray::Axis(0))
        } else {
            u.clone()
        };
        Self {
            method,
            problem,
            plain: Linear {
                a: problem.b.clone(),
                y: problem.d.clone(),
                variance: vec![1.0],
            },
            rule,
            steps: 0,
            previous: u.clone(),
            u,
            time: 0.0,
        }
    }

    /// One step.
    pub fn advance(&mut self) {
        self.time += match self.method {
            Method::Eki => self.plain.step(&mut self.u, self.rule, Form::Factored),
            Method::Meki => {
                let h = self.plain.step(&mut self.u, self.rule, Form::Factored);
                let n = self.steps as f64;
                momentum::extrapolate(&mut self.u, &mut self.previous, n / (n + 3.0));
                h
            }
            Method::NaturalGradient => {
                let h = self.rule.at(1.0, 1.0);
                let e = self.problem.residual(&mean(&self.u));
                self.u -= &(self.problem.inverse.dot(&e) * h);
                h
            }
            Method::Kalman => self.kalman(false),
            Method::KalmanPerturbed => self.kalman(true),
        };
        self.steps += 1;
    }

    fn kalman(&mut self, perturbed: bool) -> f64 {
        let h = self
            .rule
            .at(frobenius(&self.plain.interaction(&self.u)), 1.0);
        let (with_parameters, covariance) = covariances(self.problem, &self.u);
        let mut innovations = &self.problem.d - &self.u.dot(&self.problem.b.t()); // J x K
        if perturbed {
            let mut noise = Array2::zeros(innovations.dim());
            Key {
                seed: 1,
                purpose: Purpose::Synthetic,
                step: self.steps,
                member: 1,
                block: 0,
            }
            .fill_normal_f64(0, noise.as_slice_mut().expect("row-major"));
            innovations += &(noise / h.sqrt());
        }
        let (values, vectors) = eigen(covariance);
        let inverse = values.mapv(|l| 1.0 / (l + 1.0 / h));
        let weighted = innovations.dot(&vectors) * &inverse;
        self.u += &weighted.dot(&vectors.t()).dot(&with_parameters.t());
        h
    }
}
