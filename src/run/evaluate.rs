//! The verdict of the test set on the ensemble: at the mean, and of the best member.

use ndarray::ArrayView2;
use rayon::ThreadPool;

use super::history::RawOutputs;
use super::{State, misfit};
use crate::config::Best;
use crate::data::BatchTargets;
use crate::data::scores::{GroupMisfit, Measure, Scores};
use crate::forward::evaluator::Evaluator;
use crate::forward::problem::Problem;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::loss::class_of;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;
use crate::run::context::StepContext;

/// The verdict on an ensemble.
pub(super) struct Verdict<T> {
    /// The scores.
    pub scores: Scores,
    /// With a simulator: the misfits of groups of observations at the mean.
    pub groups: Vec<GroupMisfit>,
    /// The outputs of this rank's members, where a simulator's members were judged by them.
    pub raw: Option<RawOutputs<T>>,
    /// On rank 0 the outputs at the mean of a simulator's members.
    pub mean: Option<Vec<T>>,
}

impl<T> From<Scores> for Verdict<T> {
    fn from(scores: Scores) -> Self {
        Self {
            scores,
            groups: Vec::new(),
            raw: None,
            mean: None,
        }
    }
}

/// Judges the ensemble, of a simulator also by groups of observations; at the `end` also the members, unless the configuration says
/// never. A simulator's members are judged by their `misfits` if these are known. Called by all ranks.
pub(super) fn judge<T: Real>(
    context: &StepContext<T>,
    state: &mut State<T>,
    (end, misfits): (bool, Option<&[f64]>),
) -> Verdict<T> {
    let (ranks, plan, problem) = (context.ranks, context.plan, context.problem);
    if let Some(carried) = &state.carried {
        // A series is judged as it is assimilated: by what was predicted before.
        let done = plan.batches.place(state.step - 1).end;
        let scores = Scores {
            mse_pass: Some(carried.squared_error(&problem.dataset.train, done)),
            baselines: context.baselines,
            ..Scores::default()
        };
        return scores.into();
    }
    if problem.map.ask_tell().is_some() {
        // The outputs at the mean are not known, nor worth a round of their own.
        let asked = misfits.is_none() && end && context.asks_for_last_outputs();
        let asked = asked && !state.awaits_outputs(context);
        let (found, raw) = asked.then(|| misfit::of_members(context, state)).unzip();
        let scores = misfits
            .or(found.as_deref())
            .map_or_else(Scores::default, |misfits| {
                misfit::scores(plan, None, misfits)
            });
        return Verdict {
            raw,
            ..scores.into()
        };
    }
    let all_members = match plan.config().run.best {
        _ if plan.members(0) == 1 => false,
        Best::Evaluation => true,
        Best::End => end,
        Best::Never => false,
    };
    if let Some(prior) = problem.map.own_units() {
        let asked = misfits.is_none() && all_members;
        let (found, raw) = asked.then(|| misfit::of_members(context, state)).unzip();
        let misfits = misfits.or(found.as_deref()).unwrap_or_default();
        let mean = end.then(|| state.stored_mean(context)).flatten();
        let (scores, groups, mean) = misfit::judge(context, state, prior, (misfits, mean));
        return Verdict {
            scores,
            groups,
            raw,
            mean,
        };
    }
    let mean = state.ensemble.mean(ranks);
    let of_mean = score_mean(ranks, problem, &context.evaluator, &mean);
    let best = all_members.then(|| {
        state.ensemble.swap(ranks);
        let scores = score_members(ranks, problem, &context.evaluator, state);
        state.ensemble.swap(ranks);
        // The first of several; never one without a score.
        let better = |j: usize, best| problem.measure().better(scores[j], scores[best]);
        let all = (0..scores.len()).filter(|&j| !scores[j].is_nan());
        let best = all.reduce(|best, j| if better(j, best) { j } else { best });
        best.map(|best| (best, scores[best]))
    });
    let (best, of_best) = best.flatten().unzip();
    let scores = Scores {
        best,
        ..Scores::new(problem.measure(), of_mean, of_best)
    };
    scores.into()
}

/// Returns the test samples in chunks of the evaluator's size.
pub fn chunks<T: Real>(problem: &Problem<T>, size: usize) -> Vec<std::ops::Range<usize>> {
    let n = problem.dataset.test.len();
    (0..n)
        .step_by(size)
        .map(|start| start..(start + size).min(n))
        .collect()
}

/// Returns the divisor of summed merits: samples for accuracy, samples times outputs for the rest.
pub fn divisor<T: Real>(problem: &Problem<T>) -> f64 {
    let test = &problem.dataset.test;
    match &test.targets {
        crate::data::Targets::Classes { labels, .. } => labels.len() as f64,
        crate::data::Targets::Values(values) => values.len() as f64,
    }
}

/// Right answers, the sum of squared errors, or the sum of returns, of outputs c x m.
pub fn merit<T: Real>(measure: Measure, outputs: ArrayView2<T>, targets: &BatchTargets<T>) -> f64 {
    if let Measure::Return { highest } = measure {
        // Whole steps, whatever the outputs' precision.
        return outputs.iter().map(|z| (z.as_f64() * highest).round()).sum();
    }
    match targets {
        BatchTargets::Classes(labels) => outputs
            .columns()
            .into_iter()
            .zip(labels)
            .filter(|(outputs, label)| class_of(*outputs) == usize::from(**label))
            .count() as f64,
        // Of one sample after the other, as its targets stand.
        BatchTargets::Values(values) => outputs
            .t()
            .iter()
            .zip(values)
            .map(|(z, y)| (z.as_f64() - y.as_f64()).powi(2))
            .sum(),
    }
}

/// Returns the score of the parameters `mean`: the test set's chunks are shared out over ranks and threads.
fn score_mean<T: Real>(
    ranks: Ranks,
    problem: &Problem<T>,
    evaluator: &Evaluator<T>,
    mean: &[T],
) -> f64 {
    let rank = (ranks.comm.rank(), ranks.comm.size());
    // Each chunk's merit is zero on all ranks but its own: the sum is exact.
    score_point((ranks.pool, rank), problem, evaluator, mean, |merits| {
        ranks.comm.sum_exact(merits);
    })
}

/// Returns the score of the parameters `point`, P numbers, of which rank `rank.0` of `rank.1` judges its share of the test set
/// and `sum` makes the whole.
pub fn score_point<T: Real>(
    (pool, rank): (&ThreadPool, (usize, usize)),
    problem: &Problem<T>,
    evaluator: &Evaluator<T>,
    point: &[T],
    sum: impl FnOnce(&mut [f64]),
) -> f64 {
    let chunks = chunks(problem, evaluator.samples());
    let own = Partition::new(chunks.len(), rank.1).range(rank.0);
    let mut merits = vec![0.0; chunks.len()];
    for_each(
        pool,
        merits[own.clone()].iter_mut().zip(&chunks[own]),
        |thread, (place, chunk)| {
            let batch = problem.test_batch(chunk);
            *place = evaluator.one(thread, point, batch.inputs.view(), |outputs| {
                merit(problem.measure(), outputs, &batch.targets)
            });
        },
    );
    sum(&mut merits);
    merits.iter().sum::<f64>() / divisor(problem)
}

/// Returns the score of each member, on all ranks.
fn score_members<T: Real>(
    ranks: Ranks,
    problem: &Problem<T>,
    evaluator: &Evaluator<T>,
    state: &mut State<T>,
) -> Vec<f64> {
    let members = state.ensemble.members(ranks);
    let own = members.range(ranks.comm.rank());
    let mut merits = vec![0.0; members.items()];
    for chunk in chunks(problem, evaluator.samples()) {
        let batch = problem.test_batch(&chunk);
        let places = merits[own.clone()].iter_mut();
        state.ensemble.for_outputs(
            evaluator,
            ranks,
            batch.inputs.view(),
            places,
            |place, outputs| {
                *place += merit(problem.measure(), outputs, &batch.targets);
            },
        );
    }
    ranks.comm.sum_exact(&mut merits);
    let divisor = divisor(problem);
    merits.iter().map(|merit| merit / divisor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Outputs are c x m, targets m x c.
    #[test]
    fn errors_are_of_each_samples_own_targets() {
        let outputs = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let values = BatchTargets::Values(array![[1.0, 4.0], [2.0, 5.0], [3.5, 6.0]]);
        assert_eq!(merit(Measure::SquaredError, outputs.view(), &values), 0.25);
        let labels = BatchTargets::Classes(vec![1, 1, 0]);
        assert_eq!(merit(Measure::Accuracy, outputs.view(), &labels), 2.0);
    }
}
