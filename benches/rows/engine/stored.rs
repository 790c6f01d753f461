//! Stored runs: benches/rows/NAME-SEED.json, made from a run's folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eki_mpi::config::{CONFIG, changes};
use eki_mpi::files::Files;
use eki_mpi::run::stop::AT_LAST_STEP;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Outcome;
use super::row::{Row, Score};

/// A run, as far as it has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub row: String,
    pub command: String,
    pub commit: String,
    pub machine: Value,
    pub seed: u64,
    pub members: u64,
    pub epochs: f64,
    pub ranks: u64,
    pub threads: u64,
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_mean: Option<f64>,
    pub accuracy_best: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_mean: Option<f64>,
    /// The error of a series' last pass, and of the forecasts that it must beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mse_pass: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mse_persistence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mse_ar20: Option<f64>,
    /// The digest of the last ensemble; none of a run that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// (epoch, score) at each evaluation.
    pub curve: Vec<(u64, f64)>,
}

/// Stored runs by row and seed.
pub type AllStored = BTreeMap<(String, u64), Stored>;

/// Reads all stored runs in `folder`.
pub fn read_all(folder: &Path) -> Outcome<AllStored> {
    let mut all = AllStored::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let read = serde_json::from_str(&fs::read_to_string(&path)?);
            let run: Stored = read.map_err(|e| format!("{}: {e}", path.display()))?;
            all.insert((run.row.clone(), run.seed), run);
        }
    }
    Ok(all)
}

impl Stored {
    /// Reads the run of `row` in `folder`; none if it has not been evaluated yet.
    ///
    /// # Errors
    /// Files that cannot be read, or a configuration that is not the row's.
    pub fn of_run(row: &Row, folder: &Path, commit: &str) -> Outcome<Option<Self>> {
        let text = |name: &str| {
            fs::read_to_string(folder.join(name))
                .map_err(|e| format!("{}: {e}", folder.join(name).display()))
        };
        let json = |name: &str| -> Outcome<Value> { Ok(serde_json::from_str(&text(name)?)?) };
        let config = text(CONFIG)?;
        let command = command(row, &config, folder)?;
        // Before the metrics: a run that ends in between has not all of them yet when they are read.
        let summary = json("summary.json").unwrap_or_default();
        let Evaluated { last, curve } = Evaluated::read(&text("metrics.jsonl")?, row.score);
        let Some(&(epoch, _)) = curve.last() else {
            return Ok(None);
        };
        let environment = json("environment.json")?;
        let has_ended = summary["reason"] == AT_LAST_STEP;
        // What a run says as it ends is measured at its very last step.
        let end = if has_ended { &summary } else { &last };
        let number = |key: &str| end[key].as_f64();
        let threads = environment["hosts"][0]["threads"].as_u64();
        Ok(Some(Self {
            row: row.name.clone(),
            command: command.0,
            commit: commit.to_owned(),
            machine: environment["hosts"].clone(),
            seed: command.1,
            members: last["members"].as_u64().unwrap_or_default(),
            epochs: number("epochs").unwrap_or(epoch as f64),
            ranks: environment["ranks"].as_u64().unwrap_or_default(),
            threads: threads.unwrap_or_default(),
            seconds: number("seconds").unwrap_or_default(),
            accuracy_mean: number(Score::Accuracy.key()),
            accuracy_best: number("accuracy_best"),
            return_mean: number(Score::Return.key()),
            mse_pass: number(Score::Mse.key()),
            mse_persistence: number("mse_persistence"),
            mse_ar20: number("mse_ar20"),
            digest: end["digest"].as_str().map(str::to_owned),
            curve,
        }))
    }

    /// Returns the last score.
    pub fn score(&self, score: Score) -> Option<f64> {
        match score {
            Score::Accuracy => self.accuracy_mean,
            Score::Mse => self.mse_pass,
            Score::Return => self.return_mean,
        }
    }

    /// Returns the score after the first epoch.
    pub fn first_score(&self) -> Option<f64> {
        let first = self.curve.first().filter(|(epoch, _)| *epoch == 1);
        first.map(|(_, score)| *score)
    }

    /// Returns true if the run has the row's full length.
    pub fn is_whole(&self, row: &Row) -> bool {
        self.epochs >= row.epochs as f64
    }

    /// Writes the run to `folder`; returns the file's path.
    pub fn write(&self, folder: &Path) -> Outcome<PathBuf> {
        let path = folder.join(format!("{}-{}.json", self.row, self.seed));
        let text = serde_json::to_string_pretty(self)? + "\n";
        Files::default().write_whole(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// The evaluations of a run.
struct Evaluated {
    /// The last line that has a score.
    last: Value,
    /// (epoch, score) of each such line.
    curve: Vec<(u64, f64)>,
}

impl Evaluated {
    /// Reads metrics.jsonl, whose last line may be in the midst of being written.
    fn read(metrics: &str, score: Score) -> Self {
        let mut last = Value::Null;
        let mut curve = BTreeMap::new();
        for line in metrics.lines() {
            let Ok(record) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let (epoch, scored) = (record["epoch"].as_u64(), record[score.key()].as_f64());
            if let (Some(epoch), Some(scored)) = (epoch, scored) {
                curve.insert(epoch, scored);
                last = record;
            }
        }
        let curve = curve.into_iter().collect();
        Self { last, curve }
    }
}

/// Returns the command of the run with configuration `config`, which must be the row's but for its length, and its seed.
fn command(row: &Row, config: &str, folder: &Path) -> Outcome<(String, u64)> {
    let table: toml::Table = config.parse()?;
    let integer = |value: Option<&toml::Value>| value.and_then(toml::Value::as_integer);
    let seed = integer(table.get("seed"))
        .unwrap_or_default()
        .unsigned_abs();
    let resolved = row.resolved(seed)?;
    let differ = changes(config, &resolved.toml())?;
    if !differ.is_empty() {
        let (folder, name, differ) = (folder.display(), &row.name, differ.join("; "));
        return Err(format!("{folder}: not a run of the row {name}: {differ}").into());
    }
    let mut command = format!("eki-mpi {} --set seed={seed}", row.command);
    let epochs = integer(table.get("run").and_then(|run| run.get("epochs")));
    let epochs = epochs.unwrap_or_default().unsigned_abs();
    if epochs != resolved.config.run.epochs {
        command += &format!(" --set run.epochs={epochs}");
    }
    Ok((command, seed))
}
