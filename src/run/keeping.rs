//! When a run keeps its members and their outputs (`history`): before a step, and at its end.

use super::State;
use super::history::RawOutputs;
use crate::kernels::real::Real;
use crate::run::context::StepContext;

impl<T: Real> State<T> {
    /// Keeps the members that enter the next step and their `raw` outputs, if a history is kept of them: the `last` ensemble, or
    /// one that is due. Called by all ranks.
    pub(super) fn keep_history(&self, context: &StepContext<T>, raw: &RawOutputs<T>, last: bool) {
        let recorder = context.history.as_ref();
        if let Some(recorder) = recorder.filter(|recorder| last || recorder.keeps(self.step)) {
            let about = (context.ranks, context.problem.map.as_ref());
            recorder.record(about, self, (self.digest(context.ranks), raw), last);
        }
    }

    /// Returns the outputs at the mean of these members that an earlier part of the run has kept, on rank 0. Called by all ranks.
    pub(super) fn stored_mean(&mut self, context: &StepContext<T>) -> Option<Vec<f64>> {
        let recorder = context.history.as_ref()?;
        let ranks = context.ranks;
        let about = (context.problem.map.as_ref(), context.plan.data.outputs);
        self.ensemble.swap(ranks);
        let found = recorder.stored_mean(ranks, self, about);
        self.ensemble.swap(ranks);
        found
    }

    /// Keeps the last ensemble, the run's result, where a history is kept: its `raw` outputs, where they were not kept before, and
    /// those at its `mean`, on rank 0 where there are any. Called by all ranks.
    pub(super) fn keep_result(
        &mut self,
        context: &StepContext<T>,
        (raw, mean): (Option<RawOutputs<T>>, Option<Vec<T>>),
    ) {
        let Some(recorder) = &context.history else {
            return;
        };
        let (ranks, map) = (context.ranks, context.problem.map.as_ref());
        if let Some(raw) = raw {
            let digest = self.digest(ranks);
            self.ensemble.swap(ranks);
            recorder.record((ranks, map), self, (digest, &raw), true);
            self.ensemble.swap(ranks);
        }
        if let Some(mean) = mean {
            recorder.record_mean(self.step, &mean);
        }
    }
}
