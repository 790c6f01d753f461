//! The file of `model.prior_correlation` or `model.prior_covariance`, read with the configuration, so that all ranks have it and a run
//! keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files;

/// A matrix of `model.prior_correlation` or `model.prior_covariance`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriorMatrix {
    /// The key that names it.
    pub key: String,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

impl PriorMatrix {
    /// Returns true if the file is an .npy array, else it is a table.
    #[must_use]
    pub fn is_array(&self) -> bool {
        files::ends_in(&self.path, "npy")
    }
}
