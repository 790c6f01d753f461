//! Scores of a run on the test set.

use serde::{Deserialize, Serialize};

use crate::data::baseline::Baselines;

/// The measure of parameters on the test set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The fraction of samples classified correctly: higher is better.
    Accuracy,
    /// The mean squared error per output: lower is better.
    SquaredError,
    /// The mean return of the episodes: higher is better.
    Return {
        /// The return for which an output of 1 stands.
        highest: f64,
    },
    /// The misfit of a simulator in standard deviations of the noise: lower is better; 1 is as close as the noise
    /// allows.
    Misfit,
}

impl Measure {
    /// Returns true if score `a` is better than `b`.
    #[must_use]
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Accuracy | Self::Return { .. } => a > b,
            Self::SquaredError | Self::Misfit => a < b,
        }
    }
}

/// Scores on the test set: accuracy for classes, the mean return of episodes, the misfit of a simulator, else the mean
/// squared error per output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// The fraction of test samples classified correctly at the ensemble mean ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_mean: Option<f64>,
    /// The fraction of test samples classified correctly by the best member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_best: Option<f64>,
    /// The mean squared error at ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_mean: Option<f64>,
    /// The mean squared error of the best member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_best: Option<f64>,
    /// The mean return, in steps, of the policy at ubar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_mean: Option<f64>,
    /// The mean return, in steps, of the best member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_best: Option<f64>,
    /// The misfit of a simulator at the ensemble mean, in standard deviations of the noise (root mean square over
    /// observations).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_mean: Option<f64>,
    /// The misfit of a simulator for the best member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_best: Option<f64>,
    /// The misfit of a simulator over the final members together: the root mean square over those that have outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit_members: Option<f64>,
    /// The number of final members of a simulator that have no outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_failed: Option<usize>,
    /// For a series: the mean squared error in the current pass of the members' mean prediction of each value before it
    /// is assimilated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_pass: Option<f64>,
    /// For a series: the baselines that `mse_pass` must beat.
    #[serde(flatten)]
    pub baselines: Option<Baselines>,
    /// The number of the best member (the first of several).
    #[serde(skip)]
    pub best: Option<usize>,
}

/// The misfit of a group of observations at the ensemble mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupMisfit {
    /// The group's name.
    pub group: String,
    /// The number of its observations.
    pub observations: usize,
    /// The misfit in standard deviations of the noise, as `misfit_mean`; with correlated noise of what its whitening leaves to
    /// these observations. None where the mean has no outputs.
    pub misfit: Option<f64>,
}

impl Scores {
    /// Returns the score at ubar, and that of the best member if it was determined.
    #[must_use]
    pub fn new(measure: Measure, mean_score: f64, best_score: Option<f64>) -> Self {
        let mut scores = Self::default();
        let (mean, best) = match measure {
            Measure::Accuracy => (&mut scores.accuracy_mean, &mut scores.accuracy_best),
            Measure::SquaredError => (&mut scores.mse_mean, &mut scores.mse_best),
            Measure::Return { .. } => (&mut scores.return_mean, &mut scores.return_best),
            Measure::Misfit => (&mut scores.misfit_mean, &mut scores.misfit_best),
        };
        (*mean, *best) = (Some(mean_score), best_score);
        scores
    }
}
