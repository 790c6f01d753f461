//! Temporary.
use ndarray::*;
#[allow(missing_docs)]
pub struct Problem {
    pub matrix: Array2<f64>,
    pub observations: Array1<f64>,
}
#[allow(missing_docs)]
pub fn random(seed: u64) -> Problem {
    let k = crate::rng::Key {
        seed,
        purpose: crate::rng::Purpose::Synthetic,
        step: 0,
        member: 0,
        block: 0,
    };
    let mut a = Array2::zeros((15, 255));
    k.fill_normal_f64(a.as_slice_mut().unwrap());
    Problem {
        matrix: a,
        observations: Array1::ones(15),
    }
}
#[allow(missing_docs)]
pub fn elliptic(seed: u64) -> Problem {
    random(seed)
}
