//! The rows of rows.toml.

use std::fs;
use std::path::Path;

use eki_mpi::config::Resolved;
use serde::Deserialize;

use super::Outcome;

/// A row of rows.toml, whose head explains the keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub name: String,
    pub model: String,
    pub title: String,
    pub published: Option<f64>,
    pub published_first: Option<f64>,
    #[serde(default)]
    pub score: Score,
    #[serde(default)]
    pub extends: bool,
    #[serde(default)]
    pub by_hand: bool,
    pub readme: Option<String>,
    pub epochs: u64,
    pub command: String,
}

/// The kind of a row's scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// Accuracy at the mean on the test set.
    #[default]
    Accuracy,
    /// The squared error of a pass over a series, one step ahead, before assimilation.
    Mse,
    /// The mean return of the test episodes.
    Return,
}

impl Score {
    /// Returns the name of the score in metrics.jsonl and summary.json.
    pub fn key(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy_mean",
            Self::Mse => "mse_pass",
            Self::Return => "return_mean",
        }
    }

    /// Returns a score as the tables show it.
    pub fn text(self, score: f64) -> String {
        match self {
            Self::Accuracy => format!("{score:.4}"),
            Self::Mse => format!("{score:.3e}"),
            Self::Return => format!("{score:.1}"),
        }
    }
}

#[derive(Deserialize)]
struct Rows {
    row: Vec<Row>,
}

/// Reads rows.toml in `folder`.
pub fn rows(folder: &Path) -> Outcome<Vec<Row>> {
    Ok(toml::from_str::<Rows>(&fs::read_to_string(folder.join("rows.toml"))?)?.row)
}

impl Row {
    /// Returns the preset, and the `key=value` pairs, of the row's command.
    pub fn source(&self) -> Outcome<(String, Vec<String>)> {
        let wrong = || {
            format!(
                "{}: command must be: run PRESET [--set KEY=VALUE]... [--out DIR]",
                self.name
            )
        };
        let words = words(&self.command);
        let mut words = words.into_iter();
        let (Some("run"), Some(preset)) = (words.next().as_deref(), words.next()) else {
            return Err(wrong().into());
        };
        let mut sets = Vec::new();
        while let (Some(option), value) = (words.next(), words.next()) {
            match (option.as_str(), value) {
                ("--set", Some(pair)) => sets.push(pair),
                ("--out", Some(_)) => {}
                _ => return Err(wrong().into()),
            }
        }
        Ok((preset, sets))
    }

    /// Returns the configuration of the row's run with `seed`.
    pub fn resolved(&self, seed: u64) -> Outcome<Resolved> {
        let (preset, mut sets) = self.source()?;
        sets.push(format!("seed={seed}"));
        Ok(Resolved::new(&preset, &sets)?)
    }
}

/// Splits a command line into words, of which those in single quotes are one.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    for c in command.chars() {
        match c {
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
