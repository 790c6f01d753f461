//! The published rows and ours: makes the runs that lack, stores them, and draws the tables of benches/RESULTS.md and README.md.
//!
//! ```text
//! nice -n 19 cargo bench --bench rows --features gradients -- run OUT    makes what lacks, the most valuable first; the same command goes on
//! cargo bench --bench rows --features gradients -- list OUT              shows what it would make, and in which order
//! cargo bench --bench rows -- store NAME FOLDER                          stores the run of the row NAME in FOLDER
//! cargo bench --bench rows -- table                                      draws the tables
//! ```

#![allow(clippy::print_stdout, reason = "what is run is part of the report")]

#[path = "../measured/mod.rs"]
#[allow(dead_code, reason = "its start of the program alone is used")]
mod measured;

mod engine;

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Parser, Subcommand};
use engine::Outcome;
use engine::order::{Order, Request};
use engine::row::rows;
use engine::sweep::Engine;
use engine::table;

/// The command line; cargo adds --bench.
#[derive(Parser)]
struct Arguments {
    // `cargo bench` without a name runs every bench: there is nothing to time here.
    #[command(subcommand)]
    task: Option<Task>,
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Make the runs that lack as a sweep in the folder OUT and store each as it comes; the same command goes on after any stop
    Run {
        #[command(flatten)]
        choice: Choice,
        /// Stop within this time, as eki-mpi sweep does
        #[arg(long)]
        max_time: Option<String>,
        /// What starts the ranks, as in "mpirun -n 4" [default: one rank]
        #[arg(long, default_value = "")]
        launcher: String,
        /// Threads of each rank [default: the host's cores over its ranks]
        #[arg(long)]
        threads: Option<u16>,
    },
    /// Show the runs that lack, in their order, and what is left out
    List(Choice),
    /// Store the run of the row NAME in FOLDER, unless a longer one is stored
    Store {
        name: String,
        folder: PathBuf,
        /// The commit that the program was built from
        #[arg(default_value = "HEAD")]
        commit: String,
    },
    /// Draw the tables of benches/RESULTS.md and README.md
    Table,
}

#[derive(Args)]
struct Choice {
    /// The sweep's folder; a file STOP in it stops the sweep
    out: PathBuf,
    /// Names of rows [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seeds, the most wanted first; of runs of more than an hour the first alone is made
    #[arg(long, value_delimiter = ',', default_value = "1,2,3")]
    seeds: Vec<u64>,
}

fn main() -> Outcome<()> {
    match Arguments::parse().task {
        None => Ok(()),
        Some(Task::Run {
            choice,
            max_time,
            launcher,
            threads,
        }) => {
            let order = order(&choice)?;
            let launcher: Vec<String> = launcher.split_whitespace().map(str::to_owned).collect();
            let mut options = vec![];
            options.extend(max_time.map(|time| format!("--max-time={time}")));
            options.extend(threads.map(|threads| format!("--threads={threads}")));
            let program = measured::started(&launcher);
            let code = engine(&choice.out, "HEAD")?.run(&order.runs, program, &options)?;
            draw()?;
            std::process::exit(code)
        }
        Some(Task::List(choice)) => order(&choice).map(|_| ()),
        Some(Task::Store {
            name,
            folder,
            commit,
        }) => store(&name, &folder, &commit),
        Some(Task::Table) => draw(),
    }
}

/// Returns the folder of this package.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the folder of rows.toml and the stored runs.
fn folder() -> PathBuf {
    root().join("benches/rows")
}

/// Finds the runs that lack, and shows them.
fn order(choice: &Choice) -> Outcome<Order> {
    let request = Request {
        only: choice.only.clone(),
        seeds: choice.seeds.clone(),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_eki-mpi"));
    let order = Order::new(&folder(), &choice.out, program, &request)?;
    println!("   value    hours  run");
    for run in &order.runs {
        let (hours, name) = (run.cost / 3600.0, run.name());
        println!("{:>8.2} {hours:>8.2}  {name}", run.value);
    }
    for line in &order.left_out {
        println!("left out: {line}");
    }
    Ok(order)
}

/// Returns the engine whose sweep has the folder `out`, of a program built from `commit`.
fn engine(out: &Path, commit: &str) -> Outcome<Engine> {
    let mut git = Command::new("git");
    git.current_dir(root());
    let named = git.args(["rev-parse", "--short", "--verify", commit]);
    let named = named.output()?;
    if !named.status.success() {
        return Err(String::from_utf8_lossy(&named.stderr).trim().into());
    }
    Ok(Engine {
        folder: folder(),
        out: out.to_owned(),
        commit: String::from_utf8(named.stdout)?.trim().to_owned(),
        pause: 10.0,
    })
}

fn store(name: &str, run: &Path, commit: &str) -> Outcome<()> {
    let rows = rows(&folder())?;
    let row = rows.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| format!("{name}: no such row in rows.toml"))?;
    match engine(run, commit)?.store_longer(row, run)? {
        Some(_) => draw(),
        None => Err(format!("{}: a run of as many epochs is stored", run.display()).into()),
    }
}

fn draw() -> Outcome<()> {
    let results = root().join("benches/RESULTS.md");
    table::draw(&folder(), &results, &root().join("README.md"))
}
