//! The folders where the files are looked for that a configuration names (`lookup`), and what shows that one is a run's.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::bounded;

/// The configuration of a run, in its folder.
pub const CONFIG: &str = "config.toml";
/// The record of what a run ran on, in its folder.
pub const ENVIRONMENT: &str = "environment.json";
/// The name of the copy of a run's observations in its folder, without the ending.
pub const OBSERVATIONS: &str = "observations";
/// The copies of the matrix that correlates a run's parameters in its folder: as a table or as an array, as it was given.
pub const PRIOR_MATRICES: [&str; 2] = ["prior_matrix.csv", "prior_matrix.npy"];

/// Returns the names that the copy `stem` of a file may have in a run's folder: as text or as an array, as it was given.
#[must_use]
pub fn copies(stem: &str) -> [String; 2] {
    ["txt", "npy"].map(|ending| format!("{stem}.{ending}"))
}

/// Files of which at least one stands beside the config.toml of a run that has begun.
const OF_A_RUN: [&str; 4] = [ENVIRONMENT, "metrics.jsonl", "run.log", ".lock"];
/// The most bytes of environment.json that are read.
const LONGEST: u64 = 1 << 26;

/// The folders where the files are looked for that a configuration file names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Places {
    /// The folder of the configuration file; empty: the one where the program was started, or there is no file.
    pub(super) beside: PathBuf,
    /// True if `beside` is the folder of a run.
    pub(super) is_run: bool,
    /// Further folders: those where the run looked, the first the one it was started in; or that of a sweep's file.
    pub(super) recorded: Vec<PathBuf>,
    /// True if files are to be found as the run found them, not in the folder where this program was started.
    pub(super) as_run: bool,
}

/// The part of environment.json that is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    folders: Vec<PathBuf>,
}

impl Places {
    /// Places in the configuration file `path`.
    pub(super) fn of(path: &Path) -> Self {
        let beside = path.parent().unwrap_or(Path::new(""));
        let is_there = |name| beside.join(name).is_file();
        let is_run = path.ends_with(CONFIG) && OF_A_RUN.into_iter().any(is_there);
        let record = bounded::text(&beside.join(ENVIRONMENT), LONGEST).ok();
        let record = record.filter(|_| is_run);
        // Runs of earlier versions have recorded none.
        let record: Option<Record> = record.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            beside: beside.to_path_buf(),
            is_run,
            recorded: record.unwrap_or_default().folders,
            as_run: false,
        }
    }

    /// Adds `folder` as the last one in which files are looked for.
    pub(super) fn look_also_in(&mut self, folder: &Path) {
        self.recorded.push(folder.to_path_buf());
    }
}
