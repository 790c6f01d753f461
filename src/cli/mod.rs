//! The command line: arguments, one command a file, and launching a run. Nothing imports this room.
//!
//! To add a command: its file with its arguments and a function, and its arms in this file.

pub(crate) mod announce;
pub mod check_model;
pub mod completions;
pub mod data;
pub mod evaluate;
mod examples;
pub mod guide;
pub(crate) mod output;
pub mod plan;
pub mod predict;
pub mod presets;
pub mod replay;
pub mod report;
pub(crate) mod run;
pub mod screen;
pub(crate) mod simulator;
pub mod sweep;
pub mod twin;
pub mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueHint};
use eki_mpi::config::Resolved;
use eki_mpi::cost::calibrate::Network;
use eki_mpi::data::folder::data_dir;
use eki_mpi::error::Result;
use eki_mpi::io::run_folder::began_with;

use crate::cli::check_model::CheckArguments;
use crate::cli::completions::{ManArguments, Shell};
use crate::cli::data::DataCommand;
use crate::cli::evaluate::EvaluateArguments;
use crate::cli::guide::GuideArguments;
use crate::cli::plan::PlanArguments;
use crate::cli::predict::PredictArguments;
use crate::cli::replay::ReplayArguments;
use crate::cli::report::ReportArguments;
use crate::cli::screen::Screen;
use crate::cli::sweep::SweepArguments;
use crate::cli::twin::TwinArguments;
use crate::cli::verify::VerifyArguments;

/// Ensemble Kalman inversion over MPI: fit the parameters of any forward map without derivatives.
///
/// With no command: `run digits`. Under mpirun every rank takes its share of the ensemble.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = examples::PROGRAM)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where data sets are looked for [default: $EKI_DATA_DIR, else the user's cache folder]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// What the screen shows
    #[command(flatten)]
    pub screen: Screen,
}

impl Cli {
    /// Parses the arguments of the program.
    ///
    /// # Errors
    /// As clap has them; also where help or the version is asked for.
    pub fn parsed() -> std::result::Result<Self, clap::Error> {
        let arguments: Vec<String> = std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        let command = Self::command().color(screen::colours_of(&arguments));
        let matches = command.try_get_matches_from(std::env::args_os())?;
        let cli = Self::from_arg_matches(&matches)?;
        cli.screen.apply();
        Ok(cli)
    }

    /// Returns true if the command needs all ranks of a launcher.
    pub fn runs(&self) -> bool {
        match &self.command {
            None | Some(Command::Run(_) | Command::Verify(_)) => true,
            Some(Command::Sweep(arguments)) => !arguments.status,
            Some(Command::Twin(arguments)) => arguments.runs(),
            Some(_) => false,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a preset or a configuration file
    #[command(after_help = examples::RUN)]
    Run(RunArguments),
    /// List the presets, or print one as TOML
    #[command(after_help = examples::PRESETS)]
    Presets {
        /// The preset to print
        name: Option<String>,
        /// List every configuration key instead, with its default and meaning
        #[arg(long)]
        keys: bool,
    },
    /// Run many configurations, of a grid, a list or draws, one after the other or side by side
    Sweep(SweepArguments),
    /// Memory per rank, bytes and flops per step of a run on R ranks, before anything is allocated
    #[command(after_help = examples::PLAN)]
    Plan(PlanArguments),
    /// Judge a finished run on its test set: the mean, the best member, the ensemble's uncertainty
    #[command(after_help = examples::EVALUATE)]
    Evaluate(EvaluateArguments),
    /// Predictions of a finished network for new inputs, or forecasts of a series, as a table
    Predict(PredictArguments),
    /// How well each parameter would be recovered, from the first ensemble's outputs: each member in turn is the truth
    #[command(after_help = examples::TWIN)]
    Twin(TwinArguments),
    /// The posterior with other noise or without observations, from a run's stored outputs
    #[command(after_help = examples::REPLAY)]
    Replay(ReplayArguments),
    /// Recompute a step of a run on these ranks, and compare its digest with the one that the run left
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArguments),
    /// A page with plots of a run; of several, drawn together
    #[command(after_help = examples::REPORT)]
    Report(ReportArguments),
    /// Try a simulator of your own on a few members before a run relies on it
    #[command(after_help = examples::CHECK_MODEL)]
    CheckModel(CheckArguments),
    /// The guide: list its chapters, or show one
    #[command(after_help = examples::GUIDE)]
    Guide(GuideArguments),
    /// Data sets: show them, or fetch one
    #[command(after_help = examples::DATA)]
    Data {
        /// What to do
        #[command(subcommand)]
        command: Option<DataCommand>,
    },
    /// Print the completions of a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page, or write all of them
    #[command(after_help = examples::MAN)]
    Man(ManArguments),
}

/// What to run, and where its files go.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// A preset's name or a configuration file
    #[arg(value_name = "PRESET | FILE.toml", default_value = "digits", value_hint = ValueHint::FilePath)]
    pub source: String,
    /// Change a key, as in --set ensemble.members=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The run's folder [default: runs/NAME-1, -2, ...]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Go on from the newest checkpoint in the run's folder, or begin where there is none [without --out: in the last
    /// runs/NAME-k]
    #[arg(long)]
    pub resume: bool,
    /// Save the state and exit with 75 in time to end within this [default: what Slurm or PBS allows the job]
    #[arg(long, value_name = "90min | HH:MM:SS", value_parser = eki_mpi::run::stop::parse_limit)]
    pub max_time: Option<Duration>,
    /// Threads of each rank [default: the host's cores over its ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// The run is one of a sweep, which may have taken most of its time.
    #[arg(skip)]
    pub is_of_sweep: bool,
    /// The run ends once its first ensemble is simulated.
    #[arg(skip)]
    pub is_first_ensemble: bool,
    /// Other runs of this program share the screen.
    #[arg(skip)]
    pub beside_others: bool,
}

impl Default for RunArguments {
    fn default() -> Self {
        Self {
            source: "digits".to_owned(),
            sets: Vec::new(),
            out: None,
            resume: false,
            max_time: None,
            threads: None,
            is_of_sweep: false,
            is_first_ensemble: false,
            beside_others: false,
        }
    }
}

impl RunArguments {
    /// Returns the configuration that they ask for, of a run that is resumed with the earlier defaults with which it began. For one
    /// process.
    fn configuration(&self) -> Result<Resolved> {
        let mut resolved = Resolved::new(&self.source, &self.sets)?;
        if self.resume {
            let began = began_with(&self.folder(&resolved.name));
            let kept = began.and_then(|began| resolved.keep_earlier_defaults(&began));
            kept.inspect(|line| eki_mpi::parallel::abort::say(line));
        }
        Ok(resolved)
    }

    /// Returns the run's folder: as given, else the first free runs/NAME-k, or to resume the last one in use.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let taken = |path: &Path| path.exists() || path.is_symlink();
            let free = |k: &u64| !taken(Path::new(&format!("runs/{name}-{k}")));
            let k = (1..).find(free).expect("some number is free");
            let k = if self.resume { k.max(2) - 1 } else { k };
            PathBuf::from(format!("runs/{name}-{k}"))
        })
    }
}

/// Runs a command that needs no other rank; returns the exit code. `network` is what was measured between a launcher's
/// ranks, where the command asks for it.
pub fn answer(cli: Cli, network: Option<Network>) -> Result<i32> {
    let folder = data_dir(cli.data_dir.as_deref());
    match cli.command {
        Some(Command::Presets { name, keys }) => print(&presets::answer(name.as_deref(), keys)?),
        Some(Command::Plan(arguments)) => print(&plan::answer(&arguments, network)?),
        Some(Command::Evaluate(arguments)) => print(&evaluate::answer(&arguments, &folder)?),
        Some(Command::Predict(arguments)) => print(&predict::answer(&arguments, &folder)?),
        Some(Command::Guide(arguments)) => guide::show(&arguments)?,
        Some(Command::Report(arguments)) => print(&report::answer(&arguments, &folder)?),
        Some(Command::CheckModel(arguments)) => {
            let (text, is_sound) = check_model::answer(&arguments, &folder)?;
            print(&text);
            return Ok(i32::from(!is_sound));
        }
        Some(Command::Data { command }) => {
            print(&data::answer(
                &command.unwrap_or(DataCommand::List),
                &folder,
            )?);
        }
        Some(Command::Sweep(arguments)) => print(&sweep::status(&arguments)?),
        Some(Command::Twin(arguments)) => print(&twin::answer(&arguments, &folder)?),
        Some(Command::Replay(arguments)) => print(&replay::answer(&arguments, &folder)?),
        Some(Command::Completions { shell }) => print(&completions::completions(shell)),
        Some(Command::Man(arguments)) => print(&completions::man(&arguments)?),
        Some(Command::Run(_) | Command::Verify(_)) | None => unreachable!("runs go through MPI"),
    }
    Ok(0)
}

/// Prints to standard output; a reader that has gone away is no error.
pub fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
