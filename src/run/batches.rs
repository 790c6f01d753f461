//! The batches that a run's steps assimilate.

use crate::data::Batch;
use crate::kernels::real::Real;
use crate::run::context::StepContext;

/// The batches of the training data, one after the other.
#[derive(Debug, Default)]
pub struct BatchSequence {
    /// The epoch whose order is held, and that order.
    order: Option<(u64, Vec<usize>)>,
}

impl BatchSequence {
    /// Returns the batch of `step`.
    pub fn batch<T: Real>(&mut self, context: &StepContext<T>, step: u64) -> Batch<T> {
        let (batches, problem) = (&context.plan.batches, context.problem);
        let epoch = batches.epoch(step);
        let (held, order) = self
            .order
            .get_or_insert_with(|| (epoch, batches.order(epoch)));
        if *held != epoch {
            (*held, *order) = (epoch, batches.order(epoch));
        }
        let rows = match batches.of_sets {
            // All sets stand in one sample.
            true => &[0][..],
            false => &order[batches.place(step)],
        };
        let mut batch = Batch::gather(&problem.dataset.train, rows, problem.scaling);
        if let Some(augment) = &problem.augment {
            let zero = T::from_f64(-problem.scaling.shift / problem.scaling.scale);
            augment.apply(context.ranks.pool, &mut batch, rows, (epoch, zero));
        }
        batch
    }
}
