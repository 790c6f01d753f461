//! A short run of the program, started as a user starts it, and what it measured of itself.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What a bench ends with.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// What a run left: timing.json, and the first line of metrics.jsonl.
#[derive(Debug)]
pub struct Measured {
    /// timing.json.
    pub timing: Value,
    /// The first step's metrics.
    pub first: Value,
}

impl Measured {
    /// Runs `source` with `sets` for `steps` steps on ranks of `threads` threads, started by the words of `launcher`
    /// (none: one rank).
    pub fn run(
        launcher: &[String],
        source: &str,
        sets: &[String],
        (steps, threads): (usize, usize),
    ) -> Outcome<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let out = folder.path().join("run");
        let mut command = started(launcher);
        command.args(["run", source, "--out"]).arg(&out);
        command.args(["--threads", &threads.to_string()]);
        let plain = [
            format!("run.steps={steps}"),
            "run.best=never".to_owned(),
            "run.evaluate_every=0".to_owned(),
            "data.shuffle=false".to_owned(),
        ];
        for set in plain.iter().chain(sets) {
            command.args(["--set", set]);
        }
        printed(&mut command)?;
        Self::read(&out)
    }

    fn read(folder: &Path) -> Outcome<Self> {
        let timing = std::fs::read_to_string(folder.join("timing.json"))?;
        let metrics = std::fs::read_to_string(folder.join("metrics.jsonl"))?;
        Ok(Self {
            timing: serde_json::from_str(&timing)?,
            first: serde_json::from_str(metrics.lines().next().unwrap_or_default())?,
        })
    }

    /// The median step's seconds.
    pub fn step(&self) -> Outcome<f64> {
        let median = self.timing["step_seconds"]["median"].as_f64();
        Ok(median.ok_or("timing.json: no step")?)
    }
}

/// The program, started by the words of `launcher` (none: alone); its arguments are yet to be added.
pub fn started(launcher: &[String]) -> Command {
    let program = env!("CARGO_BIN_EXE_eki-mpi").to_owned();
    let words: Vec<String> = launcher.iter().cloned().chain([program]).collect();
    let mut command = Command::new(&words[0]);
    // Ranks of several threads must not be tied to one core each; root and more ranks than cores are meant here.
    command
        .args(&words[1..])
        .env("OMPI_MCA_hwloc_base_binding_policy", "none")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command
}

/// What a command printed that must succeed.
pub fn printed(command: &mut Command) -> Outcome<Vec<u8>> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}", told.trim_end()).into());
    }
    Ok(output.stdout)
}

/// The least, the middle one and the largest.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [
        sorted[0],
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1],
    ]
}
