//! The sizes of a data set.

use serde::{Deserialize, Serialize};

/// The sizes of a data set, as far as the plan of a run depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataShape {
    /// The number n of training samples.
    pub train: usize,
    /// The number of test samples.
    pub test: usize,
    /// The number d of inputs per sample.
    pub features: usize,
    /// The number c of classes, or of target values per sample.
    pub outputs: usize,
    /// True if the targets are classes.
    pub classes: bool,
    /// The (channels, height, width) of a sample, flattened in that order, where it has rows and columns.
    pub image: Option<(usize, usize, usize)>,
}
