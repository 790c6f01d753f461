//! The floating-point operations of one step, and the bytes that a rank sends in it.

use serde::Serialize;

/// The floating-point operations of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flops {
    /// The members' forward map.
    pub forward: f64,
    /// The computation of D or its norm.
    pub interaction: f64,
    /// The move of the members, or of their mean.
    pub update: f64,
}

/// The bytes that one rank sends in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// The agreement on failed members.
    pub agreement: u64,
    /// The outputs, and D or its norm.
    pub interaction: u64,
    /// The new parameters, sent to the owners of their members.
    pub exchange: u64,
}

impl Flops {
    /// Returns the sum of the parts.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.forward + self.interaction + self.update
    }
}

impl Sent {
    /// Returns the sum of the parts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.agreement + self.interaction + self.exchange
    }
}
