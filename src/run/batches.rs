//! The batches that a run's steps assimilate.

use crate::data::Batch;
use crate::kernels::real::Real;
use crate::run::context::Setting;

/// The batches of the training data, one after the other.
#[derive(Debug, Default)]
pub struct Feed {
    /// The epoch whose order is held, and that order.
    order: Option<(u64, Vec<usize>)>,
}

impl Feed {
    /// The batch of `step`.
    pub fn batch<T: Real>(&mut self, setting: &Setting<T>, step: u64) -> Batch<T> {
        let (batches, problem) = (&setting.plan.batches, setting.problem);
        let epoch = batches.epoch(step);
        let (held, order) = self
            .order
            .get_or_insert_with(|| (epoch, batches.order(epoch)));
        if *held != epoch {
            (*held, *order) = (epoch, batches.order(epoch));
        }
        let rows = &order[batches.place(step)];
        let mut batch = Batch::gather(&problem.dataset.train, rows, problem.scaling);
        if let Some(augment) = &problem.augment {
            let zero = T::of(-problem.scaling.shift / problem.scaling.scale);
            augment.apply(setting.crew.pool, &mut batch, rows, (epoch, zero));
        }
        batch
    }
}
