//! Observations in sets, assimilated in batches: a pass over all sets is one step with all, on any ranks, resumed within a pass.

use std::path::Path;

use eki_mpi::io::run_folder::history::History;

use super::answers::{line_of, observed};
use super::history;
use super::priors::{correlated_line, exact_points, moments_apart};
use super::results::members;
use super::start::{Run, alone, end};
use super::stored::{complaint, json, printed, text};
use super::{Case, Test, digest};

pub const TESTS: &[Test] = &[
    ("a_pass_over_all_sets_leads_to_the_exact_posterior", exact),
    (
        "sets_have_the_same_bits_on_any_ranks_and_go_on_within_a_pass",
        same_bits,
    ),
    ("sets_that_are_asked_for_step_by_step_are_named", asked),
    ("sets_that_do_not_fit_are_refused_in_one_line", refused),
    ("each_set_is_tried_by_check_model", checked),
    ("a_history_says_of_which_sets_it_is", kept),
    ("sets_are_replayed_and_checked_one_by_one", replayed),
];

/// The observations of a line over twelve months, in three seasons of four, one month of each after the other.
fn table(season: impl Fn(usize) -> String) -> String {
    let months = observed();
    let line = |i: usize| {
        let (season_of, month) = (i % 3, i / 3);
        format!(
            "m{month},{:?},{}\n",
            months[4 * season_of + month],
            season(season_of)
        )
    };
    "name,value,set\n".to_owned() + &(0..12).map(line).collect::<String>()
}

/// A line whose level and slope have a correlated prior, observed in three seasons.
fn seasons() -> (Case, Run) {
    let (case, run) = correlated_line("seasons");
    let path = case.file("observed.csv");
    std::fs::write(&path, table(|season| format!("s{season}"))).expect("a file");
    let run = run
        .set(format!(
            "data.observations={:?}",
            path.display().to_string()
        ))
        .set("run.steps=3");
    (case, run)
}

fn exact() {
    let (case, run) = seasons();
    let run = run
        .set(format!(
            "ensemble.initial={}",
            exact_points(&case).display()
        ))
        .set("ensemble.members=4");
    for (name, sets) in [
        ("one by one", &[][..]),
        ("shuffled", &["data.shuffle=true"]),
        ("all at once", &["data.batch=3", "run.steps=1"]),
        ("in two passes", &["method.h=0.5", "run.steps=6"]),
        // A pass for each h of the list.
        ("by a list", &["method.h=[0.1, 0.2, 0.7]", "run.steps=0"]),
        // Passes of 0.4, 0.4 and 0.2: h adds up to 1 for each set.
        (
            "until time 1",
            &["method.h=0.4", "run.end_time=1", "run.steps=30"],
        ),
    ] {
        let run = sets.iter().fold(run.clone(), |run, set| run.set(*set));
        let (out, _) = case.finish(&run, name);
        let off = moments_apart(&members(&out));
        assert!(off < 1e-6, "{name}: {off}");
    }
    // One set is not all: the posterior is another.
    let (out, _) = case.finish(&run.set("run.steps=1"), "one");
    assert!(moments_apart(&members(&out)) > 1e-3);
}

/// With random numbers of each kind that a step may take.
const MORE: [&str; 6] = [
    "method.kind=kalman",
    "method.perturb=true",
    "method.h=0.3",
    "data.shuffle=true",
    "ensemble.inflation=1.1",
    "run.steps=7",
];

fn same_bits() {
    let (case, run) = seasons();
    let run = MORE.iter().fold(run, |run, set| run.set(*set));
    let (whole, _) = case.finish(&run, "whole");
    for (ranks, threads) in [(2, 1), (3, 2), (5, 1)] {
        let name = format!("{ranks} {threads}");
        let (other, _) = case.finish(&run.on(ranks, threads), &name);
        assert_eq!(digest(&other), digest(&whole), "{name}");
    }
    let (cut, _) = case.finish(&run.clone().set("run.steps=2"), "cut");
    assert_ne!(digest(&cut), digest(&whole));
    let ended = end(run.on(2, 1).command(&cut).arg("--resume"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(digest(&cut), digest(&whole));
}

/// The outputs that are asked for in `out`: a line of level + slope times the month, of each season that is named.
fn answers(out: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(out.join("ask/now").join(name));
    let sets = read("sets.txt").expect("the names of sets");
    let parameters = read("parameters.csv").expect("parameters");
    let mut text = String::new();
    for line in parameters.lines().skip(1) {
        let u: Vec<f64> = line.split(',').flat_map(str::parse).collect();
        let mut outputs = Vec::new();
        for set in sets.lines() {
            let season: usize = set[1..].parse().expect("a number");
            outputs.extend((4 * season..4 * season + 4).map(|month| u[0] + u[1] * month as f64));
        }
        let words: Vec<String> = outputs.iter().map(|z| format!("{z:?}")).collect();
        text += &(words.join(" ") + "\n");
    }
    text
}

fn asked() {
    let (case, run) = seasons();
    let (by_process, _) = case.finish(&run, "process");
    let run = ["model.kind=ask-tell", "model.command=[]", "run.best=never"]
        .iter()
        .fold(run, |run, set| run.set(*set));
    let out = case.file("asked");
    for start in 0..=3 {
        let ended = end(run.on(1 + start % 2, 1).command(&out).arg("--resume"));
        match start {
            3 => assert_eq!(ended.code, 0, "{}", ended.stderr),
            _ => {
                assert_eq!(ended.code, 75, "{}", ended.stderr);
                std::fs::write(out.join("ask/now/outputs.csv"), answers(&out)).expect("a file");
            }
        }
    }
    assert_eq!(digest(&out), digest(&by_process));
}

fn refused() {
    let (case, run) = seasons();
    let refuse = |run: &Run, words: &[&str]| {
        let ended = end(&mut run.command(&case.file("a/run")));
        case.refused(&ended, words);
    };
    for (set, words) in [
        ("data.batch=2", &["data.batch = 2", "divide the 3 sets"][..]),
        (
            "method.h_schedule=misfit",
            &["method.h_schedule = ", "data.batch = 1"],
        ),
        (
            "method.noise={ diagonal = 1, factors = \"u.npy\" }",
            &["method.noise = "],
        ),
        (
            "method.accept=true",
            &["method.accept = true", "different observations"],
        ),
        (
            "ensemble.inflation={ kind = \"rtps\", weight = 0.5 }",
            &["ensemble.inflation = ", "data.batch = 1"],
        ),
    ] {
        let u = case.file("u.npy");
        super::start::write_npy(&u, &[12, 1], &[0.5; 12]);
        let set = set.replace("u.npy", &u.display().to_string());
        refuse(&run.clone().set(set), words);
    }
    let adaptive = "ensemble.inflation={ kind = \"adaptive\", target = 1, most = 2 }";
    let dropping = run.clone().set(adaptive).set("data.conflict=drop");
    refuse(&dropping, &["ensemble.inflation = ", "data.conflict"]);
    let path = case.file("observed.csv");
    let unknown = table(|season| format!("s{}", season + 1));
    std::fs::write(&path, unknown).expect("a file");
    refuse(
        &run,
        &[
            "model.command = ",
            "asked for the set \"s3\"",
            "no such season",
        ],
    );
    std::fs::write(&path, table(|_| String::new())).expect("a file");
    refuse(&run, &["observed.csv", "line 2 has set \"\""]);
    let plain = case.file("observed.txt");
    let set = format!("data.observations={:?}", plain.display().to_string());
    refuse(
        &run.set(set).set("data.batch=2"),
        &["data.batch = 2", "must be 1"],
    );
}

fn checked() {
    let (case, run) = seasons();
    let mut command = alone();
    command.arg("check-model").arg(case.file("mine.toml"));
    let sets = run.sets.iter().flat_map(|set| ["--set", set]);
    let ended = end(command.args(sets));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for season in ["set s0\n", "set s1\n", "set s2\n"] {
        assert!(ended.stdout.contains(season), "{}", ended.stdout);
    }
    assert_eq!(
        ended.stdout.matches("2 parameters, 4 observations").count(),
        3
    );
}

/// Four steps of a pass and a third, with a history.
fn recorded() -> (Case, Run) {
    let (case, run) = seasons();
    let more = [
        "run.steps=4",
        "ensemble.members=8",
        "output.history=all",
        "model.probe=false",
        "checkpoint.every_steps=1",
        "checkpoint.keep=9",
    ];
    let run = MORE.iter().chain(&more).fold(run, |run, set| run.set(*set));
    (case, run)
}

fn kept() {
    let (case, run) = recorded();
    let (out, _) = case.finish(&run, "one");
    let whole = history::files(&out);
    for ranks in [2, 3] {
        let (other, _) = case.finish(&run.clone().on(ranks, 1), &format!("on {ranks}"));
        assert!(history::files(&other) == whole, "{ranks} ranks");
    }
    let found = History::open(&out).expect("sound").expect("there");
    assert_eq!(found.output_names()[0], "s0/m0");
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..=4 {
        let sets = found.record(step).expect("there").sets;
        let (u, z) = (
            found.parameters(step).unwrap(),
            found.outputs(step).unwrap(),
        );
        for (u, z) in u.rows().into_iter().zip(z.rows()) {
            let line = line_of(u[0], u[1]);
            for (k, name) in found.output_names().iter().enumerate() {
                let set = &name[..2];
                let is_known = sets
                    .as_ref()
                    .is_none_or(|sets| sets.iter().any(|own| own == set));
                // One month of each season after the other.
                let month = 4 * (k % 3) + k / 3;
                assert!(
                    if is_known {
                        z[k] == line[month]
                    } else {
                        z[k].is_nan()
                    },
                    "{step} {name}"
                );
            }
        }
        assert_eq!(sets.is_none(), step == 4);
        seen.extend(sets.into_iter().flatten());
    }
    assert_eq!(seen.len(), 3);
    // Killed within a pass, and resumed on other ranks; then once more at its end, where all is known.
    history::kill(&out, 4);
    for (ranks, rounds) in [(3, 3), (1, 0)] {
        let known = case.marks().len();
        history::resume(&run, &out, ranks);
        assert!(history::files(&out) == whole, "{ranks} ranks");
        // Of 8 members and their mean, each set of the last ensemble.
        assert_eq!(
            history::asked(&case, known).len(),
            9 * rounds,
            "{ranks} ranks"
        );
    }
    for (ranks, step) in [(1, "4"), (3, "2")] {
        let told = printed(ranks, &["verify", &text(&out), "--step", step]);
        assert!(told.contains("as the run left it"), "{told}");
    }
}

fn replayed() {
    let (case, run) = recorded();
    let run = run.set("run.steps=3").set("ensemble.members=24");
    let (out, _) = case.finish(&run, "out");
    let folder = text(&out);
    for arguments in [&["twin", &*folder][..], &["replay", &folder, "--step", "1"]] {
        let told = complaint(2, arguments);
        assert!(
            told.contains("simulated for the observations of s"),
            "{told}"
        );
    }
    let told = printed(1, &["replay", &folder, "--without", "s1"]);
    for words in ["  s0 ", "  s2 "] {
        assert!(told.contains(words), "{told}");
    }
    let told = complaint(2, &["replay", &folder, "--without", "s7"]);
    assert!(
        told.contains("no group, set or observation") && told.contains("s0, s1, s2"),
        "{told}"
    );
    // The check is of all sets after the last step, and of each by the steps that took it.
    let found = &json(&["evaluate", &folder, "--json"])["predictive"];
    let groups: Vec<&str> = found["last"]["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .map(|group| group["group"].as_str().expect("a name"))
        .collect();
    assert_eq!(groups, ["all", "s0", "s1", "s2"]);
    assert!(found["first"].is_null());
    for (step, misfits) in found["misfits_by_step"]
        .as_array()
        .expect("steps")
        .iter()
        .enumerate()
    {
        let known = misfits[1].as_array().expect("misfits");
        let known = known.iter().filter(|misfit| misfit.is_f64()).count();
        assert_eq!(known, if step == 3 { 4 } else { 1 }, "{step}");
    }
    // The first ensemble of a file is simulated for all sets, and the run goes on from it.
    let (file, begun) = (text(&case.file("mine.toml")), text(&case.file("begun")));
    let sets: Vec<&str> = run.sets.iter().flat_map(|set| ["--set", set]).collect();
    printed(2, &[&["twin", &*file, "--out", &begun], &sets[..]].concat());
    printed(
        1,
        &[&["run", &*file, "--out", &begun, "--resume"], &sets[..]].concat(),
    );
    assert_eq!(digest(Path::new(&begun)), digest(&out));
}
