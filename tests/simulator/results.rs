//! What a run answers: in whose units, which member is best, and whether it says where it stands against the noise.

use std::path::Path;

use super::answers::{faint, logistic, observed};
use super::start::{alone, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "results_are_in_the_parameters_own_units_and_can_be_fed_back",
        own_units,
    ),
    (
        "first_members_that_a_prior_excludes_are_refused_by_row_and_name",
        excluded,
    ),
    ("the_best_member_has_the_least_misfit", best),
    ("members_near_the_observations_never_fail", near),
    ("a_verdict_says_what_a_run_reached", verdicts),
    (
        "a_run_that_gets_nowhere_says_so_while_it_runs_and_at_its_end",
        nowhere,
    ),
    ("a_misfit_that_overflows_is_called_so", overflow),
    (
        "members_that_end_a_run_at_the_noise_level_are_simulated_once",
        once,
    ),
    (
        "final_members_that_fail_are_told_and_no_fit",
        failed_at_the_end,
    ),
    ("members_at_infinity_are_a_result", infinite),
];

pub fn summary(folder: &Path) -> serde_json::Value {
    let text = std::fs::read(folder.join("summary.json")).expect("summary.json");
    serde_json::from_slice(&text).expect("JSON")
}

/// The text of the table of members in final/.
pub fn members_table(folder: &Path) -> String {
    let are = &summary(folder)["members"]["are"];
    let (name, other) = match are.as_str() {
        Some("posterior-sample") => ("posterior.csv", "members.csv"),
        _ => ("members.csv", "posterior.csv"),
    };
    // Beside sigma points there are draws of their law.
    let both = are.as_str() == Some("sigma-points");
    assert_eq!(folder.join("final").join(other).exists(), both, "{other}");
    let table = |name: &str| std::fs::read_to_string(folder.join("final").join(name));
    let text = table(name).expect("a table");
    assert_eq!(table("ensemble.csv").expect("under its earlier name"), text);
    text
}

/// The rows of the table of members.
pub fn members(folder: &Path) -> Vec<Vec<f64>> {
    let text = members_table(folder);
    let row = |line: &str| {
        line.split(',')
            .map(|x| x.parse().expect("a number"))
            .collect()
    };
    text.lines().skip(1).map(row).collect()
}

/// The columns mean and best of final/parameters.csv.
fn mean_and_best(folder: &Path) -> [Vec<f64>; 2] {
    let text = std::fs::read_to_string(folder.join("final/parameters.csv")).expect("a table");
    [1, 4].map(|column| {
        let field = |line: &str| line.split(',').nth(column).and_then(|x| x.parse().ok());
        text.lines()
            .skip(1)
            .map(|line| field(line).expect("a number"))
            .collect()
    })
}

/// The numbers of an .npy array of doubles.
pub fn array(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).expect("an array");
    let npy = npyz::NpyFile::new(&bytes[..]).expect("an array");
    npy.into_vec().expect("doubles")
}

fn own_units() {
    let case = Case::new("plain");
    for (name, sets) in [
        ("stored", &[][..]),
        ("single", &["run.precision=single"]),
        ("mean", &["ensemble.rerandomise=step", "method.h=0.1"]),
    ] {
        let run = case.run(&["run.steps=3"]);
        let run = sets.iter().fold(run, |run, set| run.set(*set)).on(2, 1);
        let (out, _) = case.finish(&run, name);
        let members = members(&out);
        assert_eq!(
            members.concat(),
            array(&out.join("final/ensemble.npy")),
            "{name}"
        );
        let [mean, best] = mean_and_best(&out);
        assert_eq!(mean, array(&out.join("final/mean.npy")), "{name}");
        assert_eq!(best, array(&out.join("final/best.npy")), "{name}");
        for p in [0, 1] {
            let of_members = members.iter().map(|u| u[p]).sum::<f64>() / members.len() as f64;
            assert!((mean[p] / of_members - 1.0).abs() < 1e-9, "{name} {mean:?}");
        }
        assert!(
            members
                .iter()
                .all(|u| u[0] > 0.0 && (0.5..=10.0).contains(&u[1]))
        );
    }
    // As text, with its columns the other way round, or as an array: one beginning.
    let table = members(&case.file("stored"));
    let text: String = table
        .iter()
        .map(|u| format!("{:?},{:?}\r\n", u[1], u[0]))
        .collect();
    let path = case.file("own.csv");
    std::fs::write(&path, format!("capacity,growth\r\n{text}")).expect("a file");
    let array = case.file("stored/final/ensemble.npy");
    let begun = |path: &Path, name: &str| {
        let set = format!("ensemble.initial={}", path.display());
        let run = case.run(&["run.steps=1"]).set(set).on(2, 1);
        case.finish(&run, name).0
    };
    let (by_text, by_array) = (begun(&path, "text"), begun(&array, "array"));
    assert_eq!(digest(&by_text), digest(&by_array));
    // It goes on from where the first run ended: the same misfit, to rounding.
    let metrics = std::fs::read_to_string(by_text.join("metrics.jsonl")).expect("metrics");
    let first: serde_json::Value = serde_json::from_str(metrics.trim()).expect("a line");
    let misfit = (2.0 * first["loss"].as_f64().unwrap() / 12.0).sqrt();
    let ended = summary(&case.file("stored"))["misfit_members"]
        .as_f64()
        .unwrap();
    assert!((misfit / ended - 1.0).abs() < 1e-6, "{misfit} {ended}");
    // No prior is drawn on the page of a run that did not begin from it.
    let page = case.file("page.html");
    let ended = end(alone().arg("report").arg(&by_text).arg("--out").arg(&page));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let html = std::fs::read_to_string(&page).expect("a page");
    assert!(html.contains("No prior is shown") && html.contains("Verdict"));
    assert!(!html.contains("test set") && !html.contains("batches of 1"));
    // Of two runs there is a column for each misfit and the verdict, and none for epochs.
    let other = case.file("mean");
    let mut report = alone();
    report
        .arg("report")
        .args([&by_text, &other])
        .arg("--out")
        .arg(&page);
    assert_eq!(end(&mut report).code, 0);
    let html = std::fs::read_to_string(&page).expect("a page");
    let results = html.split("<h2>Results</h2>").nth(1).expect("a table");
    let head: String = results.split("</thead>").take(1).collect();
    let head = head.replace("</th><th scope=\"col\">", ",");
    let columns =
        "<th scope=\"col\">run,misfit, members,at their mean,best member,verdict,steps,seconds,";
    assert!(head.contains(columns), "{head}");
    for key in ["misfit_members", "misfit_mean", "misfit_best"] {
        let shown = eki_mpi::files::numbers::number(summary(&other)[key].as_f64().unwrap(), 4);
        assert!(
            results.contains(&format!("<td>{shown}</td>")),
            "{key} {shown}"
        );
    }
}

fn excluded() {
    let case = Case::new("plain");
    let path = case.file("first.csv");
    let refused = |text: &str, words: &[&str]| {
        std::fs::write(&path, text).expect("a file");
        let set = format!("ensemble.initial={}", path.display());
        let run = case.run(&["ensemble.members=2"]).set(set);
        let ended = end(&mut run.command(&case.file("a/run")));
        let complaints = ended.complaints();
        assert_eq!((ended.code, complaints.len()), (2, 1), "{}", ended.stderr);
        for word in words {
            assert!(complaints[0].contains(word), "{word:?}: {}", complaints[0]);
        }
        assert!(!case.file("a").exists());
    };
    refused(
        "growth,capacity\n1,2\n-1,2\n",
        &["first.csv: row 2, growth = -1.0", "greater than 0"],
    );
    refused(
        "growth,capacity\n1,11\n1,2\n",
        &["row 1, capacity = 11.0", "between 0.5 and 10.0"],
    );
    refused("growth,capacity\n1,nan\n1,2\n", &["row 1, capacity = NaN"]);
    refused("growth,capacity\n1,2\n1\n", &["line 3", "1 fields"]);
    refused(
        "growth,capacity\n1,2\n1,x\n",
        &["line 3, capacity", "\"x\" is no number"],
    );
    refused("growth\n1\n2\n", &["\"capacity\""]);
    refused("growth,capacity\n1,2\n", &["has 1 members", "2 are needed"]);
}

fn best() {
    let case = Case::new("unlucky");
    // The last observations are trusted, the first hardly: squared errors would weigh all alike.
    let noise: Vec<f64> = (0..12).map(|k| 10_f64.powi(2 - k)).collect();
    let set = format!("method.noise={noise:?}");
    let run = case.run(&["run.steps=1", "run.stop_at_misfit=0"]).set(set);
    let (out, _) = case.finish(&run.on(2, 1), "out");
    let misfit = |u: &[f64]| {
        let errors = logistic(u[0], u[1]).into_iter().zip(observed()).zip(&noise);
        let sum: f64 = errors.map(|((z, y), v)| (z - y) * (z - y) / v).sum();
        (sum / 12.0).sqrt()
    };
    let answers = |u: &&Vec<f64>| {
        let line = format!("{:?} {:?}", u[0], u[1]);
        super::answers::plight("unlucky", &line).is_none()
    };
    let members = members(&out);
    let least = members.iter().filter(answers).map(|u| misfit(u));
    let least = least.fold(f64::INFINITY, f64::min);
    let [_, best] = mean_and_best(&out);
    assert!(
        (misfit(&best) / least - 1.0).abs() < 1e-9,
        "{} {least}",
        misfit(&best)
    );
    let told = summary(&out);
    assert!((told["misfit_best"].as_f64().unwrap() / least - 1.0).abs() < 1e-6);
    assert!(told["mse_mean"].is_null());
}

fn near() {
    let case = Case::new("faint");
    let text: Vec<String> = faint(0.0, 2.0).iter().map(f64::to_string).collect();
    std::fs::write(case.file("observed.txt"), text.join("\n")).expect("a file");
    let prior = "model.prior=[\"decay normal 4 2\", \"size lognormal 2 0.5\"]";
    let run = case.run(&[
        prior,
        "method.noise=1e-4",
        "ensemble.members=64",
        "run.steps=3",
    ]);
    let (out, ended) = case.finish(&run, "out");
    assert_eq!(super::failures(&out), [0; 3], "{}", ended.stderr);
    // Where members fail by the rule, which and how far off they are is told.
    let far = case.run(&[
        "method.outlier_ratio=1.01",
        "method.noise=1e6",
        "run.steps=1",
    ]);
    let far = far.set("model.prior=[\"decay normal -3 2\", \"size lognormal 2000 9000\"]");
    let (_, ended) = case.finish(&far, "far");
    assert!(
        ended
            .stderr
            .contains("failed by method.outlier_ratio = 1.01e0: member "),
        "{}",
        ended.stderr
    );
}

fn verdicts() {
    let case = Case::new("plain");
    let verdict = |case: &Case, sets: &[&str], name: &str| {
        let (out, ended) = case.finish(&case.run(sets), name);
        let told = summary(&out)["verdict"]
            .as_str()
            .expect("a verdict")
            .to_owned();
        assert!(ended.stdout.contains(&told), "{told}: {}", ended.stdout);
        (told, ended.stderr)
    };
    let (told, said) = verdict(&case, &["run.stop_at_misfit=1", "run.steps=60"], "good");
    assert!(told.starts_with("converged to the noise"), "{told}");
    assert!(!said.contains("span"), "{said}");
    let (told, _) = verdict(&case, &["run.steps=1"], "short");
    assert!(told.starts_with("not converged"), "{told}");
    let two = &["ensemble.members=2", "method.noise=1e-10", "run.steps=25"];
    let (told, said) = verdict(&case, two, "two");
    assert!(told.contains("ensemble.members = 2 span 1"), "{told}");
    assert!(said.contains("ensemble.members = 2 span 1"), "{said}");
    let same = Case::new("same");
    std::fs::write(same.file("observed.txt"), "9\n".repeat(12)).expect("a file");
    let (told, said) = verdict(&same, &["run.steps=3"], "same");
    assert!(told.starts_with("nothing moves"), "{told}");
    assert_eq!(said.matches("gave the same outputs").count(), 1, "{said}");
}

/// A simulator that answers so many questions only: all of the two steps, of 24 members each, and a few of the last ensemble.
fn failed_at_the_end() {
    for (answers, words) in [
        (2 * 24 + 20, "4 of 24 final members gave no outputs"),
        (
            2 * 24 + 5,
            "not judged: 19 of 24 final members gave no outputs",
        ),
    ] {
        let case = Case::new(&format!("licensed {answers}"));
        let run = case.run(&["run.steps=2", "model.probe=false"]).on(1, 1);
        let (out, ended) = case.finish(&run, "out");
        let told = summary(&out);
        let verdict = told["verdict"].as_str().expect("a verdict");
        assert!(verdict.contains(words), "{verdict}");
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
        assert_eq!(told["members_failed"], 2 * 24 + 24 - answers);
    }
    // A few survivors near the observations end no run.
    for (answers, reason) in [(5, "steps used up"), (12, "noise level")] {
        let case = Case::new(&format!("licensed {answers}"));
        let sets = ["run.steps=1", "run.stop_at_misfit=1e9", "model.probe=false"];
        let (out, _) = case.finish(&case.run(&sets).on(1, 1), "few");
        assert_eq!(summary(&out)["reason"], reason, "{answers}");
    }
}

fn infinite() {
    let case = Case::new("plain");
    let sets = ["run.steps=1", "method.step=fixed", "method.h=1e8"];
    let (out, ended) = case.finish(&case.run(&sets), "out");
    let table = members_table(&out);
    assert!(table.contains("inf"), "{table}");
    assert!(out.join("final/parameters.csv").is_file());
    assert!(
        ended.stdout.contains("final members gave no outputs"),
        "{}",
        ended.stdout
    );
    assert_eq!(end(alone().arg("report").arg(&out)).code, 0);
}

fn once() {
    let case = Case::new("paced");
    let run = case.run(&["run.stop_at_misfit=1", "run.steps=60", "model.probe=false"]);
    let (out, _) = case.finish(&run.on(2, 1), "out");
    let told = summary(&out);
    assert_eq!(told["reason"], "noise level");
    let marks = case.marks();
    let asked: Vec<&String> = marks.iter().filter(|m| m.starts_with("asked ")).collect();
    // 24 members of each step and of the last ensemble, and their mean.
    let steps = told["steps"].as_u64().expect("a number") as usize;
    assert_eq!(asked.len(), 24 * (steps + 1) + 1);
    assert!(told["misfit_best"].as_f64() <= told["misfit_members"].as_f64());
}

/// Each is told once while the run goes on, and at its end on the screen, in summary.json and on the page.
fn nowhere() {
    let case = Case::new("plain");
    let path = case.file("same.csv");
    std::fs::write(&path, "growth,capacity\n".to_owned() + &"1,2\n".repeat(4)).expect("a file");
    let same = format!("ensemble.initial={}", path.display());
    let far = "method.noise=1e-10";
    let few = "ensemble.members = 2 span 1 of the 2 parameters' directions";
    for (name, sets, warning, verdict) in [
        (
            "no-spread",
            &["ensemble.members=4", &same, "run.steps=2"][..],
            "step 1: all members are the same and give the same outputs: nothing moves",
            "nothing moves, at a misfit of",
        ),
        (
            "collapsed",
            &[far, "ensemble.inflation=0.1", "run.steps=6"],
            "step 4: the members' spread has collapsed, from ",
            "the members' spread has collapsed, from ",
        ),
        (
            "still",
            &[far, "method.h=1e-9", "run.steps=12"],
            "step 11: the misfit has stood still for 10 steps at ",
            "stalled at a misfit of ",
        ),
        ("few", &[far, "ensemble.members=2", "run.steps=2"], few, few),
    ] {
        gets_nowhere(&case, (name, sets), warning, verdict);
    }
    let case = Case::new("one");
    let sets = [
        far,
        "ensemble.members=2",
        "run.steps=2",
        "model.prior=[\"growth lognormal 1.0 0.5\"]",
    ];
    let slope =
        "ensemble.members = 2 tell how outputs depend on the parameter from one difference only";
    gets_nowhere(&case, ("two", &sets), slope, slope);
}

/// The run says `warning` once, and `verdict` at its end.
fn gets_nowhere(case: &Case, (name, sets): (&str, &[&str]), warning: &str, verdict: &str) {
    let (out, ended) = case.finish(&case.run(sets), name);
    assert_eq!(
        ended.stderr.matches(warning).count(),
        1,
        "{name}: {}",
        ended.stderr
    );
    let told = summary(&out);
    assert_eq!(told["reason"], "steps used up");
    let told = told["verdict"].as_str().expect("a verdict").to_owned();
    assert!(told.contains(verdict), "{name}: {told}");
    assert!(ended.stdout.contains(&told), "{name}: {}", ended.stdout);
    let page = out.join("page.html");
    let ended = end(alone().arg("report").arg(&out).arg("--out").arg(&page));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let html = std::fs::read_to_string(page).expect("a page");
    assert!(
        html.contains("<b>Verdict:</b> ") && html.contains(verdict.trim_end()),
        "{name}"
    );
}

fn overflow() {
    let case = Case::new("plain");
    let run = case.run(&["method.noise=1e-309"]);
    let ended = end(&mut run.command(&case.file("out")));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for words in ["gave finite outputs whose misfit overflows", "method.noise"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
