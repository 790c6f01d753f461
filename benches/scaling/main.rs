//! Strong and weak scaling: short runs on 1, 2, 4, ... ranks in turn, a table as CSV, and its curves as SVG.
//!
//! ```text
//! cargo bench --bench scaling -- --source dnn2 --ranks 1,2,4     target/scaling.csv and target/scaling.svg
//! sbatch cluster/scaling.sbatch dnn2                             the same on a cluster's nodes
//! ```
//!
//! Strong: J members whatever the ranks. Weak: as many members for each rank, in the factored form, whose arithmetic
//! grows with J, so that a rank's share stays the same. More ranks and threads than cores are marked oversubscribed,
//! and say nothing about scaling. The table holds every run; curves go through medians.

#![allow(clippy::print_stdout, reason = "the table is what this is for")]

mod curves;
#[path = "../measured/mod.rs"]
mod measured;

use std::path::PathBuf;

use clap::Parser;
use measured::{Measured, Outcome, printed, started};

/// The command line; cargo adds --bench.
#[derive(Parser)]
struct Arguments {
    /// A preset's name or a configuration file
    #[arg(long, default_value = "digits")]
    source: String,
    /// Numbers of ranks
    #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
    ranks: Vec<usize>,
    /// Threads of each rank
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Members in strong scaling [default: the source's]
    #[arg(long)]
    members: Option<usize>,
    /// Members of each rank in weak scaling; 0: no weak scaling
    #[arg(long, default_value_t = 0)]
    per_rank: usize,
    /// Change a key, as in --set data.batch=100
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Steps of a run
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Times every run is made
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What starts ranks, {ranks} standing for their number [default: $EKI_MPIRUN, else mpirun, -n {ranks}]
    #[arg(long)]
    launcher: Option<String>,
    /// Cores of all nodes [default: this machine's]
    #[arg(long)]
    cores: Option<usize>,
    /// Table and curves: PATH.csv, PATH.svg [default: target/scaling]
    #[arg(long)]
    out: Option<PathBuf>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// One run.
struct Row {
    weak: bool,
    ranks: usize,
    members: usize,
    oversubscribed: bool,
    step: f64,
    /// What `eki-mpi plan --calibrate` foretells, just before; nothing where cores are shared.
    predicted: Option<f64>,
    /// Each phase's mean over ranks, seconds a step.
    phases: Vec<f64>,
    gflops: f64,
    floor_share: f64,
}

const PHASES: [&str; 5] = ["forward", "wait", "interaction", "update", "exchange"];

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("scaling"));
    let mut rows = Vec::new();
    for round in 0..arguments.rounds {
        for weak in [false, true] {
            if weak && arguments.per_rank == 0 {
                continue;
            }
            for &ranks in &arguments.ranks {
                let row = arguments.measure(weak, ranks)?;
                println!(
                    "round {round}, {}, {ranks} ranks, {} members: {:.4} s a step{}",
                    if weak { "weak" } else { "strong" },
                    row.members,
                    row.step,
                    row.predicted.map_or_else(
                        || ", oversubscribed".to_owned(),
                        |seconds| format!(", {seconds:.4} foretold")
                    )
                );
                rows.push(row);
                // After every run: a job may end at its limit.
                write(&arguments, &rows, &out)?;
            }
        }
    }
    Ok(())
}

impl Arguments {
    fn measure(&self, weak: bool, ranks: usize) -> Outcome<Row> {
        let mut sets = self.sets.clone();
        match (weak, self.members) {
            (true, _) => sets.push(format!("ensemble.members={}", self.per_rank * ranks)),
            (false, Some(members)) => sets.push(format!("ensemble.members={members}")),
            (false, None) => {}
        }
        // J grows past 2 K in weak scaling, where the form would change.
        if weak && !sets.iter().any(|set| set.starts_with("method.form")) {
            sets.push("method.form=factored".to_owned());
        }
        let cores = self
            .cores
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let oversubscribed = ranks * self.threads > cores;
        let predicted = if oversubscribed {
            None
        } else {
            Some(self.predicted(ranks, &sets)?)
        };
        let run = Measured::run(
            &self.words(ranks),
            &self.source,
            &sets,
            (self.steps, self.threads),
        )?;
        let steps = run.timing["steps"]
            .as_f64()
            .ok_or("timing.json: no steps")?;
        let number = |key: &str| {
            run.timing[key]
                .as_f64()
                .ok_or(format!("timing.json: no {key}"))
        };
        let phases = PHASES.map(|name| {
            let seconds = run.timing["phases"][name]["mean"].as_f64();
            Ok::<f64, String>(seconds.ok_or(format!("timing.json: no {name}"))? / steps)
        });
        Ok(Row {
            weak,
            ranks,
            members: run.first["members"].as_u64().ok_or("metrics: no members")? as usize,
            oversubscribed,
            predicted,
            step: run.step()?,
            phases: phases.into_iter().collect::<Result<_, _>>()?,
            gflops: number("gflops")?,
            floor_share: number("floor_share")?,
        })
    }

    /// Seconds of a step as the plan foretells them, from a calibration under the same launcher.
    fn predicted(&self, ranks: usize, sets: &[String]) -> Outcome<f64> {
        let mut command = started(&self.words(ranks));
        command.args(["plan", &self.source, "--calibrate", "--json"]);
        command.args([
            "--ranks",
            &ranks.to_string(),
            "--threads",
            &self.threads.to_string(),
        ]);
        for set in sets {
            command.args(["--set", set]);
        }
        let plan: serde_json::Value = serde_json::from_slice(&printed(&mut command)?)?;
        let seconds = plan["prediction"]["step_seconds"].as_f64();
        Ok(seconds.ok_or("plan: no prediction")?)
    }

    /// The launcher's words for `ranks` ranks.
    fn words(&self, ranks: usize) -> Vec<String> {
        let launcher = self.launcher.clone().unwrap_or_else(|| {
            let mpirun = std::env::var("EKI_MPIRUN").unwrap_or_else(|_| "mpirun".to_owned());
            mpirun + " -n {ranks}"
        });
        let words = launcher.split_whitespace();
        words
            .map(|word| word.replace("{ranks}", &ranks.to_string()))
            .collect()
    }
}

fn write(arguments: &Arguments, rows: &[Row], out: &std::path::Path) -> Outcome<()> {
    let mut text = format!(
        "scaling,ranks,threads,members,oversubscribed,step_seconds,predicted,{},gflops,floor_share\n",
        PHASES.join(",")
    );
    for row in rows {
        let phases: Vec<String> = row.phases.iter().map(|s| format!("{s:.6}")).collect();
        text += &format!(
            "{},{},{},{},{},{:.6},{},{},{:.1},{:.4}\n",
            if row.weak { "weak" } else { "strong" },
            row.ranks,
            arguments.threads,
            row.members,
            row.oversubscribed,
            row.step,
            row.predicted
                .map_or_else(String::new, |s| format!("{s:.6}")),
            phases.join(","),
            row.gflops,
            row.floor_share
        );
    }
    std::fs::write(out.with_extension("csv"), text)?;
    let svg = curves::curves(&arguments.source, arguments.threads, rows);
    std::fs::write(out.with_extension("svg"), svg)?;
    Ok(())
}
