//! The worked examples in tests/examples, made small, against the independent answers that are stored beside them.
//!
//! They need Python 3, of which its own library is enough, and are left out where there is none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use eki_mpi::files::table::fields;

use super::results::summary;
use super::start::{Run, end};
use super::{Test, results};

pub const TESTS: &[Test] = &[
    ("example_lorenz96_meets_the_posterior_on_a_grid", lorenz96),
    ("example_seir_meets_the_posterior_by_mcmc", seir),
    (
        "sigma_points_meet_the_epidemics_posterior_once_they_stay",
        seir_by_sigma_points,
    ),
    ("example_darcy_meets_laplaces_approximation", darcy),
];

/// The folder of example `name`.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/examples")
        .join(name)
}

/// Returns true if there is a Python 3 to simulate example `name`; else prints that it is left out.
fn has_python(name: &str) -> bool {
    let python = Command::new("python3").arg("--version").output();
    let found = python.is_ok_and(|output| output.status.success());
    if !found {
        println!("example {name}: left out, for there is no python3");
    }
    found
}

/// Means and deviations of the members of example `name`, with `sets`, by name of the parameter; None where there is no Python 3.
fn posterior(name: &str, sets: &[&str]) -> Option<BTreeMap<String, (f64, f64)>> {
    if !has_python(name) {
        return None;
    }
    let room = tempfile::tempdir().expect("a folder");
    let out = room.path().join("out");
    let file = folder(name).join("model.toml");
    let run = Run::new(file.to_str().expect("text"), sets).on(1, 2);
    let ended = end(&mut run.command(&out));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let members = results::members(&out);
    let count = members.len() as f64;
    let text = results::members_table(&out);
    let names = fields(text.lines().next().expect("names"), ',').into_iter();
    let names = names.map(str::to_owned);
    let moments = |p: usize| {
        let mean = members.iter().map(|u| u[p]).sum::<f64>() / count;
        let square = members.iter().map(|u| (u[p] - mean).powi(2)).sum::<f64>();
        (mean, (square / count).sqrt())
    };
    Some(
        names
            .enumerate()
            .map(|(p, name)| (name, moments(p)))
            .collect(),
    )
}

/// The rows of example `name`'s answer.csv: a name and numbers each.
fn answer(name: &str) -> Vec<(String, Vec<f64>)> {
    let text = std::fs::read_to_string(folder(name).join("answer.csv")).expect("an answer");
    let row = |line: &str| {
        let cells = fields(line, ',');
        let numbers = cells[1..].iter().map(|x| x.parse().expect("a number"));
        (cells[0].to_owned(), numbers.collect())
    };
    text.lines().skip(1).map(row).collect()
}

/// Runs of a tenth of the example's length, whose own noise adds to the posterior's width.
fn lorenz96() {
    let model = folder("lorenz96").join("model.py");
    let command = format!("model.command=[\"python3\", {model:?}, \"30\"]");
    let sets = ["ensemble.members=16", "method.h=1", &*command];
    let Some(found) = posterior("lorenz96", &sets) else {
        return;
    };
    let (_, by_grid) = &answer("lorenz96")[0];
    for (p, name) in ["forcing", "damping"].into_iter().enumerate() {
        let (mean, deviation) = found[name];
        let (wanted, width) = (by_grid[p], by_grid[2 + p]);
        assert!(
            (mean - wanted).abs() < 4.0 * width,
            "{name} {mean} {wanted}"
        );
        // By the diagonal of the covariance alone it is six to eight times as wide.
        assert!(
            (0.3..4.0).contains(&(deviation / width)),
            "{name} {deviation} {width}"
        );
    }
}

fn seir() {
    let Some(found) = posterior("seir", &["ensemble.members=200"]) else {
        return;
    };
    for (name, by_chains) in answer("seir") {
        let (mean, deviation) = found[&name];
        let (wanted, width) = (by_chains[0], by_chains[1]);
        assert!(
            (mean - wanted).abs() < 0.8 * width,
            "{name} {mean} {wanted}"
        );
        assert!(
            (0.6..1.6).contains(&(deviation / width)),
            "{name} {deviation} {width}"
        );
    }
}

/// After 12 steps their misfit still falls and they lie seven deviations away; after 30 they stay, at the posterior.
fn seir_by_sigma_points() {
    if !has_python("seir") {
        return;
    }
    let room = tempfile::tempdir().expect("a folder");
    let file = folder("seir").join("model.toml");
    let sets = [
        "method.kind=uki",
        "method.h=0.5",
        "method.h_schedule=level",
        "method.perturb=false",
        "run.end_time=0",
        "ensemble.members=7",
        "ensemble.second_order_exact=false",
    ];
    let run = Run::new(file.to_str().expect("text"), &sets).on(1, 2);
    let ended = |steps: u32| {
        let out = room.path().join(steps.to_string());
        let run = run.clone().set(format!("run.steps={steps}"));
        let ended = end(&mut run.command(&out));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        summary(&out)
    };
    let early = ended(12);
    assert_eq!(early["members"]["are"], "fit");
    assert_eq!(early["advice"], "raise run.steps and go on with --resume");
    let late = ended(30);
    assert_eq!(late["members"]["are"], "sigma-points");
    let found = late["members"]["parameters"]
        .as_array()
        .expect("parameters");
    for (name, by_chains) in answer("seir") {
        let of = found.iter().find(|of| of["name"] == *name).expect("it");
        let [mean, deviation] = ["mean", "deviation"].map(|key| of[key].as_f64().expect("it"));
        let (wanted, width) = (by_chains[0], by_chains[1]);
        assert!((mean - wanted).abs() < 0.3 * width, "{name} {mean}");
        assert!((deviation / width - 1.0).abs() < 0.1, "{name} {deviation}");
    }
}

fn darcy() {
    let Some(found) = posterior("darcy", &["ensemble.members=100"]) else {
        return;
    };
    let cells = answer("darcy");
    let (mut apart, mut ratio) = (0.0, 0.0);
    for (name, laplace) in &cells {
        let (mean, deviation) = found[name];
        apart += ((mean - laplace[0]) / laplace[1]).powi(2) / cells.len() as f64;
        ratio += deviation / laplace[1] / cells.len() as f64;
    }
    assert!(apart.sqrt() < 0.6, "{apart}");
    assert!((0.6..1.2).contains(&ratio), "{ratio}");
}
