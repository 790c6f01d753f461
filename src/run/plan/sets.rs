//! Sets of observations assimilated in batches: which sets a step takes, and what a pass over all of them comes to.
//!
//! ```text
//! p(u | y_1 ... y_S)  ~  p(u) prod_s p(y_s | u)        sets are independent given u, so that one after the other leads to the same posterior
//! ```
//!
//! A step assimilates the sets of its batch with h, as it would all. What counts once for all sets is scaled by the share that a step
//! takes: the prior's weight (`method.tikhonov`) times it, a factor of inflation to its power, additive noise times it. h stays the same during a pass, and counts as time once
//! at its end, so that `run.end_time` holds for each set.

use super::length::steps;
use super::{Plan, loss_in_d};
use crate::config::{Conflict, HSchedule, Inflation, MethodKind, Resolved};
use crate::data::batch::Batches;
use crate::data::noise::Gamma;
use crate::data::observed::ObservationTable;
use crate::error::Result;

impl Plan {
    /// Returns this plan of a simulator with `table`, whose sets are assimilated in batches.
    ///
    /// # Errors
    /// Keys that do not fit the sets.
    pub(super) fn with_sets(self, table: ObservationTable) -> Result<Self> {
        let (config, resolved) = (self.config(), &self.resolved);
        let batch = config.data.batch;
        let Some(count) = table.set_count() else {
            return match batch > 1 {
                true => Err(resolved.error(
                    "data.batch",
                    "must be 1 but for observations with a column `set`",
                )),
                false => Ok(Self { table, ..self }),
            };
        };
        if batch > count || !count.is_multiple_of(batch) {
            let allowed = format!("must divide the {count} sets of data.observations");
            return Err(resolved.error("data.batch", allowed));
        }
        if matches!(self.noise.gamma, Gamma::Correlated(_)) {
            let allowed =
                "must be variances where observations have a column `set`: sets are independent";
            return Err(resolved.error("method.noise", allowed));
        }
        check_all_sets(resolved, (batch, count))?;
        if batch < count && config.method.h_schedule == HSchedule::Misfit {
            let allowed = format!(
                "must be \"level\" or \"cosine\" where steps take some of the {count} sets (data.batch = {batch}), as all need the same h"
            );
            return Err(resolved.error("method.h_schedule", allowed));
        }
        if batch < count && config.data.conflict == Conflict::Drop {
            let allowed = format!(
                "must be \"warn\" where steps take some of the {count} sets (data.batch = {batch}), as the first sees no others"
            );
            return Err(resolved.error("data.conflict", allowed));
        }
        let kind = config.method.kind;
        if batch < count && matches!(kind, MethodKind::Gnki | MethodKind::Sparse) {
            let allowed = format!(
                "must be {count}, all sets of data.observations, with method.kind = \"{}\"",
                kind.word()
            );
            return Err(resolved.error("data.batch", allowed));
        }
        let by_misfits = [
            ("method.accept", config.method.accept),
            ("method.momentum_adaptive", config.method.momentum_adaptive),
        ];
        let compared = by_misfits.into_iter().find(|(_, is_asked)| *is_asked);
        if let (Some((key, _)), true) = (compared, batch < count) {
            let allowed = format!(
                "must be false where steps take some of the {count} sets (data.batch = {batch}): their misfits are of different observations"
            );
            return Err(resolved.error(key, allowed));
        }
        let per_step = matches!(
            config.ensemble.inflation,
            Inflation::Spread(_) | Inflation::Perturbations(_) | Inflation::Adaptive { .. }
        );
        if batch < count && per_step {
            let allowed = format!(
                "must be a number, \"scaled\" or \"additive\" where steps take some of the {count} sets (data.batch = {batch})"
            );
            return Err(resolved.error("ensemble.inflation", allowed));
        }
        let batches = Batches {
            samples: count,
            batch,
            of_sets: true,
            ..self.batches
        };
        let weight = config.method.prior_weight() * batches.share();
        Ok(Self {
            loss_in_d: loss_in_d(&self.loss, weight, (self.data.outputs, self.parameters)),
            steps: steps(resolved, &batches)?,
            batches,
            table,
            ..self
        })
    }

    /// Returns the sets that `step` takes, ascending; None where all observations are assimilated.
    #[must_use]
    pub fn sets(&self, step: u64) -> Option<Vec<usize>> {
        let batches = &self.batches;
        (!self.takes_all_sets()).then(|| {
            let mut sets = batches.order(batches.epoch(step))[batches.place(step)].to_vec();
            sets.sort_unstable();
            sets
        })
    }

    /// Returns true if each step takes all observations.
    #[must_use]
    pub fn takes_all_sets(&self) -> bool {
        !self.batches.of_sets || self.batches.batch == self.batches.samples
    }

    /// Returns the sum of the h with which an observation was assimilated in the first `step` steps, on average over sets: `time` of the
    /// whole passes, and the part of the present one.
    #[must_use]
    pub fn mean_time(&self, step: u64, time: f64) -> f64 {
        let passed = step % self.batches.steps_per_epoch();
        match self.batches.of_sets && passed > 0 {
            true => {
                time + passed as f64
                    * self.batches.share()
                    * self.factor(step, (1.0, 1.0), time)
                    * self.step_size.h
            }
            false => time,
        }
    }

    /// Returns true if a pass over all sets ends with `step`; without sets each step is one.
    #[must_use]
    pub fn ends_pass(&self, step: u64) -> bool {
        !self.batches.of_sets || self.begins_epoch(step + 1)
    }
}

/// Refuses a `batch` of fewer than all `count` sets for methods that hold the prior, which each step would count as a whole.
fn check_all_sets(resolved: &Resolved, (batch, count): (usize, usize)) -> Result<()> {
    let kind = resolved.config.method.kind;
    match batch < count && kind.holds_prior() {
        true => {
            let kind = kind.word();
            let allowed = format!("must be {count}, all sets, with method.kind = \"{kind}\"");
            Err(resolved.error("data.batch", allowed))
        }
        false => Ok(()),
    }
}
