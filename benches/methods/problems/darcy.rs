//! Darcy flow: -div(k grad p) = 10 in the unit square, p = 0 around, from 50 modes of log k to the pressure in 16 wells.

use std::f64::consts::{PI, SQRT_2};
use std::sync::Arc;

use super::{Map, Problem, normals, observed};
use crate::answer::{chains, lazy};

const SIDE: usize = 16;
const MODES: usize = 50;
const WELLS: [usize; 4] = [2, 6, 9, 13];

/// The pressure in each of SIDE x SIDE cells: finite volumes, harmonic means between cells, elimination within the band.
fn pressure(k: &[f64]) -> Vec<f64> {
    let (n, cells) = (SIDE, SIDE * SIDE);
    let mut band = vec![[0.0; SIDE + 1]; cells];
    let mut p = vec![10.0 / (n * n) as f64; cells];
    for i in 0..cells {
        let (row, column) = (i / n, i % n);
        for (inside, other) in [(column + 1 < n, i + 1), (row + 1 < n, i + n)] {
            if inside {
                let t = 2.0 * k[i] * k[other] / (k[i] + k[other]);
                band[i][0] += t;
                band[other][0] += t;
                band[i][other - i] -= t;
            }
        }
        let sides = [row == 0, row == n - 1, column == 0, column == n - 1];
        band[i][0] += 2.0 * k[i] * sides.iter().filter(|side| **side).count() as f64;
    }
    for i in 0..cells {
        let pivot = band[i];
        for d in 1..=n.min(cells - 1 - i) {
            let factor = pivot[d] / pivot[0];
            if factor != 0.0 {
                (d..=n).for_each(|e| band[i + d][e - d] -= factor * pivot[e]);
                p[i + d] -= factor * p[i];
            }
        }
    }
    for i in (0..cells).rev() {
        let after: f64 = (1..=n.min(cells - 1 - i))
            .map(|d| band[i][d] * p[i + d])
            .sum();
        p[i] = (p[i] - after) / band[i][0];
    }
    p
}

/// log k is the sum over the 50 lowest pairs (a, b) of s_ab u_ab cos(a pi x) cos(b pi y), s_ab in proportion to 1/(pi^2 (a^2 + b^2) + 9), such
/// that its deviation is 0.8 (the spectrum of Huang, Schneider & Stuart, J. Comput. Phys. 463 (2022) 111262); noise 0.01.
pub fn darcy() -> Problem {
    let mut pairs: Vec<(usize, usize)> = (0..12)
        .flat_map(|a| (0..12).map(move |b| (a, b)))
        .filter(|p| *p != (0, 0))
        .collect();
    pairs.sort_by_key(|(a, b)| (a * a + b * b, *a));
    pairs.truncate(MODES);
    let value = |(a, b): (usize, usize)| 1.0 / (PI * PI * (a * a + b * b) as f64 + 9.0);
    let scale = 0.8 / pairs.iter().map(|p| value(*p).powi(2)).sum::<f64>().sqrt();
    let place = |i: usize| (i as f64 + 0.5) / SIDE as f64;
    let factor = |a: usize| if a == 0 { 1.0 } else { SQRT_2 };
    let modes: Vec<Vec<f64>> = (0..SIDE * SIDE)
        .map(|cell| {
            let wave = |a: usize, i: usize| factor(a) * (a as f64 * PI * place(i)).cos();
            let of = pairs
                .iter()
                .map(|&(a, b)| scale * value((a, b)) * wave(a, cell % SIDE) * wave(b, cell / SIDE));
            of.collect()
        })
        .collect();
    let map: Map = Arc::new(move |u| {
        let log = modes
            .iter()
            .map(|row| row.iter().zip(u).map(|(m, u)| m * u).sum::<f64>());
        let p = pressure(&log.map(f64::exp).collect::<Vec<_>>());
        let wells = WELLS
            .iter()
            .flat_map(|i| WELLS.iter().map(move |j| i * SIDE + j));
        wells.map(|cell| p[cell] / 0.01).collect()
    });
    let y = observed(&map, &normals(41, 2, MODES), 41);
    let (of, data) = (map.clone(), y.clone());
    Problem {
        name: "darcy",
        parameters: MODES,
        members: 200,
        answer: lazy(move || chains(&of, &data, MODES, (60_000, 0.4))),
        map,
        y,
        places: None,
        correlate: None,
    }
}
