//! Starting the program, or a test's own other ranks, under mpirun.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[path = "../start/mod.rs"]
pub mod start;

/// `program` on `ranks` ranks under mpirun, ready for its arguments, and not under a batch system.
fn on_ranks(ranks: usize, program: &Path) -> Command {
    let mut command = start::on_ranks(ranks, program);
    command
        .env("EKI_PROGRESS", "never")
        .env_remove("SLURM_JOB_END_TIME")
        .env_remove("PBS_WALLTIME")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `eki-mpi run SETTINGS --out FOLDER` on `ranks` ranks, one thread each; settings are key=value or options.
pub fn program(ranks: usize, settings: &[&str], folder: &Path) -> Command {
    preset(ranks, "digits", settings, folder)
}

/// `launch` as the last words of `around`, with its environment.
#[allow(dead_code)]
pub fn within(mut around: Command, launch: &Command) -> Command {
    around.arg(launch.get_program()).args(launch.get_args());
    for (name, value) in launch.get_envs() {
        match value {
            Some(value) => around.env(name, value),
            None => around.env_remove(name),
        };
    }
    around
}

/// As `program`, of another preset.
pub fn preset(ranks: usize, name: &str, settings: &[&str], folder: &Path) -> Command {
    threaded((ranks, 1), name, settings, folder)
}

/// As `preset`, on so many ranks of so many threads.
pub fn threaded(
    (ranks, threads): (usize, usize),
    name: &str,
    settings: &[&str],
    folder: &Path,
) -> Command {
    let mut command = on_ranks(ranks, &start::program());
    command.args(["run", name, "--threads", &threads.to_string()]);
    add(&mut command, settings);
    command.arg("--out").arg(folder);
    command
}

/// As `program`, on one rank without a launcher.
pub fn alone(settings: &[&str], folder: &Path) -> Command {
    let mut command = start::alone();
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["run", "digits", "--threads", "1"]);
    add(&mut command, settings);
    command.arg("--out").arg(folder);
    command
}

/// Adds key=value pairs as `--set`, and options as they are.
pub fn add(command: &mut Command, settings: &[&str]) {
    for setting in settings {
        if !setting.starts_with('-') {
            command.arg("--set");
        }
        command.args(setting.split(' '));
    }
}

/// This test binary's test `name` (an ignored one) as every one of `ranks` ranks.
pub fn ranks_of(name: &str, ranks: usize) -> Command {
    let this = std::env::current_exe().expect("a test has a path");
    let mut command = on_ranks(ranks, &this);
    command.args([
        name,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}

/// Runs `command` to its end; its exit code and all it printed.
pub fn finish(command: &mut Command) -> (i32, String) {
    ended(start::output(command))
}

/// The exit code and all that was printed; a signal's number is negative.
pub fn ended(output: Output) -> (i32, String) {
    use std::os::unix::process::ExitStatusExt as _;
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code();
    let code = code.unwrap_or_else(|| -output.status.signal().unwrap_or(0));
    (code, String::from_utf8_lossy(&text).into_owned())
}

/// Runs `command`, which must succeed.
pub fn succeed(command: &mut Command) -> String {
    let (code, text) = finish(command);
    assert_eq!(code, 0, "{command:?}\n{text}");
    text
}

/// summary.json of a run's folder.
pub fn summary(folder: &Path) -> serde_json::Value {
    json_file(folder, "summary.json")
}

/// A JSON file of a finished run's folder.
pub fn json_file(folder: &Path, name: &str) -> serde_json::Value {
    let text = std::fs::read(folder.join(name)).expect(name);
    serde_json::from_slice(&text).expect(name)
}

/// The digest a run ended with.
pub fn digest(folder: &Path) -> String {
    summary(folder)["digest"].as_str().expect("text").to_owned()
}

/// metrics.jsonl without its seconds.
pub fn metrics(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    let parsed = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        line.as_object_mut().expect("an object").remove("seconds");
        line.to_string()
    });
    parsed.collect()
}

/// The steps that have a checkpoint folder, oldest first.
pub fn checkpoints(folder: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder.join("checkpoints"));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name());
    let step = |name: std::ffi::OsString| name.to_str()?.strip_prefix("step-")?.parse().ok();
    let mut steps: Vec<u64> = names.filter_map(step).collect();
    steps.sort_unstable();
    steps
}

/// The folder of the checkpoint at `step`.
pub fn checkpoint(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("checkpoints/step-{step:08}"))
}

/// Copies `from`, files and folders, to `to`.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// So many seconds on a machine that is idle, and more in proportion to the work that waits for each of its cores: a
/// bound that tells what hangs from what is slow, and that a busy machine does not fail.
pub fn patience(seconds: f64) -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    // The mean of the last minute. Ranks that wait take a core each, so tests alone make some.
    let load: f64 = load
        .split(' ')
        .next()
        .map_or(0.0, |l| l.parse().unwrap_or(0.0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Duration::from_secs_f64(seconds * (load / cores as f64).max(1.0))
}

/// Calls `each` with every one of `items` and its place among them, as many at once as there are cores. A panic in one of them
/// is a panic here.
pub fn side_by_side<T: Sync>(items: &[T], each: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { break };
                    each(place, item);
                }
            });
        }
    });
}

/// Waits until `ready`, at most `limit`; whether it came.
pub fn wait_for(limit: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Sends `signal`, as "TERM", to process `pid`.
pub fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    assert!(sent.is_ok(), "kill is there");
}

/// Whether the long mode was asked for.
pub fn long() -> bool {
    std::env::var_os("EKI_LONG").is_some_and(|value| !value.is_empty() && value != "0")
}
