//! Sigma points: as many members as the parameters ask for.

use super::Plan;
use crate::config::Resolved;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::ensemble::survivors::Survivors;

/// Sets the number of members to that of the sigma points of so many `parameters`, where they are such and no number was given.
pub(super) fn settle(resolved: &mut Resolved, parameters: usize) {
    let key = "ensemble.members";
    if let Some(points) = SigmaPoints::of(&resolved.config.method, parameters)
        && !resolved.is_given(key)
    {
        resolved.config.ensemble.members = points.count();
        resolved.origins.remove(key);
    }
}

impl Plan {
    /// Returns the members that a step moves: the `survivors`, but sigma points stay in their order whether they gave outputs or not.
    #[must_use]
    pub fn moved(&self, survivors: &Survivors) -> Survivors {
        match self.sigma_points() {
            Some(points) => Survivors::new(vec![true; points.count()]),
            None => survivors.clone(),
        }
    }

    /// Returns the sigma points that members are; None where they are none.
    #[must_use]
    pub fn sigma_points(&self) -> Option<SigmaPoints> {
        SigmaPoints::of(&self.config().method, self.parameters)
    }
}
