//! A simulator that the run does not start: asked for outputs in a file, told them in one, step after step.

use std::path::{Path, PathBuf};

use super::answers::{logistic, plight};
use super::results::summary;
use super::runs::ending;
use super::start::{Run, alone, end};
use super::{Case, Test, digest, failures};

pub const TESTS: &[Test] = &[
    (
        "what_is_brought_step_by_step_gives_the_run_that_a_process_gives",
        brought,
    ),
    (
        "outputs_that_are_not_those_asked_for_are_refused_and_nothing_is_lost",
        refused,
    ),
    ("a_stop_between_two_questions_asks_none", stopped),
    ("questions_that_were_lost_are_asked_again", lost),
    ("each_simulation_may_be_a_job_of_its_own", arrays),
];

/// The run of `case`, changed by `sets`, with outputs that are brought.
fn run_of(case: &Case, sets: &[&str]) -> Run {
    let mut run = case.run(sets);
    for set in ["model.kind=ask-tell", "model.command=[]", "run.best=never"] {
        run = run.set(set);
    }
    run
}

/// Starts `run` in `out`, new or as it was left, on `ranks` ranks; its exit code and what it printed.
fn go_on(run: &Run, out: &Path, ranks: usize) -> super::start::Ended {
    end(run.clone().on(ranks, 1).command(out).arg("--resume"))
}

/// The lines of outputs that the simulator of `kind` has for what the run in `out` asks now.
fn answers(out: &Path, kind: &str) -> Vec<String> {
    let asked = std::fs::read_to_string(out.join("ask/now/parameters.csv")).expect("questions");
    let mut lines = asked.lines();
    assert_eq!(lines.next(), Some("growth,capacity"));
    let answer = |line: &str| {
        let u: Vec<f64> = line
            .split(',')
            .map(|x| x.parse().expect("a number"))
            .collect();
        let sizes = logistic(u[0], u[1]);
        let words: Vec<String> = sizes.iter().map(|x| format!("{x:?}")).collect();
        match plight(kind, &line.replace(',', " ")) {
            Some(1) if kind == "failing" => words.join(",").replace(&words[3], "nan"),
            Some(_) => "failed: an unlucky member".to_owned(),
            None => words.join(","),
        }
    };
    lines.map(answer).collect()
}

fn tell(out: &Path, lines: &[String]) {
    let text = lines.join("\n") + "\n";
    std::fs::write(out.join("ask/now/outputs.csv"), text).expect("a file");
}

/// Runs `run` in `out` to its end, on one rank, then two, then three, and so on again.
fn bring(run: &Run, out: &Path, kind: &str) {
    for start in 0..100 {
        let ended = go_on(run, out, 1 + start % 3);
        match ended.code {
            0 => return,
            75 => assert!(ended.stdout.contains("asks for"), "{}", ended.stdout),
            code => panic!("{code}: {}", ended.stderr),
        }
        assert_eq!(ending(out), ("asks for outputs".to_owned(), start as u64));
        tell(out, &answers(out, kind));
    }
    panic!("it goes on asking");
}

fn brought() {
    for (kind, sets) in [
        ("failing", &["method.momentum=true", "run.steps=6"][..]),
        ("plain", &["run.stop_at_misfit=1", "run.steps=60"]),
        (
            "plain",
            &[
                "method.kind=kalman",
                "method.perturb=true",
                "method.h_schedule=misfit",
                "run.end_time=1",
            ],
        ),
        (
            "plain",
            &[
                "ensemble.rerandomise=step",
                "run.precision=single",
                "run.steps=4",
            ],
        ),
    ] {
        let case = Case::new(kind);
        let (process, _) = case.finish(&case.run(sets), "process");
        let out = case.file("asked");
        bring(&run_of(&case, sets), &out, kind);
        assert_eq!(digest(&process), digest(&out), "{sets:?}");
        assert_eq!(ending(&process), ending(&out));
        assert_eq!(failures(&process), failures(&out));
        judged(&process, &out);
        assert_eq!(kind == "failing", failures(&out).iter().any(|&n| n > 0));
        assert!(out.join("final/parameters.csv").is_file());
        assert!(std::fs::symlink_metadata(out.join("ask/now")).is_err());
        // Its page shows what it found, and not where the time of its last start went.
        assert_eq!(end(alone().arg("report").arg(&out)).code, 0);
        let page = std::fs::read_to_string(out.join("report.html")).expect("a page");
        for (words, shown) in [
            ("<h2>Parameters</h2>", true),
            ("<td>capacity</td>", true),
            ("Where the time went", false),
            ("NaN", false),
        ] {
            assert_eq!(page.contains(words), shown, "{words}");
        }
        // The parameters are known without its outputs.
        let told = end(alone().arg("evaluate").arg(&out));
        assert!(told.stdout.contains("final members are"), "{}", told.stderr);
        // All that was asked and told is there still.
        let steps = std::fs::read_dir(out.join("ask")).expect("questions");
        assert!(steps.count() as u64 >= ending(&out).1);
    }
}

/// A run that asked, in `out`, has the misfits of its members where it ended at the noise level, as the run in `process` has; else it
/// says that it does not know them.
fn judged(process: &Path, out: &Path) {
    let [process, asked] = [process, out].map(summary);
    let at_noise = asked["reason"] == "noise level";
    for key in ["misfit_members", "misfit_best"] {
        let expected = if at_noise {
            &process[key]
        } else {
            &serde_json::Value::Null
        };
        assert_eq!(&asked[key], expected, "{key}");
        assert!(process[key].is_f64());
    }
    let verdict = asked["verdict"].as_str().expect("a verdict");
    assert_eq!(verdict.starts_with("not known: "), !at_noise, "{verdict}");
    let table = std::fs::read_to_string(out.join("final/parameters.csv")).expect("a table");
    let has_best = |line: &str| line.split(',').nth(4).is_some_and(|best| !best.is_empty());
    let has_best = table.lines().skip(1).all(has_best);
    assert_eq!(has_best, at_noise, "{table}");
}

/// What lies in `out` but for logs, by name.
fn kept(out: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![out.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && !["run.log", ".lock"].iter().any(|n| path.ends_with(n)) {
                let bytes = std::fs::read(&path).expect("a file");
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

fn refused() {
    let case = Case::new("plain");
    let (run, out) = (run_of(&case, &["run.steps=4"]), case.file("asked"));
    for _ in 0..2 {
        assert_eq!(go_on(&run, &out, 2).code, 75);
        tell(&out, &answers(&out, "plain"));
    }
    assert_eq!(go_on(&run, &out, 1).code, 75);
    let sound = answers(&out, "plain");
    let with = |place: usize, line: &str| {
        let mut lines = sound.clone();
        lines[place] = line.to_owned();
        lines
    };
    let counted = sound
        .iter()
        .enumerate()
        .map(|(i, line)| format!("{i},{line}"));
    let indexed = counted.collect();
    let headed = [&["out[1],out[2]".to_owned()], &sound[..]].concat();
    for (lines, words) in [
        (
            sound[..7].to_vec(),
            "has 7 lines of outputs, and parameters.csv beside it asks for 24",
        ),
        (
            [&sound[..], &sound[..1]].concat(),
            "has 25 lines of outputs",
        ),
        (Vec::new(), "has 0 lines"),
        (
            with(4, "1.0 2.0"),
            "line 5 holds 2 numbers, and the observations are 12",
        ),
        (with(23, &sound[3].replace(',', ",o")), "line 24 holds \"o"),
        (headed, "line 1 holds \"out[1]\", which is not a number"),
        (indexed, "has a first column that counts its lines"),
        (
            with(3, &sound[3].replace('.', ",").replacen(",", ";", 1)),
            "line 4 holds commas and semicolons",
        ),
    ] {
        tell(&out, &lines);
        let before = kept(&out);
        for ranks in [1, 3] {
            let ended = go_on(&run, &out, ranks);
            let complaints = ended.complaints();
            assert_eq!((ended.code, complaints.len()), (2, 1), "{}", ended.stderr);
            let named = complaints[0].contains("asked/ask/step-00000002/outputs.csv: ");
            assert!(named && complaints[0].contains(words), "{}", complaints[0]);
        }
        assert!(before == kept(&out), "{words}: something was changed");
    }
    // A file that is still written, or was cut within its last number.
    for cut in [1, 2, 8] {
        let text = sound.join("\n") + "\n";
        std::fs::write(out.join("ask/now/outputs.csv"), &text[..text.len() - cut]).expect("a file");
        let ended = go_on(&run, &out, 1);
        let words = "outputs.csv: is not complete: its last line has no line end";
        assert!(
            ended.code == 2 && ended.stderr.contains(words),
            "{}",
            ended.stderr
        );
    }
    // Outputs of other parameters are not taken for those of these, nor are the questions that they answer overwritten.
    let folder = out.join("ask/step-00000002");
    let asked = std::fs::read_to_string(folder.join("parameters.csv")).expect("questions");
    tell(&out, &sound);
    let other = asked.replacen(",1", ",2", 1);
    assert_ne!(asked, other);
    std::fs::write(folder.join("parameters.csv"), &other).expect("a file");
    let ended = go_on(&run, &out, 2);
    let words = "holds outputs of other parameters than step 2 asks for now";
    assert!(
        ended.code == 2 && ended.stderr.contains(words),
        "{}",
        ended.stderr
    );
    let left = std::fs::read_to_string(folder.join("parameters.csv")).expect("questions");
    assert_eq!(left, other);
    std::fs::write(folder.join("parameters.csv"), &asked).expect("a file");

    // Comments, blank lines and blanks between numbers are nothing; then it ends as the process does.
    let text = format!("# by hand\n\n{}\n", sound.join("\n").replace(',', " "));
    std::fs::write(folder.join("outputs.csv"), text).expect("a file");
    bring_on(&run, &out);
    let (process, _) = case.finish(&case.run(&["run.steps=4"]), "process");
    assert_eq!(digest(&process), digest(&out));

    // Members that all fail end the step, and nothing is lost either.
    let out = case.file("all fail");
    assert_eq!(go_on(&run, &out, 1).code, 75);
    let sound = answers(&out, "plain");
    tell(&out, &vec!["failed".to_owned(); sound.len()]);
    let ended = go_on(&run, &out, 2);
    assert!(
        ended.code == 1 && ended.stderr.contains("only 0 of 24 members"),
        "{}",
        ended.stderr
    );
    tell(&out, &sound);
    bring_on(&run, &out);
    assert_eq!(digest(&process), digest(&out));
}

/// To its end from what it was told last.
fn bring_on(run: &Run, out: &Path) {
    while go_on(run, out, 2).code == 75 {
        tell(out, &answers(out, "plain"));
    }
    assert_eq!(ending(out).0, "steps used up");
}

fn stopped() {
    let case = Case::new("plain");
    let (run, out) = (run_of(&case, &["run.steps=3"]), case.file("asked"));
    assert_eq!(go_on(&run, &out, 1).code, 75);
    tell(&out, &answers(&out, "plain"));
    std::fs::write(out.join("STOP"), "").expect("a file");
    let ended = go_on(&run, &out, 2);
    assert_eq!(
        (ended.code, ending(&out)),
        (75, ("STOP file".to_owned(), 1))
    );
    // A script that answers whatever is asked would answer again what it has answered.
    assert!(std::fs::symlink_metadata(out.join("ask/now")).is_err());
    bring_on(&run, &out);
    let (process, _) = case.finish(&case.run(&["run.steps=3"]), "process");
    assert_eq!(digest(&process), digest(&out));
}

/// As when a run is killed once its state is saved and before it has asked; or somebody tidies up.
fn lost() {
    let case = Case::new("plain");
    let (run, out) = (run_of(&case, &["run.steps=3"]), case.file("asked"));
    assert_eq!(go_on(&run, &out, 1).code, 75);
    tell(&out, &answers(&out, "plain"));
    assert_eq!(go_on(&run, &out, 3).code, 75);
    let asked = answers(&out, "plain");
    std::fs::remove_dir_all(out.join("ask")).expect("a folder");
    assert_eq!(go_on(&run, &out, 2).code, 75);
    assert_eq!(asked, answers(&out, "plain"));
    tell(&out, &asked);
    bring_on(&run, &out);
    let (process, _) = case.finish(&case.run(&["run.steps=3"]), "process");
    assert_eq!(digest(&process), digest(&out));
}

/// Slurm's sbatch, as far as cluster/ask-tell.sh needs it: runs an array's tasks, or says that the queue is full.
const SBATCH: &str = r#"#!/bin/bash
[[ $# == 4 && "$1 $2" == "--parsable --wait" && $3 == --array=* ]] || exit 9
echo "${3#--array=}" >>DIR/submitted
[[ $(wc -l <DIR/submitted) == 2 ]] && { echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; }
echo 42
array=${3#--array=}
if [[ $array == *-* ]]; then tasks=$(seq "${array%-*}" "${array#*-}"); else tasks=${array//,/ }; fi
for task in $tasks; do SLURM_ARRAY_TASK_ID=$task bash "$4" || worst=$?; done
exit ${worst:-0}
"#;

/// A simulator of the user's that is started anew for each member, its parameters as arguments.
const SIMULATE: &str = r#"#!/bin/bash
echo "$*" | THIS simulate KIND DIR/marks | tr ' ' '\n' >DIR/said.$$
grep -q failed DIR/said.$$ && { cat DIR/said.$$ >&2; exit 3; }
cat DIR/said.$$
"#;

fn arrays() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = Case::new("unlucky");
    let out = case.file("asked");
    let put = |name: &str, text: &str| {
        let this = std::env::current_exe().expect("this program");
        let text = text.replace("DIR", case.folder.path().to_str().expect("text"));
        let text = text.replace("THIS", this.to_str().expect("text"));
        std::fs::write(case.file(name), text.replace("KIND", "unlucky")).expect("a file");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(case.file(name), executable).expect("a file");
    };
    put("sbatch", SBATCH);
    put("simulate", SIMULATE);
    // The script takes a file alone.
    let mine = std::fs::read_to_string(case.file("mine.toml")).expect("a file");
    let kept = mine.lines().filter(|line| !line.starts_with("command"));
    let text: String = kept.map(|line| line.to_owned() + "\n").collect();
    let text = text.replace("preset = \"process\"", "preset = \"ask-tell\"");
    let text = text.replace("steps = 12", "steps = 3");
    std::fs::write(case.file("asks.toml"), text).expect("a file");
    let cluster = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
    let path = format!(
        "{}:{}",
        case.folder.path().display(),
        std::env::var("PATH").expect("a path")
    );
    let driven = || {
        let mut command = std::process::Command::new(cluster.join("ask-tell.sh"));
        command
            .arg(case.file("asks.toml"))
            .arg(&out)
            .arg(cluster.join("member.sbatch"));
        command
            .env("PATH", &path)
            .env("SIMULATOR", case.file("simulate"));
        end(command.env("EKI_MPI", super::start::program()))
    };
    // The second array is refused; what of it is there already is not simulated again.
    let ended = driven();
    let refused = ended.code == 1 && ended.stderr.contains("was not submitted");
    assert!(refused, "{}", ended.stderr);
    let lines = answers(&out, "unlucky");
    let sound = lines.iter().position(|line| !line.starts_with("failed"));
    let there = sound.expect("a member with outputs");
    let file = out.join(format!("ask/now/{}.out", there + 1));
    std::fs::write(file, lines[there].replace(',', "\n")).expect("a file");
    let ended = driven();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rest = (1..=24).filter(|i| *i != there + 1);
    let rest: Vec<String> = rest.map(|i| i.to_string()).collect();
    let submitted = std::fs::read_to_string(case.file("submitted")).expect("a file");
    let submitted: Vec<&str> = submitted.lines().collect();
    assert_eq!(submitted, ["1-24", "1-24", &rest.join(","), "1-24"]);
    assert!(failures(&out).iter().any(|&n| n > 0));
    let (process, _) = case.finish(&case.run(&["run.steps=3"]), "process");
    assert_eq!(digest(&process), digest(&out));
}
