//! The history of a simulator's run: ensembles and their outputs, in `steps/` of the run's folder (`output.history`).
//!
//! ```text
//! RUN/steps/history.json               names of parameters and outputs, and the run that the history is of
//! RUN/steps/000007/parameters.npy      the members after 7 steps, J x P float64, all parameters in their own units
//! RUN/steps/000007/outputs.npy         their outputs, J x K float64, as the simulator gave them; NaN where it gave none
//! RUN/steps/000007/step.json           sizes, the sum of the steps' h before it, the digest of the ensemble, and the sets of observations
//!                                      whose outputs are known, where it is not all: others' are NaN
//! RUN/steps/000007/mean_outputs.npy    of the last ensemble the outputs at its mean, 1 x K, where they were simulated
//! RUN/steps/000007/parameters.csv      beside the arrays of the first and the last ensemble, with a header of names;
//! RUN/steps/000007/outputs.csv         not where they are too many to be text
//! ```
//!
//! Outputs are those that are observed, before they are whitened or those missing are filled in. With momentum the members are the
//! points that were simulated; those of the last ensemble are the run's result. A folder without `.part` in its name is whole.
//!
//! [`History`] reads it; `write` has what the run writes it with.

pub mod write;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::another_configuration;
use crate::config::changes;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::io::npy::Rows;

/// The folder of the history in a run's folder.
pub const STEPS: &str = "steps";
/// The file that says what the history is of.
const ABOUT: &str = "history.json";
/// The file of the outputs at the mean.
const MEAN: &str = "mean_outputs.npy";
/// The file of a step's sizes, written last.
const STEP: &str = "step.json";
/// The longest of these files that is read, in bytes.
const LONGEST: u64 = 1 << 30;

/// The run that a history belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryOf {
    /// The names of all parameters.
    pub parameters: Vec<String>,
    /// The names of the outputs.
    pub outputs: Vec<String>,
    /// The settings of the run that may not change, as TOML.
    pub config: String,
    /// The digest of the run's data, hexadecimal; None: not known.
    pub data: Option<String>,
}

/// One ensemble of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The steps before it.
    pub step: u64,
    /// The members J.
    pub members: usize,
    /// The parameters P, fixed and tied ones among them.
    pub parameters: usize,
    /// The outputs K.
    pub outputs: usize,
    /// The sum of the h of the steps before it.
    pub time: f64,
    /// The digest of the ensemble, as in summary.json of a run that ends with it.
    pub digest: String,
    /// The sets of observations whose outputs are known, where it is not all: a step that takes some sets asks for these alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<Vec<String>>,
}

impl StepRecord {
    /// Returns true if the outputs of `needed` are known; of all sets where None are named.
    #[must_use]
    pub fn has_sets(&self, needed: Option<&[&str]>) -> bool {
        match (&self.sets, needed) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(needed)) => {
                needed.iter().all(|name| known.iter().any(|k| k == name))
            }
        }
    }
}

/// The arrays of one ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepArray {
    /// J x P.
    Parameters,
    /// J x K.
    Outputs,
}

impl StepArray {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Parameters, Self::Outputs];

    /// Returns the name of its files, without the ending.
    const fn stem(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Outputs => "outputs",
        }
    }

    /// Returns the name of its .npy file.
    fn file(self) -> String {
        format!("{}.npy", self.stem())
    }

    /// Returns the number of columns in the step of `record`.
    const fn columns(self, record: &StepRecord) -> usize {
        match self {
            Self::Parameters => record.parameters,
            Self::Outputs => record.outputs,
        }
    }
}

/// Returns the folder of the ensemble after `step` steps of the run in `run`.
#[must_use]
pub fn step_folder(run: &Path, step: u64) -> PathBuf {
    run.join(STEPS).join(format!("{step:06}"))
}

/// A reader of the history of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    run: PathBuf,
    of: HistoryOf,
    steps: Vec<u64>,
}

impl History {
    /// Opens the history of the run in `run`; None where it has none, or no ensemble is whole yet.
    ///
    /// # Errors
    /// A folder or a file of it that cannot be read.
    pub fn open(run: &Path) -> Result<Option<Self>> {
        let folder = run.join(STEPS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&folder, "read", e)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(&folder, "read", e))?;
            let name = entry.file_name();
            let step = name.to_str().and_then(|name| name.parse().ok());
            // Only the exact name counts, and a link is not followed.
            let own = |step: &u64| step_folder(run, *step).file_name() == Some(&name);
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            steps.extend(step.filter(own).filter(|_| is_folder));
        }
        steps.sort_unstable();
        if steps.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            run: run.to_path_buf(),
            of: read_json(&folder.join(ABOUT))?,
            steps,
        }))
    }

    /// Returns the steps after which ensembles were kept, ascending; at least one.
    #[must_use]
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// Returns the step of the last ensemble. It is the run's result if it is as many as summary.json counts.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.steps[self.steps.len() - 1]
    }

    /// Returns the names of all parameters, in the order of the columns.
    #[must_use]
    pub fn parameter_names(&self) -> &[String] {
        &self.of.parameters
    }

    /// Returns the names of the outputs, in the order of the columns.
    #[must_use]
    pub fn output_names(&self) -> &[String] {
        &self.of.outputs
    }

    /// Returns what it is of.
    #[must_use]
    pub fn of(&self) -> &HistoryOf {
        &self.of
    }

    /// Checks that it is of a run of the configuration `config`, TOML, on data of this digest, where both are known.
    ///
    /// # Errors
    /// It is of another run: what differs.
    pub fn check(&self, config: &str, data: Option<[u8; 32]>) -> Result<()> {
        self.of.check(&self.run.join(STEPS), config, data)
    }

    /// Returns the sizes of the ensemble after `step` steps.
    ///
    /// # Errors
    /// It was not kept, or its file is damaged.
    pub fn record(&self, step: u64) -> Result<StepRecord> {
        let folder = step_folder(&self.run, step);
        if !self.steps.contains(&step) {
            return Err(Error::Usage(format!(
                "{}: the ensemble after {step} steps was not kept: output.history = \"all\" keeps every one",
                folder.display()
            )));
        }
        let path = folder.join(STEP);
        let record: StepRecord = read_json(&path)?;
        if record.step != step {
            let why = format!(
                "is of step {}, and the folder's name says {step}",
                record.step
            );
            return Err(Error::data(path, why));
        }
        Ok(record)
    }

    /// Returns the members after `step` steps, J x P, all parameters in their own units.
    ///
    /// # Errors
    /// They were not kept, or a file is damaged.
    pub fn parameters(&self, step: u64) -> Result<Array2<f64>> {
        let record = self.record(step)?;
        self.rows(&record, StepArray::Parameters, 0..record.members)
    }

    /// Returns the outputs of the members after `step` steps, J x K; NaN where the simulator gave none.
    ///
    /// # Errors
    /// They were not kept, or a file is damaged.
    pub fn outputs(&self, step: u64) -> Result<Array2<f64>> {
        let record = self.record(step)?;
        self.rows(&record, StepArray::Outputs, 0..record.members)
    }

    /// Returns the outputs at the mean of the members after `step` steps, K numbers, where they were kept.
    ///
    /// # Errors
    /// The ensemble was not kept, or a file is damaged.
    pub fn mean_outputs(&self, step: u64) -> Result<Option<Vec<f64>>> {
        let outputs = self.record(step)?.outputs;
        let path = step_folder(&self.run, step).join(MEAN);
        let kept = path.exists();
        kept.then(|| Rows::<f64>::open(&path, Some(1), outputs)?.read_any(1))
            .transpose()
    }

    /// Returns the `rows` of an array of the ensemble of `record`.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn rows(
        &self,
        record: &StepRecord,
        array: StepArray,
        rows: Range<usize>,
    ) -> Result<Array2<f64>> {
        let path = step_folder(&self.run, record.step).join(array.file());
        let columns = array.columns(record);
        let mut file = Rows::<f64>::open(&path, Some(record.members), columns)?;
        file.skip(rows.start)?;
        let numbers = file.read_any(rows.len())?;
        Ok(Array2::from_shape_vec((rows.len(), columns), numbers).expect("whole rows"))
    }
}

impl HistoryOf {
    /// Checks that the history in `folder`, which is this one's, is of a run of the configuration `config`, TOML, on data of this
    /// digest, where both are known.
    fn check(&self, folder: &Path, config: &str, data: Option<[u8; 32]>) -> Result<()> {
        let differ = changes(&self.config, config).map_err(|e| {
            Error::data(
                folder.join(ABOUT),
                format!("its settings are not TOML: {e}"),
            )
        })?;
        if !differ.is_empty() {
            return Err(another_configuration(folder, &differ));
        }
        let data = data.map(|data| crate::files::numbers::hexadecimal(&data));
        match (&self.data, data) {
            (Some(was), Some(now)) if *was != now => Err(Error::Usage(format!(
                "{}: holds the history of a run on other data: move it away",
                folder.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// Reads a JSON file of the history.
fn read_json<V: for<'a> Deserialize<'a>>(path: &Path) -> Result<V> {
    let text = bounded::text(path, LONGEST)?;
    serde_json::from_str(&text).map_err(|e| Error::data(path, format!("is damaged: {e}")))
}
