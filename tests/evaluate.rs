//! A finished run, read back: `evaluate`, `report`, and the files that say where it ran and where its time went.

mod program;

use std::path::Path;
use std::sync::OnceLock;

use program::{alone, json, json_file, on_ranks, printed, refused};

/// One short run on two ranks that kept its members; all tests look at it.
fn folder() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("kept");
        let sets = [
            "run.epochs=6",
            "ensemble.members=300",
            "output.ensemble=true",
        ];
        let mut arguments = vec!["run", "digits", "--out", out.to_str().unwrap()];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        printed(&on_ranks(2, &arguments));
        folder
    });
    static OUT: OnceLock<std::path::PathBuf> = OnceLock::new();
    OUT.get_or_init(|| folder.path().join("kept"))
}

#[test]
fn evaluate_finds_the_scores_the_run_reported() {
    let folder = folder();
    let summary = json_file(folder, "summary.json");
    let told = json(&printed(&alone(&[
        "evaluate",
        "--json",
        folder.to_str().unwrap(),
    ])));
    for key in ["accuracy_mean", "accuracy_best"] {
        assert_eq!(told[key], summary[key], "{key}");
    }
    assert_eq!(
        (&told["samples"], &told["parameters"]),
        (&360.into(), &2410.into())
    );
}

#[test]
fn episodes_are_judged_by_their_return() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("episodes");
    let out = out.to_str().unwrap();
    let mut arguments = vec!["run", "cart-pole", "--out", out];
    for set in ["ensemble.members=20", "data.limit=40", "run.epochs=2"] {
        arguments.extend(["--set", set]);
    }
    printed(&on_ranks(2, &arguments));
    let summary = json_file(Path::new(out), "summary.json");
    let told = json(&printed(&alone(&["evaluate", "--json", out])));
    for key in ["return_mean", "return_best"] {
        let steps = summary[key].as_f64().expect("a number");
        assert!((8.0..=500.0).contains(&steps), "{key}: {steps}");
        assert_eq!(told[key], summary[key], "{key}");
    }
    assert_eq!(
        (&told["samples"], &told["mse_mean"]),
        (&100.into(), &serde_json::Value::Null)
    );
    let page = folder.path().join("page.html");
    printed(&alone(&["report", out, "--out", page.to_str().unwrap()]));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("return at the mean") && page.contains("Return, steps"));
}

#[test]
fn the_ensembles_uncertainty_is_whole_and_consistent() {
    let folder = folder().to_str().unwrap();
    let told = json(&printed(&alone(&["evaluate", "--json", folder])));
    let u = &told["uncertainty"];
    let number = |key: &str| u[key].as_f64().unwrap();
    assert_eq!(u["members"], 300);
    assert!(number("accuracy") > 0.2 && number("accuracy") <= 1.0);
    assert!(number("entropy") <= 10_f64.ln() && number("disagreement") > 0.0);
    assert!(number("disagreement") < number("entropy") && number("spread") > 0.0);
    let bins = u["reliability"].as_array().unwrap();
    assert_eq!(bins.len(), 15);
    let samples: u64 = bins
        .iter()
        .map(|bin| bin["samples"].as_u64().unwrap())
        .sum();
    assert_eq!(samples, 360);
    let part = |bin: &serde_json::Value| {
        let of = |key: &str| bin[key].as_f64().unwrap();
        of("samples") / 360.0 * (of("accuracy") - of("confidence")).abs()
    };
    let error: f64 = bins.iter().map(part).sum();
    assert!((error - number("calibration_error")).abs() < 1e-12);
    // The best member is one of the members.
    let members = told["accuracy_members"].as_array().unwrap();
    assert_eq!(members[2], told["accuracy_best"]);
    let text = printed(&alone(&["evaluate", folder]));
    assert!(
        text.contains("accuracy at the mean") && text.contains("reliability"),
        "{text}"
    );
}

#[test]
fn a_folder_without_a_finished_run_is_refused_in_one_line() {
    let empty = tempfile::tempdir().unwrap();
    let path = empty.path().to_str().unwrap();
    assert!(refused(&alone(&["evaluate", path])).contains("holds no run"));
    assert!(refused(&alone(&["report", "no/such/folder"])).contains("no such folder"));
    std::fs::copy(
        folder().join("config.toml"),
        empty.path().join("config.toml"),
    )
    .unwrap();
    assert!(refused(&alone(&["evaluate", path])).contains("has not ended"));
    let last = empty.path().join("final");
    std::fs::create_dir(&last).unwrap();
    for (bytes, says) in [(0, "not an .npy file"), (1000, "is cut short")] {
        let whole = std::fs::read(folder().join("final/mean.npy")).unwrap();
        std::fs::write(last.join("mean.npy"), &whole[..bytes]).unwrap();
        let line = refused(&alone(&["evaluate", path]));
        assert!(line.contains("mean.npy") && line.contains(says), "{line}");
    }
    std::fs::copy(folder().join("final/ensemble.npy"), last.join("mean.npy")).unwrap();
    assert!(refused(&alone(&["evaluate", path])).contains("has shape [300, 2410]"));
}

#[test]
fn timing_accounts_for_the_whole_run() {
    let timing = json_file(folder(), "timing.json");
    let of = |key: &str| timing[key].as_f64().unwrap();
    let phases = timing["phases"].as_object().unwrap();
    for name in [
        "forward",
        "interaction",
        "update",
        "exchange",
        "wait",
        "evaluate",
        "report",
    ] {
        let time = |key: &str| phases[name][key].as_f64().unwrap();
        assert!(
            time("min") <= time("mean") && time("mean") <= time("max"),
            "{name}"
        );
    }
    let shares: f64 = phases.values().map(|p| p["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 0.1, "{shares}");
    let steps = &timing["step_seconds"];
    let step = |key: &str| steps[key].as_f64().unwrap();
    assert!(0.0 < step("min") && step("min") <= step("median") && step("median") <= step("max"));
    // Above 1 where other work took the processor while the product rate was measured.
    assert!(of("product_gflops") > 0.0 && of("floor_share") > 0.0);
    assert!(of("bytes_sent_per_step") > 0.0);
    assert!(!timing["advice"].as_str().unwrap().is_empty());
}

#[test]
fn the_environment_names_versions_hosts_and_the_command() {
    let environment = json_file(folder(), "environment.json");
    assert_eq!(environment["program"], env!("CARGO_PKG_VERSION"));
    assert!(environment["rustc"].as_str().unwrap().starts_with("rustc "));
    assert!(!environment["mpi"].as_str().unwrap().is_empty());
    assert_eq!(environment["ranks"], 2);
    let host = &environment["hosts"][0];
    assert_eq!(host["ranks"], json("[0, 1]"));
    assert!(host["cores"].as_u64().unwrap() >= 1 && !host["cpu"].as_str().unwrap().is_empty());
    let command = environment["command"].as_array().unwrap();
    assert!(command.iter().any(|word| word == "digits"));
}

#[test]
fn a_report_holds_all_it_shows() {
    let out = tempfile::tempdir().unwrap();
    let page = out.path().join("page.html");
    let kept = folder().to_str().unwrap();
    let one = ["report", kept, "--out", page.to_str().unwrap()];
    assert!(printed(&alone(&one)).contains("page.html"));
    let html = std::fs::read_to_string(&page).unwrap();
    for part in [
        "<svg",
        "Accuracy",
        "Loss",
        "Step size",
        "Spread",
        "Uncertainty",
        "config.toml",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // Nothing is loaded from elsewhere, and no number failed. Pictures stand in the page itself.
    let mut parts = html.split("src=\"data:image/png;base64,");
    let first = parts.next().expect("the head").to_owned();
    let html = parts.fold(first, |text, part| {
        text + part.split_once('"').expect("its end").1
    });
    for foreign in ["http", "src=", "@import", "NaN", "<script"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    let several = ["report", kept, kept, "--out", page.to_str().unwrap()];
    printed(&alone(&several));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("2 runs") && html.contains("class=\"legend\""));
}

#[test]
fn data_is_listed_with_where_it_is_looked_for() {
    let nowhere = tempfile::tempdir().unwrap();
    let path = nowhere.path().to_str().unwrap();
    for arguments in [
        &["data", "--data-dir", path][..],
        &["data", "list", "--data-dir", path],
    ] {
        let text = printed(&alone(arguments));
        assert!(
            text.contains("digits") && text.contains("mnist") && text.contains(path),
            "{text}"
        );
    }
    assert!(printed(&alone(&["data", "fetch", "digits"])).contains("in the program"));
    assert!(refused(&alone(&["data", "fetch", "mnits"])).contains("did you mean mnist"));
}
