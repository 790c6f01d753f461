//! What is wrong with a simulator or its configuration: one line, exit code 2, and nothing written.

use super::start::{alone, eki_mpi, end};
use super::{Case, Test};

pub const TESTS: &[Test] = &[
    (
        "simulators_that_cannot_be_asked_are_refused_before_anything_is_written",
        simulators,
    ),
    ("configurations_that_do_not_fit_are_refused", configurations),
    (
        "without_a_probe_a_simulator_that_only_fails_ends_the_first_step",
        without_probe,
    ),
];

/// The run of `case` changed by `sets` is refused with `words`.
pub fn refuse(case: &Case, sets: &[&str], words: &[&str]) {
    refuse_on(&[1], case, sets, words);
}

fn refuse_on(numbers: &[usize], case: &Case, sets: &[&str], words: &[&str]) {
    for &ranks in numbers {
        let out = case.file("a/run");
        let mut command = eki_mpi(ranks);
        command.arg("run").arg(case.file("mine.toml"));
        for set in sets {
            command.args(["--set", set]);
        }
        let ended = end(command.arg("--out").arg(&out));
        case.refused(&ended, words);
    }
}

fn simulators() {
    for (kind, words) in [
        (
            "dies",
            &[
                "model.command",
                "exit code 1; its last words: simulator: no licence",
            ][..],
        ),
        ("greeting", &["\"Logistic\", which is not a number"]),
        ("silent", &["no answer in the time allowed", "flush"]),
    ] {
        refuse_on(&[1, 3], &Case::new(kind), &["model.timeout=700ms"], words);
    }
    let case = Case::new("plain");
    refuse_on(
        &[1, 3],
        &case,
        &["model.command=nosuch-simulator"],
        &["nosuch-simulator", "No such file"],
    );
    let here = case.file("mine.toml");
    refuse(
        &case,
        &[&format!("model.command=[{here:?}]")],
        &["Permission denied"],
    );
    refuse(&case, &["model.command=yes"], &["\"y\""]);
    refuse(
        &case,
        &["model.command=[\"cat\", \"/dev/zero\"]"],
        &["without a line's end"],
    );
    std::fs::write(case.file("observed.txt"), "1 2 3").unwrap();
    refuse(
        &case,
        &[],
        &["holds 12 numbers, and the observations are 3"],
    );
    // The centre alone may fail.
    let case = Case::new("centre-dies");
    case.finish(&case.run(&["run.steps=1"]), "run");
}

fn configurations() {
    let case = Case::new("plain");
    refuse(
        &case,
        &["model.command=[]"],
        &["model.command = []", "must be the words"],
    );
    refuse(&case, &["model.command=3"], &["a list of words"]);
    refuse(
        &case,
        &["model.kind=ask-tell"],
        &[
            "model.command",
            "must be [] but for model.kind = \"process\"",
        ],
    );
    refuse(
        &case,
        &["model.prior=[]"],
        &["model.prior = []", "an entry for each parameter"],
    );
    refuse(&case, &["model.prior=[\"growth\"]"], &["not \"growth\""]);
    refuse(
        &case,
        &["model.prior=[\"g normal 0 -1\"]"],
        &["a deviation greater than 0"],
    );
    refuse(
        &case,
        &["model.timeout=soon"],
        &["model.timeout", "a duration"],
    );
    refuse(&case, &["method.noise=[1, 2]"], &["one number or 12"]);
    let whole = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
    let noise = whole
        .lines()
        .find(|line| line.starts_with("noise"))
        .expect("a line");
    std::fs::write(case.file("mine.toml"), whole.replace(noise, "")).expect("a file");
    refuse(&case, &[], &["method.noise = [1.0]: must be given"]);
    refuse(
        &case,
        &["model.kind=ask-tell", "model.command=[]"],
        &["method.noise = [1.0]: must be given"],
    );
    std::fs::write(case.file("mine.toml"), whole).expect("a file");
    std::fs::write(case.file("large.txt"), "1e200\n2").expect("a file");
    let large = format!("data.observations={}", case.file("large.txt").display());
    refuse(
        &case,
        &[&large, "run.precision=single"],
        &["large.txt", "as number 1, more than single precision"],
    );
    refuse(
        &case,
        &["data.observations=nowhere.txt"],
        &["nowhere.txt: cannot be read"],
    );
    refuse(
        &case,
        &["data.observations="],
        &["data.observations = \"\""],
    );
    refuse(
        &case,
        &["data.name=digits"],
        &["data.name = \"digits\"", "must be observations"],
    );
    refuse(&case, &["method.loss=cross-entropy"], &["least-squares"]);
    refuse(
        &case,
        &["method.h_schedule=misfit"],
        &[
            "method.h_schedule = \"misfit\"",
            "needs method.kind = \"kalman\"",
        ],
    );
    refuse(
        &case,
        &["method.perturb=true"],
        &["method.perturb = true", "needs method.kind = \"kalman\""],
    );
    let level = ["run", "digits", "--set", "run.stop_at_misfit=1"];
    let ended = end(alone().args(level));
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("one set of observations"),
        "{}",
        ended.stderr
    );
    let ended = end(alone().args(["run", "digits", "--set", "data.name=observations"]));
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .contains("needs model.kind = \"process\" or \"ask-tell\""),
        "{}",
        ended.stderr
    );
}

fn without_probe() {
    let case = Case::new("dies");
    let run = case.run(&["model.probe=false"]).on(2, 1);
    let ended = end(&mut run.command(&case.file("run")));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    for words in [
        "step 1: only 0 of 24 members gave finite outputs",
        "simulator: no licence",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}
