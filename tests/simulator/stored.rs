//! What a run's stored outputs say without a simulation: steps taken again, posteriors with other noise, twins.

use std::path::Path;

use super::start::{Run, alone, eki_mpi, end};
use super::{Case, NOISE, Test, digest};
use eki_mpi::io::run_folder::history::step_folder;

pub const TESTS: &[Test] = &[
    (
        "a_step_taken_again_has_the_digest_that_the_run_left",
        verified,
    ),
    ("a_step_that_was_changed_is_found", changed),
    (
        "a_replayed_linear_problem_has_its_exact_posterior",
        replayed,
    ),
    ("what_cannot_be_replayed_is_refused_in_a_line", refused),
    (
        "twins_of_a_linear_problem_are_recovered_as_theory_says",
        twins,
    ),
    ("a_twins_first_ensemble_is_not_simulated_again", begun),
];

/// A line with normal priors, whose outputs are linear in the coordinates.
fn line(case: &Case, sets: &[&str]) -> Run {
    let prior = "model.prior=[\"level normal 1 0.5\", \"slope normal 0 0.3\"]";
    case.run(&[&[prior, "run.steps=2", "method.kind=kalman"], sets].concat())
}

/// What `eki-mpi` with `arguments` on `ranks` ranks printed.
pub fn printed(ranks: usize, arguments: &[&str]) -> String {
    let ended = end(eki_mpi(ranks).args(arguments));
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// The one line of `eki-mpi` with `arguments`, which ends with `code`.
pub fn complaint(code: i32, arguments: &[&str]) -> String {
    let ended = end(alone().args(arguments));
    let told = ended.complaints();
    assert_eq!(
        (ended.code, told.len()),
        (code, 1),
        "{arguments:?}: {}",
        ended.stderr
    );
    told[0].to_owned()
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("text").to_owned()
}

fn verified() {
    let case = Case::new("failing");
    let sets = ["run.steps=3", "output.history=all", "method.momentum=true"];
    let (out, _) = case.finish(&case.run(&sets).on(2, 1), "out");
    let (folder, is) = (text(&out), digest(&out));
    for ranks in [1, 3] {
        let told = printed(ranks, &["verify", &folder]);
        assert!(told.contains("step 3, from the state after 0 "), "{told}");
        assert!(
            told.contains(&format!("digest {is}, as the run left it")),
            "{told}"
        );
        let told = printed(ranks, &["verify", &folder, "--step", "2"]);
        assert!(told.contains("step 2, from"), "{told}");
    }
    // From a checkpoint on.
    let sets = [&sets[..], &["checkpoint.every_steps=2"]].concat();
    let (out, _) = case.finish(&case.run(&sets), "saved");
    let told = printed(2, &["verify", &text(&out)]);
    assert!(told.contains("step 3, from the state after 2 "), "{told}");
    // A network is evaluated anew.
    let out = text(&case.file("network"));
    let sets = [
        "run.steps=6",
        "ensemble.members=20",
        "checkpoint.every_steps=4",
    ];
    let sets = sets.map(|set| ["--set", set]).concat();
    printed(2, &[&["run", "digits", "--out", &out], &sets[..]].concat());
    let told = printed(1, &["verify", &out]);
    assert!(told.contains("step 6, from the state after 4 "), "{told}");
}

fn changed() {
    let case = Case::new("plain");
    let (out, _) = case.finish(&case.run(&["run.steps=3", "output.history=all"]), "out");
    let folder = text(&out);
    let file = |step: u64, name: &str| step_folder(&out, step).join(name);
    let record = file(3, "step.json");
    let was = std::fs::read_to_string(&record).expect("a record");
    std::fs::write(&record, was.replace(&digest(&out), "other")).expect("a record");
    let told = complaint(1, &["verify", &folder]);
    assert!(
        told.contains("the run left digest other, and now it is"),
        "{told}"
    );
    // One bit of one output: the members of the next step are others.
    let mut bytes = std::fs::read(file(1, "outputs.npy")).expect("an array");
    *bytes.last_mut().expect("numbers") ^= 1;
    std::fs::write(file(1, "outputs.npy"), bytes).expect("an array");
    let told = complaint(1, &["verify", &folder]);
    assert!(
        told.contains("members after 2 steps are not those of the run"),
        "{told}"
    );
    assert!(printed(1, &["verify", &folder, "--step", "1"]).contains("as the run left"));
    // The ends alone, and no such step.
    let (ends, _) = case.finish(&case.run(&["run.steps=3"]), "ends");
    let told = complaint(2, &["verify", &text(&ends), "--step", "3"]);
    assert!(
        told.contains("the outputs after 1 steps were not kept"),
        "{told}"
    );
    let told = complaint(2, &["verify", &folder, "--step", "9"]);
    assert!(
        told.contains("nothing is left of the ensemble after 9 steps"),
        "{told}"
    );
}

/// The exact posterior of the line with noise of this `variance`, without the first `left_out` observations: the median of level and
/// slope, and their deviations.
fn exact(variance: f64, left_out: usize) -> [(f64, f64); 2] {
    let y = super::answers::observed();
    let (mut a, mut b, mut c, mut r) = (1.0, 0.0, 1.0, [0.0; 2]);
    for (month, y) in y.iter().enumerate().skip(left_out) {
        let x = [0.5, 0.3 * month as f64];
        a += x[0] * x[0] / variance;
        b += x[0] * x[1] / variance;
        c += x[1] * x[1] / variance;
        r[0] += x[0] * (y - 1.0) / variance;
        r[1] += x[1] * (y - 1.0) / variance;
    }
    let d = a * c - b * b;
    let mean = [(c * r[0] - b * r[1]) / d, (a * r[1] - b * r[0]) / d];
    [
        (1.0 + 0.5 * mean[0], 0.5 * (c / d).sqrt()),
        (0.3 * mean[1], 0.3 * (a / d).sqrt()),
    ]
}

/// The JSON that `eki-mpi` with `arguments` printed.
pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&printed(1, arguments)).expect("JSON")
}

fn replayed() {
    let case = Case::new("line");
    let (out, _) = case.finish(&line(&case, &[]), "out");
    let folder = text(&out);
    let close = |of: &serde_json::Value, (median, deviation): (f64, f64)| {
        let found: Vec<f64> = (0..3).map(|i| of[i].as_f64().expect("a number")).collect();
        let expected = [median, median - deviation, median + deviation];
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-6 * deviation,
                "{found} {expected}"
            );
        }
    };
    // By the last ensemble as by the first: outputs are linear.
    for step in ["0", "2"] {
        let own = json(&["replay", &folder, "--json", "--step", step]);
        assert!((own["linear"].as_f64().expect("a share") - 1.0).abs() < 1e-9);
        for (p, expected) in exact(NOISE * NOISE, 0).into_iter().enumerate() {
            close(&own["parameters"][p]["was"], expected);
            close(
                &own["groups"][0]["parameters"][p]["is"],
                exact(NOISE * NOISE, 1)[p],
            );
        }
        assert_eq!(own["groups"].as_array().expect("groups").len(), 12);
    }
    let other = ["--json", "--set", "method.noise=0.5", "--without", "y1"];
    let other = json(&[&["replay", &folder], &other[..]].concat());
    for (p, expected) in exact(0.5, 1).into_iter().enumerate() {
        close(&other["parameters"][p]["is"], expected);
        close(&other["parameters"][p]["was"], exact(NOISE * NOISE, 0)[p]);
    }
    let csv = text(&case.file("worth.csv"));
    let told = printed(1, &["replay", &folder, "--csv", &csv]);
    for words in [
        "a linearisation by the 24 members after 2 steps",
        "100 % of",
        "without a group",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let rows = std::fs::read_to_string(csv).expect("a table");
    assert_eq!(rows.lines().count(), 1 + 12 * 2, "{rows}");
}

fn refused() {
    let case = Case::new("line");
    let (out, _) = case.finish(&line(&case, &["run.steps=1"]), "out");
    let (none, _) = case.finish(
        &line(&case, &["run.steps=1", "output.history=none"]),
        "none",
    );
    let (folder, none) = (text(&out), text(&none));
    for (arguments, words) in [
        (
            &["replay", &folder, "--set", "method.h=2"][..],
            "only method.noise, data.observations and method.localise",
        ),
        (
            &["replay", &folder, "--without", "y99"],
            "there are y1 to y12",
        ),
        (
            &["replay", &folder, "--step", "5"],
            "after 5 steps was not kept",
        ),
        (
            &["replay", &folder, "--set", "method.noise=[1, 2]"],
            "must be one number or 12",
        ),
        (&["replay", &none], "has no history"),
        (&["twin", &none], "has no history"),
        (
            &["twin", &folder, "--set", "seed=2"],
            "whose settings are given",
        ),
    ] {
        let told = complaint(2, arguments);
        assert!(told.contains(words), "{told}");
    }
}

fn twins() {
    let case = Case::new("line");
    let (out, _) = case.finish(
        &line(&case, &["ensemble.members=120", "run.steps=1"]),
        "out",
    );
    let folder = text(&out);
    let arguments = ["twin", &folder, "--json", "--truths", "120"];
    let first = printed(1, &arguments);
    let found: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(printed(2, &arguments), first);
    for (p, prior) in [0.5, 0.3].into_iter().enumerate() {
        let parameter = &found["parameters"][p];
        let number = |key: &str| parameter[key].as_f64().expect("a number");
        let after = exact(NOISE * NOISE, 0)[p].1;
        let near = |key: &str, expected: f64, share: f64| {
            let found = number(key);
            assert!(
                (found - expected).abs() < share * expected,
                "{key} {found} {expected}"
            );
        };
        near("deviation_before", prior, 0.2);
        near("deviation_after", after, 0.15);
        near("error", after, 0.25);
        near("contraction", 1.0 - (after / prior).powi(2), 0.02);
        near("coverage", 0.9, 0.1);
        let ranks = parameter["ranks"].as_array().expect("ranks");
        let ranks: Vec<u64> = ranks.iter().map(|n| n.as_u64().expect("a count")).collect();
        assert_eq!(ranks.iter().sum::<u64>(), 120);
        // Each has 12 on average, with a deviation of 3.3.
        assert!(ranks.iter().all(|n| (1..=30).contains(n)), "{ranks:?}");
    }
    let told = printed(1, &["twin", &folder, "--truths", "20"]);
    assert!(
        told.contains("each of 20 members") && told.contains("119 others"),
        "{told}"
    );
}

fn begun() {
    let case = Case::new("paced");
    let (file, out) = (text(&case.file("mine.toml")), text(&case.file("out")));
    let sets = ["run.steps=1", "ensemble.members=8", "model.probe=false"];
    let sets = sets.map(|set| ["--set", set]).concat();
    let told = printed(2, &[&["twin", &file, "--out", &out], &sets[..]].concat());
    assert!(
        told.contains("each of 8 members") && told.contains("capacity"),
        "{told}"
    );
    let asked = || {
        case.marks()
            .iter()
            .filter(|mark| mark.starts_with("asked "))
            .count()
    };
    assert_eq!(asked(), 8 + 1);
    assert!(!case.file("out/summary.json").exists());
    // Again, from what is there.
    printed(1, &["twin", &out]);
    printed(2, &[&["twin", &file, "--out", &out], &sets[..]].concat());
    assert_eq!(asked(), 8 + 1);
    printed(
        2,
        &[&["run", &file, "--out", &out, "--resume"], &sets[..]].concat(),
    );
    assert_eq!(asked(), 2 * (8 + 1));
    let whole = case
        .finish(&case.run(&["run.steps=1", "ensemble.members=8"]), "whole")
        .0;
    assert_eq!(digest(Path::new(&out)), digest(&whole));
}
