//! What the history of a simulator's run tells of its answer: the predictive check, misfits of groups by step, and parameters by step.

use std::path::Path;

use ndarray::Array2;
use serde::Serialize;

use crate::cost::MOST_AS_TEXT;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::io::run_folder::history::History;
use crate::report::predictive::{Observations, Predictive, misfits};
use crate::run::statistics::SHARES;
use crate::run::statistics::normal_law::{quantiles, values_of_outputs};
use crate::run::statistics::sample::quantile;

/// The table of observations against the outputs of the final members, in the run's folder.
pub const TABLE: &str = "final/predictive.csv";

/// The observations against the outputs of the members, at the first, the last and all kept steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The check of the first ensemble, where it was kept with all outputs and is not the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Predictive>,
    /// The check of the final members.
    pub last: Predictive,
    /// After each kept step the misfits of all observations together and of each group and set, in the order of `last.groups`; NaN
    /// of those whose outputs were not asked for.
    pub misfits_by_step: Vec<(u64, Vec<f64>)>,
}

impl Check {
    /// Returns true if the observations are in sets.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        let mut all = self.last.observations.iter();
        all.any(|check| check.set.is_some())
    }
}

/// The quantiles of one parameter over the kept steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Fan {
    /// The number of the parameter.
    pub parameter: usize,
    /// After each kept step the quantiles 5, 16, 50, 84 and 95 % of the members.
    pub quantiles: Vec<(u64, [f64; 5])>,
}

/// Outputs of members, J x K, and the names of the sets that they are known for; None: of all.
type KnownOutputs = (Array2<f64>, Option<Vec<String>>);

/// Returns the outputs of the members after `step` steps for the `observed`; None where they are too many to be read.
///
/// # Errors
/// Damaged files, or outputs that are not those of `observed`.
fn outputs(history: &History, step: u64, observed: &Observations) -> Result<Option<KnownOutputs>> {
    let record = history.record(step)?;
    if record.outputs != observed.values.len() {
        return Err(Error::Usage(format!(
            "the history holds {} outputs of each member after {step} steps, and {} are observed: is it of another run?",
            record.outputs,
            observed.values.len()
        )));
    }
    let few = record.members.saturating_mul(record.outputs) <= MOST_AS_TEXT;
    few.then(|| Ok((history.outputs(step)?, record.sets)))
        .transpose()
}

/// Returns the history of the run in `folder`, if its last ensemble is that after `step` steps.
fn ending_at(folder: &Path, step: u64) -> Result<Option<History>> {
    let history = History::open(folder)?;
    Ok(history.filter(|history| history.last() == step))
}

/// Returns the check of the final members of the run in `folder`, the ensemble after `step` steps, against `observed`; of sigma
/// `points` by their normal law. None where their outputs were not kept, or are too many.
///
/// # Errors
/// Damaged files of the history, or outputs that are not those of `observed`.
pub fn last(
    folder: &Path,
    (step, points): (u64, Option<SigmaPoints>),
    observed: &Observations,
) -> Result<Option<Predictive>> {
    let Some(history) = ending_at(folder, step)? else {
        return Ok(None);
    };
    let outputs = outputs(&history, step, observed)?;
    Ok(outputs.map(|(outputs, _)| predictive(points, observed, step, outputs)))
}

/// Returns the check of the `outputs` of members after `step` steps, of sigma points by their normal law.
fn predictive(
    points: Option<SigmaPoints>,
    observed: &Observations,
    step: u64,
    outputs: Array2<f64>,
) -> Predictive {
    let members = outputs.nrows();
    let outputs = match points {
        Some(points) => values_of_outputs(points, outputs.view()),
        None => outputs,
    };
    let check = Predictive::new(observed, step, outputs.view());
    match points {
        Some(_) => Predictive { members, ..check },
        None => check,
    }
}

/// Writes the table of the `last` check to the run's `folder`; where there is none, one of an earlier end goes. Called by rank 0.
///
/// # Errors
/// A file that cannot be written.
pub fn write(files: &Files, folder: &Path, last: Option<&Predictive>) -> Result<()> {
    let path = folder.join(TABLE);
    match last {
        Some(last) => files.write_whole(&path, last.csv().as_bytes()),
        None => files.remove(&path),
    }
}

impl Check {
    /// Returns the check of the run in `folder`, whose result is the ensemble after `step` steps, against `observed`; of sigma
    /// `points` by their normal law. None where the outputs of that ensemble were not kept, or are too many.
    ///
    /// # Errors
    /// Damaged files of the history, or outputs that are not those of `observed`.
    pub fn of(
        folder: &Path,
        (step, points): (u64, Option<SigmaPoints>),
        observed: &Observations,
    ) -> Result<Option<Self>> {
        let Some(history) = ending_at(folder, step)? else {
            return Ok(None);
        };
        let (mut first, mut last) = (None, None);
        let mut misfits_by_step = Vec::new();
        for &at in history.steps() {
            let Some((outputs, sets)) = outputs(&history, at, observed)? else {
                continue;
            };
            let misfits = misfits(observed, outputs.view(), sets.as_deref());
            misfits_by_step.push((at, misfits));
            let checked = at == step || at == 0 && sets.is_none();
            let check = checked.then(|| predictive(points, observed, at, outputs));
            match at == step {
                true => last = check,
                false => first = first.or(check),
            }
        }
        Ok(last.map(|last| Self {
            first,
            last,
            misfits_by_step,
        }))
    }

    /// Returns this with the `most` observations that lie worst in the final members' outputs.
    #[must_use]
    pub fn shortened(self, most: usize) -> Self {
        Self {
            first: self.first.map(|first| first.shortened(most)),
            last: self.last.shortened(most),
            misfits_by_step: self.misfits_by_step,
        }
    }
}

/// Returns the quantiles of the `parameters` over the kept steps of the run in `folder`, of sigma `points` by their normal law; none where it has no history.
///
/// # Errors
/// Damaged files of the history.
pub fn fans(folder: &Path, parameters: &[usize], points: Option<SigmaPoints>) -> Result<Vec<Fan>> {
    let Some(history) = History::open(folder)? else {
        return Ok(Vec::new());
    };
    let empty = |&parameter: &usize| Fan {
        parameter,
        quantiles: Vec::new(),
    };
    let mut fans: Vec<Fan> = parameters.iter().map(empty).collect();
    for &step in history.steps() {
        let record = history.record(step)?;
        if record.members.saturating_mul(record.parameters) > MOST_AS_TEXT {
            continue;
        }
        let members = history.parameters(step)?;
        for fan in &mut fans {
            let column = members.column(fan.parameter);
            if let Some(points) = points {
                fan.quantiles.push((step, quantiles(points, column)));
                continue;
            }
            let mut values: Vec<f64> = column.iter().copied().filter(|u| u.is_finite()).collect();
            values.sort_by(f64::total_cmp);
            let quantiles = SHARES.map(|share| quantile(&values, share));
            fan.quantiles.push((step, quantiles));
        }
    }
    Ok(fans)
}
