//! The page of `eki-mpi report`: one HTML file that contains everything it shows; several runs are drawn together.

mod chart;
mod check;
mod curves;
mod fields;
mod figure;
mod members;
mod parameters;
mod plot;
mod png;
mod reliability;
mod results;
pub mod scale;
mod tables;
mod trained;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use crate::error::Result;
use crate::files::bounded;
use crate::report::check::{Check, Fan, fans};
use crate::report::finished::{Finished, MetricsRow, Summary};
use crate::report::trained::Trained;
use crate::report::uncertainty::Uncertainty;
pub use chart::{Along, Chart, Line};
pub use figure::figure;
pub use parameters::Parameters;
use scale::escaped;

/// The largest timing.json or environment.json that is read, in bytes.
const LONGEST: u64 = 1 << 26;

/// A run as the page shows it.
#[derive(Clone, Debug)]
pub struct ReportedRun {
    /// The name: that of its folder, or the folder's path if two runs have the same name.
    pub name: String,
    /// The folder and configuration.
    pub finished: Finished,
    /// The curve: the reported steps.
    pub curve: Vec<MetricsRow>,
    /// The summary, if the run has ended.
    pub ending: Option<Summary>,
    /// The content of timing.json, if it is there.
    pub timing: Option<Value>,
    /// The content of environment.json, if it is there.
    pub environment: Option<Value>,
    /// The calibrated parameters, for a simulator.
    pub parameters: Option<Parameters>,
    /// The predictive uncertainty of the ensemble, if all members were kept.
    pub uncertainty: Option<Uncertainty>,
    /// The findings about a network, where the page is of this run alone.
    pub trained: Option<Trained>,
    /// The predictive check of a simulator's run, if the outputs of its final members were kept.
    pub check: Option<Check>,
    /// The parameters by step, where a simulator's run kept some.
    pub fans: Vec<Fan>,
}

impl ReportedRun {
    /// Reads the run in `finished`, without the uncertainty of its ensemble and without its predictive check.
    ///
    /// # Errors
    /// Damaged files.
    pub fn of(finished: Finished) -> Result<Self> {
        let json = |name: &str| {
            let text = bounded::text(&finished.folder.join(name), LONGEST).ok()?;
            serde_json::from_str(&text).ok()
        };
        let parameters = Parameters::of(&finished)?;
        let fans = parameters.as_ref().map(|known| {
            fans(
                &finished.folder,
                &members::chosen(known).0,
                known.points(&finished),
            )
        });
        Ok(Self {
            name: finished.name(),
            curve: finished.curve()?,
            ending: finished.ending()?,
            timing: json("timing.json"),
            environment: json("environment.json"),
            parameters,
            uncertainty: None,
            trained: None,
            check: None,
            fans: fans.transpose()?.unwrap_or_default(),
            finished,
        })
    }

    /// Returns true if the forward map is a simulator.
    fn simulates(&self) -> bool {
        self.finished.resolved.config.model.kind.simulates()
    }

    /// Returns the number of steps in an epoch, from the summary or the curve.
    fn steps_per_epoch(&self) -> f64 {
        if let Some(ending) = self.ending.as_ref().filter(|ending| ending.epochs > 0.0) {
            return ending.steps as f64 / ending.epochs;
        }
        let later = self.curve.iter().find(|point| point.epoch > 1);
        match (later, self.curve.last()) {
            (Some(point), _) => (point.step - 1) as f64 / (point.epoch - 1) as f64,
            (None, Some(last)) => last.step as f64,
            (None, None) => 1.0,
        }
    }

    /// Returns the points (epoch, value) of the curve at which `value` is known and finite.
    fn line(&self, value: impl Fn(&MetricsRow) -> Option<f64>) -> Vec<(f64, f64)> {
        let scale = self.steps_per_epoch();
        self.curve
            .iter()
            .filter_map(|point| Some((point.step as f64 / scale, value(point)?)))
            .filter(|(_, y)| y.is_finite())
            .collect()
    }
}

/// Replaces equal names of runs by the paths of their folders.
pub fn tell_apart(runs: &mut [ReportedRun]) {
    let mut seen = HashSet::new();
    let twice: HashSet<String> = runs
        .iter()
        .filter(|run| !seen.insert(run.name.clone()))
        .map(|run| run.name.clone())
        .collect();
    for run in runs.iter_mut().filter(|run| twice.contains(&run.name)) {
        run.name = run.finished.folder.display().to_string();
    }
}

/// Returns the page of `runs`, at least one. A browser loads it again after `refresh`, if that is given.
#[must_use]
pub fn page(runs: &[ReportedRun], refresh: Option<Duration>) -> String {
    let title = match runs {
        [one] => one.name.clone(),
        several => format!("{} runs", several.len()),
    };
    let title = escaped(&title);
    let mut body = format!("<h1>{title}</h1>\n{}", results::subtitle(runs));
    if runs.len() > 1 {
        body += &legend(runs);
    } else {
        body += &results::tiles(&runs[0]);
    }
    let each = runs.iter().all(|run| run.steps_per_epoch() == 1.0);
    let along = if each { "steps" } else { "epochs" };
    let cards: String = curves::charts(runs)
        .iter()
        .map(|chart| chart.card(along))
        .collect();
    body += &format!("<h2>Curves</h2>\n<div class=\"grid\">\n{cards}</div>\n");
    body += &parameters::section(runs);
    if let [one] = runs {
        body += &answer(one);
        body += &one
            .trained
            .as_ref()
            .map(trained::sections)
            .unwrap_or_default();
    }
    body += &uncertainty(runs);
    body += &results::summaries(runs);
    body += &tables::phases(runs);
    body += &tables::settings(runs);
    body += &footer(runs);
    let again = refresh.map_or(String::new(), |after| {
        let seconds = after.as_secs();
        format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n")
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{again}\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - eki-mpi</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        include_str!("style.css")
    )
}

/// Returns the sections on a single simulator's members and its predictive check; those that are known.
fn answer(run: &ReportedRun) -> String {
    let known = run.parameters.as_ref();
    let of_members =
        known.map(|known| members::section(known) + &members::by_step(known, &run.fans));
    let of_check = run.check.as_ref().map(check::section);
    of_members.unwrap_or_default() + &of_check.unwrap_or_default()
}

/// Returns the legend of several runs.
fn legend(runs: &[ReportedRun]) -> String {
    let items: String = runs
        .iter()
        .enumerate()
        .map(|(i, run)| {
            format!(
                "<li class=\"c{}\"><span class=\"chip\"></span>{}</li>\n",
                i % 8,
                escaped(&run.name)
            )
        })
        .collect();
    format!("<ul class=\"legend\">\n{items}</ul>\n")
}

/// Returns the section on predictive uncertainty; empty if no run kept its members.
fn uncertainty(runs: &[ReportedRun]) -> String {
    let known: Vec<(&str, &Uncertainty)> = runs
        .iter()
        .filter_map(|run| Some((run.name.as_str(), run.uncertainty.as_ref()?)))
        .collect();
    if known.is_empty() {
        return String::new();
    }
    let cards: String = known
        .iter()
        .map(|(name, u)| reliability::card(name, u))
        .collect();
    let (beside, below) = match &known[..] {
        [(_, one)] => (tables::uncertainty(one), String::new()),
        several => (String::new(), tables::uncertainties(several)),
    };
    format!(
        "<h2>Uncertainty</h2>\n<p class=\"soft\">The ensemble as a predictive distribution on the test set: is it right \
         as often as it is sure?</p>\n<div class=\"grid few\">\n{cards}{beside}</div>\n{below}"
    )
}

/// Returns the footer: which program ran, on which hosts, and when.
fn footer(runs: &[ReportedRun]) -> String {
    let line = |run: &ReportedRun| {
        let environment = run.environment.as_ref()?;
        let text = |key: &str| environment[key].as_str().unwrap_or("?").to_owned();
        let hosts = environment["hosts"].as_array()?.iter().map(|host: &Value| {
            let word = |key: &str| host[key].as_str().unwrap_or("?");
            format!(
                "{} ({}, {} cores)",
                word("name"),
                word("cpu"),
                host["cores"]
            )
        });
        let mpi = text("mpi");
        let mpi = mpi.split(',').next().unwrap_or_default().to_owned();
        Some(format!(
            "<p>{}: started {}, eki-mpi {}, {mpi}, on {}</p>\n",
            escaped(&run.name),
            escaped(&text("started")),
            escaped(&text("program")),
            escaped(&hosts.collect::<Vec<_>>().join(", "))
        ))
    };
    let lines: String = runs.iter().filter_map(line).collect();
    format!("<footer class=\"soft\">\n{lines}</footer>\n")
}
