//! Samples and series of the user's own: the same run from every kind of file and on any number of ranks, and bad files refused.

mod start;

use std::path::{Path, PathBuf};

use npyz::WriterBuilder as _;
use start::{Run, alone, end, read_npy, write_npy};

/// Samples, and classes.
const SAMPLES: usize = 45;
const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// Input `k` of sample `i`, whose class is i % 3.
fn input(i: usize, k: usize) -> f64 {
    (i % 3 * (k + 1)) as f64 + ((i * 37 + k * 11) % 17) as f64 / 8.0
}

/// A folder with the samples in a table and in arrays, row by row and column by column.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut table = "a,b,species,c\n".to_owned();
    for i in 0..SAMPLES {
        let [a, b, c] = [0, 1, 2].map(|k| input(i, k));
        table += &format!("{a},{b},{},{c}\n", SPECIES[i % 3]);
    }
    std::fs::write(at("train.csv"), table).unwrap();
    let of = |i: usize| (0..3).map(move |k| input(i, k));
    let rows: Vec<f64> = (0..SAMPLES).flat_map(of).collect();
    write_npy(&at("x.npy"), &[SAMPLES as u64, 3], &rows);
    let labels: Vec<i32> = (0..SAMPLES).map(|i| i as i32 % 3).collect();
    write_npy(&at("y.npy"), &[SAMPLES as u64], &labels);
    let columns: Vec<f64> = (0..3)
        .flat_map(|k| (0..SAMPLES).map(move |i| input(i, k)))
        .collect();
    let file = std::fs::File::create(at("x_fortran.npy")).unwrap();
    let options = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&[SAMPLES as u64, 3]);
    let mut writer = options
        .order(npyz::Order::Fortran)
        .writer(file)
        .begin_nd()
        .unwrap();
    writer.extend(columns).unwrap();
    writer.finish().unwrap();
    folder
}

/// The settings of a short run on them.
const SHORT: [&str; 7] = [
    "model.layers=[3, 8, 3]",
    "data.scale=standard",
    "data.batch=12",
    "ensemble.members=30",
    "ensemble.rerandomise=never",
    "run.epochs=4",
    "output.ensemble=true",
];

/// A run of `sets` on the file or files `train`, after `SHORT`.
fn run(train: &str, sets: &[&str]) -> Run {
    let run = Run::new("digits", &SHORT).set(format!("data.train={train}"));
    sets.iter().fold(run, |run, set| run.set(*set))
}

fn quoted(folder: &Path, names: [&str; 2]) -> String {
    let [a, b] = names.map(|name| folder.join(name).display().to_string());
    format!("[{a:?}, {b:?}]")
}

#[test]
fn a_table_and_arrays_of_either_order_give_the_same_bits_on_any_number_of_ranks() {
    let folder = folder();
    let path = folder.path();
    let table = run(
        path.join("train.csv").to_str().unwrap(),
        &["data.target=species"],
    );
    let whole = table.finish();
    let summary = whole.summary();
    assert!(
        summary["accuracy_mean"].as_f64().unwrap() > 0.6,
        "{summary}"
    );
    let arrays = run(&quoted(path, ["x.npy", "y.npy"]), &[]).on(2, 1);
    let fortran = run(&quoted(path, ["x_fortran.npy", "y.npy"]), &[]).on(3, 2);
    for run in [arrays, fortran] {
        assert_eq!(run.digest(), summary["digest"].as_str().unwrap(), "{run:?}");
    }
}

#[test]
fn values_follow_from_real_targets_and_are_fitted_by_least_squares() {
    let folder = folder();
    let path = folder.path();
    let values: Vec<f64> = (0..SAMPLES).map(|i| 1000.0 + 50.0 * input(i, 0)).collect();
    write_npy(&path.join("y.npy"), &[SAMPLES as u64], &values);
    let sets = [
        "model.layers=[3, 8, 1]",
        "method.kind=kalman",
        "run.epochs=20",
    ];
    let run = run(&quoted(path, ["x.npy", "y.npy"]), &sets);
    let error = run.finish().summary()["mse_mean"].as_f64().unwrap();
    // In units of the targets' variance.
    assert!(error < 0.3, "{error}");
}

#[test]
fn convolutions_and_recurrences_take_arrays_with_rows_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let pixels: Vec<u8> = (0..SAMPLES)
        .flat_map(|i| (0..2 * 36).map(move |k| (i % 3 * 40 + (i * 37 + k * 11) % 17) as u8))
        .collect();
    write_npy(&path.join("x.npy"), &[SAMPLES as u64, 6, 6, 2], &pixels);
    write_npy(&path.join("grey.npy"), &[SAMPLES as u64, 6, 12], &pixels);
    let labels: Vec<u8> = (0..SAMPLES).map(|i| i as u8 % 3).collect();
    write_npy(&path.join("y.npy"), &[SAMPLES as u64], &labels);
    let conv = [
        "model.kind=conv",
        "model.network=[\"conv 3\", \"pool 2\", \"dense 3\"]",
    ];
    let recurrent = ["model.kind=recurrent", "model.units=[5]"];
    for (inputs, sets) in [("x.npy", conv), ("grey.npy", recurrent)] {
        let run = run(&quoted(path, [inputs, "y.npy"]), &sets).set("run.epochs=2");
        assert_eq!(run.digest(), run.on(2, 1).digest(), "{inputs}");
    }
}

#[test]
fn a_plan_needs_no_more_than_the_headers_of_arrays() {
    let folder = folder();
    let path = folder.path();
    // The inputs are cut off after the header: a plan that read them would say so.
    let whole = std::fs::read(path.join("x.npy")).unwrap();
    let planned = |train: String| {
        let mut plan = alone();
        plan.args([
            "plan",
            "digits",
            "--json",
            "--set",
            &format!("data.train={train}"),
        ]);
        for set in SHORT {
            plan.args(["--set", set]);
        }
        let ended = end(&mut plan);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        (json["steps"].clone(), json["parameters"].clone())
    };
    let mut nan = whole;
    let end = nan.len();
    nan[end - 8..].copy_from_slice(&f64::NAN.to_le_bytes());
    std::fs::write(path.join("x.npy"), nan).unwrap();
    // A fifth of 45 samples is held out: 3 batches of 12 of the other 36 in each of 4 epochs.
    assert_eq!(
        planned(quoted(path, ["x.npy", "y.npy"])),
        (12.into(), 59.into())
    );
}

#[test]
fn a_run_is_resumed_on_the_same_samples_alone() {
    let folder = folder();
    let path = folder.path();
    let table = path.join("train.csv");
    let run = run(table.to_str().unwrap(), &["data.target=species"]);
    let out = path.join("run");
    let half = run.clone().set("run.steps=5");
    assert_eq!(end(&mut half.command(&out)).code, 0);
    let sound = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, sound.replace("virginica", "lily")).unwrap();
    let other = end(run.command(&out).arg("--resume"));
    // Other names are the same classes, whose order has changed.
    assert_ne!(other.code, 0);
    assert!(other.stderr.contains("other data"), "{}", other.stderr);
    std::fs::write(&table, sound).unwrap();
    let ended = end(run.on(2, 1).command(&out).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = std::fs::read_to_string(out.join("summary.json")).unwrap();
    assert!(text.contains(&run.digest()), "{text}");
    let mut evaluate = alone();
    let judged = end(evaluate
        .arg("evaluate")
        .arg(&out)
        .current_dir(std::env::temp_dir()));
    assert!(
        judged.stdout.contains("judged on 9 test samples"),
        "{judged:?}"
    );
}

/// Writes `text` as the table and returns the line by which a run on it with `sets` is refused.
fn refused(folder: &Path, text: &str, sets: &[&str]) -> String {
    let table = folder.join("bad.csv");
    std::fs::write(&table, text).unwrap();
    refused_files(folder, table.to_str().unwrap(), sets)
}

fn refused_files(folder: &Path, train: &str, sets: &[&str]) -> String {
    let out: PathBuf = folder.join("none/run");
    let ended = end(&mut run(train, sets).command(&out));
    assert_eq!(ended.code, 2, "{train} {sets:?}: {}", ended.stderr);
    let complaints = ended.complaints();
    assert_eq!(
        (complaints.len(), ended.stderr.lines().count()),
        (1, 1),
        "{}",
        ended.stderr
    );
    assert!(!folder.join("none").exists());
    complaints[0].to_owned()
}

#[test]
fn tables_that_are_not_samples_are_refused_in_a_line() {
    let folder = folder();
    let path = folder.path();
    let y = "data.target=y";
    for (text, sets, words) in [
        (
            "a,y\n1,2\n",
            &["data.target=z"][..],
            "has no column \"z\": its columns are a, y",
        ),
        (
            "a,y\n1,2\n",
            &[],
            "data.target must name one of its columns: a, y",
        ),
        (
            "a,b,y\n1,2,x\n3,,z\n",
            &[y],
            "line 3: column \"b\" holds \"\", where a number is missing",
        ),
        (
            "a,y\nNaN,0\n1,1\n",
            &[y],
            "line 2: column \"a\" holds \"NaN\", where a number is missing",
        ),
        (
            "a,y\n1,0\nred,1\n",
            &[y],
            "line 3: column \"a\" holds \"red\", which is not a number",
        ),
        ("a,y\n1,0\n2\n", &[y], "line 3: has 1 fields"),
        (
            "a,y\n1,1.5\n2,2.5x\n3,1\n",
            &[y],
            "line 3: column \"y\" holds \"2.5x\", which is not a number",
        ),
        (
            "a,y\n1,0\n2,2\n",
            &[y],
            "holds whole numbers without 1 but with 2",
        ),
        ("a,y\n1,u\n2,u\n", &[y], "holds 1 classes"),
        ("a;y\n1;2\n", &[y], "line 1: divide fields by commas"),
        ("1,2\n3,4\n", &[y], "the names of the columns expected"),
        ("a,y\n", &[y], "holds no rows"),
        (
            ",a,y\n0,1,0\n1,1,0\n2,2,1\n",
            &[y],
            "a first column without a name that counts its rows",
        ),
        ("y\n1\n", &[y], "no column but the target"),
        (
            "a,y\n1,0\n",
            &[y, "data.targets=values"],
            "holds one sample",
        ),
        (
            "a,y\n1,0\n2,1\n",
            &[y],
            "model.layers = [3, 8, 3]: must begin with 1 and end with 2 for this data",
        ),
        (
            "a,y\n1,0\n2,1\n",
            &[y, "model.kind=conv", "model.network=[\"dense 2\"]"],
            "needs images, or arrays N x rows x columns",
        ),
    ] {
        let line = refused(path, text, sets);
        assert!(line.contains(words), "{text:?}: {line}");
    }
    let test = path.join("test.csv");
    std::fs::write(&test, "c,a,b,species\n1,2,3,setosa\n4,5,6,lily\n").unwrap();
    let sets = [
        "data.target=species",
        &format!("data.test={}", test.display()),
    ];
    let line = refused_files(path, path.join("train.csv").to_str().unwrap(), &sets);
    let words = "test.csv: line 3: class \"lily\" is not among those of the training samples: setosa, versicolor, virginica";
    assert!(line.contains(words), "{line}");
}

#[test]
fn arrays_that_are_not_samples_are_refused_in_a_line() {
    let folder = folder();
    let path = folder.path();
    write_npy(&path.join("long.npy"), &[4], &[0_i64, 1, 2, 0]);
    write_npy(&path.join("flat.npy"), &[6], &[0.5_f64; 6]);
    write_npy(&path.join("gap.npy"), &[SAMPLES as u64], &[7_i64; SAMPLES]);
    for (names, words) in [
        (["x.npy", "long.npy"], "long.npy: holds 4 targets, but "),
        (
            ["flat.npy", "y.npy"],
            "flat.npy: has shape [6], but inputs are N x features",
        ),
        (
            ["x.npy", "gap.npy"],
            "gap.npy: holds whole numbers without 0 but with 7",
        ),
        (["none.npy", "y.npy"], "none.npy: cannot be read"),
        (
            ["x.npy", "train.csv"],
            "must be two .npy files, inputs and targets, or one .csv file",
        ),
    ] {
        let line = refused_files(path, &quoted(path, names), &[]);
        assert!(line.contains(words), "{names:?}: {line}");
    }
    let test = format!("data.test={}", quoted(path, ["wide.npy", "long.npy"]));
    write_npy(&path.join("wide.npy"), &[4, 5], &[0.5_f32; 20]);
    let line = refused_files(path, &quoted(path, ["x.npy", "y.npy"]), &[&test]);
    assert!(
        line.contains(
            "wide.npy: has inputs of 5 numbers a sample, and the training samples have 3"
        ),
        "{line}"
    );
}

#[test]
fn a_series_from_a_column_is_learned_on_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wave.csv");
    let rows = (0..40).map(|t| format!("{t},{},{}\n", t % 3, 10.0 + (f64::from(t) * 0.4).sin()));
    std::fs::write(
        &file,
        format!("day,noise,height\n{}", rows.collect::<String>()),
    )
    .unwrap();
    let series = format!("data.series={}", file.display());
    let sets = [
        "ensemble.members=20",
        "run.epochs=2",
        "model.units=[6]",
        "run.report_every=10",
    ];
    let run = Run::new("sunspots", &sets)
        .set(series)
        .set("data.target=height");
    let finished = run.finish();
    let summary = finished.summary();
    assert_eq!(run.on(2, 1).digest(), summary["digest"].as_str().unwrap());
    assert!(summary["mse_pass"].as_f64().unwrap() < 0.1, "{summary}");
    let (_, mean) = read_npy::<f32>(&finished.file("final/mean.npy"));
    assert_eq!(mean.len(), 6 * (1 + 6 + 1) + 6 + 1);
    for (set, words) in [
        ("data.target=depth", "has no column \"depth\""),
        (
            "data.target=",
            "must name one of its columns: day, noise, height",
        ),
    ] {
        let ended = end(&mut run.clone().set(set).command(&folder.path().join("none")));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
