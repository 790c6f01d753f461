//! The arrays that a full ensemble keeps beside its members.

use super::Plan;
use crate::config::{MethodKind, MomentumOf};

/// The arrays that a full ensemble keeps beside its members.
#[derive(Clone, Copy, Debug)]
pub struct ExtraArrays {
    /// u, J x P, where momentum moves each member on to v, or a prediction sigma points.
    pub previous: bool,
    /// The centre of the members' draws, and their mean before momentum moved it on to that: two rows of P numbers. Where members
    /// are redrawn at each step, or momentum is of the mean alone.
    pub centres: bool,
}

impl ExtraArrays {
    /// Returns the arrays of runs of `plan`.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let method = &plan.config().method;
        let of_mean = method.momentum && method.momentum_of == MomentumOf::Mean;
        let centres = of_mean || plan.redraws_each_step();
        Self {
            previous: method.momentum && !centres || method.kind == MethodKind::Uki,
            centres,
        }
    }
}
