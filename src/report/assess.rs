//! Evaluates a finished run on the test set in one process: at the mean, for the best member, and for the whole
//! ensemble.

use ndarray::{Array3, Axis, s};
use rayon::ThreadPool;
use serde::Serialize;

use crate::config::ModelKind;
use crate::data::Targets;
use crate::data::observed::ObservationTable;
use crate::data::scores::{GroupMisfit, Measure, Scores};
use crate::error::{Error, Result};
use crate::forward::evaluator::Evaluator;
use crate::forward::joint_prior::JointPrior;
use crate::forward::problem::Problem;
use crate::forward::process::{Process, Settled};
use crate::io::npy::Rows;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::loss::Loss;
use crate::report::calibrated::Calibrated;
use crate::report::check::Check;
use crate::report::finished::{Finished, Summary};
use crate::report::uncertainty::{Tally, Uncertainty};
use crate::run::evaluate::{merit, score_point};
use crate::run::left_out::LeftOut;
use crate::run::misfit::misfit_at;
use crate::run::reporter::ChiSquare;
use crate::run::statistics::FinalMembers;

/// The number of samples that are evaluated together.
const CHUNK: usize = 512;
/// The number of samples that one task tallies: a divisor of `CHUNK`.
const PIECE: usize = 64;
/// The largest number of parameters, and of outputs, of the members that are in memory at the same time.
const NUMBERS: usize = 1 << 24;

/// The scores of a finished run on the test set.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    /// The number of test samples.
    pub samples: usize,
    /// The number P of parameters.
    pub parameters: usize,
    /// The scores at the mean, and of the best member if the run determined it.
    #[serde(flatten)]
    pub scores: Scores,
    /// With a simulator: the misfits of groups of observations at the mean.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misfit_groups: Vec<GroupMisfit>,
    /// The predictive uncertainty of the ensemble, if all members were kept and targets are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
    /// The accuracies of single members: lowest, median, highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_members: Option<[f64; 3]>,
    /// The answer of a simulator's run: verdict, parameters and predictive check.
    #[serde(flatten)]
    pub answer: Option<Answer>,
}

/// The answer of a simulator's run: verdict, parameters and predictive check.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The verdict, as the run's summary has it.
    pub verdict: Option<String>,
    /// The advice in the run's summary.
    pub advice: Option<String>,
    /// The chi-square of the final members, as the run's summary has it.
    pub chi_square: Option<ChiSquare>,
    /// The final members.
    pub members: FinalMembers,
    /// The observations against the members' outputs, if the outputs of the final members were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictive: Option<Check>,
    /// Remarks on parameters, each with the parameters' names.
    #[serde(skip)]
    pub notes: Vec<(&'static str, String)>,
}

/// Evaluates `finished` on the test set of its problem, a simulator's by its least-squares `loss` and the `table` of its observations, with the threads of `pool`; the result does not depend on their
/// number. Starts a simulator only if `starts`; otherwise the misfits come from the run's summary.
///
/// # Errors
/// Arrays that are missing, damaged or of another shape; misfits that are not in the summary and may not be simulated.
pub fn assess<T: Real>(
    pool: &ThreadPool,
    finished: &Finished,
    (problem, loss, table): (&Problem<T>, &Loss, &ObservationTable),
    starts: bool,
) -> Result<Assessment> {
    let parameters = problem.map.parameters();
    if let Some(prior) = problem.map.own_units() {
        return assess_simulator(finished, (problem, (loss, table), prior), starts);
    }
    // Samples that are consecutive in time are evaluated together.
    let samples = problem.map.carrying().map(|_| problem.dataset.test.len());
    let evaluator = Evaluator::new(problem.map.as_ref(), pool, samples.unwrap_or(CHUNK));
    let score = |point: &Vec<T>| score_point((pool, (0, 1)), problem, &evaluator, point, |_| ());
    let mean = score(&finished.mean(parameters)?);
    let best = finished.best(parameters)?.as_ref().map(score);
    let test = &problem.dataset.test;
    let mut assessment = Assessment {
        samples: test.len(),
        parameters,
        scores: Scores::new(problem.measure(), mean, best),
        misfit_groups: Vec::new(),
        uncertainty: None,
        accuracy_members: None,
        answer: None,
    };
    if let Targets::Classes { labels, .. } = &test.targets
        && let Some(rows) = finished.ensemble(parameters)?
    {
        let (tallies, mut own) = tally(pool, &evaluator, problem, rows)?;
        own.sort_by(f64::total_cmp);
        assessment.accuracy_members = Some([own[0], own[own.len() / 2], own[own.len() - 1]]);
        assessment.uncertainty = Some(Uncertainty::of(&tallies, labels));
    }
    Ok(assessment)
}

/// Evaluates a simulator's run by its misfits, which are simulated if `starts`, else taken from the run's summary, and by its members.
fn assess_simulator<T: Real>(
    finished: &Finished,
    (problem, by, prior): (&Problem<T>, (&Loss, &ObservationTable), &JointPrior),
    starts: bool,
) -> Result<Assessment> {
    // A run that has not ended is reported first.
    if !finished.has_mean() {
        return Err(finished.has_not_ended());
    }
    let ending = finished.ending()?.unwrap_or_default();
    let calibrated = Calibrated::of::<T>(finished, prior, ending.members.are)?;
    let by = (by, prior);
    let (scores, misfit_groups) = match starts && problem.map.simulator().is_some() {
        true => simulated(problem, by, (&calibrated, &ending.left_out))?,
        false => reported(finished, &ending)?,
    };
    Ok(Assessment {
        samples: problem.map.outputs(),
        parameters: prior.coordinates(),
        scores,
        misfit_groups,
        uncertainty: None,
        accuracy_members: None,
        answer: Some(Answer {
            verdict: ending.verdict,
            advice: ending.advice,
            chi_square: ending.chi_square,
            predictive: None,
            notes: calibrated.notes(),
            members: calibrated.found,
        }),
    })
}

/// The misfits at the members' mean, of the members and of the best of them, and of groups of observations at the mean.
type Misfits = (Scores, Vec<GroupMisfit>);

/// Returns the misfits that `ending` of a simulator's run holds; those at the mean are not known where outputs came from outside.
fn reported(finished: &Finished, ending: &Summary) -> Result<Misfits> {
    let asks = finished.resolved.config.model.kind == ModelKind::AskTell;
    if ending.misfit_mean.or(ending.misfit_members).is_none() && !asks {
        return Err(Error::Usage(format!(
            "{}: its summary.json holds no misfits, and to find them {}",
            finished.folder.display(),
            finished.resolved.command_shown()
        )));
    }
    let scores = Scores {
        misfit_mean: ending.misfit_mean,
        misfit_best: ending.misfit_best,
        misfit_members: ending.misfit_members,
        ..Scores::default()
    };
    Ok((scores, ending.misfit_groups.clone()))
}

/// Simulates the misfits of a simulator's run again: at the members' mean, and of the best member if the run determined it.
fn simulated<T: Real>(
    problem: &Problem<T>,
    ((loss, table), prior): ((&Loss, &ObservationTable), &JointPrior),
    (calibrated, left_out): (&Calibrated, &[String]),
) -> Result<Misfits> {
    let observed = problem.map.outputs();
    let left_out = LeftOut::new(table.places_named(left_out), loss, observed)?;
    let misfit = |u: &Vec<f64>| {
        let (misfit, residuals) = misfit_at(problem, (loss, prior, &left_out), u);
        ((2.0 * misfit / observed as f64).sqrt(), residuals)
    };
    loop {
        let ((mean, residuals), best) = (
            misfit(&calibrated.mean()),
            calibrated.best.as_ref().map(misfit),
        );
        match problem.map.simulator().map(Process::settle) {
            Some(Settled::Again) => {}
            Some(Settled::Stray(what)) => {
                return Err(Error::Run(format!("the simulator {what}")));
            }
            _ => {
                let scores = Scores::new(Measure::Misfit, mean, best.map(|(best, _)| best));
                return Ok((scores, table.group_misfits(&residuals, left_out.places())));
            }
        }
    }
}

/// Tallies the predictions of all members in `rows` for the test samples, in pieces of `PIECE` samples; also returns
/// each member's accuracy. Reads a few members at a time, so that an ensemble of any size fits.
fn tally<T: Real>(
    pool: &ThreadPool,
    evaluator: &Evaluator<T>,
    problem: &Problem<T>,
    mut rows: Rows<T>,
) -> Result<(Vec<Tally>, Vec<f64>)> {
    let (samples, parameters) = (problem.dataset.test.len(), problem.map.parameters());
    let classes = problem.map.outputs();
    let pieces = (0..samples).step_by(PIECE);
    let mut tallies: Vec<Tally> = pieces
        .map(|start| Tally::new(classes, PIECE.min(samples - start)))
        .collect();
    let height = (NUMBERS / parameters.max(CHUNK * classes)).clamp(1, rows.rows());
    let mut accuracies = Vec::with_capacity(rows.rows());
    let mut outputs = Array3::<T>::zeros((height, classes, CHUNK));
    loop {
        let points = rows.read(height)?;
        let count = points.len() / parameters;
        if count == 0 {
            return Ok((tallies, accuracies));
        }
        let mut right = vec![0.0; count];
        let chunks = (0..samples).step_by(CHUNK);
        for (start, tallies) in chunks.zip(tallies.chunks_mut(CHUNK / PIECE)) {
            let batch = problem.test_batch(&(start..(start + CHUNK).min(samples)));
            let width = batch.len();
            let places = outputs.axis_iter_mut(Axis(0)).zip(right.iter_mut());
            evaluator.for_members(
                0..count,
                batch.inputs.view(),
                places,
                |member, out| {
                    out.copy_from_slice(&points[member * parameters..(member + 1) * parameters]);
                },
                |_, (mut place, right), outputs| {
                    place.slice_mut(s![.., ..width]).assign(&outputs);
                    *right += merit(Measure::Accuracy, outputs, &batch.targets);
                },
            );
            let outputs = &outputs;
            for_each(pool, tallies.iter_mut().enumerate(), |_, (piece, tally)| {
                let columns = piece * PIECE..((piece + 1) * PIECE).min(width);
                for member in 0..count {
                    tally.add(outputs.slice(s![member, .., columns.clone()]));
                }
            });
        }
        accuracies.extend(right.iter().map(|right| right / samples as f64));
    }
}
