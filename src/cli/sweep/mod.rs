//! `eki-mpi sweep FILE.toml`: many runs, one after the other or side by side, each in a folder of its own; the same command goes
//! on after any stop.

mod check;
mod folder;
mod group;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use eki_mpi::config::sweep::{Sweep, SweepRun};
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::bounded;
use eki_mpi::io::run_folder::{began_with, claim_sweep};
use eki_mpi::parallel::abort::say;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::run::stop::{EXIT_STOPPED, StopReason, remove_stop_file};

use crate::cli::output::json;
use crate::cli::report::{self, ReportArguments};
use crate::cli::run::log::log_to;
use crate::cli::run::stopping::listen;
use check::{Split, check};
use folder::{Folder, LONGEST, State};
use group::Group;
use table::{Results, runs_csv};

/// Which runs, and how they share the ranks.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct SweepArguments {
    /// The file that describes the runs
    #[arg(value_name = "FILE.toml")]
    pub file: PathBuf,
    /// The sweep's folder, which holds a folder for each run [default: runs/NAME, after the file]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Split the ranks into N groups, each with a run of its own at a time [default: 1, all ranks together]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub groups: Option<u32>,
    /// Show what has become of each run, and the results so far; runs nothing
    #[arg(long)]
    pub status: bool,
    /// Run those that failed again
    #[arg(long)]
    pub retry: bool,
    /// Save the state and exit with 75 in time to end within this [default: what Slurm or PBS allows the job]
    #[arg(long, value_name = "90min | HH:MM:SS", value_parser = eki_mpi::run::stop::parse_limit)]
    pub max_time: Option<Duration>,
    /// Threads of each rank [default: the host's cores over its ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// An example of a sweep's file, for the help.
const EXAMPLE: &str = "Examples:
  mpirun -n 4 eki-mpi sweep study.toml --out study --groups 2
  eki-mpi sweep study.toml --out study --status
The file:
  base = \"digits\"                   # a preset, or a configuration file beside this one
  best = \"accuracy_mean\"            # sort the results by this score
  [set]                             # for all runs
  run.epochs = 20
  [grid]                            # every combination of these
  method.h = [1, 2, 4]
  seed = [1, 2, 3]                  # results are averaged over seeds
Beside or instead of [grid]:
  [[run]]                           # a list of runs, each with a name, a base or keys
  name = \"wide\"
  model.layers = [64, 100, 10]
  [draws]                           # quasi-random settings
  count = 20
  method.h = { log = [0.1, 10] }    # or uniform = [0, 1], integer = [1, 9]";

impl SweepArguments {
    /// Returns the sweep's folder.
    fn folder(&self, sweep: &Sweep) -> Result<PathBuf> {
        let default = || Path::new("runs").join(&sweep.name);
        let folder = self.out.clone().unwrap_or_else(default);
        std::path::absolute(&folder).map_err(|e| Error::io(&folder, "find", e))
    }

    /// Reads the sweep's file and finds its folder.
    fn read(&self) -> Result<(Sweep, Folder)> {
        let mut sweep = Sweep::read(&self.file)?;
        let path = self.folder(&sweep)?;
        let folder = Folder { path };
        for run in &mut sweep.runs {
            if let Some(began) = began_with(&folder.of(run)) {
                run.resolved.keep_earlier_defaults(&began);
            }
        }
        Ok((sweep, folder))
    }
}

/// Answers `eki-mpi sweep --status`.
pub fn status(arguments: &SweepArguments) -> Result<String> {
    let (sweep, folder) = arguments.read()?;
    let states = folder.states(&sweep);
    let width = sweep
        .runs
        .iter()
        .map(|run| run.name.len())
        .max()
        .unwrap_or(0);
    let line = |(run, state): (&SweepRun, &State)| {
        let step = || {
            let step = folder.last_step(run);
            step.map_or(String::new(), |step| format!(", step {step}"))
        };
        let text = match state {
            State::Done(_) => "done".to_owned(),
            State::Failed(reason) => format!("failed: {reason}"),
            _ if folder.is_running(run) => format!("running{}", step()),
            State::Begun => format!("begun{}", step()),
            State::Waiting => "waiting".to_owned(),
        };
        format!("  {:<width$}  {text}\n", run.name)
    };
    let lines: String = sweep.runs.iter().zip(&states).map(line).collect();
    Ok(format!(
        "{lines}{}\n{}",
        counted(&states),
        Results::new(&sweep, &states).text()
    ))
}

/// Runs the sweep that `arguments` ask for on all ranks of `world`; returns the exit code.
pub fn run(world: &Comm, arguments: &SweepArguments, data: Option<&Path>) -> Result<i32> {
    let stop = listen(world, arguments.max_time)?;
    let groups = arguments.groups.unwrap_or(1) as usize;
    // What rank 0 asks of the hosts all ranks must have asked.
    let (share, on_host, near) = (
        world.share_of_cores(),
        world.ranks_on_host(),
        world.near().len(),
    );
    let mut held = None;
    let mut path = PathBuf::new();
    let sweep = world.from_first(|| {
        if groups > world.size() {
            return Err(Error::Usage(format!(
                "--groups {groups}: there are only {} ranks; each group needs one",
                world.size()
            )));
        }
        let (sweep, folder) = arguments.read()?;
        let ranks = world.size().div_ceil(groups);
        let split = Split {
            ranks,
            threads: arguments.threads.map_or(share, usize::from),
            on_host,
            near: near.min(ranks),
        };
        check(&sweep, &folder, &data_dir(data), split)?;
        stop.check_room(Duration::ZERO, Duration::ZERO)?;
        let text = bounded::whole(&arguments.file, LONGEST)?;
        let claim = claim_sweep(&folder.path, &text)?;
        folder.begin(arguments.retry)?;
        path.clone_from(&folder.path);
        held = Some(claim);
        Ok(sweep)
    })?;
    let folder = Folder {
        path: world.path_from_first(|| Ok(path))?,
    };
    let (_, ranks) = world.split(groups);
    let _log = match ranks.is_first() {
        true => Some(log_to(&folder.path.join("sweep.log"))?),
        false => None,
    };
    let group = Group {
        comm: &ranks,
        sweep: &sweep,
        folder: &folder,
        data: data_dir(data),
        threads: arguments.threads,
        is_one_of_several: groups > 1,
    };
    let outcome = group.run_all(stop)?;
    // Groups that have nothing left to do wait without taking the others' cores.
    world.sleep_until_all();
    let ended = world.gather(&outcome.states(&ranks));
    let reason = agreed(world, outcome.stopped);
    let code = world.from_first(|| {
        let states = group::merged(folder.states(&sweep), &ended);
        conclude((&sweep, &folder), &states, reason, data)
    });
    drop(held);
    code
}

/// Returns why the groups stopped. A signal comes first: groups that it did not meet were stopped by a file on its behalf. Called by
/// all ranks.
fn agreed(world: &Comm, own: Option<StopReason>) -> Option<StopReason> {
    let is_signal = matches!(own, Some(StopReason::Signal(_)));
    let code = own.map_or(0.0, StopReason::code);
    let mut reasons = if is_signal { [code, 0.0] } else { [0.0, code] };
    world.largest(&mut reasons);
    let [signal, other] = reasons.map(StopReason::of_code);
    signal.or(other)
}

/// Writes the results and says how the sweep ended; returns the exit code. Called by rank 0.
fn conclude(
    (sweep, folder): (&Sweep, &Folder),
    states: &[State],
    stopped: Option<StopReason>,
    data: Option<&Path>,
) -> Result<i32> {
    let results = Results::new(sweep, states);
    folder.write("results.csv", &results.csv())?;
    folder.write("results.md", &results.markdown())?;
    folder.write("runs.csv", &runs_csv(sweep, states))?;
    let left = states
        .iter()
        .any(|s| matches!(s, State::Begun | State::Waiting));
    let mut text = results.text();
    if !left {
        text += &report_page((sweep, folder), states, data);
    }
    let runs = sweep.runs.iter().zip(states);
    let failed: Vec<String> = runs
        .filter_map(|(run, state)| match state {
            State::Failed(reason) => Some(format!("{}: {reason}", run.name)),
            _ => None,
        })
        .collect();
    text += &format!("  {}  ({})\n", counted(states), folder.path.display());
    crate::cli::print(&text);
    for line in &failed {
        say(&format!("failed: {line}"));
    }
    if !failed.is_empty() {
        say("runs that failed are left out until --retry runs them again");
    }
    folder.end();
    let [stop_file, _] = folder.stop_files();
    remove_stop_file(&stop_file).map_err(|e| Error::io(&stop_file, "remove", e))?;
    let reason = match (left, stopped) {
        (true, Some(reason)) => reason.name(),
        (true, None) => "runs are left",
        (false, _) => "all runs are over",
    };
    // As a run's: the batch scripts read why no job is to follow.
    let summary = serde_json::json!({ "reason": reason, "runs": counted(states) });
    folder.write("summary.json", &json(&summary))?;
    if left {
        tracing::info!("the sweep is stopped ({reason}); the same command goes on");
    }
    Ok(match (left, failed.is_empty()) {
        (true, _) => EXIT_STOPPED,
        (false, true) => 0,
        (false, false) => 1,
    })
}

/// Draws the runs that have ended together, as `eki-mpi report` does; returns what is said of it. A page that cannot be drawn
/// fails no sweep.
fn report_page(
    (sweep, folder): (&Sweep, &Folder),
    states: &[State],
    data: Option<&Path>,
) -> String {
    let runs = sweep.runs.iter().zip(states);
    let done = runs.filter(|(_, state)| matches!(state, State::Done(_)));
    let folders: Vec<PathBuf> = done.map(|(run, _)| folder.of(run)).collect();
    if folders.is_empty() {
        return String::new();
    }
    let arguments = ReportArguments {
        folders,
        out: Some(folder.path.join("report.html")),
        watch: false,
    };
    report::answer(&arguments, &data_dir(data))
        .unwrap_or_else(|error| format!("the report was not drawn: {error}\n"))
}

/// Returns how many runs are in which state, in words.
fn counted(states: &[State]) -> String {
    let counted = State::WORDS.iter().filter_map(|word| {
        let count = states.iter().filter(|state| state.word() == *word).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let parts: Vec<String> = counted.collect();
    format!("{} runs: {}", states.len(), parts.join(", "))
}
