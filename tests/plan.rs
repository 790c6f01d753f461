//! `eki-mpi plan` against real runs: what it says a run will send and hold is what the run sends and holds.

mod program;

use program::{alone, json, json_file, on_ranks, on_ranks_sharing, printed, refused};

/// Whether ranks of one host read each other's memory here: Linux has what it takes.
const SHARES: bool = cfg!(target_os = "linux");

/// A run of a few steps on `ranks` ranks of one thread, which share their host's memory or do not, and what `plan` said of
/// it before.
fn planned_and_run(
    source: &str,
    (ranks, shared): (usize, bool),
    sets: &[&str],
) -> (serde_json::Value, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut settings = vec!["--threads", "1"];
    for set in sets {
        settings.extend(["--set", set]);
    }
    let count = ranks.to_string();
    let per_host = if shared { &count } else { "1" };
    let plan = [
        &[
            "plan",
            source,
            "--json",
            "--ranks",
            &count,
            "--per-host",
            per_host,
        ],
        &settings[..],
    ]
    .concat();
    let plan = json(&printed(&alone(&plan)));
    let run = ["run", source, "--out", out.to_str().unwrap()];
    printed(&on_ranks_sharing(
        shared,
        ranks,
        &[&run[..], &settings].concat(),
    ));
    (plan, json_file(&out, "timing.json"))
}

/// The largest rank's bytes a step, planned and sent.
fn bytes(ranks: (usize, bool), sets: &[&str]) -> (f64, f64) {
    let steps = ["run.steps=4", "run.best=never", "run.evaluate_every=0"];
    let (plan, timing) = planned_and_run("digits", ranks, &[&steps[..], sets].concat());
    let parts = plan["bytes_sent_per_step"].as_object().unwrap();
    let planned = parts.values().map(|part| part.as_f64().unwrap()).sum();
    (planned, timing["bytes_sent_per_step"].as_f64().unwrap())
}

#[test]
fn a_step_sends_the_bytes_of_the_formula_in_every_form() {
    let explicit = ["ensemble.members=201", "data.batch=301"];
    let by_rows = ["ensemble.members=301", "data.batch=211"];
    let factored = ["ensemble.members=301", "data.batch=53"];
    let double = [
        "ensemble.members=100",
        "run.precision=double",
        "method.momentum=true",
    ];
    let mean = ["ensemble.members=150", "ensemble.rerandomise=step"];
    let gain = |sets: &[&'static str]| [sets, &["method.kind=kalman"]].concat();
    let perturbed = |sets: &[&'static str]| {
        let squares = [
            "method.loss=least-squares",
            "method.form=explicit",
            "method.perturb=true",
            "data.batch=30",
        ];
        [&gain(sets)[..], &squares].concat()
    };
    for (ranks, shared, sets) in [
        (3, false, &by_rows[..]),
        (3, SHARES, &gain(&by_rows)),
        (3, SHARES, &perturbed(&by_rows)),
        (3, SHARES, &perturbed(&explicit[..1])),
        (3, false, &explicit[..]),
        (3, SHARES, &explicit[..]),
        (3, false, &factored[..]),
        (2, false, &double[..]),
        (2, SHARES, &double[..]),
        (2, SHARES, &mean[..]),
        (1, SHARES, &explicit[..]),
        (3, SHARES, &gain(&explicit)),
        (3, false, &gain(&factored)),
        (2, SHARES, &gain(&mean)),
    ] {
        let (planned, sent) = bytes((ranks, shared), sets);
        // What is agreed on once a step beside the failures (to stop, to write) may come to a few bytes.
        assert!(
            (sent - planned).abs() <= 0.002 * planned + 256.0,
            "{ranks} ranks, {sets:?}: {planned} planned, {sent} sent"
        );
        assert_eq!(sent == 0.0, ranks == 1);
    }
}

/// Peak resident memory of two runs that differ in J and P, and what the formula says of each.
fn growth(ranks: (usize, bool), small: &[&str], large: &[&str]) -> (f64, f64) {
    let of = |sets: &[&str]| {
        let steps = ["run.steps=2", "run.best=never", "run.evaluate_every=0"];
        let (plan, timing) = planned_and_run("digits", ranks, &[&steps[..], sets].concat());
        let held = timing["peak_rss"].as_f64();
        (plan["memory_peak"].as_f64().unwrap(), held)
    };
    let ((planned, held), (planned_large, held_large)) = (of(small), of(large));
    match (held, held_large) {
        (Some(held), Some(held_large)) => (planned_large - planned, held_large - held),
        // A system that does not tell: nothing to compare.
        _ => (0.0, 0.0),
    }
}

#[test]
fn memory_grows_by_the_formula_with_the_sizes() {
    let small = [
        "ensemble.members=200",
        "model.layers=[64,64,10]",
        "data.batch=100",
    ];
    let momentum = |sets: &[&'static str]| [sets, &["method.momentum=true"]].concat();
    let gain = |sets: &[&'static str]| [sets, &["method.kind=kalman"]].concat();
    let of_mean = |sets| [&momentum(sets)[..], &["method.momentum_of=mean"]].concat();
    let factored = [
        "ensemble.members=1000",
        "model.layers=[64,200,10]",
        "data.batch=100",
    ];
    let explicit = [
        "ensemble.members=1000",
        "model.layers=[64,200,10]",
        "data.batch=1100",
    ];
    let by_rows = [
        "ensemble.members=1000",
        "model.layers=[64,200,10]",
        "data.batch=600",
    ];
    let perturbed = [
        "ensemble.members=1000",
        "model.layers=[64,200,10]",
        "data.batch=60",
        "method.loss=least-squares",
        "method.kind=kalman",
        "method.perturb=true",
    ];
    // Allocators round up, and keep some of what they are given back; MPI has buffers of its own while D is summed, of
    // 8 MiB a chunk, two of them where one rank is ahead of the other, and the gain's J x J matrices come and go: MiB beyond
    // the formula's 6 percent. Up to 15.3 were held; a J x J matrix more, of 7.6, would still be seen.
    let (rounding, reducing) = (1, 16);
    for (ranks, shared, large, beyond) in [
        (1, SHARES, factored.to_vec(), rounding),
        (2, false, momentum(&factored), rounding),
        (2, SHARES, momentum(&factored), rounding),
        (2, false, of_mean(&factored), rounding),
        (2, false, explicit.to_vec(), reducing),
        (3, SHARES, explicit.to_vec(), reducing),
        (1, SHARES, by_rows.to_vec(), rounding),
        (3, false, by_rows.to_vec(), reducing),
        (2, SHARES, gain(&by_rows), reducing),
        (1, SHARES, gain(&factored), rounding),
        (1, SHARES, gain(&explicit), reducing),
        (2, SHARES, gain(&explicit), reducing),
        (1, SHARES, perturbed.to_vec(), reducing),
    ] {
        let (planned, held) = growth((ranks, shared), &small, &large);
        assert!(
            held > 0.94 * planned - f64::from(1 << 20)
                && held < 1.06 * planned + f64::from(beyond << 20),
            "{ranks} ranks, {large:?}: {planned:.3e} planned, {held:.3e} held"
        );
    }
}

/// A simulator's many parameters: their names, their priors, each question as text, and the table of results.
#[test]
fn the_memory_of_a_simulators_run_is_foretold() {
    let folder = tempfile::tempdir().unwrap();
    let observed = folder.path().join("observed.txt");
    std::fs::write(&observed, "0.5\n").unwrap();
    let source = folder.path().join("mine.toml");
    let text = format!(
        "preset = \"process\"\n[model]\ncommand = [\"grep\", \"--line-buffered\", \"-o\", \"^[^ ]*\"]\n\
         prior = [\"a_long_name[100000] normal 0 1\"]\n[data]\nobservations = {observed:?}\n[method]\nnoise = 0.01\n\
         [run]\nsteps = 1\nstop_at_misfit = 0\n"
    );
    std::fs::write(&source, text).unwrap();
    for members in ["ensemble.members=10", "ensemble.members=30"] {
        let (plan, timing) = planned_and_run(source.to_str().unwrap(), (1, SHARES), &[members]);
        let planned = plan["memory_peak"].as_f64().unwrap();
        let Some(held) = timing["peak_rss"].as_f64() else {
            return;
        };
        // What MPI and the allocator hold beyond the formula's sizes: some 14 MiB, at P = 10^5 as at 10^6.
        let room = f64::from(16 << 20);
        assert!(
            held > 0.94 * planned && held < 1.06 * planned + room,
            "{members}: {planned:.3e} planned, {held:.3e} held"
        );
    }
}

#[test]
fn a_plan_needs_no_data_and_takes_sizes_no_machine_holds() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().to_str().unwrap();
    let huge = [
        "plan",
        "dnn4",
        "--ranks",
        "8192",
        "--set",
        "ensemble.members=100000",
        "--json",
    ];
    let plan = json(&printed(&alone(
        &[&huge[..], &["--data-dir", nowhere]].concat(),
    )));
    assert_eq!(plan["parameters"], 573_910);
    assert_eq!(plan["form"], "factored");
    assert_eq!(plan["idle_ranks"][0], 0);
    let blocks = 573_910_u64.div_ceil(128);
    assert_eq!(plan["idle_ranks"][1], 8192 - blocks);
    let forward = plan["flops_total"].as_f64().unwrap();
    assert!(forward > 2.0 * 1e5 * 600.0 * 5.7e5);
    for preset in ["digits", "dnn1", "linear"] {
        let text = printed(&alone(&[
            "plan",
            preset,
            "--ranks",
            "3",
            "--data-dir",
            nowhere,
        ]));
        assert!(
            text.contains("peak") && text.contains("3 ranks x"),
            "{text}"
        );
    }
}

#[test]
fn a_calibrated_plan_tells_seconds() {
    let plan = ["plan", "digits", "--ranks", "2", "--calibrate", "--json"];
    let plan = json(&printed(&alone(&plan)));
    let told = |key: &str| plan["prediction"][key].as_f64().unwrap();
    let parts = ["forward", "agreement", "interaction", "update", "exchange"];
    let parts: f64 = parts.into_iter().map(told).sum();
    assert!(told("step_seconds") > 0.0 && (told("step_seconds") - parts).abs() < 1e-9);
}

#[test]
fn ranks_of_a_launcher_measure_the_network_between_them() {
    let plan = ["plan", "digits", "--ranks", "4", "--calibrate", "--json"];
    let told = json(&printed(&on_ranks(2, &plan)));
    let network = |key: &str| told["prediction"]["network"][key].as_f64().unwrap();
    assert!(network("latency") > 0.0 && network("bandwidth") > 1e6);
    let source = told["prediction"]["source"].as_str().unwrap();
    assert!(source.starts_with("as measured"), "{source}");
}

#[test]
fn the_curve_of_a_prediction_is_written_for_doubling_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curve");
    let plan = ["plan", "digits", "--ranks=6", "--threads=1", "--per-host=1"];
    let network = ["--calibrate", "--latency", "100", "--bandwidth", "0.5"];
    let curve = ["--curve", path.to_str().unwrap()];
    printed(&alone(&[&plan[..], &network, &curve].concat()));
    let table = std::fs::read_to_string(path.with_extension("csv")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    let ranks: Vec<&str> = rows[1..].iter().map(|row| row[0]).collect();
    assert_eq!(ranks, ["1", "2", "4", "6"]);
    let column = |name: &str| rows[0].iter().position(|title| *title == name).unwrap();
    // A message's way, and a reduction over ceil(log2 6) = 3 of them and back, at 100 us each.
    let exchange = |row: usize| rows[row][column("exchange")].parse::<f64>().unwrap();
    assert!(exchange(1) == 0.0 && exchange(4) >= 7e-4, "{table}");
    let svg = std::fs::read_to_string(path.with_extension("svg")).unwrap();
    assert!(svg.contains("J = 574") && svg.contains(">exchange</text>"));
}

#[test]
fn what_cannot_be_planned_is_refused_in_one_line() {
    for arguments in [
        ["--calibrate", "--bandwidth", "0"],
        ["--latency", "1", "--curve=x"],
    ] {
        let plan = ["plan", "digits", "--ranks", "2"];
        let output = alone(&[&plan[..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    for (arguments, says) in [
        (
            &["plan", "digitz", "--ranks", "2"][..],
            "did you mean digits",
        ),
        (
            &["plan", "digits", "--ranks", "2", "--set", "data.batch=9999"],
            "data.batch",
        ),
        (
            &[
                "plan",
                "digits",
                "--ranks",
                "2",
                "--set",
                "model.layers=[63,10]",
            ],
            "model.layers",
        ),
        (
            &[
                "plan",
                "dnn1",
                "--ranks",
                "2",
                "--set",
                "data.name=melbourne",
            ],
            "model.kind",
        ),
    ] {
        let line = refused(&alone(arguments));
        assert!(line.contains(says), "{line}");
    }
}
