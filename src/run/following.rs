//! What comes between a step's transform and the next step: who joins, who is drawn anew, how far momentum carries.

use super::State;
use crate::data::Batch;
use crate::ensemble::draw::Draw;
use crate::ensemble::stages::{Redraw, StepInput};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::Transform;
use crate::ensemble::{Ensemble, StepLength, Update};
use crate::kernels::real::Real;
use crate::kernels::rng::Purpose;
use crate::run::context::StepContext;
use crate::run::plan::Plan;
use crate::run::timing::{Phase, Timing};

/// What follows a step (redraws, members that join), by the plan and the step's number alone.
pub(super) struct Following {
    /// The members there are from the next step on, where more join.
    joined: Option<usize>,
    /// The re-randomisation of the ensemble that enters the next step, if one is due.
    redraw: Option<Redraw>,
    /// True if joining members are drawn together with the redrawn others, after the update.
    redraw_joins: bool,
    /// The momentum coefficient.
    momentum: f64,
    /// The factor of deviations, where inflation is adaptive; else 1.
    inflation: f64,
}

impl<T: Real> State<T> {
    /// Returns what follows the step that is being taken: who joins, who is redrawn, how far momentum carries, from the
    /// number of `members` and the factor of adaptive inflation.
    pub(super) fn following(
        &self,
        plan: &Plan,
        (members, inflation): (usize, Option<f64>),
    ) -> Following {
        let (epoch, next) = (plan.batches.epoch(self.step), self.step + 1);
        let count = plan.members(epoch + 1);
        let grows = plan.begins_epoch(next) && next < plan.steps && count > members;
        let redraw = plan.rerandomises(next).then(|| redraw_before(plan, next));
        // A re-draw at each step moves what all members are drawn about: it is part of every update.
        let redraw_joins = grows && redraw.is_some() && !plan.redraws_each_step();
        let restarts = redraw.is_some_and(|redraw| redraw.restart);
        let starts = plan.config().method.momentum_adaptive && self.momentum_steps == 0;
        let momentum = match redraw_joins || restarts || starts {
            true => 0.0,
            false => plan.momentum(self.momentum_steps),
        };
        Following {
            joined: grows.then_some(count),
            redraw,
            redraw_joins,
            momentum,
            inflation: inflation.unwrap_or(1.0),
        }
    }

    /// Starts momentum anew where that is to follow a mean `misfit` of the members that is larger than the one before.
    pub(super) fn watch_momentum(&mut self, plan: &Plan, misfit: f64) {
        if !plan.config().method.momentum_adaptive {
            return;
        }
        if self.last_misfit.is_some_and(|last| misfit > last) {
            self.momentum_steps = 0;
        }
        self.last_misfit = Some(misfit);
    }

    /// Goes on to the next step, h after this one: members join, and draws are whitened. Called by all ranks.
    pub(super) fn enter_next(
        &mut self,
        context: &StepContext<T>,
        next: &Following,
        h: f64,
        timing: &mut Timing,
    ) {
        let (ranks, plan) = (context.ranks, context.plan);
        self.step += 1;
        if context.plan.ends_pass(self.step - 1) {
            self.time += h;
        }
        self.momentum_steps += 1;
        if let Some(count) = next.joined {
            let (draw, all) = (redraw_before(plan, self.step), next.redraw.is_some());
            self.ensemble
                .expand(ranks, count, &context.prior, draw, all);
        }
        if next.joined.is_some() || next.redraw.is_some_and(|redraw| redraw.restart) {
            self.momentum_steps = 0;
        }
        timing.measure(Phase::Update, || self.whiten(context));
    }

    /// Whitens the draws of the members that enter the next step, where that is asked for; this depends on what they are
    /// drawn about alone.
    pub(super) fn whiten(&mut self, context: &StepContext<T>) {
        if let (Some((samples, damping)), Ensemble::Mean(mean)) =
            (&context.whitened_by, &mut self.ensemble)
        {
            let (map, layers) = (context.problem.map.as_ref(), context.plan.layers(self.step));
            mean.whiten(context.ranks, map, samples.view(), layers, *damping);
        }
    }
}

impl Following {
    /// Returns the update of `step` by `transform` and h_n, of which `undivided` is the part before ||D||.
    pub(super) fn update<'a, T: Real>(
        &self,
        context: &'a StepContext<T>,
        step: u64,
        (transform, h, undivided): (&'a Transform<T>, f64, f64),
        (batch, survivors): (&'a Batch<T>, &'a Survivors),
        after_block: &'a (dyn Fn() + Sync),
    ) -> Update<'a, T> {
        let plan = context.plan;
        let draw = |purpose| Draw {
            seed: plan.config().seed,
            purpose,
            step,
        };
        Update {
            transform,
            length: StepLength {
                step: step + 1,
                h,
                undivided,
                momentum: self.momentum,
            },
            inputs: batch.inputs.view(),
            stages: &context.stages,
            step: StepInput {
                survivors,
                replacements: draw(Purpose::Replace),
                noise: draw(Purpose::Inflate),
                h,
                inflation: self.inflation,
                momentum: self.momentum,
                redraw: self.redraw.filter(|_| !self.redraw_joins),
                prior: &context.prior,
            },
            differing: context.prior.within(plan.layers(step + 1)),
            after_block,
        }
    }
}

/// Returns the re-randomisation of the ensemble that enters `step`.
pub(super) fn redraw_before(plan: &Plan, step: u64) -> Redraw {
    let config = plan.config();
    Redraw {
        draw: Draw {
            seed: config.seed,
            purpose: Purpose::Rerandomise,
            step,
        },
        spread: plan.spread(step),
        restart: config.method.momentum_restart && !plan.redraws_each_step(),
    }
}
