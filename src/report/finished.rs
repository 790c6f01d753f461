//! Reads back the folder of a run: its configuration, curve, summary and final arrays.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::{CONFIG, Resolved, lacking};
use crate::data::scores::GroupMisfit;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::io::checkpoint::newest_manifest;
use crate::io::npy;
use crate::io::run_folder::{SUMMARY, read_config};
use crate::kernels::real::Real;
use crate::run::final_arrays::UNITS;
use crate::run::reporter::{ChiSquare, gaps};
use crate::run::statistics::MembersAre;

/// The largest summary.json that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The folder.
    pub folder: PathBuf,
    /// The run's configuration.
    pub resolved: Resolved,
}

/// A row of metrics.jsonl, as `run::reporter::Record` wrote it. A number that was not finite reads as None.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct MetricsRow {
    pub step: u64,
    pub epoch: u64,
    pub samples: u64,
    pub members: usize,
    pub failed: usize,
    pub missing: u64,
    pub loss: Option<f64>,
    pub d_norm: Option<f64>,
    pub step_size: Option<f64>,
    pub spread: Option<f64>,
    pub seconds: Option<f64>,
    pub accuracy_mean: Option<f64>,
    pub accuracy_best: Option<f64>,
    pub mse_mean: Option<f64>,
    pub mse_best: Option<f64>,
    pub return_mean: Option<f64>,
    pub return_best: Option<f64>,
    pub mse_pass: Option<f64>,
    pub misfit_mean: Option<f64>,
    pub misfit_best: Option<f64>,
    pub misfit_members: Option<f64>,
}

/// The content of summary.json, as `run::reporter::Summary` wrote it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Summary {
    pub reason: String,
    pub steps: u64,
    pub epochs: f64,
    pub seconds: f64,
    pub accuracy_mean: Option<f64>,
    pub accuracy_best: Option<f64>,
    pub accuracy_first_epoch: Option<f64>,
    pub mse_mean: Option<f64>,
    pub mse_best: Option<f64>,
    pub return_mean: Option<f64>,
    pub return_best: Option<f64>,
    pub misfit_mean: Option<f64>,
    pub misfit_best: Option<f64>,
    pub misfit_members: Option<f64>,
    pub misfit_groups: Vec<GroupMisfit>,
    pub left_out: Vec<String>,
    pub mse_persistence: Option<f64>,
    pub mse_ar2: Option<f64>,
    pub mse_ar20: Option<f64>,
    pub verdict: Option<String>,
    pub advice: Option<String>,
    pub members: Members,
    pub chi_square: Option<ChiSquare>,
    pub mse_pass: Option<f64>,
    pub mse_first_pass: Option<f64>,
    pub digest: String,
    pub ranks: usize,
    pub threads: usize,
}

/// The part of `members` in summary.json that is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Members {
    pub are: MembersAre,
}

/// Refuses the folder of a run whose configuration, the file `config`, is missing or cut short according to its
/// checkpoints.
fn check_config(folder: &Path, config: &Path) -> Result<()> {
    let Some(manifest) = newest_manifest(folder) else {
        return Ok(());
    };
    let defect = match read_config(folder, |text| lacking(text, &manifest.config)) {
        Ok(keys) if keys.is_empty() => return Ok(()),
        Ok(keys) => format!("was cut short: it lacks {}", keys.join(", ")),
        Err(defect) => defect,
    };
    let why = format!(
        "{defect}; the checkpoint of step {} holds it: the run's command with --resume writes this file anew",
        manifest.step
    );
    Err(Error::data(config, why))
}

impl Finished {
    /// Opens the folder `folder` of a run.
    ///
    /// # Errors
    /// A folder that holds no run, or whose configuration this program cannot read.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, &[])
    }

    /// Opens the folder `folder` of a run, with its configuration changed by `sets`, as `key=value`.
    ///
    /// # Errors
    /// As `open`, or a change that is not allowed.
    pub fn open_with(folder: &Path, sets: &[String]) -> Result<Self> {
        let config = folder.join(CONFIG);
        check_config(folder, &config)?;
        if !config.is_file() {
            let why = if folder.is_dir() {
                "holds no run: there is no config.toml in it"
            } else {
                "no such folder; name the folder of a run"
            };
            return Err(Error::Usage(format!("{}: {why}", folder.display())));
        }
        let path = config
            .to_str()
            .ok_or_else(|| Error::Usage(format!("{}: not UTF-8", folder.display())))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            resolved: Resolved::new(path, sets)?.as_run(),
        })
    }

    /// Returns the folder's name, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.folder.canonicalize().ok();
        let name = name.as_deref().unwrap_or(&self.folder).file_name();
        name.map_or_else(
            || self.folder.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// Returns the path of an array in `final/`, if it is there.
    fn array(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join("final").join(name);
        path.is_file().then_some(path)
    }

    /// Returns the final mean, `parameters` numbers.
    ///
    /// # Errors
    /// A run that has not ended, or a damaged file.
    pub fn mean<T: Real>(&self, parameters: usize) -> Result<Vec<T>> {
        let path = self.array("mean.npy");
        let path = path.ok_or_else(|| self.has_not_ended())?;
        self.row(&path, parameters)
    }

    /// Returns the `parameters` numbers of the array at `path`: of a simulator they may be infinite, where its members went there.
    fn row<T: Real>(&self, path: &Path, parameters: usize) -> Result<Vec<T>> {
        let mut rows = npy::Rows::open(path, Some(1), parameters)?;
        match self.is_in_own_units() {
            true => rows.read_any(1),
            false => rows.read(1),
        }
    }

    /// Returns the error for a request that only a run that has ended can answer.
    #[must_use]
    pub fn has_not_ended(&self) -> Error {
        let folder = self.folder.display();
        Error::Usage(format!(
            "{folder}: the run has not ended: there is no final/mean.npy in it"
        ))
    }

    /// Returns true if the final mean is there: the run has ended.
    #[must_use]
    pub fn has_mean(&self) -> bool {
        self.array("mean.npy").is_some()
    }

    /// Returns the best member, `parameters` numbers, if the run determined it.
    ///
    /// # Errors
    /// A damaged file.
    pub fn best<T: Real>(&self, parameters: usize) -> Result<Option<Vec<T>>> {
        self.array("best.npy")
            .map(|path| self.row(&path, parameters))
            .transpose()
    }

    /// Returns a reader of all members, rows of `parameters` numbers, if the run kept them.
    ///
    /// # Errors
    /// A damaged file.
    pub fn ensemble<T: Real>(&self, parameters: usize) -> Result<Option<npy::Rows<T>>> {
        self.array("ensemble.npy")
            .map(|path| npy::Rows::open(&path, None, parameters))
            .transpose()
    }

    /// Returns true if a simulator's arrays hold its parameters in physical units, not coordinates with standard normal
    /// priors.
    #[must_use]
    pub fn is_in_own_units(&self) -> bool {
        self.array(UNITS).is_some()
    }

    /// Returns true if all members were kept.
    #[must_use]
    pub fn has_ensemble(&self) -> bool {
        self.array("ensemble.npy").is_some()
    }

    /// Returns the reported steps. A last line that was cut short, as by a kill, is left out.
    ///
    /// # Errors
    /// A file that cannot be read, or a damaged line.
    pub fn curve(&self) -> Result<Vec<MetricsRow>> {
        let path = self.folder.join("metrics.jsonl");
        let text = bounded::text(&path, u64::MAX)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(i, line)| {
                serde_json::from_str(line)
                    .map_err(|e| Error::data(&path, format!("line {}: {e}", i + 1)))
            })
            .collect()
    }

    /// Returns the steps between which lines of metrics.jsonl are missing, as `run::reporter::gaps` finds them.
    #[must_use]
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let lines = std::fs::read(self.folder.join("metrics.jsonl")).unwrap_or_default();
        gaps(&lines, self.resolved.config.run.report_every)
    }

    /// Returns what the final members stand for; a fit where the run has not said.
    ///
    /// # Errors
    /// A damaged summary.
    pub fn members_are(&self) -> Result<MembersAre> {
        Ok(self.ending()?.unwrap_or_default().members.are)
    }

    /// Returns the summary, if the run has ended.
    ///
    /// # Errors
    /// A damaged file.
    pub fn ending(&self) -> Result<Option<Summary>> {
        let path = self.folder.join(SUMMARY);
        if !path.exists() {
            return Ok(None);
        }
        let text = bounded::text(&path, LONGEST)?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| Error::data(&path, e.to_string()))
    }
}
