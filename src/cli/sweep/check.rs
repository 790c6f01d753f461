//! Checks of a sweep before its first run begins: each run is planned as far as possible without running it.

use std::path::Path;

use eki_mpi::config::sweep::{Sweep, SweepRun};
use eki_mpi::config::{CONFIG, Resolved, changes};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::bounded;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::io::checkpoint::newest_manifest;
use eki_mpi::io::run_folder::another_configuration;
use eki_mpi::kernels::real::Real;
use eki_mpi::run::check_resumable;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::start::check_initial;
use eki_mpi::with_precision;

use super::folder::{Folder, LONGEST, State};
use crate::cli::run::memory::refuse_too_large_here;

/// The ranks that a run of a sweep is to have.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    /// Ranks of one run.
    pub ranks: usize,
    /// Threads of each rank.
    pub threads: usize,
    /// Ranks on this host, of all runs side by side.
    pub on_host: usize,
    /// Ranks of one run that read each other's memory.
    pub near: usize,
}

/// Refuses a sweep of which a run that has not ended cannot be run, or does not fit what is in its folder. Called by rank 0.
pub fn check(sweep: &Sweep, folder: &Folder, data_dir: &Path, split: Split) -> Result<()> {
    // Many runs have one data set, which is loaded once.
    let mut loaded: Option<(String, LoadedProblem)> = None;
    for run in &sweep.runs {
        if matches!(folder.state(run), State::Done(_)) {
            continue;
        }
        let resolved = &run.resolved;
        let key = data_key(resolved);
        if loaded.as_ref().is_none_or(|(last, _)| *last != key) {
            let problem = LoadedProblem::load(resolved, data_dir).map_err(|e| named(e, run))?;
            loaded = Some((key, problem));
        }
        let (_, problem) = loaded.as_ref().expect("just loaded");
        let precision = resolved.config.run.precision;
        with_precision!(precision, T => check_run::<T>(run, problem, &folder.of(run), split))
            .map_err(|e| named(e, run))?;
    }
    Ok(())
}

/// Returns all that the data of a run follows from, but for its seed.
fn data_key(resolved: &Resolved) -> String {
    let config = &resolved.config;
    format!(
        "{:?} {:?} {:?} {:?} {:?}",
        config.data, config.model, config.run.precision, config.method.noise, resolved.places
    )
}

fn check_run<T: Real>(
    run: &SweepRun,
    problem: &LoadedProblem,
    folder: &Path,
    split: Split,
) -> Result<()> {
    let map = problem.map::<T>(&run.resolved)?;
    let plan = Plan::new(run.resolved.clone(), problem.shape(), map.parameters())?;
    check_initial::<T>(&plan)?;
    let ranks = (split.ranks, split.threads);
    refuse_too_large_here(&plan, map.as_ref(), ranks, (split.on_host, split.near))?;
    if let Some(manifest) = newest_manifest(folder) {
        return check_resumable::<T>(&manifest, &plan, folder);
    }
    // A damaged one is judged when the run begins.
    let was = bounded::text(&folder.join(CONFIG), LONGEST).ok();
    let differ = was.and_then(|was| changes(&was, &run.resolved.toml()).ok());
    match differ.filter(|differ| !differ.is_empty()) {
        Some(differ) => Err(another_configuration(folder, &differ)),
        None => Ok(()),
    }
}

/// Returns `error` with the name of the run that it was found in.
fn named(error: Error, run: &SweepRun) -> Error {
    let name = &run.name;
    match error {
        Error::Config {
            file,
            key,
            value,
            allowed,
        } => Error::Config {
            file: format!("{file} (run {name})"),
            key,
            value,
            allowed,
        },
        Error::Usage(why) => Error::Usage(format!("run {name}: {why}")),
        other => other,
    }
}
