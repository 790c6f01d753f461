//! A finished run judged on the test set by one process: at the mean, of the best member, and of the whole ensemble.

use ndarray::{Array3, Axis, s};
use rayon::ThreadPool;
use serde::Serialize;

use crate::data::Targets;
use crate::data::scores::{Measure, Scores};
use crate::error::{Error, Result};
use crate::forward::evaluator::Evaluator;
use crate::forward::marginal::Marginal;
use crate::forward::problem::Problem;
use crate::forward::process::{Failure, Process, Settled};
use crate::io::npy::Rows;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::loss::Loss;
use crate::report::calibrated::Calibrated;
use crate::report::finished::Finished;
use crate::report::uncertainty::{Tally, Uncertainty};
use crate::run::evaluate::{merit, score_point, test_batch};
use crate::run::misfit::misfit_at;

/// Samples evaluated together.
const CHUNK: usize = 512;
/// Samples tallied by one task: a divisor of `CHUNK`.
const PIECE: usize = 64;
/// Parameters, and outputs, of the members that are in memory together, at most.
const NUMBERS: usize = 1 << 24;

/// What the test set says of a finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    /// Samples it was judged on.
    pub samples: usize,
    /// Parameters P.
    pub parameters: usize,
    /// At the mean, and of the best member where the run looked for it.
    #[serde(flatten)]
    pub scores: Scores,
    /// What the ensemble says together, where all members were kept and targets are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
    /// The members' own accuracies: least, median, largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_members: Option<[f64; 3]>,
}

/// Judges `finished` on `problem`'s test set with the threads of `pool`. The result does not depend on their number. A simulator
/// is started only where `starts`; else the misfits are those of the run's summary.
///
/// # Errors
/// Arrays that are missing, damaged or of another shape; misfits that are not in the summary and may not be simulated.
pub fn assess<T: Real>(
    pool: &ThreadPool,
    finished: &Finished,
    problem: &Problem<T>,
    starts: bool,
) -> Result<Assessment> {
    let parameters = problem.map.parameters();
    if problem.map.ask_tell().is_some() {
        return Err(Error::Usage(format!(
            "{}: the outputs at the mean are for you to find (model.kind = \"ask-tell\"): run your simulator at the parameters \
             of final/parameters.csv",
            finished.folder.display()
        )));
    }
    if let Some(marginals) = problem.map.own_units() {
        let (mean, best) = match starts {
            true => misfits(pool, finished, problem, marginals)?,
            false => reported(finished)?,
        };
        return Ok(Assessment {
            samples: problem.map.outputs(),
            parameters: marginals.len(),
            scores: Scores::new(Measure::Misfit, mean, best),
            uncertainty: None,
            accuracy_members: None,
        });
    }
    // Samples that are consecutive in time stay together.
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
        uncertainty: None,
        accuracy_members: None,
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

/// The misfits in the summary of a simulator's run: at the members' mean, and of the best of them where the run looked for it.
fn reported(finished: &Finished) -> Result<(f64, Option<f64>)> {
    // That it has ended is told first.
    if !finished.has_mean() {
        return Err(finished.has_not_ended());
    }
    let ending = finished.ending()?.unwrap_or_default();
    let Some(mean) = ending.misfit_mean else {
        return Err(Error::Usage(format!(
            "{}: its summary.json holds no misfits, and to find them {}",
            finished.folder.display(),
            finished.resolved.command_shown()
        )));
    };
    Ok((mean, ending.misfit_best))
}

/// The misfits of a simulator's run, simulated anew: at the members' mean, and of the best of them where the run looked for it.
fn misfits<T: Real>(
    pool: &ThreadPool,
    finished: &Finished,
    problem: &Problem<T>,
    marginals: &[Marginal],
) -> Result<(f64, Option<f64>)> {
    let found = Calibrated::of::<T>(finished, marginals)?;
    let variance = finished.resolved.config.method.noise.clone();
    let (loss, observed) = (Loss::LeastSquares { variance }, problem.map.outputs());
    let evaluator = Evaluator::new(problem.map.as_ref(), pool, 1);
    let misfit = |u: &Vec<f64>| {
        let misfit = misfit_at(problem, &evaluator, (&loss, marginals), u);
        (2.0 * misfit / observed as f64).sqrt()
    };
    loop {
        let misfits = (misfit(&found.mean), found.best.as_ref().map(misfit));
        match problem.map.simulator().map(Process::settle) {
            Some(Settled::Again) => {}
            Some(Settled::Stray(line)) => {
                let failure = Failure::Unasked(line);
                return Err(Error::Run(format!("the simulator {failure}")));
            }
            _ => return Ok(misfits),
        }
    }
}

/// What all members of `rows` say of the test samples, in pieces, and each member's accuracy. Members are read a few
/// at a time, so that no ensemble is too large.
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
            let batch = test_batch(problem, &(start..(start + CHUNK).min(samples)));
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
