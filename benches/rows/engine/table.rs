//! The tables of the stored runs: all in benches/RESULTS.md, a few in README.md, each between two marks.

use std::fs;
use std::path::Path;

use eki_mpi::report::statistics::mean_and_deviation;

use super::Outcome;
use super::order::joined;
use super::row::{Row, rows};
use super::stored::{AllStored, Stored, read_all};

/// What stands around a table.
const MARKS: [&str; 2] = ["<!-- rows -->\n", "<!-- end of rows -->"];

/// The head of a model's table.
const HEAD: &str = "| method | published | ours | first epoch | J | epochs | seeds | seconds a run |\n|---|---|---|---|---|---|---|---|\n";

/// Draws what is stored in `folder` into the files `results` and `readme`.
pub fn draw(folder: &Path, results: &Path, readme: &Path) -> Outcome<()> {
    let (rows, stored) = (rows(folder)?, read_all(folder)?);
    let unknown = |(name, _): &&(String, u64)| !rows.iter().any(|row| row.name == *name);
    if let Some((name, seed)) = stored.keys().find(unknown) {
        return Err(format!("{name}-{seed}.json: no row {name} in rows.toml").into());
    }
    replace(results, &by_model(&rows, &stored))?;
    replace(readme, &headlines(&rows, &stored))
}

/// Puts `text` between the marks of the file at `path`.
fn replace(path: &Path, text: &str) -> Outcome<()> {
    let old = fs::read_to_string(path)?;
    let [start, end] = MARKS;
    let missing = |mark: &str| format!("{}: no mark {}", path.display(), mark.trim());
    let (before, rest) = old.split_once(start).ok_or_else(|| missing(start))?;
    let (_, after) = rest.split_once(end).ok_or_else(|| missing(end))?;
    Ok(fs::write(
        path,
        format!("{before}{start}{text}{end}{after}"),
    )?)
}

/// Returns a section for each model: a table of its rows, and their commands.
pub fn by_model(rows: &[Row], stored: &AllStored) -> String {
    let mut text = String::new();
    for model in rows.chunk_by(|a, b| a.model == b.model) {
        text += &format!("\n### {}\n\n{HEAD}", model[0].model);
        for row in model {
            text += &line(row, &Runs::new(row, stored));
        }
        text += "\n<details><summary>Commands</summary>\n\n";
        for row in model {
            text += &format!("- {}: `eki-mpi {}`\n", row.title, row.command);
        }
        text += "\n</details>\n";
    }
    text + "\n"
}

/// Returns a table of the rows that stand in README.md, too.
pub fn headlines(rows: &[Row], stored: &AllStored) -> String {
    let mut text =
        "| network and data | method | published | ours |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let Some(method) = &row.readme else { continue };
        let ours = Runs::new(row, stored).score();
        let (model, method) = (&row.model, title(method, row));
        text += &format!("| {model} | {method} | {} | {ours} |\n", published(row));
    }
    text
}

fn line(row: &Row, runs: &Runs<'_>) -> String {
    let Some(first) = runs.longest.first() else {
        let title = title(&row.title, row);
        return format!("| {title} | {} | not run | | | | | |\n", published(row));
    };
    let seeds: Vec<u64> = runs.longest.iter().map(|run| run.seed).collect();
    let seconds: Vec<f64> = runs.longest.iter().map(|run| run.seconds).collect();
    format!(
        "| {}{} | {} | {} | {} | {} | {} | {} | {:.0} |\n",
        title(&row.title, row),
        baselines(first),
        published(row),
        runs.score(),
        runs.first_score(),
        first.members,
        if first.is_whole(row) {
            format!("{:.0}", first.epochs)
        } else {
            format!("{:.0} of {}", first.epochs, row.epochs)
        },
        joined(&seeds),
        mean_and_deviation(&seconds).map_or(0.0, |(mean, _)| mean),
    )
}

fn title(method: &str, row: &Row) -> String {
    let ours = if row.extends { " (ours)" } else { "" };
    format!("{method}{ours}")
}

fn published(row: &Row) -> String {
    row.published
        .map_or_else(|| "-".to_owned(), |p| row.score.text(p))
}

/// Returns the errors of the forecasts that a series' row must beat, too.
fn baselines(run: &Stored) -> String {
    match (run.mse_persistence, run.mse_ar20) {
        (Some(persistence), Some(ar20)) => {
            format!("; persistence {persistence:.3e}, AR(20) {ar20:.3e}")
        }
        _ => String::new(),
    }
}

/// The runs of a row that its line shows.
struct Runs<'a> {
    row: &'a Row,
    /// Those of the most epochs, by seed.
    longest: Vec<&'a Stored>,
}

impl<'a> Runs<'a> {
    fn new(row: &'a Row, stored: &'a AllStored) -> Self {
        let of_row = stored.values().filter(|run| run.row == row.name);
        let most = of_row.clone().map(|run| run.epochs).fold(0.0, f64::max);
        Self {
            row,
            longest: of_row.filter(|run| run.epochs == most).collect(),
        }
    }

    /// Returns the last score: its mean and deviation where there are several seeds.
    fn score(&self) -> String {
        let scores = self
            .longest
            .iter()
            .filter_map(|run| run.score(self.row.score));
        self.text(&scores.collect::<Vec<_>>())
    }

    /// Returns the score after the first epoch, and the published one.
    fn first_score(&self) -> String {
        let scores = self.longest.iter().filter_map(|run| run.first_score());
        let ours = self.text(&scores.collect::<Vec<_>>());
        match self.row.published_first {
            Some(published) => format!("{ours} (published {})", self.row.score.text(published)),
            None => ours,
        }
    }

    fn text(&self, scores: &[f64]) -> String {
        let score = self.row.score;
        match mean_and_deviation(scores) {
            None => "-".to_owned(),
            Some((mean, None)) => score.text(mean),
            Some((mean, Some(deviation))) => {
                format!("{} ± {}", score.text(mean), score.text(deviation))
            }
        }
    }
}
