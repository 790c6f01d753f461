//! The history of a run: members and outputs that are kept, are the same on any ranks, and are not simulated again.

use std::collections::BTreeMap;
use std::path::Path;

use eki_mpi::io::run_folder::history::{History, step_folder};

use super::answers::{logistic, plight};
use super::results::summary;
use super::start::{Run, end};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    (
        "members_and_outputs_are_kept_as_they_were_on_any_number_of_ranks",
        kept,
    ),
    (
        "a_run_cut_after_a_step_and_resumed_on_other_ranks_has_the_same_history",
        cut,
    ),
    ("what_the_history_holds_is_not_simulated_again", not_again),
    (
        "a_finished_run_that_is_resumed_asks_its_simulator_nothing",
        not_probed,
    ),
    (
        "a_history_of_another_run_is_refused_and_a_blocked_one_ends_no_run",
        of_another,
    ),
    (
        "the_last_ensemble_is_asked_for_where_a_history_is_set",
        asked_for,
    ),
];

/// The run of `case` of so many steps and 8 members, changed by `sets`.
fn run_for(case: &Case, steps: u32, sets: &[&str]) -> Run {
    let steps = format!("run.steps={steps}");
    let mut run = case.run(&[&steps, "ensemble.members=8", "model.probe=false"]);
    for set in sets {
        run = run.set(*set);
    }
    run
}

/// Every file of the history of the run in `out`.
pub fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![out.join("steps")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(out)
                .expect("within")
                .display()
                .to_string();
            found.insert(name, std::fs::read(path).expect("a file"));
        }
    }
    found
}

/// Resumes `run` in `out` on `ranks` ranks.
pub fn resume(run: &Run, out: &Path, ranks: usize) -> super::start::Ended {
    let ended = end(run.clone().on(ranks, 1).command(out).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

/// Leaves the run in `out`, of `steps` steps and as many checkpoints, as one that is killed in its last step but one, with the history ahead
/// of its newest checkpoint, and a torso.
pub fn kill(out: &Path, steps: u64) {
    for step in [steps - 1, steps] {
        let folder = out.join(format!("checkpoints/step-{step:08}"));
        std::fs::remove_dir_all(folder).expect("a checkpoint");
    }
    let torso = step_folder(out, steps).with_extension("part");
    std::fs::rename(step_folder(out, steps), &torso).expect("a folder");
    std::fs::remove_file(torso.join("step.json")).expect("a file");
}

/// The parameters that simulators of `case` were asked for after the first `known` marks.
pub fn asked(case: &Case, known: usize) -> Vec<String> {
    let marks = case.marks();
    let asked = marks[known..].iter();
    asked
        .filter_map(|mark| mark.strip_prefix("asked ").map(str::to_owned))
        .collect()
}

fn kept() {
    let case = Case::new("failing");
    let run = run_for(&case, 3, &["output.history=all"]);
    let (out, _) = case.finish(&run, "one");
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &format!("on {ranks}"));
        assert!(files(&other) == files(&out), "{ranks} ranks");
    }
    let history = History::open(&out).expect("sound").expect("there");
    assert_eq!(history.steps(), [0, 1, 2, 3]);
    assert_eq!(history.parameter_names(), ["growth", "capacity"]);
    assert_eq!(history.output_names()[11], "y12");
    assert_eq!(history.record(3).expect("there").digest, digest(&out));
    let mut failed = 0;
    for step in 0..=3 {
        let (u, z) = (history.parameters(step), history.outputs(step));
        let (u, z) = (u.expect("sound"), z.expect("sound"));
        assert_eq!((u.dim(), z.dim()), ((8, 2), (8, 12)));
        for (u, z) in u.rows().into_iter().zip(z.rows()) {
            let line = format!("{:?} {:?}", u[0], u[1]);
            let gone = plight("failing", &line).is_some();
            failed += usize::from(gone);
            // To the last bit, and nothing of a member that failed.
            let own = |z: &[f64]| z == logistic(u[0], u[1]) || gone && z.iter().all(|z| z.is_nan());
            assert!(own(&z.to_vec()), "{line}: {z}");
        }
    }
    assert!(failed > 0);
    // As text the first and the last.
    for (step, there) in [(0, true), (1, false), (3, true)] {
        let path = step_folder(&out, step).join("parameters.csv");
        assert_eq!(path.exists(), there, "{step}");
    }
    let text = std::fs::read_to_string(step_folder(&out, 3).join("parameters.csv"));
    let text = text.expect("text");
    assert!(text.starts_with("growth,capacity\n"), "{text}");
    assert_eq!(text.lines().count(), 9);
    // The last members are the run's result.
    let last = history.parameters(3).expect("sound");
    let shown: Vec<String> = last.row(0).iter().map(|x| format!("{x:?}")).collect();
    let result = std::fs::read_to_string(out.join("final/members.csv")).expect("text");
    assert_eq!(result.lines().nth(1), Some(&*shown.join(",")));
    // By default both ends alone; every second step, and the last; none.
    for (set, steps) in [
        ("output.history=auto", &[0, 3][..]),
        ("output.history=2", &[0, 2, 3]),
        ("output.history=none", &[]),
    ] {
        let (out, _) = case.finish(&run_for(&case, 3, &[set]), set);
        let history = History::open(&out).expect("sound");
        assert_eq!(history.map_or(Vec::new(), |h| h.steps().to_vec()), steps);
        assert_eq!(digest(&out), history_digest(&case.file("one")), "{set}");
    }
}

fn history_digest(out: &Path) -> String {
    let history = History::open(out).expect("sound").expect("there");
    history.record(history.last()).expect("there").digest
}

fn cut() {
    let case = Case::new("paced");
    let every = [
        "output.history=all",
        "checkpoint.every_steps=1",
        "checkpoint.keep=9",
    ];
    let run = run_for(&case, 4, &every);
    let (out, _) = case.finish(&run.clone().on(2, 1), "out");
    let whole = files(&out);
    kill(&out, 4);
    for ranks in [3, 1] {
        let known = case.marks().len();
        resume(&run, &out, ranks);
        assert!(
            files(&out) == whole,
            "{ranks} ranks: {:?}",
            files(&out).keys()
        );
        // The members after 2 and 3 steps are known, those after 4 are not, nor is their mean.
        let expected = if ranks == 3 { 9 } else { 0 };
        assert_eq!(asked(&case, known).len(), expected, "{ranks} ranks");
    }
}

fn not_again() {
    let case = Case::new("paced");
    // To its last step, and to the noise level after 0.
    for (name, sets) in [
        ("end", [""; 0].as_slice()),
        ("noise", &["run.stop_at_misfit=1e9"]),
    ] {
        let (out, _) = case.finish(&run_for(&case, 2, sets), name);
        let (before, known) = (files(&out), case.marks().len());
        let result = summary(&out);
        resume(&run_for(&case, 2, sets), &out, 2);
        assert_eq!(asked(&case, known), [""; 0], "{name}");
        assert!(files(&out) == before, "{name}");
        assert_eq!(summary(&out)["misfit_mean"], result["misfit_mean"]);
        assert_eq!(summary(&out)["misfit_members"], result["misfit_members"]);
    }
    // Lengthened, its first new step has all it needs.
    let out = case.file("end");
    let known = case.marks().len();
    resume(&run_for(&case, 3, &[]), &out, 3);
    // The new last members, and their mean.
    assert_eq!(asked(&case, known).len(), 8 + 1);
    let (whole, _) = case.finish(&run_for(&case, 3, &[]), "whole");
    assert_eq!(digest(&out), digest(&whole));
    assert_eq!(History::open(&out).unwrap().unwrap().steps(), [0, 2, 3]);
}

fn not_probed() {
    let run_for = |case: &Case, steps: u32| {
        let steps = format!("run.steps={steps}");
        case.run(&[&steps, "ensemble.members=8"])
    };
    let case = Case::new("paced");
    let (out, _) = case.finish(&run_for(&case, 2), "out");
    let first = asked(&case, 0).len();
    let (before, was) = (files(&out), summary(&out));
    for ranks in [1, 2] {
        let known = case.marks().len();
        resume(&run_for(&case, 2), &out, ranks);
        assert_eq!(asked(&case, known), [""; 0], "{ranks} ranks");
        assert!(files(&out) == before, "{ranks} ranks");
        let is = summary(&out);
        for key in [
            "reason",
            "steps",
            "digest",
            "misfit_mean",
            "misfit_best",
            "misfit_members",
            "misfit_groups",
        ] {
            assert_eq!(is[key], was[key], "{key} on {ranks} ranks");
        }
    }
    // A folder of an earlier version, without the outputs at the mean: tried as a run that begins, and the mean simulated.
    let known = case.marks().len();
    std::fs::remove_file(step_folder(&out, 2).join("mean_outputs.npy")).expect("a file");
    resume(&run_for(&case, 2), &out, 1);
    let tried = asked(&case, known).len() - 1;
    assert!(tried > 0 && files(&out) == before);
    // The first run was tried at its first member, which counts; one that is lengthened is tried, too, and has new last members.
    assert_eq!(first, tried + (3 * 8 - 1) + 1);
    let known = case.marks().len();
    resume(&run_for(&case, 3), &out, 2);
    assert_eq!(asked(&case, known).len(), tried + 8 + 1);
    let (whole, _) = case.finish(&run_for(&case, 3), "whole");
    assert_eq!(digest(&out), digest(&whole));
}

fn of_another() {
    let case = Case::new("plain");
    let (out, _) = case.finish(&run_for(&case, 1, &[]), "out");
    let (other, _) = case.finish(&run_for(&case, 1, &["seed=9"]), "other");
    std::fs::remove_dir_all(out.join("steps")).expect("a history");
    std::fs::rename(other.join("steps"), out.join("steps")).expect("a history");
    let before = files(&out);
    for ranks in [1, 2] {
        let run = run_for(&case, 2, &[]).on(ranks, 1);
        let ended = end(run.command(&out).arg("--resume"));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        let told = ended.complaints();
        assert!(
            told.len() == 1 && told[0].contains("/steps: ") && told[0].contains("seed = 9, now 1"),
            "{}",
            ended.stderr
        );
    }
    assert!(files(&out) == before);
    // One that cannot be written, and one that is damaged.
    std::fs::remove_dir_all(out.join("steps")).expect("a history");
    std::fs::write(out.join("steps"), "a file").expect("a file");
    let ended = resume(&run_for(&case, 2, &[]), &out, 2);
    assert!(ended.stderr.contains("goes on without"), "{}", ended.stderr);
    let (whole, _) = case.finish(&run_for(&case, 2, &[]), "whole");
    assert_eq!(digest(&out), digest(&whole));
    let path = step_folder(&whole, 2).join("outputs.npy");
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::write(&path, &bytes[..bytes.len() - 8]).expect("a file");
    let ended = resume(&run_for(&case, 2, &[]), &whole, 2);
    assert!(ended.stderr.contains("is cut short"), "{}", ended.stderr);
    assert!(std::fs::read(&path).expect("a file") == bytes);
}

fn asked_for() {
    let case = Case::new("plain");
    let sets = ["model.kind=ask-tell", "model.command=[]"];
    let process = case.finish(&run_for(&case, 2, &[]), "process").0;
    for (set, rounds, last) in [("output.history=auto", 2, 0), ("output.history=ends", 3, 2)] {
        let run = run_for(&case, 2, &[sets[0], sets[1], set]);
        let out = case.file(set);
        for start in 0..=rounds {
            let ended = end(run
                .clone()
                .on(1 + start % 2, 1)
                .command(&out)
                .arg("--resume"));
            assert_eq!(
                ended.code,
                if start < rounds { 75 } else { 0 },
                "{}",
                ended.stderr
            );
            if start < rounds {
                let asked = std::fs::read_to_string(out.join("ask/now/parameters.csv"));
                let asked = asked.expect("questions");
                let answer = |line: &str| {
                    let (growth, capacity) = line.split_once(',').expect("two");
                    let z = logistic(growth.parse().unwrap(), capacity.parse().unwrap());
                    let words: Vec<String> = z.iter().map(|z| format!("{z:?}\n")).collect();
                    words.concat().trim_end().replace('\n', ",") + "\n"
                };
                let told: String = asked.lines().skip(1).map(answer).collect();
                std::fs::write(out.join("ask/now/outputs.csv"), told).expect("a file");
            }
        }
        assert_eq!(digest(&out), digest(&process));
        let history = History::open(&out).expect("sound").expect("there");
        assert_eq!(history.last(), last);
        let theirs = History::open(&process).expect("sound").expect("there");
        assert_eq!(
            history.outputs(last).unwrap(),
            theirs.outputs(last).unwrap()
        );
    }
}
