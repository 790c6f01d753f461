//! The coefficients C by which members follow from the first ones (`method::gnki`): moved as the members are.

use ndarray::Array2;

use super::State;
use crate::config::MethodKind;
use crate::ensemble::stages::StepInput;
use crate::ensemble::stages::replacement::replace_failed;
use crate::ensemble::transform::Transform;
use crate::kernels::real::Real;
use crate::run::plan::Plan;

/// Returns the coefficients of the first members, I, where the method of `plan` keeps them.
pub(super) fn first<T: Real>(plan: &Plan) -> Option<Array2<T>> {
    let keeps = plan.config().method.kind == MethodKind::Gnki;
    keeps.then(|| Array2::eye(plan.members(0)))
}

impl<T: Real> State<T> {
    /// Moves the coefficients as `transform` with h moves members, and replaces those of members that failed by the same draws. The same
    /// on all ranks.
    pub(super) fn move_coefficients(
        &mut self,
        (transform, h): (&Transform<T>, f64),
        step: &StepInput,
    ) {
        if let (Some(c), Transform::Members(members)) = (&mut self.coefficients, transform) {
            members.apply((0, c), h, step.survivors, &mut Vec::new());
            replace_failed(c, step.replacements, step.survivors);
        }
    }
}
