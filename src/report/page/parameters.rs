//! The section on a simulator's parameters: the prior of each, and where the members ended.

use std::fmt::Write as _;

use super::ReportedRun;
use super::fields;
use super::scale::{Scale, escaped, number};
use super::tables::{named, sentence, table};

use crate::ensemble::sigma_points::SigmaPoints;
use crate::error::Result;
use crate::forward::joint_prior::JointPrior;
use crate::report::calibrated::Calibrated;
use crate::report::finished::Finished;
use crate::with_precision;

/// The largest number of parameters shown.
const SHOWN: usize = 100;
/// The width and height of a strip, which shows a parameter's prior and members.
const WIDTH: f64 = 160.0;
const HEIGHT: f64 = 20.0;
/// The number of prior standard deviations that a strip shows.
const SEEN: f64 = 2.0;
/// The number of prior standard deviations that hold the central two thirds.
const MOST: f64 = 1.0;

/// The calibrated parameters of a simulator's run, and their prior.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub(super) calibrated: Calibrated,
    pub(super) prior: JointPrior,
    /// True if members began as draws from the priors, not as values from a file.
    pub(super) is_drawn: bool,
}

impl Parameters {
    /// Returns the parameters of the run in `finished`, if it is a simulator's and has left them.
    ///
    /// # Errors
    /// Damaged files.
    pub fn of(finished: &Finished) -> Result<Option<Self>> {
        let resolved = &finished.resolved;
        let Some(prior) = JointPrior::of(resolved)?.filter(|_| finished.has_mean()) else {
            return Ok(None);
        };
        let precision = resolved.config.run.precision;
        let calibrated = with_precision!(precision, T => Calibrated::of::<T>(finished, &prior, finished.members_are()?)?);
        Ok(Some(Self {
            calibrated,
            prior,
            is_drawn: resolved.config.ensemble.initial == "prior",
        }))
    }

    /// Returns the sigma points that members of `finished` are, if they are such.
    pub(super) fn points(&self, finished: &Finished) -> Option<SigmaPoints> {
        let method = &finished.resolved.config.method;
        SigmaPoints::of(method, self.prior.coordinates())
    }
}

/// Returns the section on parameters, empty if no run has any.
pub fn section(runs: &[ReportedRun]) -> String {
    let known = || {
        let runs = runs.iter().enumerate();
        runs.filter_map(|(i, run)| Some((i, run, run.parameters.as_ref()?)))
    };
    if known().next().is_none() {
        return String::new();
    }
    let several = runs.len() > 1;
    let mut head = vec!["parameter"];
    head.extend(several.then_some("run"));
    head.extend([
        "prior and members",
        "mean",
        "deviation",
        "5 %",
        "95 %",
        "contraction",
        "best member",
        "prior, central 2/3",
    ]);
    let mut rows = Vec::new();
    for name in names(known().map(|(_, _, known)| known)) {
        for (i, run, known) in known() {
            let all = &known.calibrated.found.parameters;
            let Some(p) = all.iter().position(|own| own.name == name) else {
                continue;
            };
            let mut row = vec![escaped(name)];
            row.extend(several.then(|| named(i, run)));
            row.extend(cells(i, known, p));
            rows.push(row);
        }
    }
    let most = known().map(|(_, _, known)| known.prior.named()).max();
    let more = match most.unwrap_or(0).saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("<p class=\"soft\">and {more} more in final/parameters.csv</p>\n"),
    };
    let run = |run: &ReportedRun| match several {
        true => format!(" of {}", escaped(&run.name)),
        false => String::new(),
    };
    let pictures: String = known()
        .map(|(i, of, known)| pictures(i, &run(of), known))
        .collect();
    let from_file = known().any(|(_, _, known)| !known.is_drawn);
    let begun = if from_file {
        " No prior is shown for runs whose first members came from a file (ensemble.initial)."
    } else {
        ""
    };
    let are: String = known()
        .map(|(i, run, known)| of_run(several.then_some((i, run)), known))
        .collect();
    format!(
        "<h2>Parameters</h2>\n{are}<p class=\"soft\">Pale: the central two thirds of the prior. Bold: the central two thirds of the \
         members. Upright line: their mean.{begun} Contraction: 1 - (variance of the members) / (variance of the prior), in the \
         coordinate in which the prior is standard normal; 0 where nothing was learned, 1 where all was. The errors after ± are the \
         jackknife's.</p>\n{}{more}{pictures}",
        table(&head, rows.into_iter())
    )
}

/// Returns what the members of a run stand for, and what is remarkable about its parameters; with the name of the run, if it is given.
fn of_run(run: Option<(usize, &ReportedRun)>, known: &Parameters) -> String {
    let name = run.map_or(String::new(), |(i, run)| format!("{}: ", named(i, run)));
    let are = known.calibrated.found.are.words();
    let notes = known.calibrated.notes();
    let notes = notes
        .iter()
        .map(|(what, which)| format!(" {}", sentence(&format!("{what}: {}", escaped(which)))));
    let notes: String = notes.collect();
    format!("<p>{name}The final members are {are}.{notes}</p>\n")
}

/// Returns the names of the parameters of all runs, each once, at most `SHOWN` of them.
fn names<'a>(known: impl Iterator<Item = &'a Parameters>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for known in known {
        let own = known.calibrated.found.parameters.iter().enumerate();
        for (_, of) in own.filter(|(p, _)| !known.prior.is_cell(*p)) {
            if names.len() < SHOWN && !names.contains(&of.name.as_str()) {
                names.push(&of.name);
            }
        }
    }
    names
}

/// Returns the pictures of the fields of run number `i`, called `run`: the members' mean, and their deviation if members were kept.
fn pictures(i: usize, run: &str, known: &Parameters) -> String {
    let all = &known.calibrated.found.parameters;
    let mut cards = String::new();
    for (first, field) in known.prior.placed_fields() {
        let cells = &all[first..first + field.cells()];
        let mean: Vec<f64> = cells.iter().map(|of| of.mean).collect();
        cards += &fields::card(i, &format!("mean{run}"), field, &mean);
        let deviations: Option<Vec<f64>> = cells.iter().map(|of| of.deviation).collect();
        if let Some(deviations) = deviations {
            cards += &fields::card(i, &format!("deviation{run}"), field, &deviations);
        }
    }
    match cards.is_empty() {
        true => cards,
        false => format!("<div class=\"grid\">\n{cards}</div>\n"),
    }
}

/// Returns the cells of parameter `p` of run number `i`: its numbers, and its strip.
fn cells(i: usize, known: &Parameters, p: usize) -> Vec<String> {
    let of = &known.calibrated.found.parameters[p];
    let best = known.calibrated.best.as_ref().map(|best| best[p]);
    let [seen, most] = [SEEN, MOST].map(|far| known.is_drawn.then(|| known.prior.range(p, far)));
    let shown = |x: Option<f64>| x.map_or("-".to_owned(), |x| number(x, 4));
    let with_error = |x: Option<f64>, error: Option<f64>, digits| {
        let error = error.map_or(String::new(), |error| format!(" ± {}", number(error, 2)));
        x.map_or("-".to_owned(), |x| number(x, digits) + &error)
    };
    let [low, lower, _, upper, high] = of.quantiles.map_or([None; 5], |all| all.map(Some));
    let prior = most.map_or("-".to_owned(), |(a, b)| {
        format!("{} to {}", number(a, 4), number(b, 4))
    });
    vec![
        strip(i, seen.zip(most), of.mean, lower.zip(upper)),
        with_error(Some(of.mean), of.mean_error, 4),
        with_error(of.deviation, of.deviation_error, 3),
        shown(low),
        shown(high),
        of.contraction.map_or("-".to_owned(), |x| number(x, 3)),
        shown(best),
        prior,
    ]
}

/// Draws the strip of a parameter of run number `i`: the whole range of its `prior` that is shown, and the central two thirds.
fn strip(
    i: usize,
    prior: Option<((f64, f64), (f64, f64))>,
    mean: f64,
    members: Option<(f64, f64)>,
) -> String {
    let (low, high) = members.unwrap_or((mean, mean));
    let seen = prior.map_or((low, high), |(seen, _)| seen);
    let from = seen.0.min(low).min(mean);
    let to = seen.1.max(high).max(mean);
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
    if let Some((_, most)) = prior {
        bar("band", most, 16.0);
    }
    bar("dot", (low, high), 10.0);
    let _ = write!(
        svg,
        "<path class=\"frame\" d=\"M{:.1} 0V{HEIGHT}\"/></svg>",
        x.at(mean)
    );
    svg
}
