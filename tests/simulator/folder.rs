//! A run's folder stands alone: what its configuration names is found from anywhere, and no command in it is started unasked.

use std::path::{Path, PathBuf};

use super::start::{Ended, alone, eki_mpi, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    ("a_file_that_rank_0_cannot_write_ends_all_ranks", unwritable),
    ("files_are_found_beside_the_configuration", beside),
    (
        "files_that_are_nowhere_are_refused_with_the_folders",
        nowhere,
    ),
    ("a_finished_run_is_judged_from_anywhere", judged),
    ("a_configuration_lost_in_the_run_hinders_no_result", lost),
    ("a_run_folders_command_is_shown_and_not_started", shown),
];

/// A project in a folder of its own, all paths in its configuration relative, and another folder to start from.
fn project() -> (Case, PathBuf, PathBuf) {
    let case = Case::new("plain");
    let (project, other) = (case.file("project"), case.file("other"));
    for folder in [&project, &other] {
        std::fs::create_dir(folder).expect("a folder");
    }
    std::fs::rename(case.file("observed.txt"), project.join("observed.txt")).expect("a file");
    let text = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
    let line = |line: &str| match line.split(" = ").next() {
        Some("command") => "command = [\"sh\", \"model.sh\"]\n".to_owned(),
        Some("observations") => "observations = \"observed.txt\"\n".to_owned(),
        Some("steps") => "steps = 3\n".to_owned(),
        Some("members") => "members = 24\ninitial = \"first.csv\"\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    std::fs::write(project.join("mine.toml"), text).expect("a file");
    let first: String = (0..24)
        .map(|j| format!("{},{}\n", 0.5 + 0.05 * f64::from(j), 9 - j % 7))
        .collect();
    std::fs::write(
        project.join("first.csv"),
        "growth,capacity\n".to_owned() + &first,
    )
    .expect("a file");
    let this = std::env::current_exe().expect("the path of this program");
    let marks = case.file("marks");
    let script = format!("exec {this:?} simulate plain {marks:?}\n");
    std::fs::write(project.join("model.sh"), script).expect("a file");
    (case, project, other)
}

/// The program with `arguments`, started in `folder`.
fn from(folder: &Path, arguments: &[&str]) -> Ended {
    end(alone().current_dir(folder).args(arguments))
}

fn beside() {
    let (_case, project, other) = project();
    let own = from(&project, &["run", "mine.toml", "--out", "own"]);
    assert_eq!(own.code, 0, "{}", own.stderr);
    let out = ["--out", "run", "--threads", "1"];
    let run = from(
        &other,
        &[&["run", "../project/mine.toml"], &out[..]].concat(),
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    let run = other.join("run");
    assert_eq!(digest(&project.join("own")), digest(&run));
    let observed = std::fs::read(project.join("observed.txt")).expect("a file");
    assert_eq!(
        std::fs::read(run.join("observations.txt")).expect("a copy"),
        observed
    );
    // What lies in the folder where the program is started comes first, and the command line means that folder alone.
    std::fs::write(other.join("observed.txt"), "1\n2\n").expect("a file");
    let plan = from(
        &other,
        &["plan", "../project/mine.toml", "--ranks", "1", "--json"],
    );
    assert!(plan.stdout.contains("\"outputs\": 2,"), "{}", plan.stdout);
    std::fs::remove_file(other.join("observed.txt")).expect("a file");
    let set = ["--set", "data.observations=observed.txt"];
    let plan = from(
        &other,
        &[&["plan", "../project/mine.toml", "--ranks", "1"], &set[..]].concat(),
    );
    assert_eq!(
        (plan.code, plan.complaints().len()),
        (2, 1),
        "{}",
        plan.stderr
    );
    // The run's own configuration serves another run, also where its project is gone.
    std::fs::remove_file(project.join("observed.txt")).expect("a file");
    let again = from(
        &project,
        &["run", "../other/run/config.toml", "--out", "again"],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(digest(&project.join("again")), digest(&run));
}

fn nowhere() {
    let (_case, project, other) = project();
    for (file, key) in [
        ("first.csv", "ensemble.initial"),
        ("observed.txt", "data.observations"),
    ] {
        std::fs::remove_file(project.join(file)).expect("a file");
        let run = from(&other, &["run", "../project/mine.toml", "--out", "run"]);
        let line = run.complaints().concat();
        assert_eq!(run.code, 2, "{}", run.stderr);
        assert!(
            line.contains(key)
                && line.contains("no such file in ")
                && line.contains("/other or in "),
            "{line}"
        );
        assert!(!other.join("run").exists());
    }
}

fn lost() {
    let (_case, project, _other) = project();
    let script = std::fs::read_to_string(project.join("model.sh")).expect("a file");
    let script = format!("[ -d run ] && echo '[' > run/config.toml\n{script}");
    std::fs::write(project.join("model.sh"), script).expect("a file");
    let run = ["run", "mine.toml", "--out", "run"];
    let run = end(eki_mpi(2).current_dir(&project).args(run));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let config = std::fs::read_to_string(project.join("run/config.toml"));
    assert_eq!(config.expect("a file"), "[\n");
    assert!(run.stdout.contains("  growth "), "{}", run.stdout);
}

fn unwritable() {
    for name in ["summary.json", "final/parameters.csv", "timing.json"] {
        let (_case, project, _other) = project();
        let script = std::fs::read_to_string(project.join("model.sh")).expect("a file");
        let script = format!("[ -d run ] && mkdir -p run/{name}\n{script}");
        std::fs::write(project.join("model.sh"), script).expect("a file");
        let run = ["run", "mine.toml", "--out", "run"];
        let run = end(eki_mpi(2).current_dir(&project).args(run));
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert!(
            run.stderr.contains(&format!("{name}: cannot rename")),
            "{}",
            run.stderr
        );
    }
}

fn judged() {
    let (case, project, other) = project();
    // It needs the folder that it is started in.
    let script = std::fs::read_to_string(project.join("model.sh")).expect("a file");
    std::fs::write(
        project.join("model.sh"),
        format!("cat side.txt >&2 || exit 1\n{script}"),
    )
    .expect("a file");
    std::fs::write(project.join("side.txt"), "beside\n").expect("a file");
    let out = other.join("run");
    let run = from(
        &project,
        &["run", "mine.toml", "--out", out.to_str().expect("text")],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    std::fs::remove_file(project.join("observed.txt")).expect("a file");
    let started = case.marks().len();
    let told = from(&other, &["evaluate", "run", "--json"]);
    assert_eq!(
        (told.code, case.marks().len()),
        (0, started),
        "{}",
        told.stderr
    );
    let simulated = from(&other, &["evaluate", "run", "--json", "--run-command"]);
    assert_eq!(simulated.code, 0, "{}", simulated.stderr);
    assert!(case.marks().len() > started);
    let misfits = |text: &str| {
        let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
        ["misfit_mean", "misfit_best"].map(|key| json[key].as_f64().expect("a number"))
    };
    for (told, simulated) in misfits(&told.stdout)
        .into_iter()
        .zip(misfits(&simulated.stdout))
    {
        assert!((told / simulated - 1.0).abs() < 1e-6, "{told} {simulated}");
    }
    let report = from(&other, &["report", "run"]);
    assert_eq!(report.code, 0, "{}", report.stderr);
}

fn shown() {
    let (case, project, _other) = project();
    let run = from(&project, &["run", "mine.toml", "--out", "run"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let started = case.marks().len();
    let told = from(&project, &["evaluate", "run"]);
    assert_eq!(
        (told.code, case.marks().len()),
        (0, started),
        "{}",
        told.stderr
    );
    assert!(
        told.stdout
            .contains("add --run-command, which starts [\"sh\", \"model.sh\"] in "),
        "{}",
        told.stdout
    );
    // Where the folder doesn't tell, the user is asked.
    std::fs::write(project.join("run/summary.json"), "{}").expect("a file");
    let calibrate = ["plan", "run/config.toml", "--ranks", "2", "--calibrate"];
    for arguments in [&["evaluate", "run"][..], &calibrate] {
        let started = case.marks().len();
        let refused = from(&project, arguments);
        let line = refused.complaints().concat();
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            line.contains("add --run-command, which starts [\"sh\", \"model.sh\"] in "),
            "{line}"
        );
        assert_eq!(case.marks().len(), started, "{arguments:?}");
        let allowed = from(&project, &[arguments, &["--run-command"]].concat());
        assert_eq!(allowed.code, 0, "{}", allowed.stderr);
        assert!(case.marks().len() > started, "{arguments:?}");
    }
}
