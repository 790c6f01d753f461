//! Which observations inform which parameters, and by what factor, as files say: by distance, by groups, or by a matrix.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::distances::Distances;
use crate::data::groups::Groups;
use crate::data::noise::KeptFile;

/// A localisation that the user states, and the files that it was read from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tapers {
    /// The localisation.
    pub kind: TaperKind,
    /// The file that has a place for each parameter.
    pub path: PathBuf,
    /// The files whose copies a run's folder keeps.
    pub files: Vec<KeptFile>,
}

/// A localisation that the user states: which observations inform which parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TaperKind {
    /// The distances of both.
    Distances(#[serde(with = "crate::data::shared")] Arc<Distances>),
    /// Groups of both.
    Groups(#[serde(with = "crate::data::shared")] Arc<Groups>),
    /// The matrix in a file, of which each rank reads its own columns.
    Matrix(TaperFile),
}

/// The file of a matrix of factors, K x P.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaperFile {
    /// The file, with its digest; it is not copied.
    pub file: KeptFile,
    /// The rows of the file: one for each output that the simulator gives.
    pub rows: usize,
    /// The columns P.
    pub parameters: usize,
    /// The rows of the observations.
    pub observed: Vec<usize>,
}

impl Tapers {
    /// Returns the number of parameters that they are of.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match &self.kind {
            TaperKind::Distances(distances) => distances.parameters(),
            TaperKind::Groups(groups) => groups.parameters(),
            TaperKind::Matrix(file) => file.parameters,
        }
    }

    /// Returns the digest of a run's data with that of the files added.
    #[must_use]
    pub fn digest(&self, data: [u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(data);
        self.files.iter().for_each(|file| hash.update(file.digest));
        if let TaperKind::Matrix(matrix) = &self.kind {
            hash.update(matrix.file.digest);
        }
        hash.finalize().into()
    }
}
