//! Independent answers: closed forms, grids in up to three coordinates, long chains, and minima by search.
//!
//! ```text
//! grid     Bayes' rule at the middles of cells, in a box that is narrowed until it holds what lies within 40 of the highest logarithm
//! chain    u' = m + (1 - b^2)^{1/2} (u - m) + b N(0, C), accepted by the posterior's ratio to N(m, C): generalised pCN (Rudolf & Sprungk,
//!          Found. Comput. Math. 18 (2018) 309); m and C are Gauss-Newton's, C widened by 1.1^2
//! ```

use std::cell::LazyCell;

use ndarray::Array2;

use crate::algebra::{cholesky, posterior, solve_lower};
use crate::problems::{Map, normal_share, normals};

/// The shares at which the quantiles of a marginal are kept.
const SHARES: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999,
];

/// An answer that is computed when it is first asked for.
pub type Lazy = LazyCell<Answer, Box<dyn FnOnce() -> Answer>>;

/// The answer that `compute` gives.
pub fn lazy(compute: impl FnOnce() -> Answer + 'static) -> Lazy {
    LazyCell::new(Box::new(compute))
}

/// What a problem's parameters are, by other means than an ensemble.
pub enum Answer {
    /// The posterior of each coordinate.
    Posterior {
        /// Of which kind it is: "closed form", "grid" or "chains".
        by: &'static str,
        mean: Vec<f64>,
        deviation: Vec<f64>,
        /// The quantiles of each coordinate at `SHARES`; none: the marginals are normal.
        quantiles: Vec<Vec<f64>>,
        /// How uncertain the mean is itself: half of the largest distance of two chains' means, in deviations.
        uncertain: f64,
    },
    /// The least-squares minimum of a loss with several.
    Minimum(Vec<f64>),
}

impl Answer {
    /// A normal posterior.
    pub fn normal((mean, covariance): (Vec<f64>, Array2<f64>)) -> Self {
        Self::Posterior {
            by: "closed form",
            deviation: covariance.diag().iter().map(|v| v.sqrt()).collect(),
            mean,
            quantiles: Vec::new(),
            uncertain: 0.0,
        }
    }

    /// The posterior's probability that coordinate `i` lies between two numbers.
    pub fn mass(&self, i: usize, (low, high): (f64, f64)) -> f64 {
        let Self::Posterior {
            mean,
            deviation,
            quantiles,
            ..
        } = self
        else {
            return f64::NAN;
        };
        let below = |x: f64| {
            let Some(q) = quantiles.get(i) else {
                return normal_share((x - mean[i]) / deviation[i]);
            };
            let Some(above) = q.iter().position(|q| *q > x) else {
                return 1.0;
            };
            if above == 0 {
                return 0.0;
            }
            let part = (x - q[above - 1]) / (q[above] - q[above - 1]);
            SHARES[above - 1] + part * (SHARES[above] - SHARES[above - 1])
        };
        below(high) - below(low)
    }
}

/// The posterior of N(0, I) by a grid, where `log_likelihood` is given and P is at most 3; `side` cells in a direction.
pub fn grid(p: usize, side: usize, log_likelihood: impl Fn(&[f64]) -> f64) -> Answer {
    let mut bounds = vec![(-5.0, 5.0); p];
    let point = |bounds: &[(f64, f64)], mut cell: usize| -> Vec<f64> {
        let of = bounds.iter().map(|(low, high)| {
            let at = (cell % side) as f64 + 0.5;
            cell /= side;
            low + (high - low) * at / side as f64
        });
        of.collect()
    };
    let log = |u: &[f64]| log_likelihood(u) - u.iter().map(|u| u * u).sum::<f64>() / 2.0;
    let mut weights = Vec::new();
    for _ in 0..4 {
        let logs: Vec<f64> = (0..side.pow(p as u32))
            .map(|cell| log(&point(&bounds, cell)))
            .collect();
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights = logs.iter().map(|l| (l - highest).exp()).collect();
        let before = bounds.clone();
        for (i, own) in bounds.iter_mut().enumerate() {
            let width = (before[i].1 - before[i].0) / side as f64;
            let kept = (0..logs.len()).filter(|&cell| logs[cell] > highest - 40.0);
            let (low, high) = kept
                .map(|cell| point(&before, cell)[i])
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
                    (a.min(x), b.max(x))
                });
            *own = (low - width, high + width);
        }
        let narrowed = bounds
            .iter()
            .zip(&before)
            .any(|(b, a)| b.1 - b.0 < 0.8 * (a.1 - a.0));
        if !narrowed {
            bounds = before;
            break;
        }
        // The weights of the last pass belong to the bounds before it.
        bounds
            .iter_mut()
            .zip(&before)
            .for_each(|(b, a)| *b = (b.0.max(a.0), b.1.min(a.1)));
        weights = (0..side.pow(p as u32))
            .map(|cell| log(&point(&bounds, cell)))
            .collect();
        let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        weights.iter_mut().for_each(|w| *w = (*w - highest).exp());
    }
    let marginal = |i: usize| -> Vec<(f64, f64)> {
        let mut shares = vec![0.0; side];
        for (cell, w) in weights.iter().enumerate() {
            shares[cell / side.pow(i as u32) % side] += w;
        }
        let all: f64 = shares.iter().sum();
        let (low, high) = bounds[i];
        let edge = |k: usize| low + (high - low) * k as f64 / side as f64;
        (0..side).map(|k| (edge(k + 1), shares[k] / all)).collect()
    };
    let marginals: Vec<_> = (0..p).map(marginal).collect();
    let width = |i: usize| (bounds[i].1 - bounds[i].0) / side as f64;
    let moment = |i: usize, about: f64, power: i32| -> f64 {
        let of = marginals[i].iter();
        of.map(|(edge, share)| share * (edge - width(i) / 2.0 - about).powi(power))
            .sum()
    };
    let mean: Vec<f64> = (0..p).map(|i| moment(i, 0.0, 1)).collect();
    let deviation = (0..p).map(|i| moment(i, mean[i], 2).sqrt()).collect();
    let quantile = |i: usize, wanted: f64| {
        let mut below = 0.0;
        for (edge, share) in &marginals[i] {
            if below + share >= wanted {
                return edge - width(i) * (1.0 - (wanted - below) / share);
            }
            below += share;
        }
        bounds[i].1
    };
    let quantiles = (0..p)
        .map(|i| SHARES.map(|s| quantile(i, s)).to_vec())
        .collect();
    Answer::Posterior {
        by: "grid",
        mean,
        deviation,
        quantiles,
        uncertain: 0.0,
    }
}

/// The logarithm of the likelihood of `u`, without its constant.
pub fn log_likelihood(map: &Map, y: &[f64], u: &[f64]) -> f64 {
    let z = map(u);
    if z.len() != y.len() {
        return f64::NEG_INFINITY;
    }
    -z.iter().zip(y).map(|(z, y)| (y - z).powi(2)).sum::<f64>() / 2.0
}

/// The posterior's mode from 0 by Gauss-Newton steps, and the covariance of the problem made linear there.
fn laplace(map: &Map, y: &[f64], p: usize) -> (Vec<f64>, Array2<f64>) {
    let mut u = vec![0.0; p];
    for _ in 0..100 {
        let z = map(&u);
        let mut slope = Array2::zeros((y.len(), p));
        for i in 0..p {
            let mut moved = u.clone();
            moved[i] += 1e-5;
            let there = map(&moved);
            (0..y.len()).for_each(|k| slope[[k, i]] = (there[k] - z[k]) / 1e-5);
        }
        let at: Vec<f64> = (0..y.len())
            .map(|k| y[k] - z[k] + slope.row(k).iter().zip(&u).map(|(a, u)| a * u).sum::<f64>())
            .collect();
        let (new, covariance) = posterior(&slope, &at);
        let far = new
            .iter()
            .zip(&u)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let part = if far > 0.3 { 0.5 } else { 1.0 };
        u.iter_mut()
            .zip(&new)
            .for_each(|(u, new)| *u += part * (new - *u));
        if far < 1e-7 {
            return (u, covariance);
        }
    }
    panic!("Gauss-Newton's steps did not converge");
}

/// The posterior of `p` coordinates by two chains of `steps` steps each, the first tenth left out.
pub fn chains(map: &Map, y: &[f64], p: usize, (steps, part): (usize, f64)) -> Answer {
    let (mode, covariance) = laplace(map, y, p);
    let root = cholesky(&(covariance * 1.1 * 1.1)).expect("a covariance");
    let at = |w: &[f64]| -> Vec<f64> {
        (0..p)
            .map(|i| mode[i] + (0..=i).map(|k| root[[i, k]] * w[k]).sum::<f64>())
            .collect()
    };
    // The logarithm of the posterior's ratio to N(m, C).
    let ratio = |w: &[f64], u: &[f64]| {
        let squares = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>() / 2.0;
        log_likelihood(map, y, u) - squares(u) + squares(w)
    };
    let mut kept: [Vec<Vec<f64>>; 2] = Default::default();
    for (seed, kept) in kept.iter_mut().enumerate() {
        let mut w = normals(77 + seed as u64, 0, p);
        let mut u = at(&w);
        let (mut now, mut accepted) = (ratio(&w, &u), 0);
        for step in 0..steps {
            let mut xi = normals(77 + seed as u64, 1 + step as u64, p + 1);
            let chance = normal_share(xi.pop().expect("one more"));
            let keep = (1.0 - part * part).sqrt();
            let new: Vec<f64> = w
                .iter()
                .zip(xi)
                .map(|(w, xi)| keep * w + part * xi)
                .collect();
            let there = at(&new);
            let then = ratio(&new, &there);
            if chance.ln() < then - now {
                (w, u, now) = (new, there, then);
                accepted += 1;
            }
            if step >= steps / 10 {
                kept.push(u.clone());
            }
        }
        eprintln!(
            "chain {seed}: {:.2} of {steps} proposals accepted",
            f64::from(accepted) / steps as f64
        );
    }
    debug_assert!(solve_lower(&root, &mode).len() == p);
    of_samples(&kept, p)
}

fn of_samples(kept: &[Vec<Vec<f64>>; 2], p: usize) -> Answer {
    let (mut mean, mut deviation, mut quantiles) = (Vec::new(), Vec::new(), Vec::new());
    let mut uncertain = 0.0f64;
    for i in 0..p {
        let means = kept
            .each_ref()
            .map(|c| c.iter().map(|u| u[i]).sum::<f64>() / c.len() as f64);
        let mut all: Vec<f64> = kept.iter().flatten().map(|u| u[i]).collect();
        all.sort_by(f64::total_cmp);
        let m = (means[0] + means[1]) / 2.0;
        let s = (all.iter().map(|u| (u - m).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
        uncertain = uncertain.max((means[0] - means[1]).abs() / 2.0 / s);
        quantiles.push(
            SHARES
                .map(|share| all[(share * all.len() as f64) as usize])
                .to_vec(),
        );
        mean.push(m);
        deviation.push(s);
    }
    Answer::Posterior {
        by: "chains",
        mean,
        deviation,
        quantiles,
        uncertain,
    }
}

/// The least minimum of the misfit of two coordinates: the best point of a grid, then smaller and smaller steps down.
pub fn minimum(map: &Map, y: &[f64]) -> Answer {
    let misfit = |u: &[f64]| -log_likelihood(map, y, u);
    let places = || (-400..=400).map(|i| f64::from(i) / 100.0);
    let mut best = vec![0.0, 0.0];
    for a in places() {
        for b in places() {
            if misfit(&[a, b]) < misfit(&best) {
                best = vec![a, b];
            }
        }
    }
    let mut step = 0.01;
    while step > 1e-9 {
        let around = [(step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)];
        let next = around.iter().map(|(a, b)| vec![best[0] + a, best[1] + b]);
        match next.into_iter().find(|u| misfit(u) < misfit(&best)) {
            Some(u) => best = u,
            None => step /= 2.0,
        }
    }
    Answer::Minimum(best)
}
