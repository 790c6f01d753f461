//! A simulator's parameters: the prior of each, and where the members ended.

use std::fmt::Write as _;

use super::ReportedRun;
use super::scale::{Scale, escaped, number};
use super::tables::{named, table};

use crate::error::Result;
use crate::forward::load;
use crate::forward::marginal::Marginal;
use crate::report::calibrated::Calibrated;
use crate::report::finished::Finished;
use crate::with_precision;

/// The most parameters of a run that are shown.
const SHOWN: usize = 100;
/// A strip's sides.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 20.0;
/// The prior's deviations that a strip shows, and those of its two thirds.
const SEEN: f64 = 2.0;
const MOST: f64 = 1.0;

/// What a simulator's run found, and from what.
#[derive(Clone, Debug)]
pub struct Parameters {
    calibrated: Calibrated,
    priors: Vec<Marginal>,
    /// Whether members began at draws of the priors, not at those of a file.
    is_drawn: bool,
}

impl Parameters {
    /// Of the run in `finished`, where it is a simulator's and has left its parameters.
    ///
    /// # Errors
    /// Damaged files.
    pub fn of(finished: &Finished) -> Result<Option<Self>> {
        let resolved = &finished.resolved;
        let Some(priors) = load::priors(resolved)?.filter(|_| finished.has_mean()) else {
            return Ok(None);
        };
        let precision = resolved.config.run.precision;
        let calibrated = with_precision!(precision, T => Calibrated::of::<T>(finished, &priors)?);
        Ok(Some(Self {
            calibrated,
            priors,
            is_drawn: resolved.config.ensemble.initial == "prior",
        }))
    }
}

/// The section on parameters, where any run has some.
pub fn section(runs: &[ReportedRun]) -> String {
    let known = || {
        let runs = runs.iter().enumerate();
        runs.filter_map(|(i, run)| Some((i, run, run.parameters.as_ref()?)))
    };
    if known().next().is_none() {
        return String::new();
    }
    let mut names: Vec<&str> = Vec::new();
    for (_, _, known) in known() {
        for name in &known.calibrated.names {
            if names.len() < SHOWN && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
    }
    let several = runs.len() > 1;
    let mut head = vec!["parameter"];
    head.extend(several.then_some("run"));
    head.extend([
        "mean",
        "members from",
        "to",
        "best member",
        "prior from",
        "to",
        "",
    ]);
    let mut rows = Vec::new();
    for name in names {
        for (i, run, known) in known() {
            let Some(p) = known.calibrated.names.iter().position(|own| own == name) else {
                continue;
            };
            let mut row = vec![escaped(name)];
            row.extend(several.then(|| named(i, run)));
            row.extend(cells(i, known, p));
            rows.push(row);
        }
    }
    let most = known().map(|(_, _, known)| known.priors.len()).max();
    let more = most.unwrap_or(0).saturating_sub(SHOWN);
    let more = match more {
        0 => String::new(),
        more => format!("<p class=\"soft\">and {more} more in final/parameters.csv</p>\n"),
    };
    let from_file = known().any(|(_, _, known)| !known.is_drawn);
    let begun = if from_file {
        " No prior is shown where the first members came from a file (ensemble.initial)."
    } else {
        ""
    };
    format!(
        "<h2>Parameters</h2>\n<p class=\"soft\">Pale, two thirds of the prior; bold, two thirds of the members; the upright line, \
         their mean.{begun} Members draw together as they near the fit: their range is no posterior, but where observations were \
         perturbed.</p>\n{}{more}",
        table(&head, rows.into_iter())
    )
}

/// Parameter `p` of `known`, in colour `i`: its numbers, and its strip.
fn cells(i: usize, known: &Parameters, p: usize) -> Vec<String> {
    let (found, prior) = (&known.calibrated, &known.priors[p]);
    let range = found.range(p);
    let (low, high) = range.unzip();
    let best = found.best.as_ref().map(|best| best[p]);
    let prior = Some(prior).filter(|_| known.is_drawn);
    let (from, to) = prior.map(|prior| (prior.at(-MOST), prior.at(MOST))).unzip();
    let numbers = [Some(found.mean[p]), low, high, best, from, to];
    let mut cells: Vec<String> = numbers
        .iter()
        .map(|x| x.map_or("-".to_owned(), |x| number(x, 5)))
        .collect();
    cells.push(strip(i, prior, found.mean[p], range));
    cells
}

fn strip(i: usize, prior: Option<&Marginal>, mean: f64, members: Option<(f64, f64)>) -> String {
    let (low, high) = members.unwrap_or((mean, mean));
    let at = |xi: f64| prior.map(|prior| prior.at(xi));
    let from = at(-SEEN).unwrap_or(low).min(low).min(mean);
    let to = at(SEEN).unwrap_or(high).max(high).max(mean);
    let x = Scale::new((from, to), (6.0, WIDTH - 6.0), false);
    let middle = HEIGHT / 2.0;
    let mut svg = format!(
        "<svg class=\"c{}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" style=\"min-width:{WIDTH}px;padding:0\" role=\"img\" \
         aria-label=\"prior and members\">",
        i % 8
    );
    let mut bar = |class: &str, (from, to): (f64, f64), height: f64| {
        let (from, to) = (x.at(from), x.at(to));
        let width = (to - from).max(3.0);
        let (left, top) = ((from + to - width) / 2.0, middle - height / 2.0);
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    };
    bar("band", (from, to), 2.0);
    if let (Some(from), Some(to)) = (at(-MOST), at(MOST)) {
        bar("band", (from, to), 16.0);
    }
    bar("dot", (low, high), 10.0);
    let _ = write!(
        svg,
        "<path class=\"frame\" d=\"M{:.1} 0V{HEIGHT}\"/></svg>",
        x.at(mean)
    );
    svg
}
