//! Steps of ours against the same steps in NumPy and JAX, in turn, on all of this machine's cores; needs MNIST.
//!
//! ```text
//! cargo bench --bench peers                        every case and peer, three rounds, and the table of ratios
//! cargo bench --bench peers -- dnn2 jax-explicit   only cases and contestants whose names are given
//! cargo bench --bench peers -- --table             the table again, of all rounds so far
//! ```
//!
//! Python's packages go into a virtual environment under target/peers; rounds are kept there too. The peers' scripts
//! are beside this file. A round runs all contestants once; ratios are taken within a round, since other work on the
//! machine slows whole rounds. Every contestant's first ||D|| must agree with ours: all compute the same step.

#![allow(clippy::print_stdout, reason = "the table is what this is for")]

#[path = "../measured/mod.rs"]
mod measured;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use measured::{Measured, Outcome, printed, spread};
use serde::{Deserialize, Serialize};

/// A problem, and what runs it.
struct Case {
    name: &'static str,
    preset: &'static str,
    layers: &'static str,
    members: usize,
    peers: &'static [Peer],
    /// First ||D|| of two draws of the ensemble may differ by this factor.
    tolerance: f64,
    /// Whether ours runs in mixed precision, too.
    mixed: bool,
}

/// Ours, and ours in mixed precision.
const OURS: [(&str, &str); 2] = [("eki-mpi", "single"), ("eki-mpi-mixed", "mixed")];

struct Peer {
    name: &'static str,
    script: &'static str,
    form: &'static str,
}

const fn peer(name: &'static str, script: &'static str, form: &'static str) -> Peer {
    Peer { name, script, form }
}

const ARRAYS: &[Peer] = &[
    peer("numpy-explicit", "eki_numpy.py", "explicit"),
    peer("numpy-factored", "eki_numpy.py", "factored"),
    peer("jax-explicit", "eki_jax.py", "explicit"),
    peer("jax-factored", "eki_jax.py", "factored"),
];

const CASES: [Case; 4] = [
    Case {
        name: "dnn1",
        preset: "dnn1",
        layers: "784,10",
        members: 2000,
        peers: ARRAYS,
        tolerance: 1.1,
        mixed: true,
    },
    Case {
        name: "dnn2",
        preset: "dnn2",
        layers: "784,100,10",
        members: 2000,
        peers: ARRAYS,
        tolerance: 1.1,
        mixed: true,
    },
    Case {
        name: "dnn2-6000",
        preset: "dnn2",
        layers: "784,100,10",
        members: 6000,
        peers: ARRAYS,
        tolerance: 1.1,
        mixed: true,
    },
    Case {
        // Its first mean is one draw, not the middle of thousands.
        name: "dnn2-low-rank",
        preset: "dnn2-low-rank",
        layers: "784,100,10",
        members: 2000,
        peers: &[peer("numpy-low-rank", "low_rank_numpy.py", "low-rank")],
        tolerance: 3.0,
        mixed: false,
    },
];

/// The command line; cargo adds --bench.
#[derive(Parser)]
struct Arguments {
    /// Cases and contestants to run [default: all]
    names: Vec<String>,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Steps of a contestant in a round; a peer's first, which compiles, is not counted
    #[arg(long, default_value_t = 4)]
    steps: usize,
    /// Threads [default: this machine's cores]
    #[arg(long)]
    threads: Option<usize>,
    /// The folder with the data sets [default: $EKI_DATA_DIR, else the user's cache folder]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Run nothing: the table of all rounds so far
    #[arg(long)]
    table: bool,
    #[arg(long, hide = true)]
    bench: bool,
}

/// One contestant in one round.
#[derive(Serialize, Deserialize)]
struct Entry {
    round: u128,
    case: String,
    contestant: String,
    step_seconds: f64,
    d_norm: f64,
}

/// What a peer prints.
#[derive(Deserialize)]
struct Printed {
    step_seconds: Vec<f64>,
    d_norm: f64,
    version: String,
}

struct Site {
    arguments: Arguments,
    folder: PathBuf,
    data: PathBuf,
    threads: usize,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
    fs::create_dir_all(&folder)?;
    if !arguments.table {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let data = eki_mpi::data::folder::data_dir(arguments.data_dir.as_deref());
        let site = Site {
            threads: arguments.threads.unwrap_or(cores),
            data: std::path::absolute(data)?,
            folder: folder.clone(),
            arguments,
        };
        site.rounds()?;
    }
    table(&folder)
}

impl Site {
    /// Whether a case or contestant is among the names given; of those that are not of its kind none need be.
    fn chosen(&self, name: &str, kind: impl Fn(&str) -> bool) -> bool {
        let mut given = self.arguments.names.iter().filter(|n| kind(n)).peekable();
        given.peek().is_none() || given.any(|n| n == name)
    }

    fn rounds(&self) -> Outcome<()> {
        let is_case = |name: &str| CASES.iter().any(|case| case.name == name);
        let is_peer = |name: &str| CASES.iter().flat_map(|c| c.peers).any(|p| p.name == name);
        if let Some(unknown) = self
            .arguments
            .names
            .iter()
            .find(|n| !is_case(n) && !is_peer(n))
        {
            return Err(format!("{unknown}: no such case or contestant").into());
        }
        let python = self.environment()?;
        for _ in 0..self.arguments.rounds {
            let now = std::time::SystemTime::now();
            let round = now.duration_since(std::time::UNIX_EPOCH)?.as_millis();
            for case in CASES.iter().filter(|case| self.chosen(case.name, is_case)) {
                let ours = self.ours(case, round, OURS[0])?;
                self.keep(&ours)?;
                if case.mixed {
                    self.keep(&self.ours(case, round, OURS[1])?)?;
                }
                for peer in case.peers.iter().filter(|p| self.chosen(p.name, is_peer)) {
                    let theirs = self.theirs(&python, case, peer, round)?;
                    let factor = (theirs.d_norm / ours.d_norm).ln().abs().exp();
                    if factor.is_nan() || factor > case.tolerance {
                        let (a, b) = (ours.d_norm, theirs.d_norm);
                        return Err(format!(
                            "{} {}: ||D|| is {b} at the first step, ours {a}: not the same step",
                            case.name, peer.name
                        )
                        .into());
                    }
                    self.keep(&theirs)?;
                }
            }
        }
        Ok(())
    }

    /// Python with the peers' packages, installed where they are not yet.
    fn environment(&self) -> Outcome<PathBuf> {
        let wanted = scripts().join("requirements.txt");
        let (folder, held) = (self.folder.join("venv"), self.folder.join("installed.txt"));
        let python = folder.join("bin/python");
        if fs::read(&held).ok() != Some(fs::read(&wanted)?) {
            printed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--quiet", "-r"]);
            printed(install.arg(&wanted))?;
            fs::copy(&wanted, &held)?;
        }
        Ok(python)
    }

    fn ours(
        &self,
        case: &Case,
        round: u128,
        (contestant, precision): (&str, &str),
    ) -> Outcome<Entry> {
        let sets = [
            format!("ensemble.members={}", case.members),
            "data.scale=unit".to_owned(),
            format!("run.precision={precision}"),
        ];
        let size = (self.arguments.steps, self.threads);
        let run = Measured::run(&[], case.preset, &sets, size)?;
        Ok(Entry {
            round,
            case: case.name.to_owned(),
            contestant: contestant.to_owned(),
            step_seconds: run.step()?,
            d_norm: run.first["d_norm"].as_f64().ok_or("metrics: no d_norm")?,
        })
    }

    fn theirs(&self, python: &Path, case: &Case, peer: &Peer, round: u128) -> Outcome<Entry> {
        let mut command = Command::new(python);
        command
            .arg(scripts().join(peer.script))
            .args(["--layers", case.layers, "--form", peer.form])
            .args(["--members", &case.members.to_string()])
            .args(["--steps", &self.arguments.steps.to_string()])
            .args(["--threads", &self.threads.to_string(), "--data"])
            .arg(self.data.join("mnist"))
            // OpenBLAS chooses its kernel for the processor it finds. NumPy's threads are the script's.
            .env_remove("OPENBLAS_CORETYPE")
            .env("OPENBLAS_NUM_THREADS", "1");
        let told: Printed = serde_json::from_slice(&printed(&mut command)?)?;
        println!("{} {} {}", case.name, peer.name, told.version);
        Ok(Entry {
            round,
            case: case.name.to_owned(),
            contestant: peer.name.to_owned(),
            step_seconds: spread(told.step_seconds.get(1..).unwrap_or_default())[1],
            d_norm: told.d_norm,
        })
    }

    fn keep(&self, entry: &Entry) -> Outcome<()> {
        let path = self.folder.join("rounds.jsonl");
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{}", serde_json::to_string(entry)?)?;
        println!(
            "{} {}: {:.4} s a step, ||D|| {:.3}",
            entry.case, entry.contestant, entry.step_seconds, entry.d_norm
        );
        Ok(())
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Prints, by case and contestant, the seconds of a step and their ratios to ours of the same round, in single and in
/// mixed precision: median, least, largest.
fn table(folder: &Path) -> Outcome<()> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in fs::read_to_string(folder.join("rounds.jsonl"))?.lines() {
        entries.push(serde_json::from_str(line)?);
    }
    println!("| case | contestant | rounds | seconds a step | to ours | to ours, mixed |");
    println!("|---|---|---|---|---|---|");
    for case in &CASES {
        let of_case = || entries.iter().filter(|entry| entry.case == case.name);
        let ours = OURS.map(|(name, _)| -> BTreeMap<u128, f64> {
            let own = of_case().filter(|entry| entry.contestant == name);
            own.map(|entry| (entry.round, entry.step_seconds)).collect()
        });
        let names = OURS.iter().map(|&(name, _)| name);
        for name in names.chain(case.peers.iter().map(|p| p.name)) {
            let own: Vec<&Entry> = of_case().filter(|e| e.contestant == name).collect();
            if own.is_empty() {
                continue;
            }
            let seconds: Vec<f64> = own.iter().map(|entry| entry.step_seconds).collect();
            let ratios = ours.each_ref().map(|ours| {
                let ratio = |e: &&Entry| Some(e.step_seconds / ours.get(&e.round)?);
                let ratios: Vec<f64> = own.iter().filter_map(ratio).collect();
                if ratios.is_empty() {
                    return "-".to_owned();
                }
                let [low, median, high] = spread(&ratios);
                format!("{median:.2} ({low:.2} .. {high:.2})")
            });
            let [least, middle, largest] = spread(&seconds);
            println!(
                "| {} | {name} | {} | {middle:.3} ({least:.3} .. {largest:.3}) | {} |",
                case.name,
                own.len(),
                ratios.join(" | ")
            );
        }
    }
    Ok(())
}
