//! Linear maps: G(u) = A u, A = Q diag(s) B with Q and B orthonormal by Gram and Schmidt of normal numbers.

use std::sync::Arc;

use ndarray::{Array1, Array2};

use super::{Map, Problem, normals, observed};
use crate::algebra::posterior;
use crate::answer::{self, Answer};

/// P orthonormal columns of n numbers.
fn orthonormal(n: usize, p: usize, seed: u64) -> Array2<f64> {
    let mut q = Array2::from_shape_vec((n, p), normals(seed, 0, n * p)).expect("n p numbers");
    for i in 0..p {
        for k in 0..i {
            let share = q.column(i).dot(&q.column(k));
            let before = q.column(k).to_owned();
            q.column_mut(i).scaled_add(-share, &before);
        }
        let norm = q.column(i).dot(&q.column(i)).sqrt();
        q.column_mut(i).mapv_inplace(|x| x / norm);
    }
    q
}

fn linear(name: &'static str, k: usize, values: &[f64], seed: u64) -> Problem {
    let p = values.len();
    let weighted = orthonormal(k, p, seed) * &Array1::from(values.to_vec());
    let a = weighted.dot(&orthonormal(p, p, seed + 1));
    let of = a.clone();
    let map: Map = Arc::new(move |u| of.dot(&Array1::from(u.to_vec())).to_vec());
    let y = observed(&map, &normals(seed, 2, p), seed);
    Problem {
        name,
        parameters: p,
        members: 100,
        answer: answer::lazy({
            let y = y.clone();
            move || Answer::normal(posterior(&a, &y))
        }),
        map,
        y,
        places: None,
        correlate: None,
    }
}

/// 10 parameters, 20 observations, singular values from 5 to 2 in deviations of noise and prior: all parameters are informed.
pub fn well_posed() -> Problem {
    let values: Vec<f64> = (0..10).map(|i| 5.0 - f64::from(i) / 3.0).collect();
    linear("linear", 20, &values, 11)
}

/// 20 parameters, 20 observations, singular values from 100 to 10^-4 in even steps of the logarithm: a third of the directions is not informed.
pub fn ill_posed() -> Problem {
    let values: Vec<f64> = (0..20)
        .map(|i| 10f64.powf(2.0 - 6.0 * f64::from(i) / 19.0))
        .collect();
    linear("ill-posed", 20, &values, 13)
}
