//! Online learning in whole runs, on a short series of this file's own: the same bits for any number of ranks and
//! threads, also when stopped and resumed within a pass; what is reported is what the predictions say.

mod start;

use std::path::Path;
use std::process::Command;

use start::{Ended, Run, end};

/// 61 values, so 60 are predicted: a slow wave and a fast one, in the published file's form.
fn series(folder: &Path) {
    let values = (0..61).map(|t| {
        let t = f64::from(t);
        60.0 + 40.0 * (t * 0.21).sin() + 15.0 * (t * 1.3).cos()
    });
    let lines: String = values
        .enumerate()
        .map(|(t, x)| format!("{}-{:02},{x:.1}\n", 1749 + t / 12, 1 + t % 12))
        .collect();
    std::fs::create_dir_all(folder.join("series")).unwrap();
    let text = format!("date,value\n{lines}");
    std::fs::write(folder.join("series/zurich-sunspots.csv"), text).unwrap();
}

/// The preset on 23 members of two layers: 168 parameters, and a hidden state of 11 numbers each.
fn small(sets: &[&str]) -> Run {
    let small = [
        "ensemble.members=23",
        "model.units=[7, 4]",
        "run.epochs=3",
        "run.evaluate_every=1",
        "run.report_every=1",
    ];
    Run::new("sunspots", &[&small[..], sets].concat())
}

fn start(run: &Run, data: &Path, out: &Path, more: &[&str]) -> Ended {
    let mut command: Command = run.command(out);
    command.env("EKI_DATA_DIR", data).args(more);
    end(&mut command)
}

fn summary(run: &Run, data: &Path, out: &Path, more: &[&str]) -> serde_json::Value {
    let ended = start(run, data, out, more);
    assert_eq!(ended.code, 0, "{run:?}: {}", ended.stderr);
    let text = std::fs::read_to_string(out.join("summary.json")).expect("summary.json");
    serde_json::from_str(&text).expect("JSON")
}

const METHODS: &[&[&str]] = &[
    &[],
    // With h = 2 momentum drives the members of this series apart, on some processors until all overflow.
    &[
        "method.momentum=true",
        "method.h=1",
        "ensemble.rerandomise=epoch",
    ],
    &["ensemble.rerandomise=step", "ensemble.gamma=0.01"],
    &["run.precision=double", "data.lags=5", "data.batch=4"],
    // Members beyond 1.3 times the median count as failed, are redrawn and begin their state anew.
    &["method.outlier_ratio=1.3"],
    &["ensemble.grow_to=31", "method.form=explicit"],
    #[cfg(feature = "gradients")]
    &["method.kind=ogd", "method.rate=0.1"],
    #[cfg(feature = "gradients")]
    &["method.kind=sgd", "data.batch=4"],
];

#[test]
fn digests_are_equal_for_any_ranks_and_threads() {
    let room = tempfile::tempdir().unwrap();
    series(room.path());
    let mut seen = Vec::new();
    for (i, sets) in METHODS.iter().enumerate() {
        let out = |name: String| room.path().join(format!("{i}-{name}"));
        let run = small(sets);
        let one = summary(&run, room.path(), &out("one".to_owned()), &[]);
        for (ranks, threads) in [(1, 2), (3, 1), (5, 2)] {
            let name = out(format!("{ranks}-{threads}"));
            let other = summary(&run.on(ranks, threads), room.path(), &name, &[]);
            for key in ["digest", "mse_pass", "mse_first_pass", "mse_persistence"] {
                assert_eq!(one[key], other[key], "{ranks} x {threads}, {key}: {run:?}");
                assert!(!one[key].is_null(), "{key}");
            }
        }
        assert!(!seen.contains(&one["digest"]), "{sets:?}");
        seen.push(one["digest"].clone());
    }
}

#[test]
fn a_run_goes_on_within_a_pass_with_the_same_bits_on_other_ranks() {
    let room = tempfile::tempdir().unwrap();
    series(room.path());
    for (i, sets) in METHODS[..4].iter().chain(&METHODS[6..]).enumerate() {
        let whole = room.path().join(format!("whole-{i}"));
        let parts = room.path().join(format!("parts-{i}"));
        let every = if sets.contains(&"data.batch=4") { 4 } else { 1 };
        let steps = |n: u64| format!("run.steps={}", n / every);
        let run = |n: u64| small(sets).set(steps(n));
        let reference = summary(&run(172).on(2, 1), room.path(), &whole, &[]);
        let first = summary(&run(48).on(3, 1), room.path(), &parts, &[]);
        assert_ne!(first["digest"], reference["digest"]);
        summary(&run(100).on(1, 2), room.path(), &parts, &["--resume"]);
        let last = summary(&run(172).on(5, 1), room.path(), &parts, &["--resume"]);
        for key in ["digest", "mse_pass", "steps"] {
            assert_eq!(last[key], reference[key], "{key}: {sets:?}");
        }
        let (a, b) = (whole.join("final/mean.npy"), parts.join("final/mean.npy"));
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap());
    }
}

/// With the loss 1/2 (z - y)^2 of a single observation the mean member's misfit is at least that of the mean prediction,
/// and equal to it where all members agree; what is reported lies between nothing and that.
#[test]
fn what_is_reported_is_the_error_before_assimilation_and_it_falls() {
    let room = tempfile::tempdir().unwrap();
    series(room.path());
    let out = room.path().join("run");
    let run = small(&["run.epochs=40", "ensemble.members=60"]);
    let summary = summary(&run, room.path(), &out, &[]);
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key}"));
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 40 * 60);
    for (pass, key) in [(1, "mse_first_pass"), (40, "mse_pass")] {
        let of_pass = lines.iter().filter(|line| line["epoch"] == pass);
        let losses: f64 = of_pass.map(|line| line["loss"].as_f64().unwrap()).sum();
        let bound = 2.0 * losses / 60.0;
        assert!(
            number(key) <= bound * (1.0 + 1e-6),
            "{key}: {} > {bound}",
            number(key)
        );
        assert_eq!(lines[60 * pass - 1]["mse_pass"], summary[key], "{key}");
    }
    assert!(number("mse_pass") < number("mse_persistence"), "{summary}");
    assert!(
        number("mse_pass") < 0.5 * number("mse_first_pass"),
        "{summary}"
    );
    // 60 values do not fit 21 coefficients to nothing, and 3 to more than 21.
    let (ar2, ar20) = (number("mse_ar2"), number("mse_ar20"));
    assert!(0.0 < ar20 && ar20 < ar2 && ar2 < number("mse_persistence"));
    let judged = end(start::alone()
        .args(["evaluate", "--json"])
        .arg(&out)
        .env("EKI_DATA_DIR", room.path()));
    assert_eq!(judged.code, 0, "{}", judged.stderr);
    let judged: serde_json::Value = serde_json::from_str(&judged.stdout).unwrap();
    assert_eq!(judged["samples"], 60);
    assert!(judged["mse_mean"].as_f64().unwrap().is_finite());
    // The table at the run's end, and the page of this run and another, have the baselines beside the run's own errors.
    let other = room.path().join("other");
    let ended = start(&small(&[]), room.path(), &other, &[]);
    for name in [
        "persistence",
        "AR(2), fitted to all",
        "AR(20), fitted to all",
    ] {
        let line = ended
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        assert!(line.is_some(), "{name}: {}", ended.stdout);
    }
    let page = room.path().join("page.html");
    let mut report = start::alone();
    report
        .arg("report")
        .args([&out, &other])
        .arg("--out")
        .arg(&page);
    assert_eq!(end(&mut report).code, 0);
    let html = std::fs::read_to_string(page).unwrap();
    let cells = cells_of(&html, "Results");
    let head = "run,squared error, first pass,last pass,persistence,AR(2),AR(20),epochs,steps";
    assert!(cells[0].join(",").starts_with(head), "{cells:?}");
    let keys = [
        "mse_first_pass",
        "mse_pass",
        "mse_persistence",
        "mse_ar2",
        "mse_ar20",
    ];
    for (place, key) in keys.into_iter().enumerate() {
        let shown: f64 = cells[1][place + 1].parse().unwrap();
        assert!((shown / number(key) - 1.0).abs() < 1e-3, "{key}: {cells:?}");
    }
    assert_eq!(cells[1][6..8], ["40", "2400"]);
}

/// The cells of the table below the heading `title` of a page, row by row, without their tags.
fn cells_of(html: &str, title: &str) -> Vec<Vec<String>> {
    let table = html.split(&format!("<h2>{title}</h2>")).nth(1).unwrap();
    let table = table.split("</table>").next().unwrap();
    let plain = |cell: &str| {
        let pieces = cell.split('<').skip(1);
        let text: String = pieces
            .filter_map(|piece| Some(piece.split_once('>')?.1))
            .collect();
        text.trim().to_owned()
    };
    let row = |row: &str| {
        let cells = row.replace("</td>", "</th>");
        let cells: Vec<String> = cells.split("</th>").map(plain).collect();
        cells[..cells.len() - 1].to_vec()
    };
    table
        .split("</tr>")
        .map(row)
        .filter(|row| !row.is_empty())
        .collect()
}

#[test]
fn what_does_not_fit_a_series_is_refused_in_one_line() {
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("run");
    let refused = |sets: &[&str], words: &str| {
        let ended = start(&small(sets), room.path(), &out, &[]);
        let lines = ended.complaints();
        assert_eq!((ended.code, lines.len()), (2, 1), "{}", ended.stderr);
        assert!(lines[0].contains(words), "{lines:?}");
        assert!(!out.exists(), "nothing is written");
    };
    let missing = start(&small(&[]), room.path(), &out, &[]);
    let lines = missing.complaints();
    assert!(missing.code != 0 && lines.len() == 1, "{}", missing.stderr);
    assert!(
        lines[0].contains("zurich-sunspots.csv: not found"),
        "{lines:?}"
    );
    series(room.path());
    refused(&["data.shuffle=true"], "data.shuffle = true: must be false");
    refused(&["model.kind=dense"], "must be \"recurrent\" for a series");
    refused(&["data.validation=5"], "data.validation = 5: must be 0");
    refused(&["data.limit=61"], "must be at most 60");
    refused(&["method.loss=cross-entropy"], "least-squares");
    refused(&["data.batch=61"], "data.batch = 61");
    refused(
        &["run.precision=mixed", "ensemble.rerandomise=step"],
        "learns no series",
    );
}
