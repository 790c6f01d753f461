//! A simulator of the user's as the forward map: recovery, failures, deaths, resumption, and what is refused.
//!
//! This program is the simulator too, so that every machine has one: `simulator simulate KIND [FILE]` (see `answers`).
//! Arguments else: words that a test's name must contain; `--list` lists.
#![allow(
    clippy::print_stdout,
    reason = "a test program, and a simulator, talk on standard output"
)]

mod accepted;
mod answers;
mod asked;
mod contract;
mod examples;
mod fields;
mod folder;
mod history;
mod kept;
mod localised;
mod noise;
mod observed;
mod priors;
mod protocol;
mod refused;
mod results;
mod runs;
mod sets;
#[path = "../start/mod.rs"]
mod start;
mod statistics;
mod stored;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A test: its name, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("simulate", rest)) = arguments.split_first().map(|(a, rest)| (a.as_str(), rest)) {
        answers::simulate(rest);
        return ExitCode::SUCCESS;
    }
    let tests = [
        // One of these waits for a minute: the others are done meanwhile.
        folder::TESTS,
        runs::TESTS,
        asked::TESTS,
        refused::TESTS,
        contract::TESTS,
        results::TESTS,
        priors::TESTS,
        fields::TESTS,
        sets::TESTS,
        accepted::TESTS,
        protocol::TESTS,
        kept::TESTS,
        localised::TESTS,
        noise::TESTS,
        observed::TESTS,
        statistics::TESTS,
        examples::TESTS,
        history::TESTS,
        stored::TESTS,
    ]
    .concat();
    let words: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let asked = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(*word));
    let asked: Vec<Test> = tests.into_iter().filter(|test| asked(test.0)).collect();
    if arguments.iter().any(|a| a == "--list") {
        asked.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", asked.len());
    let (next, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Most of a test's time is waiting: as many at once as the other test programs have.
    let threads = std::env::var("RUST_TEST_THREADS").ok();
    let threads = threads.and_then(|threads| threads.parse().ok());
    let threads = threads.or_else(|| std::thread::available_parallelism().ok());
    let threads = threads.map_or(1, NonZero::<usize>::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((name, test)) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = std::time::Instant::now();
                    let sound = std::panic::catch_unwind(test).is_ok();
                    failures.fetch_add(usize::from(!sound), Ordering::Relaxed);
                    let seconds = start.elapsed().as_secs_f64();
                    let verdict = if sound { "ok" } else { "FAILED" };
                    println!("test {name} ... {verdict} ({seconds:.1} s)");
                }
            });
        }
    });
    let failed = failures.into_inner();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let passed = asked.len() - failed;
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored\n");
    ExitCode::from(u8::from(failed > 0) * 101)
}

/// Growth and capacity that the observations are made with, and the noise's deviation.
const TRUTH: [f64; 2] = [0.8, 3.0];
const NOISE: f64 = 0.05;

/// A folder with observations, and a configuration whose simulator is this program, of `kind`.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let case = Self { folder };
        let observed: Vec<String> = answers::observed().iter().map(f64::to_string).collect();
        std::fs::write(case.file("observed.txt"), observed.join("\n")).expect("a file");
        let this = std::env::current_exe().expect("the path of this program");
        let observed = case.file("observed.txt");
        let text = format!(
            "preset = \"process\"\n\
             [model]\ncommand = [{this:?}, \"simulate\", {kind:?}, {:?}]\n\
             prior = [\"growth lognormal 1.0 0.5\", \"capacity uniform 0.5 10\"]\n\
             [data]\nobservations = {observed:?}\n\
             [method]\nkind = \"eki\"\nh_schedule = \"level\"\nnoise = {}\n\
             [ensemble]\nmembers = 24\n[run]\nsteps = 12\nstop_at_misfit = 0\n",
            case.file("marks"),
            NOISE * NOISE
        );
        std::fs::write(case.file("mine.toml"), text).expect("a file");
        case
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run of it, to be changed.
    fn run(&self, sets: &[&str]) -> start::Run {
        start::Run::new(self.file("mine.toml").to_str().expect("text"), sets)
    }

    /// Runs it into the folder `name`; what it left, and what it said.
    fn finish(&self, run: &start::Run, name: &str) -> (PathBuf, start::Ended) {
        let out = self.file(name);
        let ended = start::end(&mut run.command(&out));
        assert_eq!(ended.code, 0, "{run:?}: {}", ended.stderr);
        (out, ended)
    }

    /// Sees that `ended`, a start into the folder a/run, was refused in one line with all `words`, and left nothing.
    fn refused(&self, ended: &start::Ended, words: &[&str]) {
        let complaints = ended.complaints();
        assert_eq!(
            (ended.code, complaints.len()),
            (2, 1),
            "{words:?}: {}",
            ended.stderr
        );
        for word in words {
            assert!(complaints[0].contains(word), "{word:?}: {}", complaints[0]);
        }
        assert!(!self.file("a").exists(), "{words:?}");
    }

    /// The lines the simulators left in their file.
    fn marks(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("marks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// The digest of the run in `folder`.
fn digest(folder: &Path) -> String {
    let text = std::fs::read(folder.join("summary.json")).expect("summary.json");
    let summary: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    summary["digest"].as_str().expect("text").to_owned()
}

/// How many members failed at each step.
fn failures(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    let count = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line["failed"].as_u64().expect("a number")
    };
    text.lines().map(count).collect()
}
