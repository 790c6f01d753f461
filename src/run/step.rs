//! One step of the algorithm, in the paper's order.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, s};

use super::waits::Round;
use super::{Scores, State};
use crate::data::{Batch, BatchTargets};
use crate::ensemble::Ensemble;
use crate::ensemble::draw::Draw;
use crate::ensemble::full::{Redraw, Update};
use crate::ensemble::hidden_state::HiddenStates;
use crate::ensemble::mean::{MeanOptions, StepLength};
use crate::error::Result;
use crate::kernels::real::Real;
use crate::kernels::rng::Purpose;
use crate::method::outputs::Outputs;
use crate::parallel::partition::Partition;
use crate::run::context::StepContext;
use crate::run::plan::Plan;
use crate::run::reporter::Record;
use crate::run::timing::{Phase, Timing};

/// What one step tells of itself; the same on all ranks.
#[derive(Clone, Copy, Debug)]
pub struct StepStats {
    members: usize,
    survivors: usize,
    misfit: f64,
    d_norm: f64,
    step_size: f64,
    variance: f64,
    alike: bool,
}

impl StepStats {
    /// Of gradient descent: one point, the gradient's norm for D's, the rate for the step size.
    #[cfg(feature = "gradients")]
    pub(super) fn of_descent(misfit: f64, norm: f64, rate: f64) -> Self {
        Self {
            members: 1,
            survivors: 1,
            misfit,
            d_norm: norm,
            step_size: rate,
            variance: 0.0,
            alike: false,
        }
    }

    /// The step's line of metrics, `state` being the one it led to.
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
            loss: self.misfit / plan.batches.batch as f64,
            d_norm: self.d_norm,
            step_size: self.step_size,
            spread: self.variance.sqrt(),
            alike: self.alike,
            seconds,
            scores,
        }
    }
}

impl<T: Real> State<T> {
    /// One step with `batch`; none, and nothing changed, where the members' outputs lie at the noise level already and the
    /// run is to end there, or where its simulations were given up (`StepContext::given_up`). Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: too few members gave finite outputs.
    pub fn advance(
        &mut self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        timing: &mut Timing,
    ) -> Result<Option<StepStats>> {
        let (ranks, plan) = (context.ranks, context.plan);
        crate::parallel::abort::set_step(self.step);
        timing.begin_step(ranks.comm);
        let members = self.ensemble.members(ranks);
        self.begin_pass(context, members);
        #[cfg(feature = "gradients")]
        if plan.is_gradient_descent() {
            return self.descend(context, batch, timing).map(Some);
        }
        let mut targets = plan.loss.targets(&batch.targets, plan.data.outputs);
        let (selected, misfits) = loop {
            let (selected, misfits) = timing.measure(Phase::Forward, || {
                self.outputs(context, batch, (&batch.targets, &targets))
            });
            match timing.measure(Phase::Wait, || context.settle())? {
                Round::Good => break (selected, misfits),
                Round::Again => context.buffers.put_array(selected),
                Round::GivenUp => return Ok(None),
            }
        };
        let agreed = timing.measure(Phase::Wait, || {
            self.agree(context, (&selected, &targets), &misfits)
        })?;
        let (survivors, misfit) = (agreed.survivors, agreed.misfit);
        if plan.at_noise_level(misfit) {
            return Ok(None);
        }
        if let Some(carried) = &mut self.carried {
            let first = plan.batches.place(self.step).start;
            carried.predict(ranks, members, &survivors, (&selected, first));
        }
        let allowed = plan.misfit_factor(misfit, agreed.variance);
        let factor = plan.factor(self.step, allowed, self.time);
        targets.resize(selected.ncols(), T::zero()); // the prior's mean, in its deviations
        let outputs = Outputs {
            selected: &selected,
            targets: &targets,
            loss: &plan.loss_in_d,
            survivors: &survivors,
            members,
            samples: plan.by_layer_sums().then(|| batch.len()),
            gain: plan.gain(factor),
            noise: plan.config().method.perturb.then_some(Draw {
                seed: plan.config().seed,
                purpose: Purpose::Perturb,
                step: self.step,
            }),
            localise: plan.config().method.localisation_exponent,
            mixed: plan.mixed(),
            buffers: &context.buffers,
        };
        let method = crate::method::of::<T>(plan.form(members.items()), outputs.gain.is_some());
        let (interaction, d_norm) =
            timing.measure(Phase::Interaction, || method.transform(&outputs, ranks))?;
        context.buffers.put_array(selected);
        let h = plan.step_size.at(d_norm, factor);
        let (epoch, grows) = self.grows(plan, members.items());
        let redraw = plan
            .rerandomises(self.step + 1)
            .then(|| redraw_before(plan, self.step + 1));
        // Members that are drawn anew with those that join start at rest.
        let at_rest = grows && redraw.is_some() && !plan.redraws_each_step();
        let momentum = if at_rest {
            0.0
        } else {
            plan.momentum(self.momentum_steps)
        };
        let replacements = Draw {
            seed: plan.config().seed,
            purpose: Purpose::Replace,
            step: self.step,
        };
        let update = Update {
            interaction: &interaction,
            length: StepLength {
                step: self.step + 1,
                h,
                undivided: plan.step_size.h * factor,
                momentum,
            },
            inputs: batch.inputs.view(),
            survivors: &survivors,
            replacements,
            inflation: plan.config().ensemble.inflation,
            // Members that are joined by others are drawn with them, below; a re-draw at each step moves what all of
            // them are drawn about.
            redraw: redraw.filter(|_| !grows || plan.redraws_each_step()),
            differing: context.prior.within(plan.layers(self.step + 1)),
        };
        let variance = timing.measure_update(ranks.comm, || {
            self.ensemble
                .update(ranks, context.problem.map.as_ref(), &context.prior, &update)
        });
        interaction.recycle(&context.buffers);
        self.step += 1;
        self.time += h;
        self.momentum_steps += 1;
        if grows {
            let (count, draw) = (plan.members(epoch + 1), redraw_before(plan, self.step));
            self.ensemble
                .expand(ranks, count, &context.prior, draw, redraw.is_some());
        }
        if grows || redraw.is_some_and(|redraw| redraw.restart) {
            self.momentum_steps = 0;
        }
        timing.measure(Phase::Update, || self.whiten(context));
        timing.end_step(ranks.comm);
        let (members, survivors) = (members.items(), survivors.count());
        Ok(Some(StepStats {
            members,
            survivors,
            misfit,
            d_norm,
            step_size: h,
            variance,
            alike: agreed.alike,
        }))
    }

    /// Spreads the draws of the members that enter the next step, where that is asked for; it depends on what they are drawn
    /// about alone.
    pub(super) fn whiten(&mut self, context: &StepContext<T>) {
        if let (Some((samples, damping)), Ensemble::Mean(mean)) =
            (&context.whitened_by, &mut self.ensemble)
        {
            let (map, layers) = (context.problem.map.as_ref(), context.plan.layers(self.step));
            mean.whiten(context.ranks, map, samples.view(), layers, *damping);
        }
    }

    /// At the start of a pass over a series, members have nothing to carry yet.
    fn begin_pass(&mut self, context: &StepContext<T>, members: Partition) {
        let (plan, own) = (context.plan, members.range(context.ranks.comm.rank()));
        let carrying = context.problem.map.carrying();
        if let Some(map) = carrying.filter(|_| plan.begins_epoch(self.step)) {
            let predicted = (plan.data.train, plan.data.outputs);
            self.carried = Some(HiddenStates::new(predicted, own.len(), map.hidden()));
        }
    }

    /// This step's epoch, and whether more members join after it.
    fn grows(&self, plan: &Plan, members: usize) -> (u64, bool) {
        let (epoch, next) = (plan.batches.epoch(self.step), self.step + 1);
        let grows =
            plan.begins_epoch(next) && next < plan.steps && plan.members(epoch + 1) > members;
        (epoch, grows)
    }

    /// This rank's members' outputs that enter D, J/R x K, and their misfits.
    pub(super) fn outputs(
        &mut self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        (given, targets): (&BatchTargets<T>, &[T]),
    ) -> (Array2<T>, Vec<f64>) {
        let own = self
            .ensemble
            .members(context.ranks)
            .range(context.ranks.comm.rank());
        let mut selected = context.buffers.array(own.len(), context.plan.outputs());
        let mut misfits = vec![0.0; own.len()];
        let places = selected.rows_mut().into_iter().zip(misfits.iter_mut());
        let loss = &context.plan.loss;
        let (evaluator, inputs) = (&context.evaluator, batch.inputs.view());
        let take = |(mut row, misfit): (ArrayViewMut1<T>, &mut f64), outputs: ArrayView2<T>| {
            let row = &mut row.as_slice_mut().expect("row-major")[..targets.len()];
            *misfit = loss.select(outputs, given, targets, row);
        };
        let ranks = context.ranks;
        match &mut self.carried {
            Some(carried) => {
                let along = (carried.rows_mut(), places);
                self.ensemble.advance(evaluator, ranks, inputs, along, take);
            }
            None => {
                let first = context.plan.layers(self.step).start;
                let block = context.blocks.iter().find(|block| block.first == first);
                let reached = block.map(|block| {
                    let centre = self.ensemble.centre();
                    block.inputs(centre.expect("blocks are the mean form's"), inputs)
                });
                let evaluator = block.map_or(evaluator, |block| &block.evaluator);
                let inputs = reached.as_ref().map_or(inputs, |reached| reached.view());
                self.ensemble
                    .for_outputs(evaluator, ranks, inputs, places, take);
            }
        }
        if selected.ncols() > targets.len() {
            self.put_points(context, own, selected.slice_mut(s![.., targets.len()..]));
        }
        (selected, misfits)
    }

    /// Writes the points of the members `own` less the prior's mean, in its deviations, to `points`, J/R x P.
    fn put_points(
        &self,
        context: &StepContext<T>,
        own: Range<usize>,
        mut points: ArrayViewMut2<T>,
    ) {
        let (map, prior) = (context.problem.map.as_ref(), &context.prior);
        let parameters = prior.parameters();
        let (mean, mut deviations) = (prior.mean(0..parameters), vec![T::zero(); parameters]);
        prior.deviations(0, 1.0, &mut deviations);
        let mut point: Vec<T> = vec![T::zero(); parameters];
        for (member, mut out) in own.zip(points.rows_mut()) {
            self.ensemble.fill(map, member, &mut point);
            let about = mean.iter().zip(&deviations);
            for ((x, &u), (&mean, &deviation)) in out.iter_mut().zip(&point).zip(about) {
                *x = (u - mean) / deviation;
            }
        }
    }
}

/// How a run of `plan` keeps its mean.
pub(super) fn manner(plan: &Plan) -> MeanOptions {
    MeanOptions {
        rank: plan.low_rank(),
        memory: plan.memory(),
    }
}

/// The re-randomisation of the ensemble that enters `step`.
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
