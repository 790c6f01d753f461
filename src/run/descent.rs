//! One step of gradient descent (`method::descent`), in the place of `step`: gradients of the batch's parts, their sum, the move.

use super::State;
use super::forecast::Forecast;
use super::step::StepStats;
use crate::data::Batch;
use crate::ensemble::Ensemble;
use crate::ensemble::hidden_state::HiddenStates;
use crate::ensemble::survivors::Survivors;
use crate::error::{Error, Result};
use crate::kernels::real::Real;
use crate::method::descent::Descent;
use crate::method::gradient::batch::{own_gradients, sum};
use crate::parallel::partition::Partition;
use crate::run::context::StepContext;
use crate::run::timing::{Phase, Timing};

impl<T: Real> State<T> {
    /// Takes one step of `descent` with `batch`. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: a misfit or gradient that is not finite.
    pub(super) fn descend(
        &mut self,
        descent: &Descent,
        context: &StepContext<T>,
        batch: &Batch<T>,
        timing: &mut Timing,
    ) -> Result<StepStats> {
        let (ranks, plan) = (context.ranks, context.plan);
        // A piece of a series is not cut.
        let cut = match context.problem.map.carrying() {
            Some(_) => Partition::new(batch.len(), 1),
            None => Descent::parts(batch.len()),
        };
        let own = timing.measure(Phase::Forward, || {
            let own = self.own_gradients(context, batch, cut);
            self.carry_on(context, batch);
            own
        });
        let summed = timing.measure(Phase::Wait, || sum(ranks, plan.parameters, cut, &own));
        let Some((misfit, mut gradient)) = summed else {
            return Err(Error::Run(format!(
                "step {}: the loss or its gradient is not finite: take a smaller method.rate",
                self.step + 1
            )));
        };
        let scale = 1.0 / batch.len() as f64;
        gradient.iter_mut().for_each(|g| *g *= scale);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let clipped = descent.clipped(norm);
        gradient.iter_mut().for_each(|g| *g *= clipped);
        let rate = descent.rate * plan.h_factor(self.step);
        if let Ensemble::Mean(point) = &mut self.ensemble {
            timing.measure(Phase::Update, || {
                point.descend(&gradient, rate, descent.momentum);
            });
        }
        self.step += 1;
        Ok(StepStats::of_descent(misfit, norm, rate))
    }

    /// Returns the misfits and gradients of this rank's parts of the batch.
    fn own_gradients(
        &self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        cut: Partition,
    ) -> Vec<(f64, Vec<T>)> {
        let (ranks, map) = (context.ranks, &context.problem.map);
        let network = map.network().expect("the plan admits networks only");
        let point = self.ensemble.mean(ranks);
        let hidden = self
            .carried
            .as_ref()
            .map_or(&[][..], HiddenStates::first_state);
        let of = (&network, &context.plan.loss);
        own_gradients(ranks, of, (&point, hidden), (batch, cut))
    }

    /// Over a series: predicts the batch with the point before its move, and takes its state on.
    fn carry_on(&mut self, context: &StepContext<T>, batch: &Batch<T>) {
        if self.carried.is_none() {
            return;
        }
        let (ranks, plan) = (context.ranks, context.plan);
        let targets = plan.loss.targets(&batch.targets, plan.data.outputs);
        let given = (&batch.targets, &*targets, None);
        let Forecast { selected, .. } = self.outputs(context, batch, given);
        let (members, first) = (
            self.ensemble.members(ranks),
            plan.batches.place(self.step).start,
        );
        if let Some(carried) = &mut self.carried {
            let alive = Survivors::new(vec![true]);
            carried.predict(ranks, members, &alive, (&selected, first));
        }
    }
}
