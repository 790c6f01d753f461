//! One step of the algorithm, in the paper's order.

use super::acceptance::Start;
use super::adaptive_inflation;
use super::agree::Agreed;
use super::{Scores, State};
use crate::data::Batch;
use crate::ensemble::mean::MeanOptions;
use crate::error::Result;
use crate::kernels::real::Real;
use crate::run::context::StepContext;
use crate::run::plan::Plan;
use crate::run::reporter::Record;
use crate::run::timing::{Phase, Timing};
use crate::run::update_progress::UpdateProgress;

/// The result of a step, the same on all ranks.
pub(super) enum Step {
    /// The ensemble moved.
    Taken(StepStats),
    /// The members' misfit is at the noise level already, and the run is to end there: nothing changed. Holds the misfit of each
    /// member.
    AtNoiseLevel(Vec<f64>),
    /// The step's simulations were given up (`StepContext::given_up`): nothing changed.
    GivenUp,
}

/// Takes one step with `batch`. Called by all ranks.
///
/// # Errors
/// On all ranks alike: too few members gave finite outputs, or outputs too large to be solved with.
pub(super) fn step<T: Real>(
    context: &StepContext<T>,
    state: &mut State<T>,
    batch: &Batch<T>,
    timing: &mut Timing,
) -> Result<Step> {
    let (ranks, plan) = (context.ranks, context.plan);
    let members = state.ensemble.members(ranks);
    // G(v) on this rank's members, J/R x K, and their misfits.
    let targets = plan.loss.targets(&batch.targets, plan.data.outputs);
    let Some(mut forecast) = state.forecast(context, batch, &targets, timing)? else {
        return Ok(Step::GivenUp);
    };
    // Who failed, and the misfits of the others: the same on all ranks.
    let mut agreed = timing.measure(Phase::Wait, || state.agree(context, &forecast, &targets))?;
    if state.meet_conflict(context, (&mut forecast, &targets), &agreed.survivors)? {
        agreed = timing.measure(Phase::Wait, || state.agree(context, &forecast, &targets))?;
    }
    // A few members that are left at the noise level are no fit.
    let ends =
        plan.at_noise_level(agreed.misfit) && 2 * agreed.survivors.count() >= members.items();
    // Where momentum had moved the members on, these are not the run's result.
    let last = ends && !state.ensemble.extrapolates();
    timing.measure(Phase::Report, || {
        state.keep_history(context, &forecast.raw, last)
    });
    if ends {
        return Ok(Step::AtNoiseLevel(agreed.misfits));
    }
    let Start {
        forecast,
        agreed,
        taken_back,
    } = state.accept(context, (forecast, agreed), &targets)?;
    let (selected, missing) = (forecast.selected, forecast.missing);
    drop(forecast.raw);
    state.record_predictions(context, &agreed.survivors, &selected);
    let inflation = adaptive_inflation::factor(context, &agreed, members, (&selected, &targets));
    // How the ensemble moves, and h_n.
    let factor = state.factor(plan, &agreed);
    let targets = plan.targets_in_d(targets);
    let outputs = context.outputs(
        (&selected, &targets),
        (members, &agreed.survivors),
        (state.step, factor, batch.len()),
        state.coefficients.as_ref(),
    );
    let method = plan.method::<T>(members.items());
    let (transform, norm) =
        timing.measure(Phase::Interaction, || method.transform(&outputs, ranks))?;
    context.buffers.put_array(selected);
    let h = plan.step_size.at(norm, factor);
    // u <- u - h X (u - ubar); then, block by block before it is sent, the run's stages.
    state.watch_momentum(plan, agreed.misfit);
    let next = state.following(plan, (members.items(), inflation));
    let length = (&transform, h, plan.step_size.h * factor);
    let progress = UpdateProgress::new(ranks, plan.parameters, state.step + 1);
    let after_block = || progress.after_block();
    let batch_and_survivors = (batch, &plan.moved(&agreed.survivors));
    let update = next.update(
        context,
        state.step,
        length,
        batch_and_survivors,
        &after_block,
    );
    let map = context.problem.map.as_ref();
    let variance =
        timing.measure_update(ranks.comm, || state.ensemble.update(ranks, map, &update))?;
    state.move_coefficients((&transform, h), &update.step);
    transform.recycle(&context.buffers);
    state.enter_next(context, &next, h, timing);
    Ok(Step::Taken(StepStats::new(
        (members.items(), missing),
        (taken_back.as_ref().unwrap_or(&agreed), taken_back.is_some()),
        (norm, h, variance),
        inflation,
    )))
}

/// Statistics of one step, the same on all ranks.
#[derive(Clone, Copy, Debug)]
pub struct StepStats {
    members: usize,
    missing: u64,
    survivors: usize,
    misfit: f64,
    d_norm: f64,
    step_size: f64,
    variance: f64,
    alike: bool,
    inflation: Option<f64>,
    taken_back: bool,
}

impl StepStats {
    /// Statistics of a step of `members`, which lack `missing` outputs, from what ranks `agreed` on them and whether they were
    /// `taken_back`; with ||D||_F, h_n, the members' mean variance and the factor of adaptive inflation.
    fn new(
        (members, missing): (usize, u64),
        (agreed, taken_back): (&Agreed, bool),
        (d_norm, step_size, variance): (f64, f64, f64),
        inflation: Option<f64>,
    ) -> Self {
        Self {
            members,
            missing,
            survivors: agreed.survivors.count(),
            misfit: agreed.misfit,
            d_norm,
            step_size,
            variance,
            alike: agreed.alike,
            inflation,
            taken_back,
        }
    }

    /// Statistics of a step of gradient descent: one point, the gradient's `norm` in place of D's, the `rate` in place of h_n.
    #[cfg(feature = "gradients")]
    pub(super) fn of_descent(misfit: f64, norm: f64, rate: f64) -> Self {
        Self {
            members: 1,
            missing: 0,
            survivors: 1,
            misfit,
            d_norm: norm,
            step_size: rate,
            variance: 0.0,
            alike: false,
            inflation: None,
            taken_back: false,
        }
    }

    /// Returns the step's row of metrics, `state` being the one it led to and `seconds` the run's time so far.
    pub fn record<T>(
        &self,
        plan: &Plan,
        state: &State<T>,
        seconds: f64,
        scores: Option<Scores>,
    ) -> Record {
        Record {
            step: state.step,
            epoch: plan.batches.epoch(state.step - 1) + 1,
            samples: state.step * plan.batches.batch as u64,
            members: self.members,
            failed: self.members - self.survivors,
            missing: self.missing,
            loss: self.misfit / plan.batches.width() as f64,
            d_norm: self.d_norm,
            step_size: self.step_size,
            spread: self.variance.sqrt(),
            alike: self.alike,
            inflation: self.inflation,
            taken_back: self.taken_back,
            seconds,
            scores,
        }
    }
}

/// Returns the mean form's options in a run of `plan`.
pub(super) fn mean_options(plan: &Plan) -> MeanOptions {
    MeanOptions {
        rank: plan.low_rank(),
        memory: plan.memory(),
    }
}
