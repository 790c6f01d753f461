//! Stopping: every request ends in one agreed checkpoint and exit code 75, from which the run goes on with the same bits;
//! ranks that die end the job, ranks that hang are named, and a folder serves one run at a time.

mod durable;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

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
    let names = ["TERM", "INT", "USR1", "USR2", "HUP", "XCPU"];
    for (i, name) in names.into_iter().enumerate() {
        let folder = room.path().join(name);
        let child = begun(3, &[], &folder);
        // mpirun hands USR1 on to every rank; the others are sent to one rank alone.
        match name {
            "USR1" => signal(name, child.id()),
            _ => signal(name, start::rank_processes(child.id())[i % 3]),
        }
        let ended = end(child);
        // Rank 0 says where the signal met it.
        let met = ended
            .1
            .contains(&format!("signal SIG{name} to rank 0 on host"));
        assert_eq!(met, name == "USR1" || i % 3 == 0, "{}", ended.1);
        stopped_well(&folder, &format!("signal SIG{name}"), ended);
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

/// Closed terminals and limits on processor time send their signals again and again.
#[test]
fn repeated_hangups_ask_once_and_nohup_is_obeyed() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("heard");
    let child = begun(1, &[], &folder);
    let rank = start::rank_processes(child.id())[0];
    for name in ["XCPU", "HUP", "XCPU"] {
        signal(name, rank);
        sleep(Duration::from_millis(400));
    }
    assert_eq!(end(child).0, 75);
    let folder = room.path().join("nohup");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    let mut command = durable::within(shell, &alone(&ENDLESS, &folder));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("sh starts");
    let log = folder.join("metrics.jsonl");
    let on_its_way = || std::fs::metadata(&log).is_ok_and(|log| log.len() > 2_000);
    assert!(wait_for(patience(60.0), on_its_way));
    signal("HUP", child.id());
    sleep(Duration::from_millis(400));
    assert!(child.try_wait().unwrap().is_none(), "nohup was not obeyed");
    signal("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(75));
}

#[test]
fn a_moved_folder_is_followed_and_never_made_anew() {
    let room = tempfile::tempdir().unwrap();
    let [folder, moved] = ["run", "moved"].map(|name| room.path().join(name));
    let child = begun(2, &[], &folder);
    std::fs::rename(&folder, &moved).unwrap();
    let (code, text) = end(child);
    assert!(!folder.exists(), "{text}");
    let told = format!("moved to {}", moved.canonicalize().unwrap().display());
    assert!(text.contains(&told), "{text}");
    stopped_well(&moved, "folder moved", (code, text));
}

/// Calls `change` while the ranks of the run in `child` are held.
fn while_held(child: &Child, change: impl FnOnce()) {
    let ranks = start::rank_processes(child.id());
    ranks.iter().for_each(|&rank| signal("STOP", rank));
    change();
    ranks.iter().for_each(|&rank| signal("CONT", rank));
}

#[test]
fn a_removed_folder_ends_the_run_and_is_not_made_anew() {
    let room = tempfile::tempdir().unwrap();
    for (i, settings) in [&[][..], &["checkpoint.every_steps=1"]].iter().enumerate() {
        let folder = room.path().join(format!("{i}"));
        let child = begun(2, settings, &folder);
        while_held(&child, || std::fs::remove_dir_all(&folder).unwrap());
        let (code, text) = end(child);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("the run's folder was removed"), "{text}");
        assert!(!folder.exists(), "{text}");
    }
}

/// The lock removed by hand, another run goes on with the folder: the first notices, and one whole log is left.
#[test]
fn a_run_whose_folder_was_taken_by_another_ends() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let first = begun(2, &["checkpoint.every_steps=20"], &folder);
    let saved = || !checkpoints(&folder).is_empty();
    assert!(wait_for(patience(60.0), saved));
    let mut second = None;
    while_held(&first, || {
        std::fs::remove_file(folder.join(".lock")).unwrap();
        let log = std::fs::metadata(folder.join("metrics.jsonl")).unwrap();
        let settings = [&ENDLESS[..], &["--resume"]].concat();
        second = Some(alone(&settings, &folder).spawn().expect("it starts"));
        let opened = || {
            let now = std::fs::metadata(folder.join("metrics.jsonl"));
            now.is_ok_and(|now| now.ino() != log.ino() && now.len() > log.len() + 2_000)
        };
        assert!(wait_for(patience(60.0), opened));
    });
    let (code, text) = end(first);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("another run has taken this folder"), "{text}");
    let second = second.expect("it was started");
    signal("TERM", second.id());
    let (code, text) = end(second);
    assert_eq!(code, 75, "{text}");
    let step = summary(&folder)["steps"].as_u64().expect("a number");
    assert_eq!(checkpoints(&folder).last(), Some(&step));
    assert_eq!(metrics(&folder).len() as u64, step);
}

/// No run is in its folder without a lock for long: who removes it by hand lets no second one in.
#[test]
fn a_removed_lock_is_made_anew() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    let child = begun(1, &[], &folder);
    std::fs::remove_file(folder.join(".lock")).unwrap();
    assert!(wait_for(patience(60.0), || folder.join(".lock").exists()));
    let (code, text) = finish(&mut alone(&["--resume"], &folder));
    assert!(code == 2 && text.contains("another run is using"), "{text}");
    signal("USR1", child.id());
    stopped_well(&folder, "signal SIGUSR1", end(child));
}

#[test]
fn a_folder_named_stop_is_refused_and_one_made_later_stops_the_run_once() {
    let room = tempfile::tempdir().unwrap();
    let folder = room.path().join("run");
    std::fs::create_dir_all(folder.join("STOP")).unwrap();
    let (code, text) = finish(&mut program(1, &ENDLESS, &folder));
    assert!(
        code == 2 && text.contains("holds STOP, a folder") && text.contains("remove it"),
        "{text}"
    );
    std::fs::remove_dir(folder.join("STOP")).unwrap();
    let child = begun(1, &[], &folder);
    std::fs::create_dir_all(folder.join("STOP/notes")).unwrap();
    let (code, text) = end(child);
    assert_eq!(code, 75, "{text}");
    assert!(text.contains("cannot be removed"), "{text}");
}

#[test]
fn a_limit_of_a_job_that_is_over_is_not_heeded_and_one_without_room_for_a_step_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let ten = [&ENDLESS[..5], &["run.steps=10"]].concat();
    for (name, value) in [("SLURM_JOB_END_TIME", "1000000000"), ("PBS_WALLTIME", "0")] {
        let mut command = program(1, &ten, &room.path().join(name));
        let (code, text) = finish(command.env(name, value));
        assert_eq!(code, 0, "{text}");
        assert!(
            text.contains(name) && text.contains("is not heeded"),
            "{text}"
        );
    }
    // Torque's whole walltime, of which a minute was taken to have passed.
    let folder = room.path().join("short");
    let mut command = program(1, &ten, &folder);
    assert_eq!(finish(command.env("PBS_WALLTIME", "50")).0, 0);
    // The first simulation alone takes longer.
    let file = room.path().join("slow.toml");
    std::fs::write(room.path().join("observed"), "1\n2\n").unwrap();
    let text = format!(
        "preset = \"process\"\n[model]\ncommand = [\"sh\", \"-c\", \"while read u; do sleep 1.2; echo 1 2; done\"]\n\
         prior = [\"a normal 0 1\"]\n[data]\nobservations = {:?}\n[method]\nnoise = 0.01\n",
        room.path().join("observed")
    );
    std::fs::write(&file, text).unwrap();
    let folder = room.path().join("slow");
    let source = file.to_str().unwrap();
    let (code, text) = finish(&mut preset(1, source, &["--max-time 00:00:01"], &folder));
    assert!(
        code == 2 && text.contains("--max-time allows 1 s, which leaves no time for a step"),
        "{text}"
    );
    assert!(!folder.exists());
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
    let ended = finish(&mut command);
    assert!(ended.1.contains("is near: SLURM_JOB_END_TIME"), "{ended:?}");
    stopped_well(&folder, "time limit", ended);
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
