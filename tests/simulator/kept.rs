//! A run that is killed in the middle of a step: what its simulators have answered is not asked again.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::runs::all_gone;
use super::start::{end, rank_processes, wait};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "members_simulated_in_a_step_that_is_killed_are_not_simulated_again",
        killed,
    ),
    ("outputs_that_cannot_be_kept_do_not_end_the_run", blocked),
];

/// Bytes of a record: a key, 12 outputs, a checksum.
const RECORD: usize = 32 + 8 * 12 + 4;

/// The run of `case` for so many steps.
fn run_for(case: &Case, steps: u32) -> super::start::Run {
    let steps = format!("run.steps={steps}");
    case.run(&[&steps, "ensemble.members=8", "model.probe=false"])
}

/// What follows `word` in lines of `marks`.
fn after<'a>(word: &str, marks: &'a [String]) -> HashSet<&'a str> {
    let rest = marks.iter().filter_map(|mark| mark.strip_prefix(word));
    rest.collect()
}

/// The number of whole records in the run's folder `out`.
fn records(out: &Path) -> usize {
    let entries = std::fs::read_dir(out.join("simulated"))
        .into_iter()
        .flatten();
    let lengths = entries.flatten().flat_map(|entry| entry.metadata());
    lengths.map(|file| file.len() as usize / RECORD).sum()
}

/// Sends `signal` to the ranks of the run `child`, which is its only rank where `ranks` is 1.
fn signal(signal: &str, child: &Child, ranks: usize) {
    let processes = match ranks {
        1 => vec![child.id()],
        _ => rank_processes(child.id()),
    };
    for process in processes {
        let arguments = [format!("-{signal}"), process.to_string()];
        let _ = std::process::Command::new("kill").args(arguments).status();
    }
}

fn killed() {
    let case = Case::new("paced");
    let whole = digest(&case.finish(&run_for(&case, 2), "whole").0);
    for (first, second, by) in [(2, 1, "KILL"), (1, 3, "TERM")] {
        let (out, _) = case.finish(&run_for(&case, 1).on(first, 1), by);
        assert!(!out.join("simulated").exists());
        let before = case.marks();
        let start = before.len();
        let answers = before.iter().filter(|mark| mark.starts_with("answered "));
        std::fs::write(case.file("pace"), (answers.count() + 5).to_string()).expect("a file");
        let run = run_for(&case, 2);
        let mut command = run.on(first, 1).command(&out);
        command.arg("--resume");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("a program");
        let begun = Instant::now();
        loop {
            let marks = case.marks();
            let answered = after("answered ", &marks[start..]).len();
            if answered >= 5 && records(&out) == answered {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "{answered} {marks:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        signal(by, &child, first);
        let output = wait(child);
        assert!(
            by == "KILL" || output.status.code() == Some(75),
            "{output:?}"
        );
        std::fs::remove_file(case.file("pace")).expect("a file");
        let marks = case.marks();
        let processes = marks[start..].iter().filter(|mark| !mark.contains(' '));
        all_gone(&processes.cloned().collect::<Vec<_>>());
        let answered = after("answered ", &marks[start..]);
        let damaged = usize::from(by == "KILL");
        if by == "KILL" {
            damage(&out.join("simulated"), &case.file("thesis"));
        }
        let ended = end(run.on(second, 1).command(&out).arg("--resume"));
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let told = format!("the outputs of {} simulations", answered.len() - damaged);
        assert!(ended.stderr.contains(&told), "{}", ended.stderr);
        let marks = &case.marks()[marks.len()..];
        let again = after("asked ", marks);
        assert_eq!(again.intersection(&answered).count(), damaged, "{again:?}");
        assert_eq!(digest(&out), whole, "{by}");
        assert!(
            damaged == 0
                || case
                    .file("thesis")
                    .metadata()
                    .is_ok_and(|file| file.len() == 4)
        );
        let left = std::fs::read_dir(out.join("simulated"));
        assert!(left.is_err(), "{left:?}");
    }
}

/// One record with another bit, a torn one, a file of something else, and a link to another file.
fn damage(folder: &Path, thesis: &Path) {
    let [first, second] = ["rank-00000", "rank-00001"].map(|name| folder.join(name));
    let mut bytes = std::fs::read(&first).expect("records");
    bytes[40] ^= 1;
    std::fs::write(&first, &bytes).expect("a file");
    let mut bytes = std::fs::read(&second).expect("records");
    bytes.extend_from_within(..RECORD / 2);
    std::fs::write(&second, &bytes).expect("a file");
    std::fs::write(folder.join("rank-00007"), [7; 2 * RECORD + 9]).expect("a file");
    std::fs::write(thesis, "done").expect("a file");
    std::os::unix::fs::symlink(thesis, folder.join("rank-00009")).expect("a link");
}

fn blocked() {
    let case = Case::new("paced");
    let whole = digest(&case.finish(&run_for(&case, 2), "whole").0);
    let (out, _) = case.finish(&run_for(&case, 1), "out");
    std::fs::write(out.join("simulated"), "a file").expect("a file");
    std::fs::write(case.file("pace"), "1000").expect("a file");
    let ended = end(run_for(&case, 2).on(1, 4).command(&out).arg("--resume"));
    assert_eq!((ended.code, digest(&out)), (0, whole), "{}", ended.stderr);
    let told = ended.stderr.matches("outputs are not kept").count();
    assert_eq!(told, 1, "{}", ended.stderr);
}
