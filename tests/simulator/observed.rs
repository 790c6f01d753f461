//! Observations in a table: names, noise, weights and groups, and outputs that are not observed.

use super::answers::observed;
use super::start::{Run, alone, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    ("a_table_gives_what_numbers_and_noise_give", same),
    ("outputs_that_are_not_observed_do_not_enter", unobserved),
    ("observations_that_no_member_comes_near_are_named", conflict),
    ("observations_in_conflict_are_left_out_where_asked", dropped),
    (
        "a_step_by_misfit_counts_the_observations_that_enter",
        counted,
    ),
    (
        "outputs_that_a_member_lacks_take_the_mean_of_the_others",
        missing,
    ),
    ("groups_are_told_wherever_misfits_are", groups),
];

/// A line whose observations are in observed.csv, a table of `columns` with the cells of month k by `row`; no noise is given.
fn case(columns: &str, row: impl Fn(usize, f64) -> String) -> Case {
    let case = Case::new("line");
    let rows = observed().into_iter().enumerate();
    let rows: Vec<String> = rows
        .map(|(k, y)| format!("month {k},{}", row(k, y)))
        .collect();
    let table = format!("name,{columns}\n{}\n", rows.join("\n"));
    std::fs::write(case.file("observed.csv"), table).expect("a file");
    let text = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
    let line = |line: &str| match line.split(" = ").next() {
        Some("observations") => "observations = \"observed.csv\"\n".to_owned(),
        Some("noise") => String::new(),
        Some("prior") => "prior = [\"level normal 1 0.5\", \"slope normal 0 0.3\"]\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    std::fs::write(case.file("mine.toml"), text).expect("a file");
    case
}

/// One step of the transform.
fn step(case: &Case, sets: &[&str]) -> Run {
    case.run(&[&["method.kind=etki", "run.steps=1"], sets].concat())
}

/// The numbers of the final mean.
fn mean(case: &Case, run: &Run, name: &str) -> Vec<f64> {
    let (out, _) = case.finish(run, name);
    let bytes = std::fs::read(out.join("final/mean.npy")).expect("an array");
    let npy = npyz::NpyFile::new(&bytes[..]).expect("an array");
    npy.into_vec().expect("doubles")
}

fn same() {
    let told = case("value,deviation", |_, y| format!("{y},0.5"));
    let alone = digest(&told.finish(&step(&told, &[]), "table").0);
    let plain = told.file("observed.txt");
    let numbers = format!("data.observations={:?}", plain.to_str().expect("text"));
    let plain = step(&told, &[&numbers, "method.noise=0.25"]);
    assert_eq!(digest(&told.finish(&plain, "plain").0), alone);
    // The weight multiplies 1 / deviation.
    let weighted = case("value,variance,weight", |_, y| format!("{y},4,4"));
    assert_eq!(
        digest(&weighted.finish(&step(&weighted, &[]), "out").0),
        alone
    );
    let both = case("value,weight", |_, y| format!("{y},4"));
    let run = step(&both, &["method.noise=4"]);
    assert_eq!(digest(&both.finish(&run, "out").0), alone);

    super::refused::refuse(
        &told,
        &["method.noise=0.25"],
        &[
            "method.noise = [0.25]",
            "beside data.observations with a column of deviations",
        ],
    );
    super::refused::refuse(&both, &[], &["method.noise = [1.0]: must be given"]);
    let wrong = case("value,colour", |_, y| format!("{y},1"));
    super::refused::refuse(&wrong, &[], &["observed.csv", "a column \"colour\""]);
}

fn unobserved() {
    let missing = |k: usize| [1, 4, 11].contains(&k);
    let blank = |k: usize, y: f64| {
        if missing(k) {
            String::new()
        } else {
            y.to_string()
        }
    };
    let told = case("value,deviation", |k, y| format!("{},0.5", blank(k, y)));
    let run = step(&told, &[]);
    let (out, ended) = told.finish(&run, "out");
    let words = "9 of the simulator's 12 outputs are observed";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    for ranks in [2, 3] {
        let (other, _) = told.finish(&run.on(ranks, 1), &ranks.to_string());
        assert_eq!(digest(&other), digest(&out));
    }
    // As if they were observed with errors without bound; and with a covariance of all outputs, of which theirs are left out.
    let unsure = case("value,deviation", |k, y| {
        format!("{y},{}", if missing(k) { 1e9 } else { 0.5 })
    });
    let gamma = case("value", blank);
    let row = |i: usize| {
        (0..12)
            .map(|j| if i == j { "0.25" } else { "0" })
            .collect::<Vec<_>>()
    };
    let rows: Vec<String> = (0..12).map(|i| row(i).join(" ")).collect();
    std::fs::write(gamma.file("gamma.txt"), rows.join("\n")).expect("a file");
    let path = gamma.file("gamma.txt");
    let full = format!("method.noise={{ covariance = {path:?} }}");
    let found = mean(&told, &run, "again");
    let unsure = mean(&unsure, &step(&unsure, &[]), "out");
    let gamma = mean(&gamma, &step(&gamma, &[&full]), "out");
    for (found, other) in found.iter().zip(&unsure).chain(found.iter().zip(&gamma)) {
        assert!((found - other).abs() < 1e-7, "{found} {other}");
    }
    // Observed at other places, it is another run.
    let text = std::fs::read_to_string(told.file("observed.csv")).expect("a file");
    let other = text.replace("month 1,", "month 1,1.5");
    std::fs::write(told.file("observed.csv"), other).expect("a file");
    let ended = end(step(&told, &["run.steps=2"]).command(&out).arg("--resume"));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

fn groups() {
    let told = case("value,deviation,group", |k, y| {
        format!("{y},0.5,{}", if k < 4 { "early" } else { "late & last" })
    });
    let (out, ended) = told.finish(&step(&told, &[]), "out");
    assert!(
        ended.stdout.contains("by group (observations)"),
        "{}",
        ended.stdout
    );
    let judge = |more: &[&str]| {
        let told = end(alone().arg("evaluate").arg(&out).args(more));
        assert_eq!(told.code, 0, "{}", told.stderr);
        told.stdout
    };
    let text = std::fs::read_to_string(out.join("summary.json")).expect("summary.json");
    // The groups' squares add up to the whole.
    for json in [
        text,
        judge(&["--json"]),
        judge(&["--json", "--run-command"]),
    ] {
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let groups = json["misfit_groups"].as_array().expect("groups");
        let number = |group: &serde_json::Value, key: &str| group[key].as_f64().expect("a number");
        let parts = groups
            .iter()
            .map(|g| number(g, "observations") * number(g, "misfit").powi(2));
        let whole = 12.0 * number(&json, "misfit_mean").powi(2);
        assert!((parts.sum::<f64>() / whole - 1.0).abs() < 1e-5, "{json}");
        assert_eq!(groups[1]["group"], "late & last");
    }
    assert!(judge(&[]).contains("misfit of early (4)"));
    let page = told.file("page.html");
    let report = end(alone().arg("report").arg(&out).arg("--out").arg(&page));
    assert_eq!(report.code, 0, "{}", report.stderr);
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("Misfit by group") && page.contains("late &amp; last"));
}

fn conflict() {
    let far = |k: usize, y: f64| if k == 3 { y + 40.0 } else { y };
    let told = case("value,deviation,group", |k, y| {
        format!("{},0.5,quarter {}", far(k, y), k / 3)
    });
    let words = "1 of 12 observations lie further than 3 deviations, of the noise and the members together, from every member: \
                 month 3 (group quarter 1); look at";
    for ranks in [1, 3] {
        let (_, ended) = told.finish(&step(&told, &[]).on(ranks, 1), &ranks.to_string());
        assert_eq!(ended.stderr.matches(words).count(), 1, "{}", ended.stderr);
    }
    // With correlated noise by its own variances; nothing is said where there is no conflict.
    for (shift, count) in [(40.0, 1), (0.0, 0)] {
        let told = case("value", |k, y| {
            (y + if k == 3 { shift } else { 0.0 }).to_string()
        });
        let u: Vec<String> = (0..12).map(|_| "0.4".to_owned()).collect();
        std::fs::write(told.file("u.txt"), u.join("\n")).expect("a file");
        let path = told.file("u.txt");
        let noise = format!("method.noise={{ diagonal = 0.09, factors = {path:?} }}");
        let (_, ended) = told.finish(&step(&told, &[&noise]), "out");
        let words = "from every member: month 3; look at";
        assert_eq!(
            ended.stderr.matches(words).count(),
            count,
            "{}",
            ended.stderr
        );
        assert_eq!(
            ended.stderr.matches("prior and data conflict").count(),
            count
        );
    }
}

/// Observations that are left out are as if they had not been observed, also where noise is correlated, and stay out.
fn dropped() {
    let far = |k: usize, y: f64| if k == 3 { y + 40.0 } else { y };
    let told = case("value", |k, y| far(k, y).to_string());
    let blank = case("value", |k, y| match k {
        3 => String::new(),
        _ => y.to_string(),
    });
    let entry = |i: usize, j: usize| if i == j { "0.25" } else { "0.1" };
    let row = |i: usize| (0..12).map(|j| entry(i, j)).collect::<Vec<_>>().join(" ");
    let gamma = told.file("gamma.txt");
    let rows: Vec<String> = (0..12).map(row).collect();
    std::fs::write(&gamma, rows.join("\n")).expect("a file");
    let full = format!("method.noise={{ covariance = {gamma:?} }}");
    for (name, noise) in [("plain", "method.noise=0.25"), ("full", &*full)] {
        let sets = [noise, "run.steps=2", "data.conflict=drop"];
        let run = step(&told, &sets);
        let (out, ended) = told.finish(&run, name);
        let words = "every member: month 3; they are left out of this run";
        assert_eq!(ended.stderr.matches(words).count(), 1, "{}", ended.stderr);
        let summary = super::results::summary(&out);
        assert_eq!(summary["left_out"][0], "month 3");
        let (without, _) = blank.finish(&step(&blank, &sets), name);
        let other = super::results::summary(&without);
        for key in ["misfit_mean", "misfit_members"] {
            let [a, b] = [&summary, &other].map(|s| s[key].as_f64().expect("a number"));
            assert!((a / b - 1.0).abs() < 1e-7, "{name} {key} {a} {b}");
        }
        let [found, wanted] =
            [&out, &without].map(|out| super::results::array(&out.join("final/mean.npy")));
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 1e-7, "{name} {found} {wanted}");
        }
        // Taken up after its first step by other ranks, it leaves them out still.
        let part = format!("{name} part");
        let (cut, _) = told.finish(&run.clone().set("run.steps=1").on(3, 1), &part);
        let ended = end(run.on(2, 1).command(&cut).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&cut), digest(&out), "{name}");
        assert_eq!(super::results::summary(&cut)["left_out"][0], "month 3");
    }
    // A run that would leave out all of them ends.
    let all = case("value,deviation", |_, y| format!("{},0.001", y + 900.0));
    let mut command = step(&all, &["data.conflict=drop"]).command(&all.file("out"));
    let ended = end(&mut command);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("none would be left"),
        "{}",
        ended.stderr
    );
}

/// Members lie far from all observations, and much alike: the variance of their misfits says how far a step goes.
fn counted() {
    let shifted = |k: usize| if k == 3 { 42.2 } else { 2.2 };
    let told = case("value", |k, _| shifted(k).to_string());
    let blank = case("value", |k, _| match k {
        3 => String::new(),
        _ => shifted(k).to_string(),
    });
    let sets = [
        "method.noise=0.25",
        "method.h_schedule=misfit",
        "data.conflict=drop",
        "model.prior=[\"level normal 1 0.09\", \"slope normal 0 0.001\"]",
    ];
    let size = |case: &Case| {
        let (out, _) = case.finish(&step(case, &sets), "out");
        let line = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        (line["step_size"].as_f64().expect("a number"), out)
    };
    let ((dropped, out), (wanted, _)) = (size(&told), size(&blank));
    assert!(wanted < 0.9, "{wanted}");
    assert!((dropped / wanted - 1.0).abs() < 1e-9, "{dropped} {wanted}");
    // It counts in no coverage either, and is shown apart.
    let shown = end(alone().arg("evaluate").arg(&out)).stdout;
    for words in [
        "of the 11 observations",
        "1 more were left out",
        "left out of the run (data.conflict",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let table = std::fs::read_to_string(out.join("final/predictive.csv")).expect("a table");
    let marks: Vec<&str> = table
        .lines()
        .skip(1)
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    assert!(
        marks
            .iter()
            .enumerate()
            .all(|(k, mark)| (*mark == "1") == (k == 3)),
        "{table}"
    );
    let page = told.file("page.html");
    let report = end(alone().arg("report").arg(&out).arg("--out").arg(&page));
    assert_eq!(report.code, 0, "{}", report.stderr);
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("<h2>Left out</h2>"));
}

fn missing() {
    let prior = "model.prior=[\"level normal 1 0.5\", \"slope normal 0 0.3\"]";
    let sets = [
        prior,
        "method.kind=kalman",
        "run.steps=2",
        "method.noise=0.25",
    ];
    let gappy = Case::new("gappy");
    let strict = gappy.run(&sets);
    let (out, _) = gappy.finish(&strict, "strict");
    let failed: u64 = super::failures(&out).iter().sum();
    assert!(failed > 4, "{failed}");
    let run = strict.set("model.missing=0.1");
    let (out, ended) = gappy.finish(&run, "out");
    assert_eq!(super::failures(&out), [0, 0]);
    let metrics = std::fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
    let lacking = |line: &str| -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line["missing"].as_u64().expect("a number")
    };
    assert!(
        metrics.lines().all(|line| (4..24).contains(&lacking(line))),
        "{metrics}"
    );
    let words = "outputs in all: there they take the mean of the others (model.missing)";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    for ranks in [2, 3] {
        let (other, _) = gappy.finish(&run.on(ranks, 1), &ranks.to_string());
        assert_eq!(digest(&other), digest(&out));
    }
    // One output in twelve of a third of the members hardly matters.
    let found = mean(&gappy, &run, "again");
    let whole = Case::new("line");
    let whole = mean(&whole, &whole.run(&sets), "out");
    for (found, whole) in found.iter().zip(&whole) {
        assert!((found - whole).abs() < 0.05, "{found} {whole}");
    }
    // Less than one output is none.
    let (out, _) = gappy.finish(&run.set("model.missing=0.08"), "less");
    assert!(super::failures(&out)[0] > 0);
}
