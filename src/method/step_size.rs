//! The step size h_n = h / (||D||_F + epsilon), or h_n = h.

use crate::ensemble::draw::Draw;

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

/// The step of a sampler: what its transform depends on besides the outputs.
#[derive(Clone, Copy, Debug)]
pub struct SamplerStep {
    /// The rule for h_n.
    pub size: StepSize,
    /// The factor of h at this step.
    pub factor: f64,
    /// The draws Xi, J numbers of each member.
    pub draw: Draw,
    /// The number P of parameters, which are the last of the outputs.
    pub parameters: usize,
}
