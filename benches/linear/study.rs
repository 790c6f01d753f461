//! The linear study: every method on a problem, from an ensemble that spans the parameters and from one that does not.
#![allow(dead_code, reason = "the tests use a part")]

use eki_mpi::forward::elliptic::{self, LinearProblem};
use eki_mpi::kernels::rng::{Key, Purpose};
use eki_mpi::method::step_size::StepSize;
use ndarray::Array2;

use super::flow::{Flow, Law, Weighted, mean};
use super::methods::{Course, METHODS, Method};

/// Variance of an observation's noise, as the preset `linear` has it.
pub const NOISE: f64 = 1e-4;
/// The seed of problems and ensembles.
pub const SEED: u64 = 1;

/// A squared residual below this tells nothing more: the noise's own share is about 1 an observation.
const VANISHED: f64 = 1e-8;

/// One of the two problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Schillings & Stuart's, as in the preset `linear`.
    Elliptic,
    /// A random A.
    Random,
}

impl Which {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Elliptic => "elliptic",
            Self::Random => "random A",
        }
    }

    /// The problem.
    pub fn problem(self) -> LinearProblem {
        match self {
            Self::Elliptic => elliptic::elliptic(SEED, NOISE),
            Self::Random => elliptic::random(SEED, NOISE),
        }
    }
}

/// `members` draws of N(0, I), J x `parameters`.
pub fn ensemble(members: usize, parameters: usize) -> Array2<f64> {
    let mut u = Array2::zeros((members, parameters));
    Key {
        seed: SEED,
        purpose: Purpose::Initial,
        step: 0,
        member: 0,
        block: 0,
    }
    .fill_normal_f64(0, u.as_slice_mut().expect("row-major"));
    u
}

/// Where a method stands after some steps, and where its closed form is at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Steps done.
    pub step: u64,
    /// The sum of their sizes.
    pub time: f64,
    /// At the mean: the parts of the squared residual in the span of the first anomalies, and orthogonal to it.
    pub along: f64,
    /// See `along`.
    pub orthogonal: f64,
    /// The parameters' relative l2 error.
    pub error: f64,
    /// `along` and `error` by the closed form, where there is one.
    pub theory: Option<(f64, f64)>,
}

impl Point {
    /// The mean's squared residual, weighted.
    pub fn squared(&self) -> f64 {
        self.along + self.orthogonal
    }
}

/// The step size's rule of each method: EKI's of the preset, with a smaller h; a hundredth for the natural gradient.
pub fn rule(method: Method) -> StepSize {
    match method {
        Method::NaturalGradient => StepSize {
            h: 0.01,
            epsilon: None,
        },
        _ => StepSize {
            h: 0.2,
            epsilon: Some(0.5),
        },
    }
}

/// `method` from the ensemble u for `steps` steps, told of at about 60 steps a decade.
pub fn trace(method: Method, problem: &Weighted, u: &Array2<f64>, steps: u64) -> Vec<Point> {
    let flow = Flow::new(problem, u);
    let mut course = Course::new(method, problem, u, rule(method));
    let mut points = Vec::new();
    let mut next = 1;
    for step in 1..=steps {
        course.advance();
        if step < next && step < steps {
            continue;
        }
        next = (next + 1).max((next as f64 * 1.04) as u64);
        let now = mean(&course.u);
        let (along, orthogonal) = flow.parts(&problem.residual(&now));
        let law = match method {
            Method::Eki | Method::Kalman => Some(flow.mean(Law::Eki, course.time)),
            Method::KalmanPerturbed => Some(flow.mean(Law::Perturbed, course.time)),
            Method::NaturalGradient => Some(flow.natural(course.time)),
            // Nesterov's flow has no closed form with a covariance that changes.
            Method::Meki => None,
        };
        points.push(Point {
            step,
            time: course.time,
            along,
            orthogonal,
            error: problem.error(&now),
            theory: law.map(|u| (flow.parts(&problem.residual(&u)).0, problem.error(&u))),
        });
        if along < VANISHED {
            break;
        }
    }
    points
}

/// All methods' traces.
pub fn traces(problem: &Weighted, u: &Array2<f64>, steps: u64) -> Vec<(Method, Vec<Point>)> {
    METHODS
        .map(|method| (method, trace(method, problem, u, steps)))
        .to_vec()
}

/// How far the Kalman step ends from EKI, over EKI's own way, after the same time in steps of a fraction 1/`parts` of the
/// reciprocal of E's largest eigenvalue: (h, distance) for each of `parts`.
pub fn limit(problem: &Weighted, u: &Array2<f64>, parts: &[u32]) -> Vec<(f64, f64)> {
    let unit = 1.0 / Flow::new(problem, u).stiffness();
    let end = |method, h: f64, steps| {
        let rule = StepSize { h, epsilon: None };
        let mut course = Course::new(method, problem, u, rule);
        (0..steps).for_each(|_| course.advance());
        course.u
    };
    let norm = |a: &Array2<f64>| super::inverse::frobenius(a);
    parts
        .iter()
        .map(|&parts| {
            let (h, steps) = (unit / f64::from(parts), 10 * parts);
            let eki = end(Method::Eki, h, steps);
            let apart = norm(&(&end(Method::Kalman, h, steps) - &eki));
            (h, apart / norm(&(&eki - u)))
        })
        .collect()
}
