//! The table of published rows and ours: stores a finished run as a small JSON file, and draws the table from these.
//!
//! ```text
//! cargo bench --bench rows -- store NAME FOLDER [COMMIT]    a run's folder becomes benches/rows/NAME-SEED.json
//! cargo bench --bench rows -- table                         the files become the table in README.md, between its marks
//! ```
//!
//! COMMIT is the one the program was built from, where that is not the present one.

#![allow(clippy::print_stdout, reason = "what was tried is part of the report")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A row of rows.toml.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    title: String,
    published: Option<f64>,
    /// Published after the first epoch, or pass.
    published_first: Option<f64>,
    /// What the scores are.
    #[serde(default)]
    score: Score,
    #[serde(default)]
    extends: bool,
    /// Epochs of the row at full size.
    epochs: u64,
    command: String,
}

/// What a row's scores are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Score {
    /// Accuracy at the mean on the test set.
    #[default]
    Accuracy,
    /// The squared error of a pass over a series, one step ahead, before assimilation.
    Mse,
    /// The mean return of the test episodes.
    Return,
}

impl Score {
    fn text(self, score: f64) -> String {
        match self {
            Self::Accuracy => format!("{score:.4}"),
            Self::Mse => format!("{score:.3e}"),
            Self::Return => format!("{score:.1}"),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Rows {
    row: Vec<Row>,
}

/// A finished run.
#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    row: String,
    command: String,
    commit: String,
    machine: Value,
    seed: u64,
    members: u64,
    epochs: f64,
    ranks: u64,
    threads: u64,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy_mean: Option<f64>,
    accuracy_best: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    return_mean: Option<f64>,
    /// Of a series: of the last pass, and of the forecasts it must beat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mse_pass: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mse_persistence: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mse_ar20: Option<f64>,
    digest: String,
    /// (epoch, score) at each evaluation.
    curve: Vec<(u64, f64)>,
}

impl Finished {
    fn score(&self, score: Score) -> Option<f64> {
        match score {
            Score::Accuracy => self.accuracy_mean,
            Score::Mse => self.mse_pass,
            Score::Return => self.return_mean,
        }
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["store", name, folder] => store(name, Path::new(folder), None),
        ["store", name, folder, commit] => store(name, Path::new(folder), Some(commit)),
        ["table"] => table(),
        // `cargo bench` without a name runs every bench: there is nothing to time here.
        _ => Ok(()),
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rows")
}

fn rows() -> Outcome<Vec<Row>> {
    Ok(toml::from_str::<Rows>(&fs::read_to_string(here().join("rows.toml"))?)?.row)
}

fn store(name: &str, folder: &Path, commit: Option<&str>) -> Outcome<()> {
    let rows = rows()?;
    let row = rows.iter().find(|row| row.name == name);
    let row = row.ok_or(format!("{name}: not in rows.toml"))?;
    let json = |file: &str| -> Outcome<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(
            folder.join(file),
        )?)?)
    };
    let (summary, environment) = (json("summary.json")?, json("environment.json")?);
    if summary["reason"] != eki_mpi::run::stop::AT_LAST_STEP {
        return Err(format!("{}: the run has not ended", folder.display()).into());
    }
    let config: toml::Table = fs::read_to_string(folder.join("config.toml"))?.parse()?;
    let commit = std::process::Command::new("git")
        .args(["rev-parse", "--short", "--verify", commit.unwrap_or("HEAD")])
        .output()?;
    if !commit.status.success() {
        return Err(String::from_utf8_lossy(&commit.stderr).trim().into());
    }
    let number = |key: &str| {
        summary[key]
            .as_f64()
            .ok_or(format!("summary.json: no {key}"))
    };
    let mut curve = BTreeMap::new();
    let mut members = 0;
    for line in fs::read_to_string(folder.join("metrics.jsonl"))?.lines() {
        let record: Value = serde_json::from_str(line)?;
        members = record["members"].as_u64().unwrap_or(members);
        let score = match row.score {
            Score::Accuracy => &record["accuracy_mean"],
            Score::Mse => &record["mse_pass"],
            Score::Return => &record["return_mean"],
        };
        if let (Some(epoch), Some(score)) = (record["epoch"].as_u64(), score.as_f64()) {
            curve.insert(epoch, score);
        }
    }
    let finished = Finished {
        row: name.to_owned(),
        command: words(&environment["command"], folder),
        commit: String::from_utf8(commit.stdout)?.trim().to_owned(),
        machine: environment["hosts"].clone(),
        seed: config["seed"].as_integer().unwrap_or_default() as u64,
        members,
        epochs: number("epochs")?,
        ranks: number("ranks")? as u64,
        threads: number("threads")? as u64,
        seconds: number("seconds")?,
        accuracy_mean: summary["accuracy_mean"].as_f64(),
        accuracy_best: summary["accuracy_best"].as_f64(),
        mse_pass: summary["mse_pass"].as_f64(),
        return_mean: summary["return_mean"].as_f64(),
        mse_persistence: summary["mse_persistence"].as_f64(),
        mse_ar20: summary["mse_ar20"].as_f64(),
        digest: summary["digest"].as_str().unwrap_or_default().to_owned(),
        curve: curve.into_iter().collect(),
    };
    if finished.score(row.score).is_none() {
        return Err(format!("{}: summary.json has no score of {name}", folder.display()).into());
    }
    let path = here().join(format!("{name}-{}.json", finished.seed));
    fs::write(&path, serde_json::to_string_pretty(&finished)? + "\n")?;
    println!("{}", path.display());
    Ok(())
}

/// The command line as it was typed, the program's path and the run's folder left out; what lies beside that folder is
/// told from there.
fn words(command: &Value, folder: &Path) -> String {
    let words: Vec<&str> = command
        .as_array()
        .into_iter()
        .flatten()
        .skip(1)
        .filter_map(Value::as_str)
        .collect();
    let end = words
        .iter()
        .position(|word| *word == "--out")
        .unwrap_or(words.len());
    let beside = folder
        .parent()
        .map(|parent| format!("{}/", parent.display()));
    let beside = beside.filter(|parent| parent.len() > 1);
    let told = |word: &&str| match &beside {
        Some(parent) => word.replace(parent, ""),
        None => (*word).to_owned(),
    };
    let words: Vec<String> = words[..end].iter().map(told).collect();
    format!("eki-mpi {}", words.join(" "))
}

/// What a row's command ends with in mixed precision.
const IN_MIXED: &str = " --set run.precision=mixed";

fn table() -> Outcome<()> {
    let mut finished: Vec<Finished> = Vec::new();
    for entry in fs::read_dir(here())? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            finished.push(serde_json::from_str(&fs::read_to_string(path)?)?);
        }
    }
    finished.sort_by_key(|run| run.seed);
    let mut text = String::from(
        "| row | published | ours at the mean | first epoch | J | epochs | seeds | seconds a run | command |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let rows = rows()?;
    let runs_of = |row: &Row| finished.iter().filter(|run| run.row == row.name).collect();
    // What has been run in mixed precision alone has one line.
    let in_mixed = |row: &Row| {
        let command = format!("{}{IN_MIXED}", row.command);
        let mixed = rows.iter().find(|mixed| mixed.command == command);
        mixed.is_some_and(|mixed| finished.iter().any(|run| run.row == mixed.name))
    };
    for row in &rows {
        let runs: Vec<&Finished> = runs_of(row);
        if !(runs.is_empty() && in_mixed(row)) {
            text += &line(row, &runs);
        }
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let old = fs::read_to_string(&readme)?;
    let (start, end) = ("<!-- rows -->\n", "<!-- end of rows -->");
    let (before, rest) = old
        .split_once(start)
        .ok_or("README.md has no mark <!-- rows -->")?;
    let (_, after) = rest
        .split_once(end)
        .ok_or("README.md has no mark <!-- end of rows -->")?;
    fs::write(&readme, format!("{before}{start}{text}{end}{after}"))?;
    Ok(())
}

fn line(row: &Row, runs: &[&Finished]) -> String {
    let marked = if row.extends {
        format!("{} (ours)", row.title)
    } else {
        row.title.clone()
    };
    let text = |score: f64| row.score.text(score);
    let published = [row.published_first, row.published].map(|p| p.map(text));
    let published = published.into_iter().flatten().collect::<Vec<_>>();
    let published = if published.is_empty() {
        "-".to_owned()
    } else {
        published.join(" / ")
    };
    let Some(first) = runs.first() else {
        return format!(
            "| {marked} | {published} | not run | | | | | | `eki-mpi {}` |\n",
            row.command
        );
    };
    let each = |value: &dyn Fn(&Finished) -> String| {
        runs.iter()
            .map(|run| value(run))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "| {marked}{} | {published} | {} | {} | {} | {} | {} | {} | `eki-mpi {}` |\n",
        beside(first),
        each(&|run| run.score(row.score).map_or("-".to_owned(), text)),
        each(&|run| run
            .curve
            .first()
            .filter(|c| c.0 == 1)
            .map_or("-".to_owned(), |c| text(c.1))),
        first.members,
        each(&|run| {
            if run.epochs < row.epochs as f64 {
                format!("{:.0} of {}", run.epochs, row.epochs)
            } else {
                format!("{:.0}", run.epochs)
            }
        }),
        each(&|run| run.seed.to_string()),
        each(&|run| format!("{:.0}", run.seconds)),
        row.command
    )
}

/// What a series' row must beat, too, as that run found it.
fn beside(run: &Finished) -> String {
    match (run.mse_persistence, run.mse_ar20) {
        (Some(persistence), Some(ar20)) => {
            format!("; persistence {persistence:.3e}, AR(20) {ar20:.3e}")
        }
        _ => String::new(),
    }
}
