//! The folder of a sweep: what it says of each run, and what the sweep writes there.
//!
//! Beside the folders of the runs stand `failed/NAME`, the reason why a run failed; while the sweep goes on `taken/NAME`, by
//! which groups of ranks share the runs out; and the results at its end.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use eki_mpi::config::sweep::{Sweep, SweepRun};
use eki_mpi::config::{CONFIG, equal};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::{Files, bounded};
use eki_mpi::io::run_folder::{STOP_FILE, SUMMARY, is_sweep_running};
use eki_mpi::run::stop::ENDED;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest file of a sweep that is read, in bytes: its own, or a run's summary, configuration or reason to fail.
pub(super) const LONGEST: u64 = 1 << 26;

/// The folder of a sweep.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its absolute path.
    pub path: PathBuf,
}

/// The state of a run of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum State {
    /// It has ended; the text of its summary.json.
    Done(String),
    /// It has failed, for this reason.
    Failed(String),
    /// It has begun.
    Begun,
    /// It has not begun.
    Waiting,
}

impl State {
    /// The words for the states, in the order in which they are counted.
    pub const WORDS: [&str; 4] = ["done", "failed", "begun", "waiting"];

    /// Returns the word for this state.
    pub fn word(&self) -> &'static str {
        let [done, failed, begun, waiting] = Self::WORDS;
        match self {
            Self::Done(_) => done,
            Self::Failed(_) => failed,
            Self::Begun => begun,
            Self::Waiting => waiting,
        }
    }

    /// Returns the summary of a run that has ended.
    pub fn summary(&self) -> Option<Value> {
        match self {
            Self::Done(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

impl Folder {
    /// Returns the folder of a run.
    pub fn of(&self, run: &SweepRun) -> PathBuf {
        self.path.join(&run.name)
    }

    /// Returns what has become of `run`.
    pub fn state(&self, run: &SweepRun) -> State {
        if let Some(summary) = self.ended(run) {
            return State::Done(summary);
        }
        if let Ok(reason) = bounded::text(&self.failed().join(&run.name), LONGEST) {
            return State::Failed(reason.trim_end().to_owned());
        }
        match self.of(run).join(CONFIG).exists() {
            true => State::Begun,
            false => State::Waiting,
        }
    }

    /// Returns the text of the summary of a run that has ended with its present configuration.
    fn ended(&self, run: &SweepRun) -> Option<String> {
        let text = |name| bounded::text(&self.of(run).join(name), LONGEST).ok();
        let (summary, config) = (text(SUMMARY)?, text(CONFIG)?);
        let read: Value = serde_json::from_str(&summary).ok()?;
        let has_ended = read["reason"]
            .as_str()
            .is_some_and(|reason| ENDED.contains(&reason));
        (has_ended && equal(&config, &run.resolved.toml()) == Ok(true)).then_some(summary)
    }

    /// Returns what has become of each run.
    pub fn states(&self, sweep: &Sweep) -> Vec<State> {
        sweep.runs.iter().map(|run| self.state(run)).collect()
    }

    /// Returns the files that stop the sweep: the user's, and the one by which a group of ranks stops the others.
    pub fn stop_files(&self) -> [PathBuf; 2] {
        [self.path.join(STOP_FILE), self.taken().join(".stop")]
    }

    fn taken(&self) -> PathBuf {
        self.path.join("taken")
    }

    fn failed(&self) -> PathBuf {
        self.path.join("failed")
    }

    /// Returns the file that says why the run called `name` failed.
    pub fn reason_file(&self, name: &str) -> PathBuf {
        self.failed().join(name)
    }

    /// Makes the folder ready for groups of ranks to take runs. What an earlier sweep was in the midst of is forgotten, and with
    /// `retry` which runs have failed.
    pub fn begin(&self, retry: bool) -> Result<()> {
        let files = Files::default();
        self.end();
        if retry {
            remove_all(&self.failed());
        }
        files.create_folder(&self.taken())?;
        files.create_folder(&self.failed())
    }

    /// Removes what only a sweep that goes on needs.
    pub fn end(&self) {
        remove_all(&self.taken());
        // Reasons stay.
        let _ = fs::remove_dir(self.failed());
    }

    /// Takes `run` for this group of ranks; false if another has taken it.
    pub fn take(&self, run: &SweepRun) -> Result<bool> {
        let path = self.taken().join(&run.name);
        match File::create_new(&path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(Error::io(path, "create", e)),
        }
    }

    /// Returns true if `run` is being run now.
    pub fn is_running(&self, run: &SweepRun) -> bool {
        self.taken().join(&run.name).exists() && is_sweep_running(&self.path)
    }

    /// Says in the folder why a run failed.
    pub fn mark_failed(&self, name: &str, reason: &str) -> Result<()> {
        let text = reason.to_owned() + "\n";
        Files::default().write_whole(&self.reason_file(name), text.as_bytes())
    }

    /// Writes a file of results.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Files::default().write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Returns the last step that a run reported.
    pub fn last_step(&self, run: &SweepRun) -> Option<u64> {
        let text = bounded::text(&self.of(run).join("metrics.jsonl"), u64::MAX).ok()?;
        let whole = &text[..text.rfind('\n')?];
        let line: Value = serde_json::from_str(whole.lines().last()?).ok()?;
        line["step"].as_u64()
    }
}

/// Removes a folder of plain files; one that is not there, or cannot be removed, does no harm.
fn remove_all(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
