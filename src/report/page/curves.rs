//! The charts of a run's curves against epochs.

use super::ReportedRun;
use super::chart::{Along, Chart, Line};
use crate::config::{MethodKind, StepKind};
use crate::report::finished::MetricsRow;

/// A number of one step, None where it is unknown.
type Value = fn(&MetricsRow) -> Option<f64>;

/// Returns all charts, those without points included.
pub(super) fn charts(runs: &[ReportedRun]) -> Vec<Chart> {
    let mut charts = score_charts(runs);
    charts.extend(step_charts(runs));
    let rows = || runs.iter().flat_map(|run| &run.curve);
    if rows().any(|row| row.failed > 0) {
        let note = "at each step, redrawn from the others";
        charts.push(step_chart("Failed members", note, runs, |p| {
            Some(p.failed as f64)
        }));
    }
    if rows().any(|row| row.missing > 0) {
        let note = "of members that count, filled with the other members' mean, before each update";
        charts.push(step_chart("Missing outputs", note, runs, |p| {
            Some(p.missing as f64)
        }));
    }
    let grows = |run: &ReportedRun| run.curve.iter().any(|p| p.members != run.curve[0].members);
    if runs.iter().any(grows) {
        let note = "J, growing from epoch to epoch";
        charts.push(step_chart("Members", note, runs, |p| {
            Some(p.members as f64)
        }));
    }
    charts
}

/// Returns the charts of the scores, at the mean and of the best member.
fn score_charts(runs: &[ReportedRun]) -> Vec<Chart> {
    let misfit = "Misfit, standard deviations of the noise";
    let scores: [(&str, bool, Value, Value); 4] = [
        ("Accuracy", false, |p| p.accuracy_mean, |p| p.accuracy_best),
        ("Squared error", true, |p| p.mse_mean, |p| p.mse_best),
        (misfit, true, |p| p.misfit_mean, |p| p.misfit_best),
        ("Return, steps", false, |p| p.return_mean, |p| p.return_best),
    ];
    let chart =
        |(title, logarithmic, mean, best)| score_chart(title, logarithmic, runs, mean, best);
    scores.into_iter().map(chart).collect()
}

/// Returns the charts of the numbers that every step has.
fn step_charts(runs: &[ReportedRun]) -> Vec<Chart> {
    let pass =
        "one step ahead, of the mean of the members' predictions, before each value is assimilated";
    let loss = if runs.iter().all(ReportedRun::simulates) {
        "half the squared misfit in standard deviations of the noise, summed over observations; mean over members, \
         before each update"
    } else {
        "misfit per sample, mean over members, before each update"
    };
    let spread = "of members about their mean, root mean square over parameters";
    let steps: [(&str, &str, Value); 5] = [
        ("Squared error of each pass", pass, |p| p.mse_pass),
        ("Loss", loss, |p| p.loss),
        ("Interaction", "‖D‖, Frobenius norm", |p| p.d_norm),
        ("Step size", step_size(runs), |p| p.step_size),
        ("Spread", spread, |p| p.spread),
    ];
    let chart = |(title, note, value)| step_chart(title, note, runs, value);
    steps.into_iter().map(chart).collect()
}

/// Returns one line of `value` for each run, labelled with the run's name and `what`.
fn lines(runs: &[ReportedRun], second: bool, marked: bool, what: &str, value: Value) -> Vec<Line> {
    let line = |(run, reported): (usize, &ReportedRun)| Line {
        run,
        label: format!("{} {what}", reported.name),
        points: reported.line(value),
        second,
        marked,
    };
    runs.iter().enumerate().map(line).collect()
}

/// Returns a chart against epochs.
fn chart(title: &str, note: String, lines: Vec<Line>, logarithmic: bool) -> Chart {
    Chart {
        title: title.to_owned(),
        note,
        lines,
        logarithmic,
        along: Along::Even,
        named: false,
    }
}

/// Returns the chart of a number that is known at every step.
fn step_chart(title: &str, note: &str, runs: &[ReportedRun], value: Value) -> Chart {
    let lines = lines(runs, false, false, title, value);
    chart(title, note.to_owned(), lines, true)
}

/// Returns the chart of a score at the mean and of the best member. The best member is often scored at the end only: then
/// it is a point, not a curve.
fn score_chart(
    title: &str,
    logarithmic: bool,
    runs: &[ReportedRun],
    mean: Value,
    best: Value,
) -> Chart {
    let mut best = lines(runs, true, true, "best member", best);
    best.retain(|line| !line.points.is_empty());
    let on = if runs.iter().all(ReportedRun::simulates) {
        "of the observations"
    } else {
        "on the test set"
    };
    let note = if best.is_empty() {
        format!("{on}, at the mean")
    } else {
        format!("{on}: line, at the mean; dotted, the best member")
    };
    let mut all = lines(runs, false, true, "at the mean", mean);
    all.extend(best);
    chart(title, note, all, logarithmic)
}

/// Returns the rule by which `runs` choose their step size.
fn step_size(runs: &[ReportedRun]) -> &'static str {
    let rule = |run: &ReportedRun| {
        let method = &run.finished.resolved.config.method;
        match (method.kind, method.step) {
            (kind, _) if kind.with_gain() => "h at each step, of the Kalman gain",
            (MethodKind::Eki | MethodKind::Eks | MethodKind::Aldi, StepKind::Adaptive) => {
                "h / (‖D‖ + ε) at each step"
            }
            (MethodKind::Eki | MethodKind::Eks | MethodKind::Aldi, StepKind::Fixed) => {
                "h at each step"
            }
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
