//! The problems: each a map from coordinates with the prior N(0, I) to outputs in deviations of their noise, and its independent answer.

mod darcy;
mod field;
mod linear;
mod lorenz;
mod seir;
mod small;

use std::sync::Arc;

use eki_mpi::kernels::rng::{Key, Purpose};
use ndarray::Array2;

use crate::answer::Lazy;

/// G in coordinates, its K outputs divided by the noise's deviation; none where the simulation fails.
pub type Map = Arc<dyn Fn(&[f64]) -> Vec<f64> + Send + Sync>;

/// Where parameters and observations lie, and the radius of localisation.
#[derive(Clone)]
pub struct Places {
    pub radius: f64,
    pub parameters: Array2<f64>,
    pub observations: Array2<f64>,
}

/// A problem: y = G(u) + N(0, I).
pub struct Problem {
    pub name: &'static str,
    /// The number P of coordinates.
    pub parameters: usize,
    /// The number J of members.
    pub members: usize,
    pub map: Map,
    /// The observations, K numbers in deviations of the noise.
    pub y: Vec<f64>,
    pub places: Option<Places>,
    /// Draws the prior where it is correlated, from independent normal numbers; its laws are N(0, 1) all the same.
    pub correlate: Option<Map>,
    pub answer: Lazy,
}

/// The names of all problems.
pub const NAMES: [&str; 12] = [
    "linear",
    "ill-posed",
    "sinusoid",
    "exponential-sine",
    "banana",
    "step",
    "two-minima",
    "seir",
    "lorenz-2",
    "lorenz-40",
    "darcy",
    "field",
];

/// The problem called `name`, with its answer.
pub fn problem(name: &str) -> Problem {
    match name {
        "linear" => linear::well_posed(),
        "ill-posed" => linear::ill_posed(),
        "sinusoid" => small::sinusoid(),
        "exponential-sine" => small::exponential_sine(),
        "banana" => small::banana(),
        "step" => small::step(),
        "two-minima" => small::two_minima(),
        "seir" => seir::seir(),
        "lorenz-2" => lorenz::two(),
        "lorenz-40" => lorenz::forty(),
        "darcy" => darcy::darcy(),
        "field" => field::field(),
        _ => panic!("no problem {name}: there are {}", NAMES.join(", ")),
    }
}

/// Normal numbers of the problems, the `stream`th sequence of `seed`.
pub fn normals(seed: u64, stream: u64, count: usize) -> Vec<f64> {
    let mut numbers = vec![0.0; count];
    let key = Key {
        seed,
        purpose: Purpose::Synthetic,
        step: 26,
        member: stream,
        block: 0,
    };
    key.fill_normal_f64(0, &mut numbers);
    numbers
}

/// Observations of `truth` by `map`, with noise of deviation 1 drawn from `seed`.
pub fn observed(map: &Map, truth: &[f64], seed: u64) -> Vec<f64> {
    let exact = map(truth);
    let noise = normals(seed, 1, exact.len());
    exact.iter().zip(noise).map(|(z, e)| z + e).collect()
}

/// The distribution function of N(0, 1).
pub fn normal_share(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

impl Problem {
    /// Draws the first members of `seed`, J x P. Their mean is 0 and their covariance I (divisor J) where members are at least
    /// 1.25 P + 2 and the prior is independent, as with `ensemble.second_order_exact`; else they are plain draws.
    pub fn initial(&self, seed: u64) -> Array2<f64> {
        let (j, p) = (self.members, self.parameters);
        let mut u = Array2::zeros((j, p));
        for (member, mut row) in u.rows_mut().into_iter().enumerate() {
            let draws = normals(seed, 1000 + member as u64, p);
            let draws = self.correlate.as_ref().map_or(draws.clone(), |f| f(&draws));
            row.iter_mut().zip(draws).for_each(|(u, xi)| *u = xi);
        }
        if self.correlate.is_none() && j >= 2 + p + p.div_ceil(4) {
            let mean = u.mean_axis(ndarray::Axis(0)).expect("members");
            u -= &mean;
            let covariance = u.t().dot(&u) / j as f64;
            let root = crate::algebra::cholesky(&covariance).expect("more members than parameters");
            for mut row in u.rows_mut() {
                let solved = crate::algebra::solve_lower(&root, row.as_slice().expect("row-major"));
                row.iter_mut().zip(solved).for_each(|(u, x)| *u = x);
            }
        }
        u
    }
}
