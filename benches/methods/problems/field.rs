//! A field on a line: 2,000 parameters with the correlation exp(-d^2 / (2 20^2)), 60 of them observed with noise of deviation 0.3.

use std::sync::Arc;

use ndarray::Array2;

use super::{Map, Places, Problem, normals, observed};
use crate::algebra::{cholesky, solve, solve_lower};
use crate::answer::{Answer, lazy};

const PARAMETERS: usize = 2000;
const OBSERVATIONS: usize = 60;
const LENGTH: f64 = 20.0;
const NOISE: f64 = 0.3;

/// A draw of the prior: white noise under exp(-x^2 / L^2), whose correlation is the field's; the noise goes on beyond both ends.
fn correlated(white: &[f64]) -> Vec<f64> {
    let reach = 100;
    let kernel: Vec<f64> = (-reach..=reach)
        .map(|x| (-(f64::from(x) / LENGTH).powi(2)).exp())
        .collect();
    let norm = kernel.iter().map(|k| k * k).sum::<f64>().sqrt();
    let ends = normals(white[0].to_bits(), 0, 2 * reach as usize);
    let all: Vec<f64> = ends[..reach as usize]
        .iter()
        .chain(white)
        .chain(&ends[reach as usize..])
        .copied()
        .collect();
    let at = |i: usize| {
        all[i..i + kernel.len()]
            .iter()
            .zip(&kernel)
            .map(|(w, k)| w * k)
            .sum::<f64>()
            / norm
    };
    (0..white.len()).map(at).collect()
}

/// The field, its places, and the exact posterior: c_i^T (C + Gamma)^{-1} y, and 1 - c_i^T (C + Gamma)^{-1} c_i.
pub fn field() -> Problem {
    // One place at random in each of 60 stretches of equal length.
    let stretch = PARAMETERS as f64 / OBSERVATIONS as f64;
    let random = normals(51, 0, OBSERVATIONS)
        .into_iter()
        .map(super::normal_share);
    let observed_at: Vec<usize> = random
        .enumerate()
        .map(|(k, share)| ((k as f64 + share) * stretch) as usize)
        .collect();
    let covariance = |i: usize, k: usize| (-((i as f64 - k as f64) / LENGTH).powi(2) / 2.0).exp();
    let at = observed_at.clone();
    let map: Map = Arc::new(move |u| at.iter().map(|i| u[*i] / NOISE).collect());
    let y = observed(&map, &correlated(&normals(51, 2, PARAMETERS)), 51);
    let gain = Array2::from_shape_fn((OBSERVATIONS, OBSERVATIONS), |(k, l)| {
        let noise = if k == l { NOISE * NOISE } else { 0.0 };
        covariance(observed_at[k], observed_at[l]) + noise
    });
    let root = cholesky(&gain).expect("a covariance");
    let weights = solve(&root, &y.iter().map(|y| y * NOISE).collect::<Vec<_>>());
    let (mut mean, mut deviation) = (Vec::new(), Vec::new());
    for i in 0..PARAMETERS {
        let c: Vec<f64> = observed_at.iter().map(|k| covariance(i, *k)).collect();
        mean.push(c.iter().zip(&weights).map(|(c, w)| c * w).sum());
        let part = solve_lower(&root, &c);
        deviation.push((1.0 - part.iter().map(|x| x * x).sum::<f64>()).sqrt());
    }
    let places = |of: Vec<usize>| Array2::from_shape_fn((of.len(), 1), |(i, _)| of[i] as f64);
    Problem {
        name: "field",
        parameters: PARAMETERS,
        members: 100,
        map,
        y,
        places: Some(Places {
            radius: 8.0 * LENGTH,
            parameters: places((0..PARAMETERS).collect()),
            observations: places(observed_at),
        }),
        correlate: Some(Arc::new(correlated)),
        answer: lazy(move || Answer::Posterior {
            by: "closed form",
            mean,
            deviation,
            quantiles: Vec::new(),
            uncertain: 0.0,
        }),
    }
}
