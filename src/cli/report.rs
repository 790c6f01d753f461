//! `eki-mpi report DIR...`: the page of one run, or of several drawn together.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use eki_mpi::error::Result;
use eki_mpi::files::Files;
use eki_mpi::io::run_folder::history::History;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::page;
use eki_mpi::report::page::ReportedRun;
use eki_mpi::report::trained::Trained;
use eki_mpi::with_precision;

use super::evaluate::judged;
use super::output::all_cores;

/// Which runs, and where the page goes.
#[derive(Clone, Debug, Args)]
pub struct ReportArguments {
    /// The runs' folders
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// The page [default: DIR/report.html, of several runs report.html]
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
    /// Draw the page anew every few seconds until the runs have ended; a browser that shows it follows
    #[arg(long)]
    pub watch: bool,
}

/// The time from one drawing to the next.
const EVERY: Duration = Duration::from_secs(5);

/// Answers `eki-mpi report`: writes the page; with `--watch` again and again, until all runs have ended.
pub fn answer(arguments: &ReportArguments, data_dir: &Path) -> Result<String> {
    loop {
        let (said, ended) = drawn(arguments, data_dir)?;
        if ended || !arguments.watch {
            return Ok(said);
        }
        std::thread::sleep(EVERY);
    }
}

/// Writes the page; returns what is said of it, and whether all runs have ended.
fn drawn(arguments: &ReportArguments, data_dir: &Path) -> Result<(String, bool)> {
    let mut notes = String::new();
    let mut runs = Vec::new();
    for folder in &arguments.folders {
        let mut run = ReportedRun::of(Finished::open(folder)?)?;
        for (before, after) in run.finished.gaps() {
            notes += &format!(
                "{}: metrics.jsonl: the lines between step {before} and step {after} are missing\n",
                run.name
            );
        }
        // Without its data a run can still be drawn. A simulator has no classes to be uncertain of.
        let simulates = run.finished.resolved.config.model.kind.simulates();
        if run.finished.has_ensemble() && !simulates {
            match judged(&run.finished, data_dir, false) {
                Ok(assessment) => run.uncertainty = assessment.uncertainty,
                Err(error) => notes += &format!("without {}'s uncertainty: {error}\n", run.name),
            }
        }
        if !simulates && arguments.folders.len() == 1 && run.finished.has_mean() {
            match trained(&run.finished, data_dir) {
                Ok(trained) => run.trained = Some(trained),
                Err(error) => notes += &format!("without {}'s samples: {error}\n", run.name),
            }
        }
        // The check of several runs at once would be too much for a page.
        let has_history = simulates && History::open(folder)?.is_some();
        if has_history && arguments.folders.len() == 1 {
            match judged(&run.finished, data_dir, false) {
                Ok(assessment) => {
                    run.check = assessment.answer.and_then(|answer| answer.predictive)
                }
                Err(error) => {
                    notes += &format!("without {}'s predictive check: {error}\n", run.name);
                }
            }
        }
        runs.push(run);
    }
    page::tell_apart(&mut runs);
    let path = arguments
        .out
        .clone()
        .unwrap_or_else(|| match &arguments.folders[..] {
            [one] => one.join("report.html"),
            _ => PathBuf::from("report.html"),
        });
    let ended = runs.iter().all(|run| run.ending.is_some());
    let refresh = (arguments.watch && !ended).then_some(EVERY);
    Files::default().write_whole(&path, page::page(&runs, refresh).as_bytes())?;
    Ok((format!("{notes}{}\n", path.display()), ended))
}

/// Returns what the network of a run has learned, in the run's own precision.
fn trained(finished: &Finished, data_dir: &Path) -> Result<Trained> {
    let precision = finished.resolved.config.run.precision;
    let pool = all_cores()?;
    with_precision!(precision, T => Trained::of::<T>(&pool, finished, data_dir))
}
