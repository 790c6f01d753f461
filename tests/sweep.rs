//! Sweeps: each run has the bits of a single run, however ranks are split; killed and stopped at random a sweep ends with the
//! table of one that never was; failed runs are marked and left out; bad files are refused before any run.

mod durable;
#[path = "durable/eight.rs"]
#[allow(dead_code, reason = "its room alone is used")]
mod eight;
#[path = "sweep/rows.rs"]
mod rows;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use durable::*;
use eight::fast_room;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Two settings and two seeds of a small run that saves each step.
const SMALL: &str = "base = \"digits\"
best = \"accuracy_mean\"
[set]
data.limit = 60
data.batch = 15
run.steps = 40
run.best = \"never\"
run.hang_timeout = \"never\"
checkpoint.every_steps = 1
ensemble.members = 6
[grid]
method.h = [1, 3.5]
seed = [1, 2]
";

/// The runs of `SMALL`.
const RUNS: [&str; 4] = ["h=1,seed=1", "h=1,seed=2", "h=3.5,seed=1", "h=3.5,seed=2"];

/// `eki-mpi sweep FILE --out FOLDER OPTIONS` on `ranks` ranks of one thread.
fn sweep(ranks: usize, file: &Path, folder: &Path, options: &[&str]) -> Command {
    let mut command = start::eki_mpi(ranks);
    command.args(["sweep".as_ref(), file, "--out".as_ref(), folder]);
    command.args(["--threads", "1"]).args(options);
    command.env("EKI_PROGRESS", "never").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Writes `text` as sweep.toml in `room`; returns its path and the one of a folder beside it.
fn written(room: &Path, text: &str) -> (PathBuf, PathBuf) {
    let file = room.join("sweep.toml");
    std::fs::write(&file, text).unwrap();
    (file, room.join("out"))
}

/// The results that a sweep left: its two tables, and the digest of each run.
fn results(folder: &Path) -> Vec<String> {
    let tables = ["results.csv", "results.md"].map(|name| {
        let text = std::fs::read_to_string(folder.join(name));
        text.unwrap_or_else(|e| panic!("{name}: {e}"))
    });
    let digests = RUNS.map(|run| digest(&folder.join(run)));
    tables.into_iter().chain(digests).collect()
}

#[test]
fn runs_of_a_sweep_have_the_bits_of_single_runs_one_by_one_and_in_groups() {
    let room = fast_room();
    let (file, folder) = written(room.path(), SMALL);
    let text = succeed(&mut sweep(1, &file, &folder, &[]));
    assert!(text.contains("4 runs: 4 done"), "{text}");
    let single = [
        "data.limit=60",
        "data.batch=15",
        "run.steps=40",
        "run.best=never",
        "ensemble.members=6",
        "method.h=3.5",
        "seed=2",
    ];
    let alone_folder = room.path().join("single");
    succeed(&mut alone(&single, &alone_folder));
    assert_eq!(digest(&alone_folder), digest(&folder.join(RUNS[3])));
    assert_eq!(metrics(&alone_folder), metrics(&folder.join(RUNS[3])));
    // The table, by hand from the summaries: best first, the mean and the deviation of two numbers.
    let accuracy = |run: usize| {
        summary(&folder.join(RUNS[run]))["accuracy_mean"]
            .as_f64()
            .unwrap()
    };
    let row = |h: &str, a: f64, b: f64| {
        let mean = (a + b) / 2.0;
        let deviation = ((a - mean).powi(2) + (b - mean).powi(2)).sqrt();
        (mean, format!("{h},2,2,{mean},{deviation}\n"))
    };
    let mut rows = [
        row("1.0", accuracy(0), accuracy(1)),
        row("3.5", accuracy(2), accuracy(3)),
    ];
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let table = std::fs::read_to_string(folder.join("results.csv")).unwrap();
    let heading = "h,ended,runs,accuracy_mean,accuracy_mean_deviation\n";
    assert_eq!(table, format!("{heading}{}{}", rows[0].1, rows[1].1));
    assert!(folder.join("report.html").is_file() && folder.join("runs.csv").is_file());
    let grouped = room.path().join("grouped");
    let text = succeed(&mut sweep(3, &file, &grouped, &["--groups", "2"]));
    assert_eq!(results(&grouped), results(&folder), "{text}");
    // Lines of runs side by side bear the names of their runs.
    assert!(text.contains("h=1,seed=2: digits: 6 members"), "{text}");
    for run in RUNS {
        // Of three ranks one group has two.
        let ranks = &summary(&grouped.join(run))["ranks"];
        assert!(*ranks == 1 || *ranks == 2, "{ranks}");
    }
}

/// Kills `child` or a rank of it.
fn kill(child: &Child, random: &mut ChaCha8Rng) {
    let ranks = start::rank_processes(child.id());
    match ranks.get(random.random_range(0..ranks.len().max(1))) {
        Some(&rank) if random.random_bool(0.5) => signal("KILL", rank),
        _ => {
            ranks.iter().for_each(|&rank| signal("KILL", rank));
            signal("KILL", child.id());
        }
    }
}

#[test]
fn killed_and_stopped_at_random_a_sweep_ends_with_the_same_table() {
    let kills = if long() { 200 } else { 10 };
    let room = fast_room();
    let (file, folder) = written(room.path(), SMALL);
    let whole = room.path().join("whole");
    succeed(&mut sweep(1, &file, &whole, &[]));
    let seed = if long() { std::process::id() } else { 9 };
    let mut random = ChaCha8Rng::seed_from_u64(u64::from(seed));
    let (mut killed, mut resumed) = (0, 0);
    let mut folder_number = 0;
    let mut out = folder.clone();
    while killed < kills {
        let (ranks, options): (usize, &[&str]) =
            [(1, &[][..]), (1, &[]), (2, &[]), (3, &["--groups", "2"])][random.random_range(0..4)];
        // What a stop that came too late has left.
        let _ = std::fs::remove_file(out.join("STOP"));
        let mut command = sweep(ranks, &file, &out, options);
        command.env("OMPI_MCA_btl_vader_backing_directory", room.path());
        let mut child = command.spawn().expect("it starts");
        // In the midst of the runs, as soon as a step is saved after the start.
        let log = out.join("sweep.log");
        let size = || std::fs::metadata(&log).map_or(0, |log| log.len());
        let before = size();
        let mut over = || size() > before || child.try_wait().is_ok_and(|status| status.is_some());
        wait_for(patience(20.0), &mut over);
        std::thread::sleep(Duration::from_millis(random.random_range(0..120)));
        let stops = random.random_bool(0.25) && child.try_wait().is_ok_and(|s| s.is_none());
        if stops {
            std::fs::write(out.join("STOP"), "").unwrap();
        } else {
            kill(&child, &mut random);
        }
        if !wait_for(patience(20.0), || {
            child.try_wait().is_ok_and(|s| s.is_some())
        }) {
            // A launcher that does not notice that a rank has died.
            let ranks = start::rank_processes(child.id());
            ranks.iter().for_each(|&rank| signal("KILL", rank));
            signal("KILL", child.id());
        }
        let (code, text) = ended(start::wait(child));
        assert!(![1, 2].contains(&code), "{text}");
        assert!(!text.contains("failed"), "{text}");
        killed += usize::from(code != 0);
        resumed += usize::from(text.contains("going on from step"));
        let left = std::fs::read_dir(out.join("failed"));
        assert_eq!(left.into_iter().flatten().count(), 0, "{text}");
        let states = succeed(&mut sweep(1, &file, &out, &["--status"]));
        if states.contains("4 runs: 4 done") {
            let _ = std::fs::remove_file(out.join("STOP"));
            let text = succeed(&mut sweep(2, &file, &out, &[]));
            assert_eq!(results(&out), results(&whole), "{text}");
            folder_number += 1;
            out = folder.with_extension(folder_number.to_string());
        }
    }
    let _ = std::fs::remove_file(out.join("STOP"));
    let text = succeed(&mut sweep(3, &file, &out, &["--groups", "3"]));
    assert_eq!(results(&out), results(&whole), "{text}");
    assert!(resumed > 0, "no run was met in its midst");
}

#[test]
fn a_signal_to_one_rank_stops_all_groups_and_the_same_command_goes_on() {
    let room = fast_room();
    let text = SMALL.replace("run.steps = 40", "run.steps = 100000");
    let (file, folder) = written(room.path(), &text);
    let child = sweep(2, &file, &folder, &["--groups", "2"])
        .spawn()
        .unwrap();
    let begun = |run: &str| folder.join(run).join("checkpoints").exists();
    assert!(wait_for(patience(60.0), || begun(RUNS[0]) && begun(RUNS[1])));
    let states = succeed(&mut sweep(1, &file, &folder, &["--status"]));
    assert!(states.contains("h=1,seed=2    running"), "{states}");
    assert!(states.contains("h=3.5,seed=2  waiting"), "{states}");
    let second = refused(&mut sweep(1, &file, &folder, &[]));
    assert!(second.contains("is using this folder"), "{second}");
    signal("USR1", start::rank_processes(child.id())[1]);
    let (code, text) = ended(start::wait(child));
    assert_eq!(code, 75, "{text}");
    assert!(text.contains("2 begun, 2 waiting"), "{text}");
    // What the batch scripts read.
    assert_eq!(summary(&folder)["reason"], "signal SIGUSR1");
    assert!(!folder.join("taken").exists());
    // With fewer steps it could not go on: that many are done. A STOP that is there stops it at once.
    std::fs::write(folder.join("STOP"), "").unwrap();
    let (code, text) = finish(&mut sweep(1, &file, &folder, &[]));
    assert_eq!((code, folder.join("STOP").exists()), (75, false), "{text}");
    // Of the two that had begun one heard the signal, the other of it.
    let reason = |run: &str| summary(&folder.join(run))["reason"].to_string();
    let mut reasons = [reason(RUNS[0]), reason(RUNS[1])];
    reasons.sort_unstable();
    assert_eq!(reasons, ["\"STOP file\"", "\"signal SIGUSR1\""]);
    let (code, text) = finish(&mut sweep(1, &file, &folder, &["--max-time", "00:00:02"]));
    assert_eq!(code, 75, "{text}");
    assert!(
        text.contains("stopped: time limit") && text.contains("going on from step"),
        "{text}"
    );
}

#[test]
fn a_run_that_fails_is_marked_and_left_out_until_it_is_asked_for() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("observed.txt"), "1.0\n").unwrap();
    let simulator = |name: &str, body: &str| std::fs::write(room.path().join(name), body).unwrap();
    let good = "while read -r u; do echo \"$u\"; done\n";
    simulator("good.sh", good);
    simulator("broken.sh", "exit 3\n");
    let text = "base = \"process\"\n[set]\nmodel.prior = [\"u normal 0 1\"]\ndata.observations = \"observed.txt\"\n\
                method.noise = 0.01\nrun.steps = 2\nensemble.members = 5\n[grid]\n\
                model.command = [[\"sh\", \"broken.sh\"], [\"sh\", \"good.sh\"]]\n";
    let (file, folder) = written(room.path(), text);
    let (code, text) = finish(&mut sweep(2, &file, &folder, &[]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("2 runs: 1 done, 1 failed"), "{text}");
    assert!(text.contains("failed: command=sh-broken.sh: "), "{text}");
    let reason = std::fs::read_to_string(folder.join("failed/command=sh-broken.sh")).unwrap();
    assert!(reason.contains("model.command"), "{reason}");
    let done = digest(&folder.join("command=sh-good.sh"));
    // The same command again runs neither.
    simulator("broken.sh", good);
    let (code, text) = finish(&mut sweep(1, &file, &folder, &[]));
    assert_eq!(code, 1, "{text}");
    assert!(
        !text.contains("run 1 of 2") && !text.contains("run 2 of 2"),
        "{text}"
    );
    let states = succeed(&mut sweep(1, &file, &folder, &["--status"]));
    assert!(
        states.contains("command=sh-broken.sh  failed: "),
        "{states}"
    );
    let text = succeed(&mut sweep(1, &file, &folder, &["--retry"]));
    assert!(
        text.contains("run 1 of 2") && !text.contains("run 2 of 2"),
        "{text}"
    );
    assert_eq!(digest(&folder.join("command=sh-broken.sh")), done);
    assert!(!folder.join("failed").exists());
}

/// What rank 0 alone meets ends all ranks, but the other runs go on at the next start.
#[test]
fn a_run_whose_files_cannot_be_written_is_marked_too() {
    let room = fast_room();
    let (file, folder) = written(
        room.path(),
        &SMALL.replace("run.steps = 40", "run.steps = 2"),
    );
    succeed(&mut sweep(1, &file, &folder, &[]));
    for run in &RUNS[..2] {
        std::fs::remove_file(folder.join(run).join("summary.json")).unwrap();
    }
    let last = folder.join(RUNS[0]).join("final");
    std::fs::remove_dir_all(&last).unwrap();
    std::fs::write(&last, "").unwrap();
    let (code, text) = finish(&mut sweep(2, &file, &folder, &[]));
    assert_ne!(code, 0, "{text}");
    assert!(
        text.contains("run h=1,seed=1 failed") && text.contains("final"),
        "{text}"
    );
    let (code, text) = finish(&mut sweep(2, &file, &folder, &[]));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("4 runs: 3 done, 1 failed"), "{text}");
}

/// Ends `command` and checks that it was refused in one line, which is returned.
fn refused(command: &mut Command) -> String {
    let ended = start::end(command);
    assert_eq!(ended.code, 2, "{command:?}: {}", ended.stderr);
    let complaints = ended.complaints();
    assert_eq!(complaints.len(), 1, "{command:?}: {}", ended.stderr);
    complaints[0].to_owned()
}

#[test]
fn bad_input_is_refused_before_any_run() {
    let room = tempfile::tempdir().unwrap();
    let head = "base = \"digits\"\n[set]\nrun.steps = 1\nensemble.members = 4\n";
    for (text, words) in [
        (
            "[grid]\nensemble.member = [4]",
            "[grid]: ensemble.member = 4: unknown key",
        ),
        (
            "[grid]\nmethod.h = [1, \"x\"]",
            "[grid]: method.h = \"x\": must be a finite number",
        ),
        (
            "[grid]\nseed = []",
            "seed = []: must be a list of one value or more",
        ),
        (
            "[[run]]\nname = \"a\"\n[[run]]\nname = \"a\"",
            "two runs are named a",
        ),
        (
            "[[run]]\nbase = \"gone.toml\"",
            "base = \"gone.toml\": no such preset",
        ),
        (
            "[draws]\ncount = 0\nmethod.h = { log = [1, 2] }",
            "count = 0: must be",
        ),
        // What only the plan of the second run shows.
        (
            "[grid]\ndata.batch = [15, 5000]",
            "data.batch = 5000: must be at most the 1437",
        ),
        (
            "[grid]\ndata.name = [\"digits\", \"nothing\"]",
            "data.name = \"nothing\"",
        ),
    ] {
        let (file, folder) = written(room.path(), &format!("{head}{text}\n"));
        let line = refused(&mut sweep(1, &file, &folder, &[]));
        assert!(line.contains(words), "{line}");
        assert!(!folder.exists(), "{text}");
    }
    let (file, folder) = written(room.path(), &format!("{head}[grid]\nseed = [1, 2]\n"));
    let line = refused(&mut sweep(2, &file, &folder, &["--groups", "3"]));
    assert!(
        line.contains("--groups 3: there are only 2 ranks"),
        "{line}"
    );
    assert!(!folder.exists());
    succeed(&mut sweep(1, &file, &folder, &[]));
    // A changed file may add runs, but alter none that is there.
    let added = written(room.path(), &format!("{head}[grid]\nseed = [1, 2, 3]\n")).0;
    let text = succeed(&mut sweep(1, &added, &folder, &[]));
    assert!(
        text.contains("3 runs: 3 done") && !text.contains("run 2 of 3"),
        "{text}"
    );
    let altered = written(
        room.path(),
        &format!("{head}method.h = 3\n[grid]\nseed = [1, 2]\n"),
    )
    .0;
    let line = refused(&mut sweep(1, &altered, &folder, &[]));
    assert!(
        line.contains("run seed=1: ") && line.contains("method.h = 2.0, now 3.0"),
        "{line}"
    );
}
