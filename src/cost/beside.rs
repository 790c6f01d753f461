//! What inflation, and steps that can be taken back, hold beside the members.

use crate::config::Inflation;
use crate::run::plan::Plan;

/// The sizes of what is held beside the members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BesideCost {
    /// True if each thread makes another copy of its block of columns.
    copies: bool,
    /// True if the members before a step, and their outputs, are kept.
    keeps: bool,
}

impl BesideCost {
    /// Returns the cost of `plan`.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            copies: matches!(
                plan.ensemble.inflation,
                Inflation::Additive(_) | Inflation::Spread(_) | Inflation::Perturbations(_)
            ) || plan.config().method.penalty > 0.0,
            keeps: plan.config().method.accept,
        }
    }

    /// Returns the numbers of a thread's copy of a block of `members` rows and `width` columns.
    pub(crate) fn copied(self, members: usize, width: usize) -> usize {
        if self.copies { members * width } else { 0 }
    }

    /// Returns the bytes of what is kept from step to step: a `slab`, and a rank's `outputs`.
    pub(crate) fn kept(self, slab: f64, outputs: f64) -> f64 {
        if self.keeps { slab + outputs } else { 0.0 }
    }
}
