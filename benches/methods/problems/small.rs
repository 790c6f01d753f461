//! Problems of two parameters. The sine and its exponential are the examples of EnsembleKalmanProcesses.jl, at a fixed phase.

use std::sync::Arc;

use super::{Map, Problem, observed};
use crate::answer::{Lazy, grid, lazy, log_likelihood, minimum};

/// A problem of two parameters, 100 members, and a posterior by a grid of 400 x 400.
fn small(name: &'static str, map: Map, y: Vec<f64>) -> Problem {
    let (of, data) = (map.clone(), y.clone());
    let answer = lazy(move || grid(2, 400, |u| log_likelihood(&of, &data, u)));
    with(name, map, y, answer)
}

fn with(name: &'static str, map: Map, y: Vec<f64>, answer: Lazy) -> Problem {
    Problem {
        name,
        parameters: 2,
        members: 100,
        map,
        y,
        places: None,
        correlate: None,
        answer,
    }
}

/// Range and mean of f over a period in steps of 0.01.
fn range_and_mean(f: impl Fn(f64) -> f64) -> [f64; 2] {
    let values: Vec<f64> = (0..=629).map(|i| f(f64::from(i) / 100.0)).collect();
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    [
        most - least,
        values.iter().sum::<f64>() / values.len() as f64,
    ]
}

/// Amplitude a, lognormal of mean 2 and deviation 1, and shift v ~ N(0, 5^2) of a sin t + v by its range and mean, with noise of
/// variance 0.1; the truth is (1, 7).
pub fn sinusoid() -> Problem {
    let spread: f64 = (1.25f64).ln();
    let (centre, spread) = (2f64.ln() - spread / 2.0, spread.sqrt());
    let map: Map = Arc::new(move |u| {
        let (a, v) = ((centre + spread * u[0]).exp(), 5.0 * u[1]);
        range_and_mean(|t| a * t.sin() + v)
            .map(|z| z / 0.1f64.sqrt())
            .to_vec()
    });
    let y = observed(&map, &[-centre / spread, 1.4], 21);
    small("sinusoid", map, y)
}

/// Amplitude a ~ N(2, 0.5^2), and shift v ~ N(0, 0.5^2) of exp(a sin t + v) by its range and mean, with noise of variance 0.01; the truth
/// is (1, 0.8). The example's amplitude has a deviation of 0.1, which puts its truth ten deviations off.
pub fn exponential_sine() -> Problem {
    let map: Map = Arc::new(|u| {
        let (a, v) = (2.0 + 0.5 * u[0], 0.5 * u[1]);
        range_and_mean(|t| (a * t.sin() + v).exp())
            .map(|z| z / 0.1)
            .to_vec()
    });
    let y = observed(&map, &[-2.0, 1.6], 23);
    small("exponential-sine", map, y)
}

/// y = u_2 + u_1^2 with noise of deviation 0.3, and y = 1: a posterior along a parabola.
pub fn banana() -> Problem {
    let map: Map = Arc::new(|u| vec![(u[1] + u[0] * u[0]) / 0.3]);
    small("banana", map, vec![1.0 / 0.3])
}

/// A signal that goes from 0 to a at the time t_0: 20 samples at (i + 1/2)/20 with noise of deviation 0.3; t_0 ~ N(0.5, 0.2^2), a ~ N(1,
/// 0.5^2). Outputs are piecewise constant in t_0; the truth is (0.62, 1.3).
pub fn step() -> Problem {
    let map: Map = Arc::new(|u| {
        let (t0, a) = (0.5 + 0.2 * u[0], 1.0 + 0.5 * u[1]);
        let at = |i: i32| f64::from(u8::from((f64::from(i) + 0.5) / 20.0 > t0)) * a / 0.3;
        (0..20).map(at).collect()
    });
    let y = observed(&map, &[0.6, 0.6], 25);
    small("step", map, y)
}

/// A loss with two minima: residuals (u_1^2 - 1)/0.4, (u_1 - 1)/1.5 and (u_2 - u_1/2)/0.5. The lower one is at (1, 1/2), the
/// other near (-0.97, -0.48), with a misfit of 0.78 deviations.
pub fn two_minima() -> Problem {
    let map: Map = Arc::new(|u| {
        vec![
            (u[0] * u[0] - 1.0) / 0.4,
            (u[0] - 1.0) / 1.5,
            (u[1] - u[0] / 2.0) / 0.5,
        ]
    });
    let y = vec![0.0; 3];
    let (of, data) = (map.clone(), y.clone());
    let answer = lazy(move || minimum(&of, &data));
    with("two-minima", map, y, answer)
}
