//! The file of `model.prior_correlation` or `model.prior_covariance`, read with the configuration, so that all ranks have it and a run
//! keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::resolved::Resolved;
use crate::error::Result;
use crate::files::bounded;

/// The most bytes of a matrix that are read.
const LONGEST: u64 = 1 << 30;

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
        let ending = self.path.extension();
        ending.is_some_and(|end| end.eq_ignore_ascii_case("npy"))
    }
}

impl Resolved {
    /// Returns the digest of what a run is given: `data`, that of its data, and with it the matrix, if one is given. A state of
    /// another is not resumed.
    #[must_use]
    pub fn digest_with_prior(&self, data: [u8; 32]) -> [u8; 32] {
        let Some(matrix) = &self.prior_matrix else {
            return data;
        };
        let with = Sha256::new().chain_update(data).chain_update(&matrix.bytes);
        with.finalize().into()
    }

    /// Reads the matrix that `model.prior_correlation` or `model.prior_covariance` names.
    ///
    /// # Errors
    /// Both are given, or a file that cannot be read.
    pub(super) fn read_prior_matrix(&mut self) -> Result<()> {
        let model = &self.config.model;
        // For another model the keys have no effect, as a warning says.
        if !model.kind.simulates() {
            return Ok(());
        }
        let given = [
            ("model.prior_correlation", &model.prior_correlation),
            ("model.prior_covariance", &model.prior_covariance),
        ];
        let mut given = given.into_iter().filter(|(_, path)| !path.is_empty());
        let (first, second) = (given.next(), given.next());
        let Some((key, path)) = first else {
            return Ok(());
        };
        if let Some((key, _)) = second {
            return Err(self.error(key, "must be \"\" where model.prior_correlation is given"));
        }
        let path = self.prior_matrix_path(key, path)?;
        let bytes = bounded::whole(&path, LONGEST)?;
        self.prior_matrix = Some(PriorMatrix {
            key: key.to_owned(),
            path,
            bytes,
        });
        Ok(())
    }
}
