//! Correlated noise of the observations: from files, whitened by whoever owns a member, and kept with the run.

use std::path::Path;

use npyz::WriterBuilder as _;

use super::start::{Run, alone, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "correlated_noise_has_equal_bits_on_any_number_of_ranks",
        bits,
    ),
    ("low_rank_noise_is_the_full_covariance", same),
    ("noise_from_control_runs_is_told_and_planned", sampled),
    ("the_noise_is_kept_with_its_run", kept),
    ("what_is_no_noise_is_refused_in_a_line", refused),
];

/// Outputs of a simulator, and the columns of U.
const SHAPE: (usize, usize) = (12, 2);
/// The diagonal of the covariance.
const DIAGONAL: f64 = 0.2;

/// Entry of U.
fn factor(k: usize, column: usize) -> f64 {
    if column == 0 {
        0.4
    } else {
        0.1 * k as f64 - 0.5
    }
}

/// An .npy array of doubles.
fn write_npy(path: &Path, shape: &[u64], numbers: &[f64]) {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(&mut bytes).begin_nd().expect("a header");
    writer.extend(numbers.iter().copied()).expect("numbers");
    writer.finish().expect("an array");
    std::fs::write(path, bytes).expect("a file");
}

/// A line whose observations have the covariance 0.2 I + U U^T, in gamma.csv, with U in u.npy; method.noise names `noise`.
fn case(noise: &str) -> Case {
    let case = Case::new("line");
    let (k, r) = SHAPE;
    let entry = |i: usize, j: usize| {
        let along: f64 = (0..r).map(|c| factor(i, c) * factor(j, c)).sum();
        along + if i == j { DIAGONAL } else { 0.0 }
    };
    let row = |i: usize| (0..k).map(|j| entry(i, j).to_string()).collect::<Vec<_>>();
    let rows: Vec<String> = (0..k).map(|i| row(i).join(",")).collect();
    std::fs::write(case.file("gamma.csv"), rows.join("\n")).expect("a file");
    let u: Vec<f64> = (0..k * r).map(|at| factor(at / r, at % r)).collect();
    write_npy(&case.file("u.npy"), &[k as u64, r as u64], &u);
    let text = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
    let given = text
        .lines()
        .find(|line| line.starts_with("noise"))
        .expect("a line");
    let text = text.replace(given, &format!("noise = {noise}"));
    std::fs::write(case.file("mine.toml"), text).expect("a file");
    case
}

const FULL: &str = "{ covariance = \"gamma.csv\" }";
const LOW_RANK: &str = "{ diagonal = 0.2, factors = \"u.npy\" }";

/// A short run of it.
fn short(case: &Case, sets: &[&str]) -> Run {
    let prior = "model.prior=[\"level normal 1 0.5\", \"slope normal 0 0.3\"]";
    case.run(&[&[prior, "run.steps=2"], sets].concat())
}

fn bits() {
    for noise in [FULL, LOW_RANK] {
        let case = case(noise);
        let run = short(&case, &["method.kind=kalman", "method.perturb=true"]);
        let alone = digest(&case.finish(&run, "1").0);
        for ranks in [2, 3, 5] {
            let (out, _) = case.finish(&run.on(ranks, 1), &ranks.to_string());
            assert_eq!(digest(&out), alone, "{noise} on {ranks}");
        }
    }
}

/// The numbers of a run's final mean.
fn mean(folder: &Path) -> Vec<f64> {
    let bytes = std::fs::read(folder.join("final/mean.npy")).expect("an array");
    let npy = npyz::NpyFile::new(&bytes[..]).expect("an array");
    npy.into_vec().expect("doubles")
}

fn same() {
    let run = |noise: &str, method: &str| {
        let case = case(noise);
        let by_misfit = ["method.h_schedule=misfit", "run.end_time=1", "run.steps=30"];
        // Plain EKI has a step size of its own.
        let sets = if method == "method.kind=eki" {
            &[][..]
        } else {
            &by_misfit
        };
        let sets = [&[method], sets].concat();
        let (out, _) = case.finish(&short(&case, &sets), "out");
        mean(&out)
    };
    for method in ["method.kind=etki", "method.kind=kalman", "method.kind=eki"] {
        let (full, low) = (run(FULL, method), run(LOW_RANK, method));
        let plain = run("0.2", method);
        for ((full, low), plain) in full.iter().zip(&low).zip(&plain) {
            assert!(
                (full - low).abs() < 1e-9 * full.abs(),
                "{method} {full} {low}"
            );
            assert!((full - plain).abs() > 1e-3, "{method} {full} {plain}");
        }
    }
}

fn sampled() {
    let case = case("{ samples = \"runs.npy\" }");
    let (runs, outputs) = (60, SHAPE.0);
    let draw =
        |run: usize, k: usize| ((run * 7919 + k * 104_729 + run * k * 31) % 997) as f64 / 997.0;
    let number = |at: usize| {
        let (run, k) = (at / outputs, at % outputs);
        draw(run, k) + 3.0 * draw(run, outputs)
    };
    let numbers: Vec<f64> = (0..runs * outputs).map(number).collect();
    write_npy(
        &case.file("runs.npy"),
        &[runs as u64, outputs as u64],
        &numbers,
    );
    let (_, ended) = case.finish(&short(&case, &[]), "out");
    let words =
        "method.noise: from 60 control runs: 1 mode of the outputs' correlations stands out";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    for arguments in [&["plan", "--ranks", "2"][..], &["check-model"]] {
        let told = end(alone().args(arguments).arg(case.file("mine.toml")));
        assert_eq!(told.code, 0, "{}", told.stderr);
        assert!(told.stdout.contains(words), "{}", told.stdout);
    }
    let planned = end(alone()
        .args(["plan", "--ranks", "2"])
        .arg(case.file("mine.toml")));
    assert!(
        planned.stdout.contains("noise covariance"),
        "{}",
        planned.stdout
    );
}

fn kept() {
    let case = case(FULL);
    let (out, _) = case.finish(&short(&case, &[]), "out");
    let whole = std::fs::read(case.file("gamma.csv")).expect("a file");
    assert_eq!(std::fs::read(out.join("noise.txt")).expect("a copy"), whole);
    // Changed, it is the noise of another run; with the old one back, or gone, the run goes on.
    let longer = short(&case, &["run.steps=3"]);
    let go_on = || end(longer.command(&out).arg("--resume"));
    let other = String::from_utf8(whole.clone())
        .expect("text")
        .replacen("0.6", "0.7", 1);
    std::fs::write(case.file("gamma.csv"), other).expect("a file");
    let ended = go_on();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.complaints()[0].contains("on other data"), "{ended:?}");
    std::fs::write(case.file("gamma.csv"), &whole).expect("a file");
    assert_eq!(go_on().code, 0);
    std::fs::remove_file(case.file("gamma.csv")).expect("a file");
    let judge = |more: &[&str]| {
        let mut command = alone();
        let told = end(command.arg("evaluate").arg(&out).arg("--json").args(more));
        assert_eq!(told.code, 0, "{}", told.stderr);
        let json: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
        json["misfit_mean"].as_f64().expect("a number")
    };
    let (told, simulated) = (judge(&[]), judge(&["--run-command"]));
    assert!((told / simulated - 1.0).abs() < 1e-6, "{told} {simulated}");
}

fn refused() {
    let case = case(FULL);
    let file = |name: &str, text: &str| std::fs::write(case.file(name), text).expect("a file");
    let gamma = std::fs::read_to_string(case.file("gamma.csv")).expect("a file");
    file("ragged.csv", "1 0\n0\n");
    file("small.csv", "1 0\n0 1\n");
    file("not-symmetric.csv", &gamma.replacen(',', ",9", 1));
    file(
        "zero.csv",
        &gamma.replacen(gamma.split(',').next().expect("a number"), "0", 1),
    );
    file(
        "nan.csv",
        &gamma.replacen(gamma.split(',').next().expect("a number"), "nan", 1),
    );
    let singular = vec!["1 ".repeat(12); 12].join("\n");
    file("singular.csv", &singular);
    file("variances.csv", &"1\n".repeat(11));
    file("negative.csv", &("1\n".repeat(11) + "-1\n"));
    for (noise, words) in [
        ("{ covariance = \"none.npy\" }", &["none.npy"][..]),
        (
            "{ covariance = \"ragged.csv\" }",
            &["ragged.csv", "line 2 holds 1 numbers"],
        ),
        (
            "{ covariance = \"small.csv\" }",
            &["has shape 2 x 2", "K = 12"],
        ),
        (
            "{ covariance = \"not-symmetric.csv\" }",
            &["is not symmetric", "row 2, column 1"],
        ),
        (
            "{ covariance = \"zero.csv\" }",
            &["0 as variance of observation 1"],
        ),
        (
            "{ covariance = \"nan.csv\" }",
            &["NaN as variance of observation 1"],
        ),
        (
            "{ covariance = \"singular.csv\" }",
            &["not positive definite"],
        ),
        (
            "{ diagonal = \"variances.csv\", factors = \"u.npy\" }",
            &["holds 11 variances, and there are 12"],
        ),
        (
            "{ diagonal = \"negative.csv\", factors = \"u.npy\" }",
            &["holds -1 as number 12"],
        ),
        (
            "{ diagonal = [1, 2], factors = \"u.npy\" }",
            &["one number or 12"],
        ),
        (
            "{ diagonal = 1, factors = \"small.csv\" }",
            &["has shape 2 x 2, but factors are K x r"],
        ),
        (
            "{ diagonal = 0, factors = \"u.npy\" }",
            &["method.noise", "must be a finite number"],
        ),
        ("{ samples = \"small.csv\" }", &["control runs are N x K"]),
        (
            "{ samples = \"singular.csv\" }",
            &["same output 1 in all runs"],
        ),
        (
            "{ covariances = \"gamma.csv\" }",
            &["method.noise", "{ covariance = FILE }"],
        ),
        (
            "\"variances.csv\"",
            &["variances.csv", "holds 11 variances"],
        ),
    ] {
        let text = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
        let given = text
            .lines()
            .find(|line| line.starts_with("noise"))
            .expect("a line");
        file(
            "mine.toml",
            &text.replace(given, &format!("noise = {noise}")),
        );
        super::refused::refuse(&case, &[], words);
    }
    let linear = end(alone().args([
        "run",
        "linear",
        "--set",
        "method.noise={ covariance = \"g\" }",
    ]));
    assert_eq!(linear.code, 2, "{}", linear.stderr);
    assert!(
        linear.complaints()[0].contains("files are for model.kind"),
        "{linear:?}"
    );
}
