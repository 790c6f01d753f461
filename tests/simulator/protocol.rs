//! Simulators that break the protocol, end early, or never answer: their members are neither lost nor mixed up, and no run waits
//! for ever.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::runs::{all_gone, ending};
use super::start::{Ended, alone, end, rank_processes, wait};
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
    ("one_signal_ends_a_wait_for_simulators_at_once", given_up),
    ("many_simulators_at_once_change_nothing", many),
];

fn plain() -> String {
    let case = Case::new("plain");
    digest(&case.finish(&case.run(&["run.steps=3"]), "1").0)
}

fn ends_between() {
    for kind in ["once 0", "once 3"] {
        let case = Case::new(kind);
        let (one, _) = case.finish(&case.run(&["run.steps=3"]), "1");
        let (two, _) = case.finish(&case.run(&["run.steps=3"]).on(2, 2), "2");
        assert_eq!((failures(&one), failures(&two)), (vec![0; 3], vec![0; 3]));
        assert_eq!((digest(&one), digest(&two)), (plain(), plain()), "{kind}");
        let checked = end(alone().arg("check-model").arg(case.file("mine.toml")));
        assert_eq!(checked.code, 0, "{kind}: {}", checked.stderr);
    }
}

/// The first trial refuses it; without that, the first step does.
fn twice() {
    for (kind, probe, code) in [
        ("twice 0", "true", 2),
        ("twice 3", "true", 2),
        ("twice 40", "true", 2),
        ("twice 3", "false", 1),
    ] {
        let case = Case::new(kind);
        let run = case
            .run(&["run.steps=3"])
            .set(format!("model.probe={probe}"));
        for ranks in [1, 2] {
            let ended = end(&mut run.on(ranks, 2).command(&case.file("out")));
            let complaints = ended.complaints();
            assert_eq!(
                (ended.code, complaints.len()),
                (code, 1),
                "{}",
                ended.stderr
            );
            assert!(complaints[0].contains(" unasked"), "{}", complaints[0]);
            let _ = std::fs::remove_dir_all(case.file("out"));
        }
        let checked = end(alone().arg("check-model").arg(case.file("mine.toml")));
        assert_eq!(checked.code, 2, "{}", checked.stderr);
    }
}

fn stray_once() {
    let case = Case::new("stray-once");
    let run = case.run(&["run.steps=3", "model.probe=false"]);
    let (one, _) = case.finish(&run, "1");
    assert!(case.marks().contains(&"stray".to_owned()));
    assert_eq!((digest(&one), failures(&one)), (plain(), vec![0; 3]));
}

fn numbered() {
    let case = Case::new("numbered");
    let run = case.run(&["run.steps=3", "model.numbered=true"]);
    let (one, _) = case.finish(&run.on(2, 2), "1");
    assert_eq!((digest(&one), failures(&one)), (plain(), vec![0; 3]));
    // One that does not repeat the number is refused.
    let case = Case::new("plain");
    let run = case.run(&["run.steps=3", "model.numbered=true"]);
    let ended = end(&mut run.command(&case.file("out")));
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("(model.numbered = true)"),
        "{}",
        ended.stderr
    );
    // A late second answer bears the number of a question before.
    let case = Case::new("numbered-twice");
    let run = case.run(&["run.steps=3", "model.numbered=true", "model.probe=false"]);
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

fn given_up() {
    let case = Case::new("holds");
    let with = |steps: &str| case.run(&["model.probe=false", steps]);
    let whole = case.finish(&with("run.steps=4"), "whole").0;
    for (ranks, name) in [(1, "one"), (2, "two")] {
        let out = case.file(name);
        case.finish(&with("run.steps=2").on(ranks, 1), name);
        std::fs::write(case.file("hold"), "").expect("a file");
        let before = case.marks().len();
        let run = with("run.steps=4").on(ranks, 1);
        let mut command = run.command(&out);
        command.arg("--resume");
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let child = child.expect("a program");
        let start = Instant::now();
        while case.marks()[before..]
            .iter()
            .filter(|mark| *mark == "held")
            .count()
            < ranks
        {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "no simulator is asked"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let process = match ranks {
            1 => child.id(),
            _ => rank_processes(child.id())[1],
        };
        let kill = std::process::Command::new("kill")
            .args(["-TERM", &process.to_string()])
            .status();
        assert!(kill.is_ok_and(|status| status.success()));
        let output = wait(child);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let ended = Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::new(),
            stderr,
        };
        assert_eq!(ended.code, 75, "{}", ended.stderr);
        assert_eq!(ending(&out), ("signal SIGTERM".to_owned(), 2));
        let processes: Vec<String> = case
            .marks()
            .into_iter()
            .filter(|mark| mark != "held")
            .collect();
        all_gone(&processes);
        std::fs::remove_file(case.file("hold")).expect("a file");
        let ended = end(run.command(&out).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(digest(&whole), digest(&out), "{name}");
    }
}

fn many() {
    let case = Case::new("plain");
    let (one, _) = case.finish(&case.run(&["run.steps=3"]).on(1, 24), "1");
    assert_eq!(digest(&one), plain());
    let summary = std::fs::read_to_string(one.join("summary.json")).expect("a summary");
    assert!(summary.contains("\"threads\": 24"), "{summary}");
}
