//! What a prior takes of a rank's memory.

use super::JointPrior;
use super::correlation::Correlation;

/// The sizes that a prior's memory follows from.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriorSizes {
    /// The number of parameters whose names are in memory.
    pub named: usize,
    /// The number of all parameters.
    pub parameters: usize,
    /// The bytes of matrices: the factor by which coordinates are correlated, and the square roots of fields.
    pub matrices: usize,
    /// The bytes that each thread holds while it makes the fields of a member.
    pub passing: usize,
}

impl JointPrior {
    /// Returns the sizes that its memory follows from.
    #[must_use]
    pub fn sizes(&self) -> PriorSizes {
        let count = self.correlation.as_ref().map_or(0, Correlation::size);
        let kept: usize = self.fields().map(|field| field.bytes()[0]).sum();
        PriorSizes {
            named: self.named(),
            parameters: self.parameters(),
            matrices: size_of::<f64>() * count + kept,
            passing: self.fields().map(|field| field.bytes()[1]).sum(),
        }
    }
}
