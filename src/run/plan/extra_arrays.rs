//! What is kept beside the members, where all of them are.

use super::Plan;
use crate::config::MomentumOf;

/// What an ensemble whose members are all kept has beside them.
#[derive(Clone, Copy, Debug)]
pub struct ExtraArrays {
    /// u, J x P, where momentum moves each member on to v.
    pub previous: bool,
    /// What members are about, and their mean before momentum moved it on to that: two rows, P numbers each. Where members
    /// are redrawn at each step, or momentum is of the mean alone.
    pub centres: bool,
}

impl ExtraArrays {
    /// What runs of `plan` have.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let method = &plan.config().method;
        let of_mean = method.momentum && method.momentum_of == MomentumOf::Mean;
        let centres = of_mean || plan.redraws_each_step();
        Self {
            previous: method.momentum && !centres,
            centres,
        }
    }
}
