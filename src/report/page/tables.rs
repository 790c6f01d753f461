//! Tables of the page: predictive uncertainty, time, and settings.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use toml::Table;

use super::ReportedRun;
use super::scale::{escaped, number};
use crate::config::ModelKind;
use crate::report::account::rate_in_words;
use crate::report::uncertainty::Uncertainty;

/// Returns a table with the header `head`; cells are HTML.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = "<div class=\"card wide\" tabindex=\"0\"><table>\n<thead><tr>".to_owned();
    for name in head {
        let _ = write!(html, "<th scope=\"col\">{name}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = writeln!(html, "<tr>{cells}</tr>");
    }
    html + "</tbody></table></div>\n"
}

/// Returns `content` behind a line that opens it.
pub fn details(title: &str, content: &str) -> String {
    format!("<details class=\"data\"><summary>{title}</summary>{content}</details>\n")
}

/// Returns the name of run number `i` with its colour.
pub fn named(i: usize, run: &ReportedRun) -> String {
    format!(
        "<span class=\"c{}\"><span class=\"chip\" style=\"display:inline-block;margin-right:8px\"></span></span>{}",
        i % 8,
        escaped(&run.name)
    )
}

/// Returns the names and values of an ensemble's uncertainty.
fn uncertainty_values(u: &Uncertainty) -> [(&'static str, f64); 7] {
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

/// Returns the table of one ensemble's uncertainty, a row for each number.
pub fn uncertainty(u: &Uncertainty) -> String {
    let row = |(name, value): (&str, f64)| vec![name.to_owned(), number(value, 4)];
    table(
        &["uncertainty", ""],
        uncertainty_values(u).into_iter().map(row),
    )
}

/// Returns the table of several ensembles' uncertainty, a row for each ensemble.
pub fn uncertainties(known: &[(&str, &Uncertainty)]) -> String {
    let names = uncertainty_values(known[0].1).map(|(name, _)| name);
    let head: Vec<&str> = std::iter::once("run").chain(names).collect();
    let row = |(name, u): &(&str, &Uncertainty)| {
        let values = uncertainty_values(u).map(|(_, value)| number(value, 4));
        std::iter::once(escaped(name)).chain(values).collect()
    };
    let table = table(&head, known.iter().map(row));
    format!("<div style=\"margin-top:14px\">{table}</div>\n")
}

/// Returns the section on time, a bar for each run; empty if no run has a timing.
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

/// Returns the bar of run number `i` of `runs`, with its legend, advice and rate.
fn bar(i: usize, run: &ReportedRun, runs: usize) -> Option<String> {
    // A run that waits for outputs from outside takes one step per start: its times mean nothing.
    let asks = run.finished.resolved.config.model.kind == ModelKind::AskTell;
    let timing = run.timing.as_ref().filter(|_| !asks)?;
    let mut shares: Vec<(&str, f64)> = timing["phases"]
        .as_object()?
        .iter()
        .filter_map(|(name, times)| Some((name.as_str(), times["share"].as_f64()?)))
        .filter(|(_, share)| *share >= 0.005)
        .collect();
    // The same order for all runs: that of a step.
    shares.sort_by_key(|(name, _)| phase_colour(name));
    let (mut parts, mut legend) = (String::new(), String::new());
    for (name, share) in shares {
        let (name, percent) = (escaped(name), 100.0 * share);
        let colour = phase_colour(&name);
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

/// Returns the number of a phase's colour; phases without their own share the last.
fn phase_colour(name: &str) -> usize {
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

/// Returns `text` with a capital letter and a full stop.
pub fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        format!("{}{}.", first.to_uppercase(), chars.as_str())
    })
}

/// Returns the section on settings: the configuration of a single run, or the keys in which several differ.
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
        return "<h2>Settings</h2>\n<p class=\"soft\">All runs have the same settings.</p>\n"
            .to_owned();
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

/// Collects the keys of `table` with their values, as "section.key".
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
