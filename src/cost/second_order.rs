//! What second-order exact draws cost (`ensemble.second_order_exact`).

use crate::ensemble::exact_draw;
use crate::ensemble::transform::Form;
use crate::method::cost::{MethodCost, StepSizes};
use crate::method::{Method, perturbations};
use crate::run::plan::Plan;

/// The cost of second-order exact draws in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecondOrderCost {
    /// True if the noise on the observations is drawn so.
    noise: bool,
    /// The bytes of the matrices by which the first members are drawn.
    pub first_members: f64,
}

impl SecondOrderCost {
    /// Returns the cost in a run of `plan` by `form`.
    pub fn of(plan: &Plan, form: Form) -> Self {
        let asked = plan.ensemble.second_order_exact && form != Form::Mean;
        let first_members = exact_draw::bytes(plan.members(0), plan.parameters);
        Self {
            noise: asked && plan.config().method.perturb,
            first_members: if asked { first_members } else { 0.0 },
        }
    }

    /// Returns the cost of a step's transform by `method` on `rank` with that of its noise.
    pub fn with_noise(
        self,
        method: &dyn Method<f32>,
        sizes: &StepSizes,
        rank: usize,
    ) -> MethodCost {
        let cost = method.cost(sizes, rank);
        match self.noise {
            true => perturbations::with_exact_noise(cost, sizes, rank),
            false => cost,
        }
    }
}
