//! The cost of a run's history (`output.history`): bytes on disk, and in memory until they are written.
//!
//! ```text
//! bytes  =  8 J (P + K)  for each ensemble that is kept,  and about 20 J (P + K) more for the first and the last, as text
//! ```

use super::{MOST_AS_TEXT, StepShape};
use crate::config::HistorySteps;
use crate::forward::ForwardMap;
use crate::kernels::real::Real;
use crate::run::plan::Plan;

/// The characters of a number as text, with what follows it.
const TEXT: u64 = 20;

/// The sizes of a history: its ensembles, and the numbers of each member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HistoryCost {
    /// The ensembles that are kept.
    ensembles: u64,
    /// The parameters of each member, fixed and tied ones among them.
    parameters: usize,
    /// The outputs of each member, which are held until they are written; 0 where no history is kept.
    outputs: usize,
}

impl StepShape {
    /// Returns true if members and outputs are kept of more steps than the first and the last.
    #[must_use]
    pub fn keeps_steps_between(&self) -> bool {
        self.history.ensembles > 2
    }
}

impl HistoryCost {
    /// Returns the history that a run of `plan` with the forward map `map` keeps.
    pub fn of<T: Real>(plan: &Plan, map: &dyn ForwardMap<T>) -> Self {
        let steps = plan.config().output.history;
        match map.own_units() {
            Some(prior) if steps != HistorySteps::None => Self {
                ensembles: steps.count(plan.steps),
                parameters: prior.parameters(),
                outputs: plan.data.outputs,
            },
            _ => Self::default(),
        }
    }
}

impl StepShape {
    /// Returns the outputs of a member that are held: those that enter D, and those that the history waits for.
    pub(super) fn held_outputs(&self) -> usize {
        self.outputs + self.history.outputs
    }

    /// Returns the bytes of the history in the run's folder.
    #[must_use]
    pub fn history_bytes(&self) -> u64 {
        let HistoryCost {
            ensembles,
            parameters,
            outputs,
        } = self.history;
        let text = |columns: usize| match self.members.saturating_mul(columns) <= MOST_AS_TEXT {
            true => TEXT * ensembles.min(2) * (self.members * columns) as u64,
            false => 0,
        };
        let numbers = (self.members as u64).saturating_mul((parameters + outputs) as u64);
        ensembles
            .saturating_mul(numbers)
            .saturating_mul(size_of::<f64>() as u64)
            .saturating_add(text(parameters) + text(outputs))
    }
}
