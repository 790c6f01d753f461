//! Before a step of an ask/tell run: checks whether all outputs are there, and asks for those that are not.

use super::State;
use crate::kernels::real::Real;
use crate::run::context::StepContext;

impl<T: Real> State<T> {
    /// Returns true if this step waits for outputs that the user has not given yet; the map's `open` then holds their members' parameters.
    /// The same on all ranks, and called by all.
    pub(super) fn awaits_outputs(&self, context: &StepContext<T>) -> bool {
        let (ranks, map) = (context.ranks, context.problem.map.as_ref());
        let Some(told) = map.ask_tell() else {
            return false;
        };
        told.ask_for(context.plan.sets(self.step));
        let own = self.ensemble.members(ranks).range(ranks.comm.rank());
        let mut point = vec![T::zero(); map.parameters()];
        let mut unknown: Vec<f64> = Vec::new();
        for member in own {
            self.ensemble.fill(map, member, &mut point);
            let u = told.joint_prior().at(&point);
            if !told.knows(&u) {
                unknown.extend(u);
            }
        }
        let mut count = [unknown.len() as u64];
        ranks.comm.sum_counts(&mut count);
        if count == [0] {
            return false;
        }
        let parts = ranks.comm.gather(bytemuck::cast_slice(&unknown));
        let all = ranks.comm.broadcast(parts.concat());
        let all: Vec<f64> = bytemuck::pod_collect_to_vec(&all);
        let questions: Vec<_> = all
            .chunks(told.joint_prior().parameters())
            .map(<[f64]>::to_vec)
            .collect();
        // No answer fits this step: all are stale.
        if questions.len() == self.ensemble.members(ranks).items() {
            told.forget();
        }
        told.ask(questions);
        true
    }
}
