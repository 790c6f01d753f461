//! One step of gradient descent, the baseline beside the ensemble: u <- u - rate_n g_n, with momentum
//! u <- u - rate_n g_n + momentum (u - u_before) (Polyak's heavy ball, 1964).
//!
//! ```text
//! g_n = (1/m) grad_u sum_i Psi(G(u, x_i), y_i)        over the batch, cut to a length of method.clip where that is given
//! ```
//!
//! The batch is cut into parts by its size alone; ranks and threads take whole parts, and the parts' gradients are
//! summed exactly, so that their order does not matter.

use super::State;
use super::step::StepStats;
use crate::data::Batch;
use crate::ensemble::Ensemble;
use crate::ensemble::hidden_state::HiddenStates;
use crate::ensemble::survivors::Survivors;
use crate::error::{Error, Result};
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::gradient::gradient;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;
use crate::run::context::StepContext;
use crate::run::timing::{Phase, Timing};

/// Parameters that one thread sums at a time.
const SUMMED: usize = 1 << 13;

impl<T: Real> State<T> {
    /// One step of descent with `batch`, once it has begun. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: a misfit or gradient that is not finite.
    pub(super) fn descend(
        &mut self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        timing: &mut Timing,
    ) -> Result<StepStats> {
        let (ranks, plan) = (context.ranks, context.plan);
        let cut = parts(context);
        let own = timing.measure(Phase::Forward, || {
            let own = self.own_parts(context, batch, cut);
            self.carry_on(context, batch);
            own
        });
        let summed = timing.measure(Phase::Wait, || sum(ranks, plan.parameters, cut, &own));
        let Some((misfit, mut gradient)) = summed else {
            return Err(Error::Run(format!(
                "step {}: the loss or its gradient is not finite: take a smaller method.rate",
                self.step
            )));
        };
        let scale = 1.0 / batch.len() as f64;
        gradient.iter_mut().for_each(|g| *g *= scale);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let clipped = plan.clipped(norm);
        gradient.iter_mut().for_each(|g| *g *= clipped);
        let rate = plan.rate(self.step);
        if let Ensemble::Mean(point) = &mut self.ensemble {
            timing.measure(Phase::Update, || {
                point.descend(&gradient, rate, plan.heavy_ball());
            });
        }
        self.step += 1;
        Ok(StepStats::of_descent(misfit, norm, rate))
    }

    /// Returns the misfits and gradients of this rank's parts of the batch.
    fn own_parts(
        &self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        cut: Partition,
    ) -> Vec<(f64, Vec<T>)> {
        let (comm, plan, map) = (context.ranks.comm, context.plan, &context.problem.map);
        let network = map.network().expect("the plan admits networks only");
        let point = self.ensemble.mean(context.ranks);
        let hidden = self
            .carried
            .as_ref()
            .map_or(&[][..], HiddenStates::first_state);
        let own = Partition::new(cut.parts(), comm.size()).range(comm.rank());
        let mut found: Vec<(f64, Vec<T>)> = vec![Default::default(); own.len()];
        let places = own.zip(found.iter_mut());
        for_each(context.ranks.pool, places, |_, (part, found)| {
            let samples = (batch, cut.range(part));
            *found = gradient(&network, &plan.loss, (&point, hidden), samples);
        });
        found
    }

    /// Over a series: predicts the batch with the point before its move, and takes its state on.
    fn carry_on(&mut self, context: &StepContext<T>, batch: &Batch<T>) {
        if self.carried.is_none() {
            return;
        }
        let (ranks, plan) = (context.ranks, context.plan);
        let targets = plan.loss.targets(&batch.targets, plan.data.outputs);
        let (selected, _) = self.outputs(context, batch, (&batch.targets, &targets));
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

/// Returns the parts of a batch, which is not cut where it is a piece of a series.
fn parts<T: Real>(context: &StepContext<T>) -> Partition {
    match context.problem.map.carrying() {
        Some(_) => Partition::new(context.plan.batches.batch, 1),
        None => context.plan.parts(),
    }
}

/// Sums all parts' misfits and gradients, the same on all ranks; None where one of them is not finite. Called by all ranks.
fn sum<T: Real>(
    ranks: Ranks,
    parameters: usize,
    cut: Partition,
    own: &[(f64, Vec<T>)],
) -> Option<(f64, Vec<f64>)> {
    let (comm, parts) = (ranks.comm, cut.parts());
    // Zero on all ranks but the part's own, so the sum is exact.
    let mut misfits = vec![0.0; parts];
    let first = Partition::new(parts, comm.size()).range(comm.rank());
    for (place, (misfit, _)) in misfits[first].iter_mut().zip(own) {
        *place = *misfit;
    }
    comm.sum_exact(&mut misfits);
    let misfit: f64 = misfits.iter().sum();
    let mut largest = [own.iter().map(|(_, g)| magnitude(g)).fold(0.0, f64::max)];
    comm.largest(&mut largest);
    if !(misfit.is_finite() && largest[0].is_finite()) {
        return None;
    }
    let quantum = Quantum::new(largest[0], parts);
    let mut sums = vec![0.0; parameters];
    let blocks = sums.chunks_mut(SUMMED).enumerate();
    for_each(ranks.pool, blocks, |_, (block, sums)| {
        for (_, gradient) in own {
            for (sum, g) in sums.iter_mut().zip(&gradient[block * SUMMED..]) {
                *sum += quantum.round(g.as_f64());
            }
        }
    });
    comm.sum_exact(&mut sums);
    Some((misfit, sums))
}

/// Returns the largest magnitude, infinite where a number is not finite.
fn magnitude<T: Real>(numbers: &[T]) -> f64 {
    let largest = numbers.iter().fold(T::zero(), |most, &g| {
        let size = g.abs();
        if most.is_nan() || size <= most {
            most
        } else {
            size
        }
    });
    if largest.is_nan() {
        f64::INFINITY
    } else {
        largest.as_f64()
    }
}
