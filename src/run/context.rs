//! What all steps of a run share, and what does not change from one to the next.

use std::sync::{Arc, Mutex};

use ndarray::Array2;

use super::waits::{self, Round, Waits};
use crate::data::Batch;
use crate::data::baseline::Baselines;
use crate::ensemble::whitening;
use crate::error::Result;
use crate::forward::evaluator::Evaluator;
use crate::forward::prior::Prior;
use crate::forward::problem::Problem;
use crate::kernels::buffers::BufferPool;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::layer_blocks::{LayerBlock, LayerSchedule};
use crate::run::plan::Plan;
use crate::run::stop::StopReason;

/// What all steps share.
pub struct StepContext<'a, T> {
    /// Who works.
    pub ranks: Ranks<'a>,
    /// What is to be done.
    pub plan: &'a Plan,
    /// On what.
    pub problem: &'a Problem<T>,
    /// The forward map on this rank's threads.
    pub evaluator: Evaluator<'a, T>,
    /// Its layers from the first of each block on, where members differ in some layers alone.
    pub(super) blocks: Vec<LayerBlock<'a, T>>,
    /// The forward map's prior.
    pub prior: Prior,
    /// What a forecast of the training data must beat, where it is a series.
    pub baselines: Option<Baselines>,
    /// Where draws are to be spread: the samples by whose layers' inputs, d x m, and the damping.
    pub(super) whitened_by: Option<(Array2<T>, f64)>,
    /// What a step leaves for the next.
    pub buffers: BufferPool<T>,
    /// Reasons to stop while simulators are waited for.
    pub(super) waits: Option<Arc<Mutex<Waits>>>,
}

impl<'a, T: Real> StepContext<'a, T> {
    /// With room for the plan's batches.
    pub fn new(
        ranks: Ranks<'a>,
        plan: &'a Plan,
        problem: &'a Problem<T>,
        turns: &'a LayerSchedule<T>,
    ) -> Self {
        let evaluator = Evaluator::new(problem.map.as_ref(), ranks.pool, plan.batches.batch);
        let series = problem.map.carrying().map(|_| &problem.dataset.train);
        Self {
            ranks,
            plan,
            problem,
            evaluator,
            blocks: turns.blocks(ranks.pool),
            prior: problem.map.prior(),
            baselines: series.and_then(Baselines::of),
            whitened_by: plan.whitens().map(|damping| {
                let train = &problem.dataset.train;
                let rows: Vec<usize> = (0..train.len().min(whitening::SAMPLES)).collect();
                let samples = Batch::gather(train, &rows, problem.scaling).inputs;
                (samples, damping)
            }),
            buffers: BufferPool::default(),
            waits: None,
        }
    }

    /// Settles the members' simulations, if there are simulators. Called by all ranks.
    ///
    /// # Errors
    /// As `waits::settle`.
    pub(super) fn settle(&self) -> Result<Round> {
        waits::settle(self.ranks, self.problem, self.waits.as_deref())
    }

    /// Why all ranks gave up a step's simulations, if they did.
    pub(super) fn given_up(&self) -> Option<StopReason> {
        let waits = self.waits.as_ref()?;
        waits.lock().expect("no thread panicked").agreed()
    }
}
