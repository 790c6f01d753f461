//! The answer of a run: what its members stand for, their statistics, and a verdict that one can act on.

use std::path::Path;

use super::answers::observed;
use super::results::{array, members, summary};
use super::start::{alone, end, read_npy};
use super::{Case, Test};

pub const TESTS: &[Test] = &[
    (
        "statistics_are_the_same_on_any_number_of_ranks_and_are_those_of_the_members",
        statistics,
    ),
    (
        "members_are_called_a_sample_of_the_posterior_only_where_they_are_one",
        sample,
    ),
    (
        "sigma_points_are_answered_by_their_normal_law",
        sigma_points,
    ),
    ("few_members_and_tied_parameters_are_answered_too", extremes),
    (
        "observations_are_checked_against_the_members_outputs_alike_on_any_ranks",
        predictive,
    ),
];

/// Steps by the Kalman gain with perturbed observations up to the time 1.
const POSTERIOR: [&str; 6] = [
    "method.kind=kalman",
    "method.h=1",
    "method.h_schedule=misfit",
    "method.perturb=true",
    "run.end_time=1",
    "run.steps=60",
];
/// A prior of a free parameter and one that is tied to it.
const TIED: &str = "model.prior=[\"growth lognormal 1.0 0.5\", \"capacity tied growth 4\"]";

/// The files and the part of the summary that hold the answer.
fn answer(folder: &Path) -> (String, serde_json::Value, Vec<f64>) {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file");
    let (told, parameters) = (summary(folder), read("final/parameters.csv"));
    let chosen = ["members", "chi_square", "verdict", "advice"].map(|key| told[key].clone());
    (parameters, chosen.to_vec().into(), members(folder).concat())
}

/// A table of numbers with a line of names, without these.
fn numbers_of(path: &Path) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(path).expect("a table");
    let numbers = |line: &str| {
        line.split(',')
            .map(|x| x.parse().expect("a number"))
            .collect()
    };
    text.lines().skip(1).map(numbers).collect()
}

/// Where a simulator fails for some points, alike on any ranks: the normal law's own numbers, draws of it, and no error bars of a sample.
fn sigma_points() {
    let case = Case::new("unlucky");
    let run = case.run(&["method.kind=uki", "ensemble.members=5", "run.steps=14"]);
    let (one, _) = case.finish(&run, "uki");
    let (three, _) = case.finish(&run.on(3, 1), "uki on 3");
    assert_eq!(answer(&one), answer(&three));
    assert_eq!(
        numbers_of(&one.join("final/posterior.csv")),
        numbers_of(&three.join("final/posterior.csv"))
    );
    let told = summary(&one);
    assert_eq!(told["members"]["are"], "sigma-points");
    let verdict = told["verdict"].as_str().expect("text");
    assert!(verdict.contains("the steps have converged"), "{verdict}");
    assert_eq!(numbers_of(&one.join("final/members.csv")).len(), 5);
    let draws = numbers_of(&one.join("final/posterior.csv"));
    assert_eq!(draws.len(), 1000);
    for (p, of) in told["members"]["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .enumerate()
    {
        let (mean, deviation) = (
            of["mean"].as_f64().unwrap(),
            of["deviation"].as_f64().unwrap(),
        );
        assert!(of["mean_error"].is_null(), "{of}");
        let found = draws.iter().map(|u| u[p]).sum::<f64>() / 1000.0;
        assert!((found - mean).abs() < 0.1 * deviation, "{found}, {of}");
        let spread = draws.iter().map(|u| (u[p] - mean).powi(2)).sum::<f64>() / 1000.0;
        assert!(
            (spread.sqrt() / deviation - 1.0).abs() < 0.1,
            "{spread}, {of}"
        );
    }
    let (shape, covariance) = read_npy::<f64>(&one.join("final/normal_covariance.npy"));
    assert_eq!((&shape[..], covariance[1]), (&[2, 2][..], covariance[2]));
    assert_eq!(read_npy::<f64>(&one.join("final/normal_mean.npy")).0, [2]);
    assert!(page(&one).contains("draws of the normal law"));
    let (short, _) = case.finish(&run.set("run.steps=5"), "uki in 5 steps");
    assert_eq!(summary(&short)["members"]["are"], "fit");
    assert!(!short.join("final/posterior.csv").exists());
}

/// The page of the run in `folder`.
fn page(folder: &Path) -> String {
    let ended = end(alone().arg("report").arg(folder));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let page = std::fs::read_to_string(folder.join("report.html")).expect("a page");
    let sound = page.len() < 1 << 20 && !page.contains("NaN") && !page.contains("inf,");
    assert!(sound, "{}", page.len());
    page
}

fn statistics() {
    let case = Case::new("failing");
    let run = POSTERIOR
        .iter()
        .fold(case.run(&["ensemble.members=60"]), |run, set| run.set(*set));
    let (one, ended) = case.finish(&run.clone().on(1, 1), "1");
    let found = answer(&one);
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &ranks.to_string());
        assert!(found == answer(&other), "{ranks}");
    }
    // By their definition, from the array of members.
    let members = array(&one.join("final/ensemble.npy"));
    let count = members.len() / 2;
    let told = &summary(&one)["members"];
    assert_eq!(
        (&told["counted"], &told["jackknife_groups"]),
        (&count.into(), &20.into())
    );
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    for p in [0, 1] {
        let mut values: Vec<f64> = members.chunks(2).map(|u| u[p]).collect();
        let mean = values.iter().sum::<f64>() / count as f64;
        let square = values.iter().map(|u| (u - mean).powi(2)).sum::<f64>();
        let deviation = (square / (count - 1) as f64).sqrt();
        let of = &told["parameters"][p];
        assert!((number(&of["mean"]) / mean - 1.0).abs() < 1e-12);
        assert!((number(&of["deviation"]) / deviation - 1.0).abs() < 1e-12);
        values.sort_by(f64::total_cmp);
        let middle = 0.5 * (values[count / 2 - 1] + values[count / 2]);
        assert!((number(&of["quantiles"][2]) / middle - 1.0).abs() < 1e-12);
        assert!(number(&of["contraction"]) > 0.9, "{of}");
        let of_mean = number(&of["mean_error"]) * (count as f64).sqrt() / deviation;
        assert!((0.4..2.0).contains(&of_mean), "{of_mean}");
    }
    for words in [
        "contraction",
        "chi-square per observation",
        "a sample of the posterior",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    let told = end(alone().arg("evaluate").arg("--json").arg(&one));
    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    for key in [
        "members",
        "verdict",
        "advice",
        "chi_square",
        "misfit_members",
    ] {
        assert_eq!(told[key], summary(&one)[key], "{key}");
    }
    let html = page(&one);
    for words in [
        "Members and prior",
        "probability density",
        "a sample of the posterior",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

fn sample() {
    let case = Case::new("plain");
    let with = |sets: &[&str], name: &str| {
        let run = POSTERIOR
            .iter()
            .fold(case.run(&["ensemble.members=100"]), |run, set| {
                run.set(*set)
            });
        let run = sets.iter().fold(run, |run, set| run.set(*set));
        let (out, _) = case.finish(&run, name);
        let told = summary(&out);
        let word = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        (
            out,
            word(&told["members"]["are"]),
            word(&told["verdict"]),
            word(&told["advice"]),
        )
    };
    for (sets, are, says, next) in [
        (
            &[][..],
            "posterior-sample",
            "a sample of the posterior: time 1 was reached",
            "seeds",
        ),
        (
            &["run.steps=1"],
            "fit",
            "stopped short of the posterior: the steps' h add up to",
            "run.steps",
        ),
        (
            &["ensemble.inflation=1.01"],
            "fit",
            "converged to the noise",
            "method.perturb",
        ),
        (
            &["method.perturb=false", "method.kind=etki"],
            "posterior-moments",
            "points with the mean",
            "seeds",
        ),
        // The noise is four times, and ten thousand times smaller than it is; then it is a hundred times larger.
        (
            &["method.noise=6e-4"],
            "posterior-sample",
            "do not explain the data",
            "method.noise is too small",
        ),
        (
            &["method.noise=2.5e-7"],
            "fit",
            "the members' spread has collapsed",
            "method.noise is too small",
        ),
        (
            &["method.noise=0.25"],
            "posterior-sample",
            "at a misfit below the noise",
            "method.noise is too large",
        ),
    ] {
        let (_, found, verdict, advice) = with(sets, &format!("run {}", sets.concat()));
        assert_eq!(found, are, "{sets:?}");
        assert!(verdict.contains(says), "{sets:?}: {verdict}");
        assert!(advice.contains(next), "{sets:?}: {advice}");
    }
    // Resumed to the time 1, the short run's members become a sample, and their old table goes.
    let out = case.file("run run.steps=1");
    assert!(out.join("final/members.csv").exists());
    let run = POSTERIOR
        .iter()
        .fold(case.run(&["ensemble.members=100"]), |run, set| {
            run.set(*set)
        });
    let ended = end(run.command(&out).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let whole = case.finish(&run, "whole").0;
    assert_eq!(members(&out), members(&whole));
}

fn extremes() {
    let case = Case::new("one");
    for members in ["2", "3"] {
        let set = format!("ensemble.members={members}");
        let run = case.run(&[
            &set,
            "run.steps=2",
            "model.prior=[\"growth lognormal 1.0 0.5\"]",
        ]);
        let (out, _) = case.finish(&run, members);
        let told = &summary(&out)["members"]["parameters"][0];
        assert!(told["deviation"].is_f64() && told["mean_error"].is_f64());
        assert_eq!(told["deviation_error"].is_null(), members == "2");
    }
    let case = Case::new("plain");
    let (out, _) = case.finish(&case.run(&["run.steps=2", TIED]), "tied");
    let told = &summary(&out)["members"]["parameters"];
    assert!(told[0]["contraction"].is_f64() && told[1]["contraction"].is_null());
    assert!(told[1]["deviation"].is_f64() && told[1]["ends"].is_null());
}

/// Writes the observations as a table with two groups, of which those at `places` alone have a value; returns the key.
fn table(case: &Case, places: std::ops::Range<usize>) -> String {
    let line = |(k, y): (usize, &f64)| {
        let value = if places.contains(&k) {
            y.to_string()
        } else {
            String::new()
        };
        format!("y{k},{value},{}\n", if k < 6 { "early" } else { "late" })
    };
    let lines: String = observed().iter().enumerate().map(line).collect();
    std::fs::write(case.file("table.csv"), format!("name,value,group\n{lines}")).expect("a file");
    format!("data.observations={}", case.file("table.csv").display())
}

fn predictive() {
    let case = Case::new("failing");
    let sets = [
        &table(&case, 0..12)[..],
        "ensemble.members=40",
        "output.history=all",
    ];
    let run = POSTERIOR
        .iter()
        .fold(case.run(&sets), |run, set| run.set(*set));
    let (one, ended) = case.finish(&run.clone().on(1, 1), "1");
    let read = |folder: &Path| {
        std::fs::read_to_string(folder.join("final/predictive.csv")).expect("a table")
    };
    let told = |folder: &Path| -> serde_json::Value {
        let ended = end(alone().arg("evaluate").arg("--json").arg(folder));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).expect("JSON")
    };
    let check = &told(&one)["predictive"];
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &ranks.to_string());
        assert_eq!(read(&one), read(&other), "{ranks}");
        assert_eq!(*check, told(&other)["predictive"], "{ranks}");
    }
    // By their definition, from the outputs of the final members that have any.
    let steps = summary(&one)["steps"].as_u64().expect("a number");
    let outputs = array(&one.join(format!("steps/{steps:06}/outputs.npy")));
    let rows: Vec<&[f64]> = outputs
        .chunks(12)
        .filter(|row| row[0].is_finite())
        .collect();
    let count = rows.len() as f64;
    assert!(
        rows.len() < 40 && check["last"]["members"] == rows.len(),
        "{count}"
    );
    let text = read(&one);
    for (line, k) in text.lines().skip(1).zip(0..) {
        let field = |i: usize| {
            line.split(',')
                .nth(i)
                .and_then(|x| x.parse::<f64>().ok())
                .expect("a number")
        };
        let mean = rows.iter().map(|row| row[k]).sum::<f64>() / count;
        let variance = rows.iter().map(|row| (row[k] - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let z = (observed()[k] - mean) / (0.05 * 0.05 + variance).sqrt();
        assert!(
            (field(4) - mean).abs() < 1e-12 && (field(6) - z).abs() < 1e-9,
            "{line}"
        );
    }
    assert_eq!(text.lines().count(), 13);
    let names: Vec<&serde_json::Value> = check["last"]["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|of| &of["group"])
        .collect();
    assert_eq!(names, ["all", "early", "late"]);
    // The misfit of all is the one that the run reports.
    let misfit = check["last"]["groups"][0]["misfit"]
        .as_f64()
        .expect("a number");
    assert!(
        (misfit / summary(&one)["misfit_members"].as_f64().expect("a number") - 1.0).abs() < 1e-9
    );
    assert_eq!(
        check["misfits_by_step"].as_array().expect("steps").len() as u64,
        steps + 1
    );
    assert!(
        ended.stdout.contains("predictive check"),
        "{}",
        ended.stdout
    );
    let html = page(&one);
    for words in [
        "Members and prior",
        "Parameters by step",
        "Observed and predicted",
        "Group late",
        "Misfit by step",
    ] {
        assert!(html.contains(words), "{words}");
    }
    // One parameter, one observation, two members.
    let case = Case::new("one");
    let sets = [&table(&case, 3..4)[..], "ensemble.members=2", "run.steps=2"];
    let run = case
        .run(&sets)
        .set("model.prior=[\"growth lognormal 1.0 0.5\"]");
    let (out, _) = case.finish(&run, "few");
    assert_eq!(read(&out).lines().count(), 2);
    assert!(page(&out).contains("Observed and predicted"));
}
