//! What the test set says of a run: known to the loop that judges and to the report that tells.

use serde::Serialize;

use crate::data::baseline::Baselines;

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
    /// Where the data is a series: the mean squared error, over the present pass, of the mean of the members'
    /// predictions of each value before it was assimilated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_pass: Option<f64>,
    /// What that must beat.
    #[serde(flatten)]
    pub baselines: Option<Baselines>,
    /// Which member is best (the first of several).
    #[serde(skip)]
    pub best: Option<usize>,
}
