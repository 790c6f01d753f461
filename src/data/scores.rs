//! What the test set says of a run: known to the loop that judges and to the report that tells.

use serde::Serialize;

use crate::data::baseline::Baselines;

/// What the test set says of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The share of samples classified right: more is better.
    Accuracy,
    /// The mean squared error per output: less is better.
    SquaredError,
    /// The mean return of the episodes: more is better.
    Return {
        /// What an output of 1 stands for.
        highest: f64,
    },
    /// Of a simulator, the misfit in deviations of the noise: less is better, and 1 is as near as the noise lets it.
    Misfit,
}

impl Measure {
    /// Whether score `a` is better than `b`.
    #[must_use]
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Accuracy | Self::Return { .. } => a > b,
            Self::SquaredError | Self::Misfit => a < b,
        }
    }
}

/// Scores on the test set: accuracy where targets are classes, the mean return of episodes, the misfit of a simulator, else the
/// mean squared error per output.
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
    /// Mean return, in steps, of the policy at ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_mean: Option<f64>,
    /// The same of the member with the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_best: Option<f64>,
    /// Of a simulator: its misfit at the members' mean, in deviations of the noise (root mean square over observations).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_mean: Option<f64>,
    /// The same of the member with the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_best: Option<f64>,
    /// The same of the final members together: the root mean square over those with outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_members: Option<f64>,
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

impl Scores {
    /// The score at ubar, and of the best member where it was looked for.
    #[must_use]
    pub fn new(measure: Measure, of_mean: f64, of_best: Option<f64>) -> Self {
        let mut scores = Self::default();
        let (mean, best) = match measure {
            Measure::Accuracy => (&mut scores.accuracy_mean, &mut scores.accuracy_best),
            Measure::SquaredError => (&mut scores.mse_mean, &mut scores.mse_best),
            Measure::Return { .. } => (&mut scores.return_mean, &mut scores.return_best),
            Measure::Misfit => (&mut scores.misfit_mean, &mut scores.misfit_best),
        };
        (*mean, *best) = (Some(of_mean), of_best);
        scores
    }
}
