//! The Lorenz-96 equations, dX_k/dt = (X_{k+1} - X_{k-2}) X_{k-1} - c X_k + F, by the classical Runge-Kutta method in steps of 0.05.

use std::sync::Arc;

use ndarray::Array2;

use super::{Map, Places, Problem, normals, observed};
use crate::algebra::{cholesky, solve, solve_lower};
use crate::answer::{chains, grid, lazy};

const STEP: f64 = 0.05;

fn slope(x: &[f64], (f, c): (f64, f64), out: &mut [f64]) {
    let n = x.len();
    for k in 0..n {
        out[k] = (x[(k + 1) % n] - x[(k + n - 2) % n]) * x[(k + n - 1) % n] - c * x[k] + f;
    }
}

fn advance(x: &mut [f64], fc: (f64, f64)) {
    let n = x.len();
    let mut k = vec![vec![0.0; n]; 4];
    slope(x, fc, &mut k[0]);
    for (i, share) in [(1, 0.5), (2, 0.5), (3, 1.0)] {
        let there: Vec<f64> = x
            .iter()
            .zip(&k[i - 1])
            .map(|(x, k)| x + share * STEP * k)
            .collect();
        slope(&there, fc, &mut k[i]);
    }
    for i in 0..n {
        x[i] += STEP / 6.0 * (k[0][i] + 2.0 * k[1][i] + 2.0 * k[2][i] + k[3][i]);
    }
}

/// Means over `length` time units of X, X^2 and the products of neighbours at distances 1, 2 and 3, of 8 variables (tests/examples/lorenz96).
fn statistics(fc: (f64, f64), length: f64, start: usize) -> [f64; 5] {
    let first = |k: usize| fc.0 / fc.1 + 0.01 * (((7 * k + 3 * start) % 11 + start % 13) as f64);
    let mut x: Vec<f64> = (0..8).map(first).collect();
    for _ in 0..((10 + start % 7) as f64 / STEP).round() as usize {
        advance(&mut x, fc);
    }
    let (mut sums, steps) = ([0.0; 5], (length / STEP).round() as usize);
    for _ in 0..steps {
        advance(&mut x, fc);
        sums[0] += x.iter().sum::<f64>();
        for lag in 0..4 {
            sums[1 + lag] += (0..8).map(|k| x[k] * x[(k + lag) % 8]).sum::<f64>();
        }
    }
    sums.map(|s| s / steps as f64 / 8.0)
}

fn numbers(text: &str) -> Vec<f64> {
    let fields = text
        .split([',', '\n'])
        .filter(|field| !field.trim().is_empty());
    fields
        .map(|field| field.trim().parse().expect("a number"))
        .collect()
}

/// Forcing, lognormal 9 2, and damping, lognormal 1.1 0.25, from five means over 20 time units, whose noise is the system's own; a
/// simulation is of 100 time units. The answer: a cubic through the means of 81 runs of 500, and a grid.
pub fn two() -> Problem {
    let gamma = numbers(include_str!("../../../tests/examples/lorenz96/gamma.csv"));
    let root =
        cholesky(&Array2::from_shape_vec((5, 5), gamma).expect("5 x 5")).expect("a covariance");
    let y = numbers(include_str!(
        "../../../tests/examples/lorenz96/observed.txt"
    ));
    let laws = [(9f64, 2f64), (1.1, 0.25)].map(|(m, d)| {
        let s2 = (1.0 + (d / m).powi(2)).ln();
        (m.ln() - s2 / 2.0, s2.sqrt())
    });
    let own = move |u: &[f64]| {
        let at = |i: usize| (laws[i].0 + laws[i].1 * u[i]).exp();
        (at(0), at(1))
    };
    let (white, white_y) = (root.clone(), solve_lower(&root, &y));
    let data = white_y.clone();
    let answer = lazy(move || {
        let smooth = cubic(|fc| statistics(fc, 500.0, 7));
        let log = |u: &[f64]| {
            let fc = own(u);
            let z = solve_lower(&white, &smooth(fc));
            // Beyond the runs the cubic says nothing.
            let inside = (5.6..10.8).contains(&fc.0) && (0.66..1.38).contains(&fc.1);
            match inside {
                true => {
                    -z.iter()
                        .zip(&data)
                        .map(|(z, y)| (z - y).powi(2))
                        .sum::<f64>()
                        / 2.0
                }
                false => f64::NEG_INFINITY,
            }
        };
        grid(2, 300, log)
    });
    let map: Map = Arc::new(move |u| {
        let z = statistics(own(u), 100.0, 0);
        match z.iter().all(|z| z.is_finite()) {
            true => solve_lower(&root, &z),
            false => Vec::new(),
        }
    });
    Problem {
        name: "lorenz-2",
        parameters: 2,
        members: 100,
        map,
        y: white_y,
        places: None,
        correlate: None,
        answer,
    }
}

/// The cubic through the outputs of `run` on 9 x 9 places of forcing 6 to 10.4 and damping 0.72 to 1.32, by least squares.
fn cubic(run: impl Fn((f64, f64)) -> [f64; 5]) -> impl Fn((f64, f64)) -> [f64; 5] {
    let terms = |(f, c): (f64, f64)| -> Vec<f64> {
        let (x, y) = ((f - 8.2) / 4.4, (c - 1.02) / 0.6);
        (0..4)
            .flat_map(|i| (0..4 - i).map(move |j| x.powi(i) * y.powi(j)))
            .collect()
    };
    let places = (0..81).map(|i| {
        (
            6.0 + 4.4 * f64::from(i / 9) / 8.0,
            0.72 + 0.6 * f64::from(i % 9) / 8.0,
        )
    });
    let (mut normal, mut right) = (Array2::zeros((10, 10)), vec![vec![0.0; 10]; 5]);
    for place in places {
        let (t, z) = (terms(place), run(place));
        for i in 0..10 {
            (0..10).for_each(|j| normal[[i, j]] += t[i] * t[j]);
            (0..5).for_each(|k| right[k][i] += t[i] * z[k]);
        }
    }
    let root = cholesky(&normal).expect("81 places for ten terms");
    let weights: Vec<Vec<f64>> = right.iter().map(|b| solve(&root, b)).collect();
    move |place| {
        let t = terms(place);
        std::array::from_fn(|k| t.iter().zip(&weights[k]).map(|(t, w)| t * w).sum())
    }
}

/// The state of 40 variables, F = 8 and c = 1, from every other variable at the times 0.1, 0.2, 0.3 and 0.4 with noise of deviation 0.5. The
/// prior is N(b, I) about a state b on the attractor, and the truth a draw of it. Places are on a ring of circumference 40.
pub fn forty() -> Problem {
    let mut background: Vec<f64> = normals(31, 0, 40).iter().map(|x| 8.0 + 0.1 * x).collect();
    (0..400).for_each(|_| advance(&mut background, (8.0, 1.0)));
    let map: Map = Arc::new(move |u| {
        let mut x: Vec<f64> = background.iter().zip(u).map(|(b, u)| b + u).collect();
        let mut z = Vec::with_capacity(80);
        for step in 1..=8 {
            advance(&mut x, (8.0, 1.0));
            if step % 2 == 0 {
                z.extend(x.iter().step_by(2).map(|x| x / 0.5));
            }
        }
        match z.iter().all(|z| z.is_finite()) {
            true => z,
            false => Vec::new(),
        }
    });
    let y = observed(&map, &normals(31, 2, 40), 31);
    let (of, data) = (map.clone(), y.clone());
    let answer = lazy(move || chains(&of, &data, 40, (200_000, 0.5)));
    let ring = |k: usize| {
        let angle = std::f64::consts::TAU * k as f64 / 40.0;
        [angle.cos(), angle.sin()].map(|x| x * 40.0 / std::f64::consts::TAU)
    };
    let places = |of: Vec<usize>| Array2::from_shape_fn((of.len(), 2), |(i, d)| ring(of[i])[d]);
    Problem {
        name: "lorenz-40",
        parameters: 40,
        members: 60,
        map,
        y,
        places: Some(Places {
            radius: 10.0,
            parameters: places((0..40).collect()),
            observations: places((0..80).map(|k| 2 * (k % 20)).collect()),
        }),
        correlate: None,
        answer,
    }
}
