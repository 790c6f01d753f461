//! Stopping: every request ends in one agreed checkpoint and exit code 75, from which the run goes on with the same bits;
//! ranks that die end the job, ranks that hang are named, and a folder serves one run at a time.

mod durable;

use std::path::Path;
use std::process::Child;
use std::time::Instant;

use durable::*;

/// Steps without end, of about a millisecond.
const ENDLESS: [&str; 7] = [
    "ensemble.members=24",
    "data.limit=60",
    "data.batch=15",
    "ensemble.rerandomise=epoch",
    "run.evaluate_every=1",
    "run.steps=10000000",
    "checkpoint.every=never",
];

/// A run without end on `ranks` ranks that has come some way.
fn begun(ranks: usize, settings: &[&str], folder: &Path) -> Child {
    let settings = [&ENDLESS[..], settings].concat();
    let mut child = program(ranks, &settings, folder)
        .spawn()
        .expect("mpirun starts");
    let log = folder.join("metrics.jsonl");
    let on_its_way = || std::fs::metadata(&log).is_ok_and(|log| log.len() > 2_000);
    if !wait_for(patience(60.0), on_its_way) {
        let _ = child.kill();
        panic!("{:?}", ended(start::wait(child)));
    }
    child
}

fn end(child: Child) -> (i32, String) {
    ended(start::wait(child))
}

/// The time each step ended at.
fn seconds(folder: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    let time = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        line["seconds"].as_f64().expect("a number")
    };
    text.lines().map(time).collect()
}

/// The stop was at one step, and the run that goes on for ten more equals one that never stopped.
fn stopped_well(folder: &Path, reason: &str, (code, text): (i32, String)) {
    assert_eq!(code, 75, "{text}");
    let summary = summary(folder);
    assert_eq!(summary["reason"], reason);
    assert!(
        text.contains(&format!("{reason}; go on with --resume")),
        "{text}"
    );
    let step = summary["steps"].as_u64().expect("a number");
    assert_eq!(checkpoints(folder), [step]);
    assert_eq!(metrics(folder).len() as u64, step);
    let steps = format!("run.steps={}", step + 10);
    let last = [&ENDLESS[..5], &[steps.as_str(), "checkpoint.every=never"]].concat();
    let whole = folder.with_extension("whole");
    succeed(&mut program(1, &last, &whole));
    succeed(&mut program(
        2,
        &[&last[..], &["--resume"]].concat(),
        folder,
    ));
    assert_eq!(digest(folder), digest(&whole), "{reason}");
    assert_eq!(metrics(folder), metrics(&whole), "{reason}");
}

#[test]
fn a_signal_to_any_rank_or_to_the_launcher_stops_all_at_one_step() {
    let room = tempfile::tempdir().unwrap();
    for (i, name) in ["TERM", "INT", "USR1", "USR2"].into_iter().enumerate() {
        let folder = room.path().join(name);
        let child = begun(3, &[], &folder);
        // mpirun hands USR1 on to every rank; the others are sent to one rank alone.
        match name {
            "USR1" => signal(name, child.id()),
            _ => signal(name, start::rank_processes(child.id())[i % 3]),
        }
        stopped_well(&folder, &format!("signal SIG{name}"), end(child));
    }
}

#[test]
fn a_stop_file_stops_the_run_and_is_removed() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let child = begun(2, &[], &folder);
    std::fs::write(folder.join("STOP"), "").unwrap();
    stopped_well(&folder, "STOP file", end(child));
    assert!(!folder.join("STOP").exists());
}

#[test]
fn the_time_allowed_is_kept() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("option");
    let child = begun(2, &["--max-time 00:00:02"], &folder);
    let ended = end(child);
    // What the last step took cannot be known before; beyond that not a moment is taken.
    let seconds: Vec<f64> = seconds(&folder);
    let steps = seconds.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = steps.fold(0.0, f64::max);
    let last = seconds.last().expect("steps");
    assert!(*last < 2.0 + longest, "{last} s, a step {longest} s");
    stopped_well(&folder, "time limit", ended);
    // Slurm tells the second the job ends.
    let folder = room.path().join("slurm");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let mut command = program(2, &ENDLESS, &folder);
    command.env("SLURM_JOB_END_TIME", (now.as_secs() + 3).to_string());
    stopped_well(&folder, "time limit", finish(&mut command));
}

#[test]
fn a_second_run_in_a_folder_is_refused_and_the_first_goes_on() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let child = begun(2, &[], &folder);
    let settings = [&ENDLESS[..], &["--resume"]].concat();
    let (code, text) = finish(&mut program(1, &settings, &folder));
    assert!(
        code == 2 && text.contains("another run is using this folder (process "),
        "{text}"
    );
    signal("USR1", child.id());
    stopped_well(&folder, "signal SIGUSR1", end(child));
}

#[test]
fn a_killed_rank_ends_the_job_within_seconds() {
    let room = tempfile::tempdir().unwrap();
    for victim in 0..3 {
        let folder = room.path().join(victim.to_string());
        let child = begun(3, &[], &folder);
        let processes = start::rank_processes(child.id());
        let start = Instant::now();
        signal("KILL", processes[victim]);
        let (code, text) = end(child);
        assert!(code != 0 && code != 75, "{text}");
        assert!(start.elapsed() < patience(10.0), "{text}");
        // Open MPI's launcher says which rank it was, MPICH's only that it was one.
        let names = [
            format!("rank {victim}"),
            "BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES".to_owned(),
        ];
        assert!(names.iter().any(|name| text.contains(name)), "{text}");
        let alive = |pid: &u32| Path::new(&format!("/proc/{pid}/exe")).exists();
        assert!(wait_for(patience(10.0), || !processes.iter().any(alive)));
    }
}

/// Two seconds, or so long that a busy machine's slow steps are not taken for hangs.
fn hang_timeout() -> String {
    format!("run.hang_timeout={}s", patience(2.0).as_secs())
}

#[test]
fn a_rank_that_hangs_is_named_and_the_run_goes_on_when_it_wakes() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let child = begun(3, &[&hang_timeout()], &folder);
    let victim = start::rank_processes(child.id())[1];
    signal("STOP", victim);
    let log = || std::fs::read_to_string(folder.join("run.log")).unwrap();
    let named = wait_for(4 * patience(2.0), || {
        log().contains("no sign of life from rank 1 on host")
    });
    signal("CONT", victim);
    assert!(named, "{}", log());
    signal("USR1", child.id());
    stopped_well(&folder, "signal SIGUSR1", end(child));
    assert!(!folder.join("pulse").exists());
}

#[test]
fn a_hang_of_the_first_rank_is_told_by_the_second_and_may_end_the_run() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let timeout = hang_timeout();
    let settings = [
        timeout.as_str(),
        "run.on_hang=abort",
        "checkpoint.every_steps=10",
    ];
    let child = begun(3, &settings, &folder);
    assert!(wait_for(patience(20.0), || !checkpoints(&folder).is_empty()));
    let start = Instant::now();
    signal("STOP", start::rank_processes(child.id())[0]);
    let (code, text) = end(child);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("no sign of life from rank 0 on host"),
        "{text}"
    );
    assert!(text.contains("the run ends; go on with --resume"), "{text}");
    assert!(start.elapsed() < patience(12.0), "{text}");
    assert!(!checkpoints(&folder).is_empty());
}
