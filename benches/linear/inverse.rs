//! A linear inverse problem y = A u + noise, and the library's own update applied to it.
//!
//! The tests of the theory use it too.

use eki_mpi::ensemble::survivors::Survivors;
use eki_mpi::ensemble::transform;
use eki_mpi::ensemble::transform::Form;
use eki_mpi::kernels::panel::Packed;
use eki_mpi::method::anomalies;
use eki_mpi::method::loss::Loss;
use eki_mpi::method::step_size::StepSize;
use ndarray::{Array1, Array2, Axis};

/// The Frobenius norm.
pub fn frobenius(a: &Array2<f64>) -> f64 {
    a.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The rows less their mean.
pub fn centred(u: &Array2<f64>) -> Array2<f64> {
    u - &u.mean_axis(Axis(0)).expect("members")
}

/// A linear inverse problem: y = A u, weighted by Gamma.
#[derive(Clone)]
pub struct Linear {
    /// A, K x P.
    pub a: Array2<f64>,
    /// y, K.
    pub y: Array1<f64>,
    /// The diagonal of Gamma: one number, or K.
    pub variance: Vec<f64>,
}

impl Linear {
    /// V and W of the ensemble u, J x K each.
    pub fn factors(&self, u: &Array2<f64>) -> (Array2<f64>, Array2<f64>) {
        let mut anomalies = u.dot(&self.a.t());
        let mut gradients = Array2::zeros(anomalies.dim());
        let loss = Loss::LeastSquares {
            variance: self.variance.clone(),
        };
        let y = self.y.as_slice().expect("one row");
        let all = Survivors::new(vec![true; u.nrows()]);
        anomalies::anomalies_and_gradients(
            anomalies.view_mut(),
            gradients.view_mut(),
            y,
            0,
            &loss,
            &all,
        );
        (gradients, anomalies)
    }

    /// D, J x J.
    pub fn interaction(&self, u: &Array2<f64>) -> Array2<f64> {
        let (v, w) = self.factors(u);
        v.dot(&w.t()) / u.nrows() as f64
    }

    /// One update of u in `form`; returns h_n.
    pub fn step(&self, u: &mut Array2<f64>, rule: StepSize, form: Form) -> f64 {
        let (v, w) = self.factors(u);
        let d = v.dot(&w.t()) / u.nrows() as f64;
        let h = rule.at(frobenius(&d), 1.0);
        let all = Survivors::new(vec![true; u.nrows()]);
        let mut scratch =
            vec![0.0; transform::update_scratch(form, u.nrows(), w.ncols(), u.ncols())];
        match form {
            Form::Factored => {
                let (v, w) = (Packed::of(v.view()), Packed::of(w.t()));
                transform::update_factored(u, (&v, &w), h, &all, &mut scratch);
            }
            _ => {
                transform::update_explicit(u, &Packed::of(d.view()), h, &all, &mut scratch);
            }
        }
        h
    }
}
