//! The results of a sweep: a row for each setting, with mean and deviation over its seeds.

use eki_mpi::config::sweep::{SCORES, Sweep};
use eki_mpi::files::numbers::number;
use eki_mpi::report::statistics::{csv_line, mean_and_deviation};
use eki_mpi::report::text_table::{CellAlignment, table_of};
use serde_json::Value;

use super::folder::State;

/// The results of a sweep.
pub struct Results<'a> {
    columns: &'a [String],
    /// The scores that a run has.
    scores: Vec<&'static str>,
    /// A score by which rows should be sorted and that no run has.
    missing: Option<&'a str>,
    rows: Vec<Row<'a>>,
}

/// The results of one setting.
struct Row<'a> {
    values: &'a [String],
    /// Runs, one for each seed.
    runs: usize,
    /// The summaries of those that have ended.
    summaries: Vec<Value>,
}

impl<'a> Results<'a> {
    /// Gathers what the runs of `sweep` in their `states` have come to.
    pub fn new(sweep: &'a Sweep, states: &[State]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for (run, state) in sweep.runs.iter().zip(states) {
            let row = rows.iter().position(|row| row.values == run.values);
            let row = row.unwrap_or_else(|| {
                rows.push(Row {
                    values: &run.values,
                    runs: 0,
                    summaries: Vec::new(),
                });
                rows.len() - 1
            });
            rows[row].runs += 1;
            rows[row].summaries.extend(state.summary());
        }
        let names = SCORES.iter().map(|(name, _)| *name);
        let has = |name: &&str| rows.iter().any(|row| row.mean(name).is_some());
        let scores: Vec<&str> = names.filter(has).collect();
        let higher = |best: &str| SCORES.iter().any(|(name, higher)| *name == best && *higher);
        if let Some(best) = &sweep.best {
            let sign = if higher(best) { -1.0 } else { 1.0 };
            let rank = |row: &Row| {
                row.mean(best)
                    .map_or(f64::INFINITY, |(mean, _)| sign * mean)
            };
            rows.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
        }
        Self {
            columns: &sweep.columns,
            missing: sweep.best.as_deref().filter(|best| !scores.contains(best)),
            scores,
            rows,
        }
    }

    /// Returns the table for the screen; nothing where no run has ended.
    pub fn text(&self) -> String {
        if self.rows.iter().all(|row| row.summaries.is_empty()) {
            return String::new();
        }
        let settings = self.columns.iter().map(|_| CellAlignment::Left);
        let numbers = (0..self.scores.len() + 2).map(|_| CellAlignment::Right);
        let alignment: Vec<_> = settings.chain(numbers).collect();
        let heading = self.heading(&["seconds"]);
        let rows = self.rows.iter().map(|row| {
            let seconds = row.mean("seconds").map(|(mean, _)| number(mean, 4));
            let mut cells = row.cells(&self.scores);
            cells.push(seconds.unwrap_or_default());
            cells
        });
        let table = table_of(&alignment, std::iter::once(heading).chain(rows));
        let note = |best| format!("  not sorted: no run has {best}, which `best` names\n");
        table + &self.missing.map_or(String::new(), note)
    }

    /// Returns the table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let heading = self.heading(&[]);
        let rule: Vec<String> = heading.iter().map(|_| "---".to_owned()).collect();
        let mut text = line(&heading) + &line(&rule);
        text.extend(self.rows.iter().map(|row| line(&row.cells(&self.scores))));
        text
    }

    /// Returns the table as CSV, numbers in full.
    pub fn csv(&self) -> String {
        let mut heading = [self.columns, &["ended".to_owned(), "runs".to_owned()]].concat();
        for score in &self.scores {
            heading.extend([(*score).to_owned(), format!("{score}_deviation")]);
        }
        let mut text = csv_line(&heading);
        for row in &self.rows {
            let mut cells = row.values.to_vec();
            cells.extend([row.summaries.len(), row.runs].map(|n| n.to_string()));
            for score in &self.scores {
                let (mean, deviation) = row.mean(score).map_or((None, None), |(m, d)| (Some(m), d));
                let shown = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
                cells.extend([shown(mean), shown(deviation)]);
            }
            text += &csv_line(&cells);
        }
        text
    }

    fn heading(&self, last: &[&str]) -> Vec<String> {
        let scores = self
            .scores
            .iter()
            .chain(last)
            .map(|name| (*name).to_owned());
        let settings = self.columns.iter().cloned();
        settings.chain(["runs".to_owned()]).chain(scores).collect()
    }
}

impl Row<'_> {
    /// Returns the mean of a number of the summaries, and its deviation (of a sample) where there are several.
    fn mean(&self, name: &str) -> Option<(f64, Option<f64>)> {
        let found = self
            .summaries
            .iter()
            .filter_map(|summary| summary[name].as_f64());
        mean_and_deviation(&found.collect::<Vec<_>>())
    }

    fn cells(&self, scores: &[&str]) -> Vec<String> {
        let (ended, runs) = (self.summaries.len(), self.runs);
        let runs = match ended == runs {
            true => runs.to_string(),
            false => format!("{ended} of {runs}"),
        };
        let score = |name: &&str| match self.mean(name) {
            Some((mean, Some(deviation))) => {
                format!("{} ± {}", number(mean, 4), number(deviation, 2))
            }
            Some((mean, None)) => number(mean, 4),
            None => String::new(),
        };
        let settings = self.values.iter().cloned();
        settings
            .chain([runs])
            .chain(scores.iter().map(score))
            .collect()
    }
}

/// Returns a line for each run, as CSV: what has become of it, its settings, and what it ended with.
pub fn runs_csv(sweep: &Sweep, states: &[State]) -> String {
    let scores = SCORES.iter().map(|(name, _)| *name);
    let ends: Vec<&str> = ["steps", "seconds"].into_iter().chain(scores).collect();
    let heading = ["name", "state", "seed"].into_iter().map(str::to_owned);
    let heading = heading.chain(sweep.columns.iter().cloned());
    let ends_of = ends
        .iter()
        .chain(&["digest"])
        .map(|name| (*name).to_owned());
    let mut text = csv_line(&heading.chain(ends_of).collect::<Vec<_>>());
    for (run, state) in sweep.runs.iter().zip(states) {
        let seed = run.resolved.config.seed.to_string();
        let mut cells = vec![run.name.clone(), state.word().to_owned(), seed];
        cells.extend(run.values.iter().cloned());
        let summary = state.summary().unwrap_or_default();
        let number = |name: &&str| {
            summary[*name]
                .as_f64()
                .map_or(String::new(), |x| x.to_string())
        };
        cells.extend(ends.iter().map(number));
        cells.push(summary["digest"].as_str().unwrap_or_default().to_owned());
        text += &csv_line(&cells);
    }
    text
}
