//! What the test set says of a run: known to the loop that judges and to the report that tells.

use serde::Serialize;

/// Scores on the test set: accuracy where targets are classes, else the mean squared error per output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Share of test samples classified right by the network at ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_mean: Option<f64>,
    /// The same of the member with the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_best: Option<f64>,
    /// Mean squared error at ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_mean: Option<f64>,
    /// The same of the member with the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_best: Option<f64>,
    /// Which member is best (the first of several).
    #[serde(skip)]
    pub best: Option<usize>,
}
