//! `eki-mpi check-model`: what it says of simulators, sound and not; and the example in the documentation.

use std::path::Path;

use super::start::{Ended, alone, end};
use super::{Case, Test};

pub const TESTS: &[Test] = &[
    ("sound_simulators_pass_and_are_described", sound),
    ("faults_that_a_run_could_bear_are_advised_on", advised),
    ("simulators_that_disturb_each_other_are_found", disturbed),
    ("answers_that_are_no_numbers_are_told", lines),
    ("faults_that_no_run_could_bear_are_refused", unbearable),
    (
        "the_documented_example_in_python_keeps_the_contract",
        documented,
    ),
];

fn check(case: &Case, sets: &[&str]) -> Ended {
    let mut command = alone();
    command.arg("check-model").arg(case.file("mine.toml"));
    for set in sets {
        command.args(["--set", set]);
    }
    end(&mut command)
}

/// What is printed of a simulator that a run can bear, which holds all of `words`.
fn told(kind: &str, sets: &[&str], words: &[&str]) {
    ended_with(0, &check(&Case::new(kind), sets), words);
}

/// Sees that `ended` has this code, and printed all of `words`.
fn ended_with(code: i32, ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    for word in words {
        assert!(
            ended.stdout.contains(word),
            "no {word:?} in {}",
            ended.stdout
        );
    }
}

fn sound() {
    told(
        "plain",
        &[],
        &[
            "2 parameters, 12 observations",
            "8 of 8 with outputs",
            "the same answer: deterministic",
            "outputs that never move      none",
            "answered \"failed: two numbers, please\"",
            "at the end of its input      it ends",
            "growth in 0.55769 .. 1.4345",
            "all is well: `mpirun -n R eki-mpi run ",
        ],
    );
}

fn advised() {
    told("noisy", &[], &["not deterministic", "differs by 0.04"]);
    told(
        "noisy",
        &["method.noise=1e-8"],
        &["own noise is larger than method.noise"],
    );
    told("stubborn", &[], &["it goes on, and is ended"]);
    let few = "ensemble.members=2";
    told(
        "plain",
        &[few],
        &["ensemble.members = 2 span 1 of", "take more members\n"],
    );
    told(
        "plain",
        &[few, "method.localise=1"],
        &["ensemble.members = 2 span 1 of"],
    );
    told(
        "unlucky",
        &[],
        &[
            " of 8 with outputs; the first that fails answered \"failed: an unlucky",
            "members fail, and a run leaves such members out",
            "set model.timeout where one may never answer",
        ],
    );
    let dull = "model.command=[\"sh\", \"-c\", \"while read line; do echo 1 2 3 4 5 6 7 8 9 10 11 12; done\"]";
    let words = [
        "all 8 members gave the same outputs",
        "answered with numbers",
    ];
    ended_with(1, &check(&Case::new("plain"), &[dull]), &words);
    let far = ["model.prior=[\"growth normal 0.8 1e-3\", \"capacity normal 9 1e-3\"]"];
    told("plain", &far, &["widen model.prior"]);
}

/// Simulators that write to the same file, and read it again, give other answers where two run at once: no run should begin.
fn disturbed() {
    let case = Case::new("plain");
    let with = |file: &str| {
        let command = format!(
            "while read a b; do echo $a $b > {file}; sleep 0.05; read c d < {file}; echo $c $d $c $d $c $d $c $d $c $d $c $d; done"
        );
        format!("model.command=[\"sh\", \"-c\", \"{command}\"]")
    };
    let shared = case.file("scratch").display().to_string();
    let words = [
        "two at the same time         answers differ by ",
        "two simulators at the same time give other answers than one alone",
    ];
    ended_with(1, &check(&case, &[&with(&shared)]), &words);
    let own = format!("{shared}.$$");
    let alone = ["two at the same time         the same answers as alone"];
    ended_with(0, &check(&case, &[&with(&own)]), &alone);
}

fn lines() {
    // A member whose answer is no numbers has failed, in a run as here.
    told(
        "failing",
        &[],
        &[" of 8 with outputs; the first that fails answered"],
    );
    // One that closes its standard output is waited for a moment, each time: it does so once here.
    let answers = "read u; echo 1 2 3 4 5 6 7 8 9 10 11 12; ".repeat(4);
    let closes = format!("model.command=[\"sh\", \"-c\", \"{answers} exec >&-; sleep 60\"]");
    let case = Case::new("plain");
    let mut command = alone();
    command.args(["check-model", "--members", "2", "--set", &closes]);
    let ended = end(command.arg(case.file("mine.toml")));
    let words = "1 times between two questions: it closed its standard output";
    assert!(
        ended.stdout.contains(words),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

fn unbearable() {
    for (kind, words) in [
        (
            "blank-after",
            "answered a line that holds 0 numbers, and the observations are 12, where a new process",
        ),
        ("dies", "simulator: no licence"),
        ("greeting", "which is not a number"),
        ("one-late", " unasked: only answers"),
        ("silent", "flush"),
    ] {
        let case = Case::new(kind);
        let ended = check(&case, &["model.timeout=700ms"]);
        assert_eq!(
            (ended.code, ended.complaints().len()),
            (2, 1),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    let ended = end(alone().args(["check-model", "digits"]));
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("must be \"process\""),
        "{}",
        ended.stderr
    );
}

/// The example stands in the documentation as it is, and where there is Python it keeps the contract.
fn documented() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(project.join(name)).expect(name);
    let page = read("src/forward/process/mod.rs");
    let block = page
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("//! ```").next());
    let lines = block.expect("an example").lines();
    let bare = |line: &str| {
        line.strip_prefix("//!")
            .unwrap_or(line)
            .trim_end()
            .to_owned()
    };
    let shown: Vec<String> = lines.map(bare).collect();
    let there: Vec<String> = read("tests/simulator/logistic.py")
        .lines()
        .map(|line| format!(" {line}").trim_end().to_owned())
        .collect();
    assert_eq!(shown, there);
    if std::process::Command::new("python3")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("the documented example is not run: there is no python3");
        return;
    }
    let mut command = alone();
    command
        .current_dir(project)
        .args(["check-model", "tests/simulator/logistic.toml"]);
    let ended = end(&mut command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("all is well"), "{}", ended.stdout);
}
