//! The results on the page: what each run is, and the scores it reached.

use super::ReportedRun;
use super::scale::{escaped, number};
use super::tables::{named, table};
use crate::config::{MomentumOf, Rerandomise};
use crate::data::scores::GroupMisfit;
use crate::report::check::Check;
use crate::report::finished::Summary;

/// A number of a summary, None where it is unknown.
type Value = fn(&Summary) -> Option<f64>;

/// Columns of the table of results that are shown together, if any run has a value in one of them.
type Columns = &'static [(&'static str, Value)];

/// The columns of scores, by kind of problem.
const SCORES: [Columns; 5] = [
    &[
        ("accuracy, mean", |end| end.accuracy_mean),
        ("best member", |end| end.accuracy_best),
        ("first epoch", |end| end.accuracy_first_epoch),
    ],
    &[
        ("squared error, mean", |end| end.mse_mean),
        ("best member", |end| end.mse_best),
    ],
    &[
        ("misfit, members", |end| end.misfit_members),
        ("at their mean", |end| end.misfit_mean),
        ("best member", |end| end.misfit_best),
    ],
    &[
        ("squared error, first pass", |end| end.mse_first_pass),
        ("last pass", |end| end.mse_pass),
        ("persistence", |end| end.mse_persistence),
        ("AR(2)", |end| end.mse_ar2),
        ("AR(20)", |end| end.mse_ar20),
    ],
    &[
        ("return, mean", |end| end.return_mean),
        ("best member", |end| end.return_best),
    ],
];

/// The last columns.
const ENDS: [&str; 5] = ["steps", "seconds", "ranks x threads", "ended", "digest"];

/// Returns a description of a run in one line.
fn described(run: &ReportedRun) -> String {
    let config = &run.finished.resolved.config;
    let classes = run
        .ending
        .as_ref()
        .is_some_and(|end| end.accuracy_mean.is_some());
    let loss = config.method.loss.of_targets(classes).title();
    let data = if run.simulates() {
        let observations = &config.data.observations;
        format!("{loss} on {observations}, seed {}", config.seed)
    } else {
        let own = [config.data.train.join(" and "), config.data.series.clone()].concat();
        let name = if own.is_empty() {
            &config.data.name
        } else {
            &own
        };
        format!(
            "{loss}, {name} in batches of {}, seed {}",
            config.data.batch, config.seed
        )
    };
    let title = config.method.kind.title();
    if config.method.kind.is_gradient_descent() {
        return format!("{title} at rate {}, {data}", config.method.rate);
    }
    let name = match config.method.momentum {
        true => format!("M{title}"),
        false => title.to_owned(),
    };
    let redrawn = match (
        config.ensemble.rerandomise,
        config.ensemble.rerandomise_every,
    ) {
        (Rerandomise::Never, _) => String::new(),
        (Rerandomise::Epoch, 1) => "(R)".to_owned(),
        (Rerandomise::Epoch, every) => format!("(R), redrawn each {every} epochs"),
        (Rerandomise::Step, 1) => "(R), redrawn at each step".to_owned(),
        (Rerandomise::Step, every) => format!("(R), redrawn each {every} steps"),
    };
    let momentum = match (config.method.momentum, config.method.momentum_of) {
        (true, MomentumOf::Mean) => ", momentum of the mean",
        _ => "",
    };
    let members = config.ensemble.members;
    format!("{name}{redrawn}{momentum}, {members} members, {data}")
}

/// Returns the description below the title; empty for several runs.
pub(super) fn subtitle(runs: &[ReportedRun]) -> String {
    match runs {
        [one] => format!("<p class=\"soft\">{}</p>\n", escaped(&described(one))),
        _ => String::new(),
    }
}

/// Returns the results of a single run, in large print.
pub(super) fn tiles(run: &ReportedRun) -> String {
    let Some(end) = &run.ending else {
        return "<p>This run has not ended.</p>\n".to_owned();
    };
    let mut tiles: Vec<(&str, String)> = Vec::new();
    let mut tile = |name, value: Option<String>| tiles.extend(value.map(|value| (name, value)));
    let four = |x: Option<f64>| x.map(|x| number(x, 4));
    tile("accuracy at the mean", four(end.accuracy_mean));
    tile("of the best member", four(end.accuracy_best));
    let three = |x: Option<f64>| x.map(|x| number(x, 3));
    tile("misfit of the members", three(end.misfit_members));
    tile("misfit at their mean", three(end.misfit_mean));
    tile("of the best member", three(end.misfit_best));
    tile("squared error at the mean", three(end.mse_mean));
    tile("of the best member", three(end.mse_best));
    tile("squared error, first pass", three(end.mse_first_pass));
    tile("squared error, last pass", three(end.mse_pass));
    tile("of persistence", three(end.mse_persistence));
    tile("of AR(2)", three(end.mse_ar2));
    tile("of AR(20)", three(end.mse_ar20));
    tile("return at the mean", end.return_mean.map(|x| number(x, 4)));
    tile("of the best member", end.return_best.map(|x| number(x, 4)));
    let epochs = (!run.simulates()).then(|| number(end.epochs, 4));
    tile("epochs", epochs);
    tile("steps", Some(end.steps.to_string()));
    tile("seconds", Some(number(end.seconds, 4)));
    tile(
        "ranks x threads",
        Some(format!("{} x {}", end.ranks, end.threads)),
    );
    let cards: String = tiles
        .iter()
        .map(|(name, value)| {
            format!("<div class=\"tile\"><b>{value}</b><span class=\"soft\">{name}</span></div>\n")
        })
        .collect();
    let line = |name, text: &Option<String>| {
        let text = text.as_ref().filter(|text| !text.is_empty());
        text.map_or(String::new(), |text| {
            format!("<p><b>{name}:</b> {}</p>\n", escaped(text))
        })
    };
    let verdict = line("Verdict", &end.verdict) + &line("Try next", &end.advice);
    format!(
        "<div class=\"tiles\">\n{cards}</div>\n{verdict}{}",
        groups(&end.misfit_groups, run.check.as_ref())
    )
}

/// Returns the table of the misfits of groups of observations; empty without groups.
fn groups(groups: &[GroupMisfit], check: Option<&Check>) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let row = |g: &GroupMisfit| {
        let misfit = g.misfit.map_or("-".to_owned(), |m| number(m, 4));
        vec![escaped(&g.group), g.observations.to_string(), misfit]
    };
    let of_sets = check.is_some_and(Check::has_sets);
    let which = if of_sets { "group or set" } else { "group" };
    let head = [which, "observations", "misfit at the mean"];
    format!(
        "<h2>Misfit by {which}</h2>\n{}",
        table(&head, groups.iter().map(row))
    )
}

/// Returns the table of results, a row for each run.
pub(super) fn summaries(runs: &[ReportedRun]) -> String {
    let ends = || runs.iter().filter_map(|run| run.ending.as_ref());
    let known = |columns: &&Columns| {
        columns
            .iter()
            .any(|(_, value)| ends().any(|end| value(end).is_some()))
    };
    let scores: Vec<_> = SCORES.iter().filter(known).copied().flatten().collect();
    let verdicts = ends().any(|end| end.verdict.is_some());
    let mut head = vec!["run"];
    head.extend(scores.iter().map(|(name, _)| name));
    head.extend(verdicts.then_some("verdict"));
    // Each step of a simulator's run is an epoch.
    let epochs = !runs.iter().all(ReportedRun::simulates);
    head.extend(epochs.then_some("epochs"));
    head.extend(ENDS);
    let row = |(i, run): (usize, &ReportedRun)| {
        let end = run.ending.clone().unwrap_or_default();
        let mut cells = vec![named(i, run)];
        let shown = |x: Option<f64>| x.map_or("-".to_owned(), |x| number(x, 4));
        cells.extend(scores.iter().map(|(_, value)| shown(value(&end))));
        if verdicts {
            let verdict = escaped(end.verdict.as_deref().unwrap_or("-"));
            cells.push(format!("<div class=\"words\">{verdict}</div>"));
        }
        if run.ending.is_none() {
            cells.extend(epochs.then(|| "-".to_owned()));
            cells.extend(["-", "-", "-", "not yet", "-"].map(str::to_owned));
            return cells;
        }
        let digest: String = end.digest.chars().take(12).collect();
        cells.extend(epochs.then(|| number(end.epochs, 4)));
        cells.extend([
            end.steps.to_string(),
            number(end.seconds, 4),
            format!("{} x {}", end.ranks, end.threads),
            escaped(&end.reason),
            format!("<code>{}</code>", escaped(&digest)),
        ]);
        cells
    };
    format!(
        "<h2>Results</h2>\n{}",
        table(&head, runs.iter().enumerate().map(row))
    )
}
