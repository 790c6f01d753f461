//! The step size h_n = h / (||D||_F + epsilon), or h_n = h.

/// h and epsilon of the step size h_n = h / (||D||_F + epsilon), or h_n = h.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSize {
    /// The step length h > 0.
    pub h: f64,
    /// Keeps h_n finite when D vanishes; None for a fixed step h_n = h.
    pub epsilon: Option<f64>,
}

impl StepSize {
    /// h_n for a D of Frobenius norm `d_norm`, with h scaled by `factor`.
    #[must_use]
    pub fn at(&self, d_norm: f64, factor: f64) -> f64 {
        match self.epsilon {
            Some(epsilon) => self.h * factor / (d_norm + epsilon),
            None => self.h * factor,
        }
    }
}
