//! How well a simulator's final parameters reproduce the observations: misfits in deviations of the noise.

use ndarray::ArrayView2;

use super::State;
use super::history::RawOutputs;
use crate::data::scores::{GroupMisfit, Measure, Scores};
use crate::forward::joint_prior::JointPrior;
use crate::forward::problem::Problem;
use crate::kernels::real::Real;
use crate::method::loss::Loss;
use crate::run::context::StepContext;
use crate::run::left_out::LeftOut;
use crate::run::plan::Plan;

/// Returns the misfit at the parameters `u` of `prior` in their own units, as a sum of `loss`, and the residuals that make it up, K
/// numbers in deviations of the noise; NaN where there are no outputs. Outputs that may be missing, and are, count as observed, and
/// the misfit is that of the others, scaled up, as it is of observations that are left out. For one process.
pub(crate) fn misfit_at<T: Real>(
    problem: &Problem<T>,
    (loss, prior, left_out): (&Loss, &JointPrior, &LeftOut),
    u: &[f64],
) -> (f64, Vec<f64>) {
    let outputs = outputs_at(problem, prior, u);
    misfit_of(problem, (loss, left_out), &outputs)
}

/// Returns the outputs at the parameters `u` of `prior` in their own units, K numbers; NaN where there are none.
fn outputs_at<T: Real>(problem: &Problem<T>, prior: &JointPrior, u: &[f64]) -> Vec<T> {
    // A mean that overflowed, or that rounding put on a bound.
    let outputs = Some(u).filter(|u| prior.admits(u));
    let outputs = outputs.and_then(|u| problem.map.outputs_in_own_units(u));
    match outputs {
        Some(outputs) => outputs.iter().copied().collect(),
        None => vec![T::nan(); problem.map.outputs()],
    }
}

/// Returns the misfit of `outputs`, K numbers, as a sum of `loss`, and their residuals, in deviations of the noise. Outputs that may be
/// missing, and are, count as observed, and the misfit is that of the others, scaled up, as it is of observations that are left out.
fn misfit_of<T: Real>(
    problem: &Problem<T>,
    (loss, left_out): (&Loss, &LeftOut),
    outputs: &[T],
) -> (f64, Vec<f64>) {
    let batch = problem.test_batch(&(0..1));
    let y = loss.targets(&batch.targets, problem.map.outputs());
    let mut selected = vec![T::zero(); y.len()];
    let simulator = problem.map.simulator();
    let most = simulator.map_or(0, |simulator| simulator.asked_for().1.missing());
    let lacking = outputs.iter().filter(|z| z.is_nan()).count();
    let is_partial = lacking > 0 && lacking <= most;
    let misfit = if is_partial {
        let known = outputs.iter().zip(problem.dataset.observations());
        for (z, (&output, &observed)) in selected.iter_mut().zip(known) {
            *z = if output.is_nan() {
                T::from_f64(observed)
            } else {
                output
            };
        }
        loss.enter(&mut selected, &y)
    } else {
        let outputs = ArrayView2::from_shape((outputs.len(), 1), outputs).expect("one sample");
        loss.select(outputs, &batch.targets, &y, &mut selected)
    };
    let misfit = match left_out.places() {
        [] => misfit,
        _ => left_out.take(loss, &mut selected, &y),
    };
    let scale = match is_partial {
        true => y.len() as f64 / (y.len() - lacking) as f64,
        false => 1.0,
    };
    (scale * misfit, loss.residuals(&selected, &y))
}

/// Returns the scores at the members' mean, whose outputs may be `known` on rank 0, and of members with `misfits`, J numbers, or none
/// if these are not known; the misfits of groups of observations at the mean; and on rank 0 the outputs there. Called by all ranks.
pub(super) fn judge<T: Real>(
    context: &StepContext<T>,
    state: &State<T>,
    prior: &JointPrior,
    (misfits, known): (&[f64], Option<Vec<f64>>),
) -> (Scores, Vec<GroupMisfit>, Option<Vec<T>>) {
    let (ranks, plan, problem) = (context.ranks, context.plan, context.problem);
    let mean = state.own_mean(ranks, (plan, problem.map.as_ref()), prior);
    let mut of_mean = [0.0];
    let mut residuals = vec![0.0; plan.table.group_of.len()];
    let outputs = ranks.comm.is_first().then(|| match known {
        Some(known) => known.into_iter().map(T::from_f64).collect(),
        None => outputs_at(problem, prior, &mean),
    });
    if let Some(outputs) = &outputs {
        let by = (&plan.loss, &state.left_out);
        let (misfit, apart) = misfit_of(problem, by, outputs);
        of_mean[0] = misfit;
        residuals.iter_mut().zip(apart).for_each(|(r, x)| *r = x);
    }
    ranks.comm.sum_exact(&mut of_mean);
    ranks.comm.sum_exact(&mut residuals);
    let scores = scores(plan, Some(of_mean[0]), misfits);
    let groups = plan
        .table
        .group_misfits(&residuals, state.left_out.places());
    (scores, groups, outputs)
}

/// Returns the scores of members with `misfits` as sums of the loss, and at their mean, in deviations of the noise.
pub(super) fn scores(plan: &Plan, mean: Option<f64>, misfits: &[f64]) -> Scores {
    let known = |misfit: f64| misfit.is_finite().then(|| plan.in_deviations(misfit));
    let sound = || (0..misfits.len()).filter(|&j| misfits[j].is_finite());
    let best = sound().reduce(|best, j| if misfits[j] < misfits[best] { j } else { best });
    let sum: f64 = sound().map(|j| misfits[j]).sum();
    let failed = misfits.len() - sound().count();
    Scores {
        members_failed: (!misfits.is_empty()).then_some(failed),
        misfit_mean: mean.and_then(known),
        misfit_members: known(sum / sound().count() as f64),
        best,
        ..Scores::new(
            Measure::Misfit,
            0.0,
            best.and_then(|best| known(misfits[best])),
        )
    }
}

/// Returns the misfit of each member, on all ranks, and the outputs of this rank's; NaN or infinite of one without outputs. Called by
/// all ranks.
pub(super) fn of_members<T: Real>(
    context: &StepContext<T>,
    state: &mut State<T>,
) -> (Vec<f64>, RawOutputs<T>) {
    let (ranks, plan) = (context.ranks, context.plan);
    let batch = context.problem.test_batch(&(0..1));
    let y = plan.loss.targets(&batch.targets, plan.data.outputs);
    state.ensemble.swap(ranks);
    let forecast = state.outputs(context, &batch, (&batch.targets, &y, None));
    state.ensemble.swap(ranks);
    context.buffers.put_array(forecast.selected);
    let members = state.ensemble.members(ranks);
    let mut misfits = vec![0.0; members.items()];
    misfits[members.range(ranks.comm.rank())].copy_from_slice(&forecast.misfits);
    ranks.comm.sum_exact(&mut misfits);
    (misfits, forecast.raw)
}
