//! The page's tables: what each run reached, how sure its ensemble is, where its time went, and how it was set.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Table;

use super::ReportedRun;
use super::scale::{escaped, number};
use crate::config::{LossKind, MethodKind, ModelKind, MomentumOf, Rerandomise};
use crate::report::account::rate_in_words;
use crate::report::uncertainty::Uncertainty;

/// What a run is, in one line.
fn described(run: &ReportedRun) -> String {
    let config = &run.finished.resolved.config;
    let loss = match config.method.loss {
        LossKind::CrossEntropy => "cross-entropy",
        LossKind::LeastSquares => "least squares",
        LossKind::ZeroOne => "0-1 loss",
    };
    let data = if run.simulates() {
        let observations = &config.data.observations;
        format!("{loss} on {observations}, seed {}", config.seed)
    } else {
        format!(
            "{loss}, {} in batches of {}, seed {}",
            config.data.name, config.data.batch, config.seed
        )
    };
    let name = match (config.method.kind, config.method.momentum) {
        (MethodKind::Eki, false) => "EKI",
        (MethodKind::Eki, true) => "MEKI",
        (MethodKind::Kalman, false) => "EKI with the Kalman gain",
        (MethodKind::Kalman, true) => "MEKI with the Kalman gain",
        (MethodKind::Sgd, _) => return format!("SGD at rate {}, {data}", config.method.rate),
        (MethodKind::Ogd, _) => return format!("OGD at rate {}, {data}", config.method.rate),
        (MethodKind::MomentumSgd, _) => {
            return format!("momentum SGD at rate {}, {data}", config.method.rate);
        }
    };
    let again = match (
        config.ensemble.rerandomise,
        config.ensemble.rerandomise_every,
    ) {
        (Rerandomise::Never, _) => String::new(),
        (Rerandomise::Epoch, 1) => "(R)".to_owned(),
        (Rerandomise::Epoch, every) => format!("(R), redrawn each {every} epochs"),
        (Rerandomise::Step, 1) => "(R), redrawn at each step".to_owned(),
        (Rerandomise::Step, every) => format!("(R), redrawn each {every} steps"),
    };
    let of = match (config.method.momentum, config.method.momentum_of) {
        (true, MomentumOf::Mean) => ", momentum of the mean",
        _ => "",
    };
    let members = config.ensemble.members;
    format!("{name}{again}{of}, {members} members, {data}")
}

pub fn subtitle(runs: &[ReportedRun]) -> String {
    match runs {
        [one] => format!("<p class=\"soft\">{}</p>\n", escaped(&described(one))),
        _ => String::new(),
    }
}

/// A single run's results, large.
pub fn tiles(run: &ReportedRun) -> String {
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
    let verdict = end.verdict.as_ref().map_or(String::new(), |verdict| {
        format!("<p><b>Verdict:</b> {}</p>\n", escaped(verdict))
    });
    format!("<div class=\"tiles\">\n{cards}</div>\n{verdict}")
}

/// A table of `rows` under `head`; cells are HTML.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = "<div class=\"card wide\"><table>\n<thead><tr>".to_owned();
    for name in head {
        let _ = write!(html, "<th>{name}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = writeln!(html, "<tr>{cells}</tr>");
    }
    html + "</tbody></table></div>\n"
}

/// The name of a run with its colour.
pub fn named(i: usize, run: &ReportedRun) -> String {
    format!(
        "<span class=\"c{}\"><span class=\"chip\" style=\"display:inline-block;margin-right:8px\"></span></span>{}",
        i % 8,
        escaped(&run.name)
    )
}

/// What each run reached.
pub fn summaries(runs: &[ReportedRun]) -> String {
    let ends = || runs.iter().filter_map(|run| run.ending.as_ref());
    let classes = ends().any(|end| end.accuracy_mean.is_some());
    let values = ends().any(|end| end.mse_mean.is_some());
    let misfits = ends().any(|end| end.misfit_mean.or(end.misfit_members).is_some());
    let series = ends().any(|end| end.mse_pass.is_some());
    let returns = ends().any(|end| end.return_mean.is_some());
    let mut head = vec!["run"];
    if classes {
        head.extend(["accuracy, mean", "best member", "first epoch"]);
    }
    if values {
        head.extend(["squared error, mean", "best member"]);
    }
    if misfits {
        head.extend(["misfit, members", "at their mean", "best member"]);
    }
    if series {
        head.extend([
            "squared error, first pass",
            "last pass",
            "persistence",
            "AR(2)",
            "AR(20)",
        ]);
    }
    if returns {
        head.extend(["return, mean", "best member"]);
    }
    let verdicts = ends().any(|end| end.verdict.is_some());
    head.extend(verdicts.then_some("verdict"));
    // Each step of a simulator's run is an epoch.
    let epochs = !runs.iter().all(ReportedRun::simulates);
    head.extend(epochs.then_some("epochs"));
    head.extend(["steps", "seconds", "ranks x threads", "ended", "digest"]);
    let row = |(i, run): (usize, &ReportedRun)| {
        let end = run.ending.clone().unwrap_or_default();
        let four = |x: Option<f64>| x.map_or("-".to_owned(), |x| number(x, 4));
        let short = |x: Option<f64>| x.map_or("-".to_owned(), |x| number(x, 4));
        let mut cells = vec![named(i, run)];
        if classes {
            cells.extend(
                [
                    end.accuracy_mean,
                    end.accuracy_best,
                    end.accuracy_first_epoch,
                ]
                .map(four),
            );
        }
        if values {
            cells.extend([end.mse_mean, end.mse_best].map(short));
        }
        if misfits {
            cells.extend([end.misfit_members, end.misfit_mean, end.misfit_best].map(short));
        }
        if series {
            cells.extend(
                [
                    end.mse_first_pass,
                    end.mse_pass,
                    end.mse_persistence,
                    end.mse_ar2,
                    end.mse_ar20,
                ]
                .map(short),
            );
        }
        if returns {
            cells.extend([end.return_mean, end.return_best].map(short));
        }
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

/// What is told of an ensemble's uncertainty.
fn told(u: &Uncertainty) -> [(&'static str, f64); 7] {
    [
        ("accuracy", u.accuracy),
        ("confidence", u.confidence),
        ("calibration error", u.calibration_error),
        ("log loss, nats", u.log_loss),
        ("entropy, nats", u.entropy),
        ("disagreement, nats", u.disagreement),
        ("spread", u.spread),
    ]
}

/// How sure one ensemble is, a row for each number.
pub fn uncertainty(u: &Uncertainty) -> String {
    let row = |(name, value): (&str, f64)| vec![name.to_owned(), number(value, 4)];
    table(&["uncertainty", ""], told(u).into_iter().map(row))
}

/// How sure several are, a row for each.
pub fn uncertainties(known: &[(&str, &Uncertainty)]) -> String {
    let names = told(known[0].1).map(|(name, _)| name);
    let head: Vec<&str> = std::iter::once("run").chain(names).collect();
    let row = |(name, u): &(&str, &Uncertainty)| {
        let values = told(u).map(|(_, value)| number(value, 4));
        std::iter::once(escaped(name)).chain(values).collect()
    };
    let table = table(&head, known.iter().map(row));
    format!("<div style=\"margin-top:14px\">{table}</div>\n")
}

/// Where the time went, a bar for each run.
pub fn phases(runs: &[ReportedRun]) -> String {
    let bars: String = runs
        .iter()
        .enumerate()
        .filter_map(|(i, run)| bar(i, run, runs.len()))
        .collect();
    if bars.is_empty() {
        return String::new();
    }
    format!("<h2>Where the time went</h2>\n<div class=\"card\">\n{bars}</div>\n")
}

fn bar(i: usize, run: &ReportedRun, runs: usize) -> Option<String> {
    // Where a run waits for outputs from outside, each start is one step: nothing to read off.
    let asks = run.finished.resolved.config.model.kind == ModelKind::AskTell;
    let timing = run.timing.as_ref().filter(|_| !asks)?;
    let mut shares: Vec<(&str, f64)> = timing["phases"]
        .as_object()?
        .iter()
        .filter_map(|(name, times)| Some((name.as_str(), times["share"].as_f64()?)))
        .filter(|(_, share)| *share >= 0.005)
        .collect();
    // In one order for all runs: as in a step.
    shares.sort_by_key(|(name, _)| phase_place(name));
    let (mut parts, mut legend) = (String::new(), String::new());
    for (name, share) in shares {
        let (name, percent) = (escaped(name), 100.0 * share);
        let colour = phase_place(&name);
        let _ = write!(
            parts,
            "<span class=\"c{colour}\" style=\"width:{percent:.2}%\" title=\"{name} {percent:.1} %\"></span>"
        );
        let _ = write!(
            legend,
            "<li class=\"c{colour}\"><span class=\"chip\"></span>{name} {percent:.1} %</li>"
        );
    }
    let name = if runs > 1 {
        named(i, run)
    } else {
        String::new()
    };
    let advice = escaped(timing["advice"].as_str().unwrap_or_default());
    let figure = |key: &str| timing[key].as_f64();
    let rate = figure("gflops").zip(figure("floor_share"));
    let rate = rate.and_then(|(gflops, share)| rate_in_words(gflops, share));
    let rate = rate.map_or(String::new(), |rate| format!("{rate}. "));
    Some(format!(
        "<div class=\"phases\">{name}<div class=\"bar\">{parts}</div><ul class=\"legend soft\">{legend}</ul>\
         <p class=\"soft\">{rate}{}</p></div>\n",
        sentence(&advice)
    ))
}

/// The place of a phase among those with a colour of their own; the others share the last.
fn phase_place(name: &str) -> usize {
    let order = [
        "forward",
        "interaction",
        "update",
        "exchange",
        "wait",
        "evaluate",
        "start",
    ];
    let place = order.iter().position(|known| *known == name);
    place.unwrap_or(order.len())
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        format!("{}{}.", first.to_uppercase(), chars.as_str())
    })
}

/// The configuration of a single run; of several, the keys that differ.
pub fn settings(runs: &[ReportedRun]) -> String {
    if let [one] = runs {
        return format!(
            "<h2>Settings</h2>\n<details class=\"card wide\"><summary>config.toml</summary><pre>{}</pre></details>\n",
            escaped(&one.finished.resolved.toml())
        );
    }
    let all: Vec<BTreeMap<String, String>> = runs
        .iter()
        .map(|run| {
            let table = run
                .finished
                .resolved
                .toml()
                .parse::<Table>()
                .unwrap_or_default();
            let mut leaves = BTreeMap::new();
            flatten("", &table, &mut leaves);
            leaves
        })
        .collect();
    let differ = |key: &&String| {
        all.iter()
            .any(|leaves| leaves.get(*key) != all[0].get(*key))
    };
    let keys: Vec<&String> = all[0].keys().filter(differ).collect();
    if keys.is_empty() {
        return "<h2>Settings</h2>\n<p class=\"soft\">All runs have the same.</p>\n".to_owned();
    }
    let mut head = vec!["run"];
    head.extend(keys.iter().map(|key| key.as_str()));
    let rows = runs.iter().enumerate().zip(&all).map(|((i, run), leaves)| {
        let values = keys.iter().map(|key| {
            let value = leaves.get(*key).map_or("-", String::as_str);
            format!("<code>{}</code>", escaped(value))
        });
        std::iter::once(named(i, run)).chain(values).collect()
    });
    format!("<h2>Settings that differ</h2>\n{}", table(&head, rows))
}

fn flatten(prefix: &str, table: &Table, leaves: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, leaves),
            leaf => {
                leaves.insert(format!("{prefix}{key}"), leaf.to_string());
            }
        }
    }
}
