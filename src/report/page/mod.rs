//! `eki-mpi report`: one HTML page that holds everything it shows; several runs are drawn together.

mod chart;
mod figure;
mod parameters;
mod reliability;
pub mod scale;
mod tables;

use std::collections::HashSet;

use serde_json::Value;

use crate::config::{MethodKind, StepKind};
use crate::error::Result;
use crate::files::bounded;
use crate::report::finished::{Finished, MetricsRow, Summary};
use crate::report::uncertainty::Uncertainty;
pub use chart::{Along, Chart, Line};
pub use figure::figure;
pub use parameters::Parameters;
use scale::escaped;

/// The most bytes of timing.json and environment.json that are read.
const LONGEST: u64 = 1 << 26;

/// A run, as the page shows it.
#[derive(Clone, Debug)]
pub struct ReportedRun {
    /// What it is called: its folder's name.
    pub name: String,
    /// Its folder and configuration.
    pub finished: Finished,
    /// Its curve.
    pub curve: Vec<MetricsRow>,
    /// Its summary, where it has ended.
    pub ending: Option<Summary>,
    /// timing.json and environment.json, where they are there.
    pub timing: Option<Value>,
    /// See `timing`.
    pub environment: Option<Value>,
    /// What it found of a simulator's parameters.
    pub parameters: Option<Parameters>,
    /// What the ensemble says, where all members were kept.
    pub uncertainty: Option<Uncertainty>,
}

impl ReportedRun {
    /// The run in `finished`, without the ensemble's uncertainty.
    ///
    /// # Errors
    /// Damaged files.
    pub fn of(finished: Finished) -> Result<Self> {
        let json = |name: &str| {
            let text = bounded::text(&finished.folder.join(name), LONGEST).ok()?;
            serde_json::from_str(&text).ok()
        };
        Ok(Self {
            name: finished.name(),
            curve: finished.curve()?,
            ending: finished.ending()?,
            timing: json("timing.json"),
            environment: json("environment.json"),
            parameters: Parameters::of(&finished)?,
            uncertainty: None,
            finished,
        })
    }

    /// Whether its forward map is a simulator.
    fn simulates(&self) -> bool {
        self.finished.resolved.config.model.kind.simulates()
    }

    /// Steps in an epoch, from the curve.
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

    /// The points at which `of` is told, against epochs.
    fn line(&self, of: impl Fn(&MetricsRow) -> Option<f64>) -> Vec<(f64, f64)> {
        let scale = self.steps_per_epoch();
        self.curve
            .iter()
            .filter_map(|point| Some((point.step as f64 / scale, of(point)?)))
            .filter(|(_, y)| y.is_finite())
            .collect()
    }
}

/// Gives runs of the same name their folders' paths instead.
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

/// The page of `runs`, at least one.
#[must_use]
pub fn page(runs: &[ReportedRun]) -> String {
    let title = match runs {
        [one] => one.name.clone(),
        several => format!("{} runs", several.len()),
    };
    let title = escaped(&title);
    let mut body = format!("<h1>{title}</h1>\n{}", tables::subtitle(runs));
    if runs.len() > 1 {
        body += &legend(runs);
    } else {
        body += &tables::tiles(&runs[0]);
    }
    let each = runs.iter().all(|run| run.steps_per_epoch() == 1.0);
    let along = if each { "steps" } else { "epochs" };
    let cards: String = charts(runs).iter().map(|chart| chart.card(along)).collect();
    body += &format!("<h2>Curves</h2>\n<div class=\"grid\">\n{cards}</div>\n");
    body += &parameters::section(runs);
    body += &uncertainty(runs);
    body += &tables::summaries(runs);
    body += &tables::phases(runs);
    body += &tables::settings(runs);
    body += &footer(runs);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - eki-mpi</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        include_str!("style.css")
    )
}

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

/// The curves, against epochs.
fn charts(runs: &[ReportedRun]) -> Vec<Chart> {
    let lines = |second: bool, marked: bool, what: &str, of: fn(&MetricsRow) -> Option<f64>| {
        let line = |(run, shown): (usize, &ReportedRun)| Line {
            run,
            label: format!("{} {what}", shown.name),
            points: shown.line(of),
            second,
            marked,
        };
        runs.iter().enumerate().map(line).collect::<Vec<Line>>()
    };
    // The best member is often judged once only, at the end: a point, not a curve.
    let judged = |mean: fn(&MetricsRow) -> Option<f64>, best: fn(&MetricsRow) -> Option<f64>| {
        let best = lines(true, true, "best member", best);
        let told = best.iter().any(|line| !line.points.is_empty());
        let mut all = lines(false, true, "at the mean", mean);
        all.extend(best.into_iter().filter(|line| !line.points.is_empty()));
        let on = if runs.iter().all(ReportedRun::simulates) {
            "of the observations"
        } else {
            "on the test set"
        };
        let note = if told {
            format!("{on}: line, at the mean; dotted, the best member")
        } else {
            format!("{on}, at the mean")
        };
        (all, note)
    };
    let chart = |title: &str, note: String, lines, logarithmic| Chart {
        title: title.to_owned(),
        note,
        lines,
        logarithmic,
        along: Along::Even,
        named: false,
    };
    let plain = |title: &'static str, note: &str, of: fn(&MetricsRow) -> Option<f64>| {
        chart(title, note.to_owned(), lines(false, false, title, of), true)
    };
    let (accuracy, of_accuracy) = judged(|p| p.accuracy_mean, |p| p.accuracy_best);
    let (error, of_error) = judged(|p| p.mse_mean, |p| p.mse_best);
    let (misfit, of_misfit) = judged(|p| p.misfit_mean, |p| p.misfit_best);
    let (returned, of_return) = judged(|p| p.return_mean, |p| p.return_best);
    let mut charts = vec![
        chart("Accuracy", of_accuracy, accuracy, false),
        chart("Squared error", of_error, error, true),
        chart("Misfit, deviations of the noise", of_misfit, misfit, true),
        chart("Return, steps", of_return, returned, false),
        plain(
            "Squared error of each pass",
            "one step ahead, of the mean of the members' predictions, before each value is assimilated",
            |p| p.mse_pass,
        ),
        plain(
            "Loss",
            if runs.iter().all(ReportedRun::simulates) {
                "half the squared misfit in deviations of the noise, summed over observations; mean over members, before each update"
            } else {
                "misfit per sample, mean over members, before each update"
            },
            |p| p.loss,
        ),
        plain("Interaction", "‖D‖, Frobenius norm", |p| p.d_norm),
        plain("Step size", step_size(runs), |p| p.step_size),
        plain(
            "Spread",
            "of members about their mean, root mean square over parameters",
            |p| p.spread,
        ),
    ];
    let all = || runs.iter().flat_map(|run| &run.curve);
    if all().any(|point| point.failed > 0) {
        charts.push(plain(
            "Failed members",
            "at each step, redrawn from the others",
            |p| Some(p.failed as f64),
        ));
    }
    if runs
        .iter()
        .any(|run| run.curve.iter().any(|p| p.members != run.curve[0].members))
    {
        charts.push(plain("Members", "J, growing from epoch to epoch", |p| {
            Some(p.members as f64)
        }));
    }
    charts
}

/// What the step size of `runs` is.
fn step_size(runs: &[ReportedRun]) -> &'static str {
    let rule = |run: &ReportedRun| {
        let method = &run.finished.resolved.config.method;
        match (method.kind, method.step) {
            (MethodKind::Eki, StepKind::Adaptive) => "h / (‖D‖ + ε) at each step",
            (MethodKind::Kalman, _) => "h at each step, of the Kalman gain",
            (MethodKind::Eki, StepKind::Fixed) => "h at each step",
            _ => "the rate of descent at each step",
        }
    };
    let first = rule(&runs[0]);
    if runs.iter().all(|run| rule(run) == first) {
        first
    } else {
        "at each step; the runs' rules differ (method.kind, method.step)"
    }
}

/// The section on the ensemble's uncertainty, where any run kept its members.
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

/// Which program on which hosts, when.
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
