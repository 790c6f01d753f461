//! The ensemble of a simulator in its parameters' own units.

use super::State;
use crate::forward::ForwardMap;
use crate::forward::joint_prior::JointPrior;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::statistics::normal_law::NormalLaw;

/// Numbers of members that rank 0 holds at once.
const HELD: usize = 1 << 22;

impl<T: Real> State<T> {
    /// Hands rank 0 the members, a few rows of P numbers at a time in their order: it never holds the whole ensemble. Called
    /// by all ranks.
    pub(super) fn rows<'a>(
        &'a self,
        ranks: Ranks<'a>,
        map: &'a dyn ForwardMap<T>,
    ) -> impl Iterator<Item = Option<Vec<T>>> + 'a {
        let members = self.ensemble.members(ranks).items();
        let height = HELD.div_ceil(self.ensemble.parameters()).min(members);
        let starts = (0..members).step_by(height);
        starts.map(move |start| {
            let end = (start + height).min(members);
            self.ensemble.rows_on_first(ranks, map, start..end)
        })
    }

    /// Returns the mean of the members in the own units of the parameters of `prior`, the same on all ranks. Where the
    /// mean form averages its mean over steps: that average, in these units; of sigma points the mean of their normal law. Called by all ranks.
    pub(super) fn own_mean(
        &self,
        ranks: Ranks,
        (plan, map): (&Plan, &dyn ForwardMap<T>),
        prior: &JointPrior,
    ) -> Vec<f64> {
        if self.ensemble.averages() {
            return prior.at(&self.ensemble.mean(ranks));
        }
        if let Some(points) = plan.sigma_points() {
            let mut law = NormalLaw::new(points, prior);
            for rows in self.rows(ranks, map).flatten() {
                let rows = rows.chunks_exact(prior.coordinates());
                rows.for_each(|row| law.add(&prior.at(row)));
            }
            return shared(ranks, &law.means());
        }
        let members = self.ensemble.members(ranks).items() as f64;
        let mut mean = vec![0.0; prior.parameters()];
        let mut range = vec![(f64::INFINITY, f64::NEG_INFINITY); prior.parameters()];
        for rows in self.rows(ranks, map).flatten() {
            for row in rows.chunks_exact(prior.coordinates()) {
                let u = prior.at(row);
                // Divided first, so that no sum of finite numbers overflows.
                for ((mean, (low, high)), u) in mean.iter_mut().zip(&mut range).zip(u) {
                    *mean += u / members;
                    (*low, *high) = (low.min(u), high.max(u));
                }
            }
        }
        // Rounding must not lead beyond a bound that all members lie at.
        for (mean, (low, high)) in mean.iter_mut().zip(range) {
            *mean = mean.max(low).min(high);
        }
        shared(ranks, &mean)
    }
}

/// Returns rank 0's `numbers` on all ranks.
fn shared(ranks: Ranks, numbers: &[f64]) -> Vec<f64> {
    let bytes = bytemuck::cast_slice(numbers).to_vec();
    bytemuck::pod_collect_to_vec(&ranks.comm.broadcast(bytes))
}
