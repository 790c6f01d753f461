//! Simulators that break the protocol, end early, or never answer: their members are neither lost nor mixed up, and no run waits
//! for ever.

use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::runs::{all_gone, ending};
use super::start::{alone, end, rank_processes, wait};
use super::{Case, Test, digest, failures};

pub const TESTS: &[Test] = &[
    (
        "one_that_ends_between_questions_is_started_anew",
        ends_between,
    ),
    (
        "one_that_answers_twice_is_found_out_whenever_the_answer_comes",
        twice,
    ),
    (
        "a_single_stray_line_leaves_no_trace_in_the_result",
        stray_once,
    ),
    ("question_numbers_tell_whose_an_answer_is", numbered),
    ("an_empty_line_is_an_answer_and_a_flood_of_them_ends", empty),
    (
        "the_end_of_a_process_is_noticed_though_a_helper_holds_its_pipes",
        helper,
    ),
    (
        "helpers_in_sessions_of_their_own_end_with_their_simulator",
        helpers,
    ),
    ("one_signal_ends_a_wait_for_simulators_at_once", given_up),
    ("many_simulators_at_once_change_nothing", many),
];

/// A short run.
const SHORT: [&str; 3] = ["run.steps=2", "ensemble.members=12", "run.best=never"];

/// The digest of a short run with a sound simulator.
fn plain() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let found = || {
        let case = Case::new("plain");
        digest(&case.finish(&case.run(&SHORT), "1").0)
    };
    DIGEST.get_or_init(found).clone()
}

fn ends_between() {
    for (kind, ranks) in [("once 0", 1), ("once 3", 2)] {
        let case = Case::new(kind);
        let (out, _) = case.finish(&case.run(&SHORT).on(ranks, ranks), "out");
        assert_eq!(
            (failures(&out), digest(&out)),
            (vec![0; 2], plain()),
            "{kind}"
        );
        let checked = end(alone().arg("check-model").arg(case.file("mine.toml")));
        assert_eq!(checked.code, 0, "{kind}: {}", checked.stderr);
    }
}

/// The first trial refuses it; without that, the first step does.
fn twice() {
    for (kind, probe, code, ranks) in [
        ("twice 0", true, 2, 1),
        ("twice 40", true, 2, 1),
        ("twice 3", true, 2, 2),
        ("blank-after", false, 1, 2),
        ("twice 3", false, 1, 2),
        ("twice 3", false, 1, 1),
    ] {
        let case = Case::new(kind);
        let run = case.run(&SHORT).set(format!("model.probe={probe}"));
        let ended = end(&mut run.on(ranks, 2).command(&case.file("out")));
        let complaints = ended.complaints();
        assert_eq!(
            (ended.code, complaints.len()),
            (code, 1),
            "{}",
            ended.stderr
        );
        let words = match kind {
            "blank-after" => "holds 0 numbers, and the observations are 12, where a new process",
            _ => " unasked",
        };
        assert!(complaints[0].contains(words), "{}", complaints[0]);
        if probe {
            let checked = end(alone().arg("check-model").arg(case.file("mine.toml")));
            assert_eq!(checked.code, 2, "{}", checked.stderr);
        }
    }
}

fn stray_once() {
    let case = Case::new("stray-once");
    let run = case.run(&SHORT).set("model.probe=false");
    let (one, _) = case.finish(&run, "1");
    assert!(case.marks().contains(&"stray".to_owned()));
    assert_eq!((digest(&one), failures(&one)), (plain(), vec![0; 2]));
}

fn numbered() {
    let case = Case::new("numbered");
    let run = case.run(&SHORT).set("model.numbered=true");
    let (one, _) = case.finish(&run.on(2, 2), "1");
    assert_eq!((digest(&one), failures(&one)), (plain(), vec![0; 2]));
    // One that does not repeat the number is refused.
    let case = Case::new("plain");
    let run = case.run(&SHORT).set("model.numbered=true");
    let ended = end(&mut run.command(&case.file("out")));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("(model.numbered = true)"),
        "{}",
        ended.stderr
    );
    // A late second answer bears the number of a question before.
    let case = Case::new("numbered-twice");
    let run = case.run(&SHORT).set("model.numbered=true");
    let run = run.set("model.probe=false");
    let ended = end(&mut run.command(&case.file("out")));
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains(" unasked"), "{}", ended.stderr);
}

fn empty() {
    let case = Case::new("blank");
    let (one, ended) = case.finish(&case.run(&["run.steps=2"]), "1");
    assert!(failures(&one)[0] > 0);
    let words = "holds 0 numbers, and the observations are 12";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    let case = Case::new("blank-flood");
    let run = case.run(&["run.steps=2", "model.timeout=1s"]);
    let ended = end(&mut run.command(&case.file("out")));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

fn helper() {
    let case = Case::new("helper");
    let run = case.run(&["run.steps=1", "run.best=never"]);
    let start = Instant::now();
    let (one, ended) = case.finish(&run, "1");
    assert!(failures(&one)[0] > 0);
    assert!(
        ended.stderr.contains("was ended by SIGABRT"),
        "{}",
        ended.stderr
    );
    // Helpers, too, are in the file of marks; each would live for 1000 s.
    assert!(start.elapsed() < Duration::from_secs(500));
    all_gone(&case.marks());
}

fn helpers() {
    let case = Case::new("leaves-helpers");
    let run = case.run(&["model.timeout=400ms", "run.steps=1", "run.best=never"]);
    let (out, _) = case.finish(&run.on(1, 4), "out");
    assert!(failures(&out)[0] > 0);
    // Four simulators or more, and two helpers of each; some were ended at their time-out, the others with the run.
    assert!(case.marks().len() >= 12, "{:?}", case.marks());
    all_gone(&case.marks());
}

/// Of one rank alone `kept` tells.
fn given_up() {
    let case = Case::new("holds");
    let with = |steps: &str| {
        let run = case.run(&["model.probe=false", steps, SHORT[1], SHORT[2]]);
        run.on(2, 1)
    };
    let whole = case.finish(&with("run.steps=2"), "whole").0;
    let (out, _) = case.finish(&with("run.steps=1"), "out");
    std::fs::write(case.file("hold"), "").expect("a file");
    let before = case.marks().len();
    let run = with("run.steps=2");
    let mut command = run.command(&out);
    command.arg("--resume");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("a program");
    let start = Instant::now();
    let held = || {
        let marks = case.marks();
        marks[before..]
            .iter()
            .filter(|mark| *mark == "held")
            .count()
    };
    while held() < 2 {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "no simulator is asked"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = rank_processes(child.id())[1].to_string();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &process])
        .status();
    assert!(kill.is_ok_and(|status| status.success()));
    let output = wait(child);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{stderr}");
    assert_eq!(ending(&out), ("signal SIGTERM".to_owned(), 1));
    let marks = case.marks();
    let processes = marks.into_iter().filter(|mark| mark != "held");
    all_gone(&processes.collect::<Vec<_>>());
    std::fs::remove_file(case.file("hold")).expect("a file");
    let ended = end(run.command(&out).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(digest(&whole), digest(&out));
}

fn many() {
    let case = Case::new("plain");
    let (one, _) = case.finish(&case.run(&SHORT).on(1, 12), "1");
    assert_eq!(digest(&one), plain());
    let summary = std::fs::read_to_string(one.join("summary.json")).expect("a summary");
    assert!(summary.contains("\"threads\": 12"), "{summary}");
}
