//! Predictions by a finished run: in the data's own units, as the run was judged, and read by other programs.

mod start;

use std::path::Path;
use std::process::Command;

use start::{Folder, Run, alone, end, write_npy};

/// Samples, and classes.
const SAMPLES: usize = 45;
const SPECIES: [&str; 3] = ["setosa", "versicolor, red", "virginica"];

/// Input `k` of sample `i`, whose class is i % 3.
fn input(i: usize, k: usize) -> f64 {
    (i % 3 * (k + 1)) as f64 + ((i * 37 + k * 11) % 17) as f64 / 3.0
}

/// Writes a table of samples, whose columns are in the order `columns` of a, b, c and the species.
fn write_table(path: &Path, columns: [usize; 4]) {
    let names = ["a", "b", "c", "species"];
    let mut text = columns.map(|k| names[k]).join(",") + "\n";
    for i in 0..SAMPLES {
        let field = |k: usize| match k {
            3 => format!("\"{}\"", SPECIES[i % 3]),
            k => input(i, k).to_string(),
        };
        text += &(columns.map(field).join(",") + "\n");
    }
    std::fs::write(path, text).unwrap();
}

/// Writes the inputs as x.npy and the classes as y.npy.
fn write_arrays(folder: &Path) {
    let inputs: Vec<f64> = (0..SAMPLES)
        .flat_map(|i| (0..3).map(move |k| input(i, k)))
        .collect();
    write_npy(&folder.join("x.npy"), &[SAMPLES as u64, 3], &inputs);
    let labels: Vec<i32> = (0..SAMPLES).map(|i| i as i32 % 3).collect();
    write_npy(&folder.join("y.npy"), &[SAMPLES as u64], &labels);
}

/// A short run on the samples in `train`, which are the test samples, too.
fn run(train: &str, sets: &[&str]) -> Run {
    let run = Run::new(
        "digits",
        &[
            "model.layers=[3, 8, 3]",
            "data.scale=standard",
            "data.batch=15",
            "ensemble.members=30",
            "ensemble.rerandomise=never",
            "run.epochs=4",
            "output.ensemble=true",
        ],
    )
    .set(format!("data.train={train}"))
    .set(format!("data.test={train}"));
    sets.iter().fold(run, |run, set| run.set(*set))
}

/// The names of the files `names` in `folder` as a list.
fn listed(folder: &Path, names: &[&str]) -> String {
    let names = names.iter().map(|name| folder.join(name));
    let names: Vec<String> = names
        .map(|path| format!("{:?}", path.display().to_string()))
        .collect();
    format!("[{}]", names.join(", "))
}

/// Predicts by `run` with `arguments`, and returns what was said and the table.
fn predict(run: &Folder, arguments: &[&str]) -> (String, Vec<Vec<String>>) {
    let ended = end(alone().arg("predict").arg(run.file("")).args(arguments));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let text = std::fs::read_to_string(run.file("predictions.csv")).unwrap();
    let row = |line| {
        let fields = eki_mpi::files::table::fields(line, ',');
        fields.into_iter().map(str::to_owned).collect()
    };
    (ended.stdout, text.lines().map(row).collect())
}

/// The column `name` of a table.
fn column(table: &[Vec<String>], name: &str) -> Vec<String> {
    let place = table[0].iter().position(|known| known == name);
    let place = place.unwrap_or_else(|| panic!("no {name} among {:?}", table[0]));
    table[1..].iter().map(|row| row[place].clone()).collect()
}

fn numbers(table: &[Vec<String>], name: &str) -> Vec<f64> {
    let column = column(table, name);
    column
        .iter()
        .map(|x| x.parse().expect("a number"))
        .collect()
}

#[test]
fn classes_are_predicted_as_the_run_was_judged_from_tables_and_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    write_table(Path::new(&at("train.csv")), [0, 1, 2, 3]);
    write_table(Path::new(&at("mixed.csv")), [3, 2, 0, 1]);
    write_arrays(folder.path());
    let run = run(
        &listed(folder.path(), &["train.csv"]),
        &["data.target=species"],
    );
    let run = run.finish();
    let accuracy = run.summary()["accuracy_mean"].as_f64().unwrap();
    assert!(accuracy > 0.4 && accuracy < 1.0, "{accuracy}");

    let (said, table) = predict(&run, &[&at("train.csv"), "--members"]);
    let judged = format!("accuracy {}", eki_mpi::files::numbers::number(accuracy, 4));
    assert!(
        said.contains(&format!("45 samples at the mean, {judged}\n")),
        "{said}"
    );
    assert!(said.contains("the mean of 30 members, accuracy "), "{said}");
    let (classes, targets) = (column(&table, "class"), column(&table, "target"));
    let right = classes.iter().zip(&targets).filter(|(a, b)| a == b).count();
    assert_eq!(right as f64 / SAMPLES as f64, accuracy);
    assert_eq!(targets[1], SPECIES[1]);
    let by_class = SPECIES.map(|name| numbers(&table, &format!("probability_{name}")));
    let largest = numbers(&table, "probability");
    for i in 0..SAMPLES {
        let all = [0, 1, 2].map(|c| by_class[c][i]);
        assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{all:?}");
        assert_eq!(largest[i], all.into_iter().fold(0.0, f64::max));
    }
    let spread = numbers(&table, "members_deviation_setosa");
    assert!(spread.iter().all(|s| (0.0..0.5).contains(s)) && spread.iter().any(|s| *s > 1e-3));

    // The order of a table's columns does not matter, and arrays hold the same inputs.
    let (_, mixed) = predict(&run, &[&at("mixed.csv")]);
    assert_eq!(column(&mixed, "probability"), column(&table, "probability"));
    let (said, arrays) = predict(&run, &[&at("x.npy")]);
    assert!(said.starts_with("45 samples at the mean\n"), "{said}");
    assert_eq!(
        column(&arrays, "probability"),
        column(&table, "probability")
    );

    // A run of an earlier version left no model.safetensors: its data say what its inputs are.
    std::fs::remove_file(run.file("final/model.safetensors")).unwrap();
    let (_, earlier) = predict(&run, &[&at("train.csv"), "--members"]);
    assert_eq!(earlier, table);
}

#[test]
fn values_are_predicted_in_their_own_units() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut text = "a,b,height\n".to_owned();
    let height = |i: usize| 1000.0 + 50.0 * input(i, 0);
    for i in 0..SAMPLES {
        text += &format!("{},{},{:.3}\n", input(i, 0), input(i, 1), height(i));
    }
    std::fs::write(at("train.csv"), text).unwrap();
    let sets = [
        "data.target=height",
        "model.layers=[2, 8, 1]",
        "method.kind=kalman",
        "run.epochs=20",
    ];
    let run = run(&listed(folder.path(), &["train.csv"]), &sets).finish();
    let (said, table) = predict(&run, &[&at("train.csv"), "--members"]);
    let found = numbers(&table, "height");
    let square = (0..SAMPLES).map(|i| (found[i] - height(i)).powi(2));
    let error = (square.sum::<f64>() / SAMPLES as f64).sqrt();
    let mean = (0..SAMPLES).map(height).sum::<f64>() / SAMPLES as f64;
    let variance = (0..SAMPLES)
        .map(|i| (height(i) - mean).powi(2))
        .sum::<f64>()
        / SAMPLES as f64;
    // The run's own error is in units of the variance.
    let judged = (run.summary()["mse_mean"].as_f64().unwrap() * variance).sqrt();
    assert!((error / judged - 1.0).abs() < 1e-3, "{error} {judged}");
    assert!(said.contains("root mean squared error"), "{said}");
    let spread = numbers(&table, "members_deviation_height");
    assert!(spread.iter().all(|s| *s > 0.0 && *s < 200.0), "{spread:?}");
}

#[test]
fn a_series_is_forecast_one_step_beyond_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let height = |t: usize| 10.0 + (t as f64 * 0.4).sin();
    let rows: String = (0..40)
        .map(|t| format!("{t},{},{}\n", t % 3, height(t)))
        .collect();
    std::fs::write(at("wave.csv"), format!("day,noise,height\n{rows}")).unwrap();
    let values: Vec<f64> = (0..40).map(height).collect();
    write_npy(Path::new(&at("wave.npy")), &[40], &values);
    let sets = [
        "ensemble.members=20",
        "run.epochs=3",
        "model.units=[6]",
        "output.ensemble=true",
    ];
    let run = Run::new("sunspots", &sets)
        .set(format!("data.series={}", at("wave.csv")))
        .set("data.target=height")
        .finish();
    let (said, table) = predict(&run, &["--members"]);
    assert_eq!(table.len(), 41);
    assert_eq!(column(&table, "height")[39], "");
    assert_eq!(numbers(&table, "persistence")[7], height(7));
    let forecast = numbers(&table, "forecast_height");
    let errors = (0..39).map(|t| (forecast[t] - height(t + 1)).powi(2));
    let error = (errors.sum::<f64>() / 39.0).sqrt();
    let shown = eki_mpi::files::numbers::number(error, 4);
    assert!(said.contains(&shown), "{shown}: {said}");
    assert!(error < 1.5, "{error}");
    // A sine is exactly an autoregression of order 2, also one step beyond the end.
    let ar2: f64 = column(&table, "ar2")[39].parse().unwrap();
    assert!((ar2 - height(40)).abs() < 1e-6, "{ar2}");
    let (_, array) = predict(&run, &[&at("wave.npy"), "--members"]);
    assert_eq!(array, table);
}

#[test]
fn bad_inputs_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let at = |name: &str| path.join(name).display().to_string();
    write_table(&path.join("train.csv"), [0, 1, 2, 3]);
    let kept = run(&listed(path, &["train.csv"]), &["data.target=species"]);
    let kept = kept.set("output.ensemble=false").finish();
    write_npy(&path.join("wide.npy"), &[2, 4], &[1.0; 8]);
    write_npy(&path.join("nan.npy"), &[1, 3], &[1.0, f64::NAN, 2.0]);
    std::fs::write(at("few.csv"), "a,b\n1,2\n").unwrap();
    std::fs::write(at("gap.csv"), "a,b,c\n1,,3\n").unwrap();
    std::fs::write(at("class.csv"), "a,b,c,species\n1,2,3,setosa\n1,2,3,rose\n").unwrap();
    for (arguments, words) in [
        (
            vec![at("wide.npy")],
            "has inputs of 4 numbers a sample, and the training samples have 3",
        ),
        (vec![at("nan.npy")], "nan.npy"),
        (
            vec![at("few.csv")],
            "few.csv: has no column \"c\": its columns are a, b",
        ),
        (
            vec![at("gap.csv")],
            "line 2: column \"b\" holds \"\", where a number is missing",
        ),
        (
            vec![at("class.csv")],
            "line 3: class \"rose\" is not among those of the training samples",
        ),
        (vec![at("none.csv")], "none.csv: cannot be read"),
        (vec![], "name the inputs"),
        (
            vec![at("train.csv"), "--members".to_owned()],
            "the members were not kept",
        ),
    ] {
        let ended = end(alone().arg("predict").arg(kept.file("")).args(&arguments));
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(!kept.file("predictions.csv").exists(), "{arguments:?}");
    }
    let linear = Run::new("linear", &["run.steps=2", "ensemble.members=10"]).finish();
    let ended = end(alone()
        .arg("predict")
        .arg(linear.file(""))
        .arg(at("train.csv")));
    assert!(
        ended.code == 2 && ended.stderr.contains("its model is no network"),
        "{}",
        ended.stderr
    );
}

/// The block of the guide's chapter on files that follows the name `file`.
fn script(file: &str) -> String {
    let chapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide/files.md");
    let chapter = std::fs::read_to_string(chapter).unwrap();
    let (_, rest) = chapter.split_once(&format!("`{file}`")).expect(file);
    let (_, rest) = rest.split_once("```python\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// The accuracy that the guide's `file` prints in `folder`; None with a printed reason where Python lacks one of `modules`.
fn python(file: &str, modules: &str, folder: &Path) -> Option<f64> {
    let mut command = Command::new("python3");
    let found = command.args(["-c", &format!("import {modules}")]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no python3 with {modules}");
        return None;
    }
    std::fs::write(folder.join(file), script(file)).unwrap();
    let ended = end(Command::new("python3").arg(file).current_dir(folder));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let accuracy = ended.stdout.trim().strip_prefix("accuracy ");
    Some(accuracy.expect("an accuracy").parse().expect("a number"))
}

#[test]
fn pytorch_and_numpy_read_the_network_and_find_its_accuracy() {
    let dense: &[&str] = &["model.layers=[3, 8, 8, 3]", "model.activation=tanh"];
    let double: &[&str] = &["run.precision=double"];
    let conv: &[&str] = &[
        "model.kind=conv",
        "model.network=[\"conv 3\", \"pool 2\", \"conv 4 2\", \"dense 5\", \"dense 3\"]",
    ];
    let recurrent: &[&str] = &[
        "model.kind=recurrent",
        "model.units=[5, 4]",
        "model.activation=tanh",
    ];
    for (sets, shape) in [
        (dense, &[SAMPLES as u64, 3][..]),
        (double, &[SAMPLES as u64, 3]),
        (conv, &[SAMPLES as u64, 6, 6, 2]),
        (recurrent, &[SAMPLES as u64, 6, 12]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write_arrays(path);
        if shape.len() > 2 {
            let pixel = |i: usize, k: usize| (i % 3 * 20 + (i * 37 + k * k * 11) % 97) as u8;
            let pixels: Vec<u8> = (0..SAMPLES)
                .flat_map(|i| (0..72).map(move |k| pixel(i, k)))
                .collect();
            write_npy(&path.join("x.npy"), shape, &pixels);
        }
        let run = run(&listed(path, &["x.npy", "y.npy"]), sets);
        let ended = end(&mut run.command(&path.join("r")));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let summary = std::fs::read_to_string(path.join("r/summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        let accuracy = summary["accuracy_mean"].as_f64().unwrap();
        assert!(accuracy > 0.33 && accuracy < 1.0, "{sets:?}: {accuracy}");
        let torch = python("with_torch.py", "numpy, torch, safetensors", path);
        let dense = shape.len() == 2;
        let numpy = dense
            .then(|| python("with_numpy.py", "numpy", path))
            .flatten();
        for found in [torch, numpy].into_iter().flatten() {
            assert!(
                (found - accuracy).abs() < 1e-9,
                "{sets:?}: {found} {accuracy}"
            );
        }
    }
}

#[test]
fn the_network_that_is_left_is_the_same_for_any_number_of_ranks() {
    let of = |ranks, threads| {
        let run = Run::new("digits", &["run.steps=3", "ensemble.members=20"]).on(ranks, threads);
        std::fs::read(run.finish().file("final/model.safetensors")).unwrap()
    };
    let one = of(1, 2);
    assert_eq!(one, of(2, 1));
    assert_eq!(one, of(5, 1));
    // The header can be read without any library: its length, then JSON.
    let length = u64::from_le_bytes(one[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&one[8..8 + length]).unwrap();
    assert_eq!(header["dense1.weight"]["dtype"], "F32");
}
