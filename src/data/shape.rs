//! The shape of a data set.

use serde::{Deserialize, Serialize};

/// What the plan must know of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// Training samples n.
    pub train: usize,
    /// Test samples.
    pub test: usize,
    /// Inputs of a sample d.
    pub features: usize,
    /// Classes, or target values of a sample, c.
    pub outputs: usize,
    /// Whether targets are classes.
    pub classes: bool,
}
