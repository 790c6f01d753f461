//! Examples a method needs on a task of long memory until the test set's squared error falls below a stated one.
//!
//! ```text
//! cargo bench --bench recall -- PRESET ERROR SEEDS T,T,... [KEY=VALUE ...]
//! cargo bench --bench recall -- adding 0.0167 3 100,200,300 run.epochs=40
//! ```
//!
//! One line a run: examples assimilated, repeats counted, up to the first evaluation below ERROR (or that it was never
//! reached), the last error, and seconds. The error without memory is 1/6 for adding and 7/64 for copying.

#![allow(clippy::print_stdout, reason = "the report is what this is for")]

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `cargo bench` without a name runs every bench: there is nothing to time here.
    let [preset, error, seeds, lengths, sets @ ..] = &words[..] else {
        return Ok(());
    };
    let (error, seeds): (f64, u64) = (error.parse()?, seeds.parse()?);
    println!("{preset}: examples until the squared error is below {error}");
    println!("     T  seed    examples  last error  seconds");
    for length in lengths.split(',') {
        for seed in 1..=seeds {
            let run = one(preset, length, seed, sets)?;
            let needed = run.needed(error);
            let needed = needed.map_or("never".to_owned(), |n| n.to_string());
            println!(
                "{length:>6} {seed:>5} {needed:>11} {:>11.4} {:>8.0}",
                run.last, run.seconds
            );
        }
    }
    Ok(())
}

/// What one run says of itself.
struct Run {
    /// (examples, squared error) at each evaluation.
    curve: Vec<(u64, f64)>,
    last: f64,
    seconds: f64,
}

impl Run {
    fn needed(&self, error: f64) -> Option<u64> {
        let below = |(_, e): &&(u64, f64)| *e < error;
        self.curve.iter().find(below).map(|(examples, _)| *examples)
    }
}

fn one(preset: &str, length: &str, seed: u64, sets: &[&str]) -> Outcome<Run> {
    let room = tempfile::tempdir()?;
    let out = room.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eki-mpi"));
    command.args(["run", preset, "--set", &format!("data.length={length}")]);
    command.args(["--set", &format!("seed={seed}")]);
    for set in sets {
        command.args(["--set", set]);
    }
    let ended = command.arg("--out").arg(&out).output()?;
    if !ended.status.success() {
        return Err(String::from_utf8_lossy(&ended.stderr).into());
    }
    read(&out)
}

fn read(out: &Path) -> Outcome<Run> {
    let mut curve = Vec::new();
    for line in std::fs::read_to_string(out.join("metrics.jsonl"))?.lines() {
        let record: Value = serde_json::from_str(line)?;
        if let (Some(samples), Some(mse)) =
            (record["samples"].as_u64(), record["mse_mean"].as_f64())
        {
            curve.push((samples, mse));
        }
    }
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(out.join("summary.json"))?)?;
    Ok(Run {
        last: curve.last().map_or(f64::NAN, |(_, mse)| *mse),
        seconds: summary["seconds"].as_f64().unwrap_or(f64::NAN),
        curve,
    })
}
