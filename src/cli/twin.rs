//! `eki-mpi twin RUN | FILE`: how well parameters would be recovered, before the expensive steps.

use std::path::{Path, PathBuf};

use clap::Args;
use eki_mpi::config::{Best, HistorySteps, Resolved};
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;
use eki_mpi::files::numbers::number;
use eki_mpi::files::table::quoted;
use eki_mpi::forward::joint_prior::JointPrior;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::io::run_folder::history::History;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::linear::twin::{Recovered, Recovery, recovery};
use eki_mpi::report::linear::{StoredEnsemble, check_prior};
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::text_table;
use eki_mpi::run::stop::EXIT_STOPPED;

use crate::cli::output::{all_cores, json};
use crate::cli::run::{run_loaded, stopping::listen};
use crate::cli::{RunArguments, print};

/// The coverage of 90 % intervals below which they are called too narrow.
const NARROW: f64 = 0.75;

/// Arguments of `eki-mpi twin`.
#[derive(Clone, Debug, Args)]
pub struct TwinArguments {
    /// The folder of a run that has kept its first ensemble, or a configuration file or preset, whose first ensemble is simulated
    #[arg(value_name = "RUN | FILE")]
    pub source: String,
    /// Change a key of the configuration file, as in --set ensemble.members=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The folder for the first ensemble of a configuration file; `run FILE --out DIR --resume` goes on from there [default:
    /// runs/NAME-1, -2, ...]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The most members that are the truth in turn
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub truths: u32,
    /// Threads of each rank [default: the host's cores over its ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Write the table as CSV too
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

impl TwinArguments {
    /// Returns true if the first ensemble is to be simulated, by all ranks.
    pub fn runs(&self) -> bool {
        !Path::new(&self.source).is_dir()
    }
}

/// Simulates the first ensemble of a configuration, and answers; returns the exit code. Called by all ranks.
pub fn run(comm: &Comm, arguments: &TwinArguments, data: Option<&Path>) -> Result<i32> {
    let stop = listen(comm, None)?;
    let (resolved, loaded) = comm.from_first(|| {
        let mut resolved = Resolved::new(&arguments.source, &arguments.sets)?;
        if !resolved.config.model.kind.simulates() {
            let allowed =
                "must be \"process\" or \"ask-tell\": only a simulator's parameters have units";
            return Err(resolved.error("model.kind", allowed));
        }
        JointPrior::of(&resolved)?.map_or(Ok(()), |prior| check_prior(&prior))?;
        resolved.config.run.best = Best::End;
        if [HistorySteps::Auto, HistorySteps::None].contains(&resolved.config.output.history) {
            resolved.config.output.history = HistorySteps::Ends;
        }
        let loaded = LoadedProblem::load(&resolved, &data_dir(data))?;
        Ok((resolved, loaded))
    })?;
    let first = RunArguments {
        source: arguments.source.clone(),
        out: arguments.out.clone(),
        resume: arguments.out.is_some(),
        threads: arguments.threads,
        is_first_ensemble: true,
        ..RunArguments::default()
    };
    let ended = run_loaded(comm, &first, stop, (resolved, loaded))?;
    if ended.stopped.is_some() {
        if comm.is_first() {
            print(&ended.table);
        }
        return Ok(EXIT_STOPPED);
    }
    let text = comm.from_first(|| answer_of(&ended.folder, arguments, &data_dir(data)))?;
    if comm.is_first() {
        print(&text);
    }
    Ok(0)
}

/// Answers `eki-mpi twin RUN`, in one process.
pub fn answer(arguments: &TwinArguments, data_dir: &Path) -> Result<String> {
    let folder = Path::new(&arguments.source);
    if let Some(set) = arguments.sets.first() {
        return Err(Error::Usage(format!(
            "--set {set}: {} is the folder of a run, whose settings are given; name its configuration file instead",
            folder.display()
        )));
    }
    answer_of(folder, arguments, data_dir)
}

/// Returns the table of the run in `folder`, whose first ensemble is there.
fn answer_of(folder: &Path, arguments: &TwinArguments, data_dir: &Path) -> Result<String> {
    let resolved = Finished::open(folder)?.resolved;
    let Some(prior) = JointPrior::of(&resolved)? else {
        return Err(Error::Usage(format!(
            "{}: is no run of a simulator: there are no parameters with units",
            folder.display()
        )));
    };
    let history = opened(folder, &resolved)?;
    let loaded = LoadedProblem::load(&resolved, data_dir)?;
    let about = (&prior, &loaded.table().outputs);
    let ensemble = StoredEnsemble::read(&history, 0, about)?;
    let most = arguments.truths as usize;
    let by = (&prior, &loaded.noise());
    let found = recovery(&all_cores()?, &ensemble, by, (resolved.config.seed, most))?;
    if let Some(path) = &arguments.csv {
        Files::default().write_whole(path, csv(&found).as_bytes())?;
    }
    Ok(match arguments.json {
        true => json(&found),
        false => text(folder, &found),
    })
}

/// Opens the history of the run in `folder`, of the configuration `resolved`.
///
/// # Errors
/// It has none, or one of another run.
pub(crate) fn opened(folder: &Path, resolved: &Resolved) -> Result<History> {
    let history = History::open(folder)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: has no history of members and outputs in steps/: run it with output.history = \"ends\" or \"all\"",
            folder.display()
        ))
    })?;
    history.check(&resolved.toml(), None)?;
    Ok(history)
}

/// Returns the table as text.
fn text(folder: &Path, found: &Recovery) -> String {
    let failed = match found.failed {
        0 => String::new(),
        failed => format!("; {failed} members without outputs are left out"),
    };
    let mut text = format!(
        "{}: each of {} members of the first ensemble in turn is the truth, and the {} others are updated by its {} outputs with \
         noise, in their linear span{failed}\n",
        folder.display(),
        found.truths,
        found.members - 1,
        found.outputs
    );
    let heading = [
        "parameter",
        "deviation",
        "afterwards",
        "error",
        "variance taken",
        "in 90 %",
        "ranks of the truth, by tenths",
    ];
    let row = |p: &Recovered| {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let ranks: Vec<String> = p.ranks.iter().map(usize::to_string).collect();
        [
            p.name.clone(),
            number(p.deviation_before, 4),
            number(p.deviation_after, 4),
            number(p.error, 4),
            percent(p.contraction),
            percent(p.coverage),
            ranks.join(" "),
        ]
    };
    let rows = std::iter::once(heading.map(str::to_owned)).chain(found.parameters.iter().map(row));
    text += &text_table([Left, Right, Right, Right, Right, Right, Left], rows);
    let narrow = found.parameters.iter().filter(|p| p.coverage < NARROW);
    let narrow: Vec<&str> = narrow.map(|p| &*p.name).collect();
    if !narrow.is_empty() {
        text += &format!(
            "error bars would be too narrow for {}: the members are too few for so many parameters and observations (more \
             ensemble.members, or method.localise), or the outputs are far from linear\n",
            narrow.join(", ")
        );
    }
    text
}

/// Returns the table as CSV.
fn csv(found: &Recovery) -> String {
    let ranks: Vec<String> = (1..=found.parameters.first().map_or(0, |p| p.ranks.len()))
        .map(|bin| format!("rank_{bin}"))
        .collect();
    let mut text = format!(
        "name,deviation_before,deviation_after,error,contraction,coverage,{}\n",
        ranks.join(",")
    );
    for p in &found.parameters {
        let numbers = [
            p.deviation_before,
            p.deviation_after,
            p.error,
            p.contraction,
            p.coverage,
        ];
        let numbers = numbers.iter().map(|x| format!("{x:?}"));
        let ranks = p.ranks.iter().map(usize::to_string);
        let cells: Vec<String> = std::iter::once(quoted(&p.name).into_owned())
            .chain(numbers)
            .chain(ranks)
            .collect();
        text += &(cells.join(",") + "\n");
    }
    text
}
