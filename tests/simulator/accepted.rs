//! Steps that make the fit worse are taken back, and tried with half of h from the same outputs.

use std::path::Path;

use super::start::{Run, end};
use super::{Case, Test, digest};
use eki_mpi::io::run_folder::history::History;

pub const TESTS: &[Test] = &[
    ("steps_that_make_the_fit_worse_are_taken_back", taken_back),
    (
        "what_was_taken_back_goes_on_to_the_bit_on_other_ranks",
        same_bits,
    ),
    ("momentum_that_starts_anew_goes_on_to_the_bit", momentum),
    (
        "gauss_newton_steps_go_on_to_the_bit_on_other_ranks",
        gauss_newton,
    ),
    (
        "acceptance_is_refused_where_misfits_cannot_be_compared",
        refused,
    ),
];

/// Plain EKI in steps that are far too long, from a simulator that fails for some parameters.
fn far_too_long(case: &Case) -> Run {
    case.run(&[
        "method.step=fixed",
        "method.h=0.001",
        "method.accept=true",
        "model.probe=false",
        "output.history=all",
        "checkpoint.every_steps=1",
        "checkpoint.keep=20",
    ])
}

/// A line of metrics.jsonl: the misfit, and whether its members were taken back.
fn course(out: &Path) -> Vec<(f64, bool)> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let back = line["taken_back"].as_bool().unwrap_or(false);
        (line["loss"].as_f64().expect("a number"), back)
    };
    text.lines().map(line).collect()
}

fn taken_back() {
    let case = Case::new("failing");
    let run = far_too_long(&case);
    let (out, ended) = case.finish(&run, "accepted");
    let rows = course(&out);
    let backs = rows.iter().filter(|(_, back)| *back).count();
    assert!(backs >= 2 && backs < rows.len(), "{rows:?}");
    assert_eq!(ended.stderr.matches(": taken back, as ").count(), backs);
    // A step is taken back where the misfit grew from that of the last accepted members, and there alone.
    let mut last = rows[0].0;
    for &(misfit, back) in &rows[1..] {
        assert_eq!(misfit > 1.05 * last, back, "{rows:?}");
        if !back {
            last = misfit;
        }
    }
    // Each ensemble that was simulated has its place in the history.
    let history = History::open(&out).expect("sound").expect("there");
    assert_eq!(history.steps().len(), rows.len() + 1);
    // Without, too few members are left soon.
    let without = run.set("method.accept=false");
    let ended = end(&mut without.command(&case.file("without")));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
}

fn same_bits() {
    let case = Case::new("failing");
    // After five steps too few members give outputs.
    let run = far_too_long(&case).set("run.steps=7").set("method.h=0.003");
    let (whole, _) = case.finish(&run, "whole");
    let all = course(&whole);
    for (ranks, threads) in [(2, 1), (3, 2), (5, 1)] {
        let name = format!("{ranks} {threads}");
        let (other, _) = case.finish(&run.on(ranks, threads), &name);
        assert_eq!(digest(&other), digest(&whole), "{name}");
    }
    // Cut where members are to be taken back next, where they just were, and where they were accepted.
    for cut in [1, 2, 4] {
        let name = format!("cut {cut}");
        let (out, _) = case.finish(&run.clone().set(format!("run.steps={cut}")), &name);
        let ended = end(run.on(1 + cut % 3, 1).command(&out).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&out), digest(&whole), "{name}");
        assert_eq!(course(&out), all, "{name}");
    }
    let ended = end(super::start::alone().arg("verify").arg(&whole));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Momentum that is too large overshoots, and starts anew.
fn momentum() {
    let case = Case::new("sound");
    let run = case.run(&["method.kind=kalman", "method.h=0.05"]);
    let sets = [
        "method.momentum=true",
        "method.momentum_adaptive=true",
        "method.momentum_coefficient=0.95",
        "run.precision=single",
    ];
    let run = sets.iter().fold(run, |run, set| run.set(*set));
    let (whole, _) = case.finish(&run, "whole");
    let rises = course(&whole);
    assert!(rises.windows(2).any(|two| two[1].0 > two[0].0), "{rises:?}");
    let plain = run.clone().set("method.momentum_adaptive=false");
    let (plain, _) = case.finish(&plain, "plain");
    assert_ne!(digest(&plain), digest(&whole));
    for cut in [3, 8] {
        let (out, _) = case.finish(
            &run.clone().set(format!("run.steps={cut}")),
            &format!("{cut}"),
        );
        let ended = end(run.on(2, 1).command(&out).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&out), digest(&whole), "cut after {cut} steps");
    }
}

/// Gauss-Newton steps of members that fail now and then keep what ties them to their first points.
fn gauss_newton() {
    let case = Case::new("failing");
    let run = case.run(&[
        "method.accept=true",
        "model.probe=false",
        "checkpoint.every_steps=1",
        "checkpoint.keep=20",
    ]);
    let sets = [
        "method.kind=gnki",
        "method.perturb=true",
        "method.h=2",
        "run.steps=6",
    ];
    let run = sets.iter().fold(run, |run, set| run.set(*set));
    let (whole, _) = case.finish(&run, "whole");
    assert!(course(&whole).iter().any(|(_, back)| *back));
    assert!(super::failures(&whole).iter().any(|failed| *failed > 0));
    let (other, _) = case.finish(&run.on(3, 2), "3 2");
    assert_eq!(digest(&other), digest(&whole));
    for cut in 1..6 {
        let (out, _) = case.finish(
            &run.clone().set(format!("run.steps={cut}")),
            &format!("{cut}"),
        );
        let ended = end(run.on(1 + cut % 3, 1).command(&out).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&out), digest(&whole), "cut after {cut} steps");
    }
}

fn refused() {
    let case = Case::new("failing");
    let run = case.run(&["method.accept=true"]);
    for (sets, word) in [
        (&["method.momentum=true"][..], "method.momentum = false"),
        (
            &["ensemble.rerandomise=step"],
            "ensemble.rerandomise = \"never\"",
        ),
        (&["ensemble.grow_to=40"], "ensemble.grow_to = 0"),
        (
            &["method.kind=kalman", "method.h=[0.5, 0.5]", "run.steps=0"],
            "one number",
        ),
    ] {
        let run = sets.iter().fold(run.clone(), |run, set| run.set(*set));
        let ended = end(&mut run.command(&case.file("a/run")));
        case.refused(&ended, &["method.accept = true", word]);
    }
}
