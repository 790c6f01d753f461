//! What stored members and their outputs say without a simulation, by linear updates: how well parameters would be recovered (`twin`),
//! and what the posterior would be with other noise or other observations (`replay`; with localisation `first_step`).
//!
//! Both work in the standard normal coordinates of the parameters, with outputs whitened by the noise, and need J x J matrices only:
//! those of members' anomalies with each other.

pub mod first_step;
pub mod replay;
pub mod twin;

use ndarray::{Array2, Axis};

use crate::data::noise::{Gamma, Noise};
use crate::data::observed::ObservedOutputs;
use crate::error::{Error, Result};
use crate::forward::joint_prior::JointPrior;
use crate::io::run_folder::history::History;

/// The fewest members with outputs that a linear update is made of.
const FEWEST: usize = 4;

/// An ensemble of a run's history: the members that have outputs.
#[derive(Clone, Debug)]
pub struct StoredEnsemble {
    /// The steps before it.
    pub step: u64,
    /// The members that are left out, as they have no outputs.
    pub failed: usize,
    /// The coordinates, J x P.
    pub xi: Array2<f64>,
    /// The outputs, J x K; one that a member lacks is the mean of the others'.
    pub outputs: Array2<f64>,
}

impl StoredEnsemble {
    /// Reads the ensemble after `step` steps; `observed` are the outputs of the run, and `prior` is its prior.
    ///
    /// # Errors
    /// It was not kept, is of other parameters or outputs or of some sets of observations alone, a file is damaged, the prior has a
    /// random field, or too few members have outputs.
    pub fn read(
        history: &History,
        step: u64,
        (prior, observed): (&JointPrior, &ObservedOutputs),
    ) -> Result<Self> {
        check_prior(prior)?;
        let record = history.record(step)?;
        if let Some(sets) = &record.sets {
            return Err(Error::Usage(format!(
                "the members after {step} steps were simulated for the observations of {} alone, which their step took \
                 (data.batch): only the last ensemble, and the first that `eki-mpi twin FILE` simulates, have the outputs of all sets",
                sets.join(", ")
            )));
        }
        let (u, mut z) = (history.parameters(step)?, history.outputs(step)?);
        let names = history.parameter_names();
        if !prior.names().eq(names.iter().map(String::as_str)) || z.ncols() != observed.count() {
            return Err(Error::Usage(format!(
                "the history is of {} parameters and {} outputs, the configuration of {} and {}, or they have other names",
                names.len(),
                z.ncols(),
                prior.parameters(),
                observed.count()
            )));
        }
        fill_missing(&mut z, observed.missing());
        let coordinates = |member: usize| prior.coordinates_of(&u.row(member).to_vec()).ok();
        let sound = |member: &usize| z.row(*member).iter().all(|z| z.is_finite());
        let members: Vec<(usize, Vec<f64>)> = (0..u.nrows())
            .filter(sound)
            .filter_map(|member| Some((member, coordinates(member)?)))
            .filter(|(_, xi)| xi.iter().all(|xi| xi.is_finite()))
            .collect();
        if members.len() < FEWEST {
            return Err(Error::Run(format!(
                "only {} of {} members after {step} steps have outputs, and {FEWEST} are needed",
                members.len(),
                u.nrows()
            )));
        }
        let rows: Vec<usize> = members.iter().map(|(member, _)| *member).collect();
        let xi: Vec<f64> = members.into_iter().flat_map(|(_, xi)| xi).collect();
        Ok(Self {
            step,
            failed: u.nrows() - rows.len(),
            xi: Array2::from_shape_vec((rows.len(), prior.coordinates()), xi).expect("whole rows"),
            outputs: z.select(Axis(0), &rows),
        })
    }

    /// Returns the number J of members that have outputs.
    #[must_use]
    pub fn members(&self) -> usize {
        self.xi.nrows()
    }
}

/// Refuses a prior with parameters that are not updated here.
///
/// # Errors
/// It has a random field, whose coordinates do not follow from its cells.
pub fn check_prior(prior: &JointPrior) -> Result<()> {
    prior.fields().next().map_or(Ok(()), |field| {
        Err(Error::Usage(format!(
            "model.prior has the random field {}: twin and replay need parameters that have each a law of their own",
            field.name()
        )))
    })
}

/// Gives members that lack at most so many outputs the mean of the others' there.
fn fill_missing(z: &mut Array2<f64>, most: usize) {
    let lacking: Vec<usize> = z
        .rows()
        .into_iter()
        .map(|row| row.iter().filter(|z| z.is_nan()).count())
        .collect();
    let counts = |row: &usize| lacking[*row] <= most;
    for mut column in z.columns_mut() {
        let known = (0..column.len()).filter(counts).map(|row| column[row]);
        let known: Vec<f64> = known.filter(|z| !z.is_nan()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        for row in (0..lacking.len()).filter(counts) {
            if column[row].is_nan() {
                column[row] = mean;
            }
        }
    }
}

/// Replaces outputs `z`, K numbers, by those whose noise is independent with variance 1.
fn whiten(noise: &Noise, z: &mut [f64]) {
    match &noise.gamma {
        Gamma::Diagonal(variances) => {
            let pairs = z.iter_mut().zip(variances.iter().cycle());
            pairs.for_each(|(z, variance)| *z /= variance.sqrt());
        }
        Gamma::Correlated(covariance) => covariance.whiten(z),
    }
}

/// Returns `rows` of outputs whitened and less their mean, and the mean.
fn anomalies(noise: &Noise, mut rows: Array2<f64>) -> (Array2<f64>, Vec<f64>) {
    for mut row in rows.rows_mut() {
        whiten(noise, row.as_slice_mut().expect("row-major"));
    }
    let mean = rows.mean_axis(Axis(0)).expect("members");
    rows -= &mean;
    (rows, mean.to_vec())
}

/// Returns the mean and the deviation of `numbers`, of a sample.
fn mean_and_deviation(numbers: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = numbers.clone().count() as f64;
    let mean = numbers.clone().sum::<f64>() / count;
    let square: f64 = numbers.map(|x| (x - mean).powi(2)).sum();
    (mean, (square / (count - 1.0)).sqrt())
}
