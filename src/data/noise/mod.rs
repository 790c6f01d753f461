//! Gamma, the covariance of the observations' noise, and the whitening of outputs by it.
//!
//! Correlated noise is whitened where outputs are selected: z becomes W z, with W Gamma W^T = I, and so do the observations. All
//! else then sees independent noise of variance 1.

pub mod covariance;
mod samples;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::files::bounded;

use covariance::Covariance;
pub use samples::{ControlRuns, Kept, Modes};

/// The noise of the observations, and the files that it was read from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noise {
    /// The covariance.
    pub gamma: Gamma,
    /// A line on a covariance that was estimated: from how many runs, and what it keeps of their variance.
    pub estimated: Option<String>,
    /// The files that hold it.
    pub files: Vec<KeptFile>,
}

/// The covariance of the observations' noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Gamma {
    /// Independent: one variance for all outputs, or one for each.
    Diagonal(Vec<f64>),
    /// Correlated.
    Correlated(#[serde(with = "crate::data::shared")] Arc<Covariance>),
}

/// A file that belongs to a run's data, and of which the run's folder keeps a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// The name of its copy in a run's folder, without the ending.
    pub stem: String,
    /// The file that it was read from.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

impl KeptFile {
    /// Returns the file at `path`, whose copy is called `stem`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of(stem: &str, path: &Path) -> Result<Self> {
        Ok(Self {
            stem: stem.to_owned(),
            path: path.to_owned(),
            digest: digest_of(path)?,
        })
    }
}

/// Returns SHA-256 of the file at `path`, read piece by piece.
fn digest_of(path: &Path) -> Result<[u8; 32]> {
    let unread = |e: std::io::Error| Error::data(path, format!("cannot be read: {e}"));
    let (mut file, _) = bounded::regular(path).map_err(unread)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(unread)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&piece[..read]),
        }
    }
}

impl From<Gamma> for Noise {
    fn from(gamma: Gamma) -> Self {
        Self {
            gamma,
            estimated: None,
            files: Vec::new(),
        }
    }
}

impl Noise {
    /// Returns the digest of a run's data with that of the noise's files added; `data` itself where there are none.
    #[must_use]
    pub fn digest(&self, data: [u8; 32]) -> [u8; 32] {
        if self.files.is_empty() {
            return data;
        }
        let mut hash = Sha256::new();
        hash.update(data);
        self.files.iter().for_each(|file| hash.update(file.digest));
        hash.finalize().into()
    }

    /// Returns the variances of the `k` observations' errors.
    #[must_use]
    pub fn variances(&self, k: usize) -> Vec<f64> {
        match &self.gamma {
            Gamma::Diagonal(variances) => variances.iter().copied().cycle().take(k).collect(),
            Gamma::Correlated(covariance) => covariance.variances(),
        }
    }

    /// Replaces the outputs of a member as they enter a step, K numbers, by those that its simulator gave.
    pub fn restore(&self, z: &mut [f64]) {
        if let Gamma::Correlated(covariance) = &self.gamma {
            covariance.restore(z);
        }
    }

    /// Returns the bytes that the covariance takes, where it is correlated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.gamma {
            Gamma::Diagonal(_) => 0,
            Gamma::Correlated(covariance) => covariance.bytes(),
        }
    }

    /// Returns the floating-point operations that whiten a member's outputs.
    #[must_use]
    pub fn flops(&self) -> f64 {
        match &self.gamma {
            Gamma::Diagonal(_) => 0.0,
            Gamma::Correlated(covariance) => covariance.flops(),
        }
    }
}
