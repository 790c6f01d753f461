//! `eki-mpi replay RUN`: the posterior with other noise or observations left out, from stored outputs.

use std::path::{Path, PathBuf};

use clap::Args;
use eki_mpi::config::Resolved;
use eki_mpi::data::observed::ObservationTable;
use eki_mpi::ensemble::localisation::{Localisation, Reach};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;
use eki_mpi::files::numbers::number;
use eki_mpi::files::table::quoted;
use eki_mpi::forward::joint_prior::JointPrior;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::linear::StoredEnsemble;
use eki_mpi::report::linear::first_step::FirstStep;
use eki_mpi::report::linear::replay::{LinearPosterior, Linearisation, Shifted, shifted};
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::{table_of, text_table};
use eki_mpi::run::plan::Plan;
use rayon::ThreadPool;
use serde::Serialize;

use crate::cli::output::{all_cores, json};
use crate::cli::twin::opened;

/// The keys that can be changed.
const KEYS: [&str; 3] = ["method.noise", "data.observations", "method.localise"];
/// The most observations that are left out one by one, where they have no groups.
const MOST_SINGLE: usize = 24;
/// The most parameters beside each other on the screen.
const SHOWN: usize = 5;

/// Which run, and what is changed.
#[derive(Clone, Debug, Args)]
pub struct ReplayArguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    pub folder: PathBuf,
    /// Change method.noise, data.observations (another table of the same outputs: values, deviations, weights), or
    /// method.localise (the update is then one step of the first ensemble)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Leave this group or set of observations out, or this observation
    #[arg(long, value_name = "GROUP")]
    pub without: Vec<String>,
    /// Linearise by the ensemble after N steps [default: the last that was kept]
    #[arg(long, value_name = "N")]
    pub step: Option<u64>,
    /// Write what each group is worth as CSV too
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The posterior with and without changes.
#[derive(Debug, Serialize)]
struct Replay {
    /// The steps before the ensemble that outputs are linearised by.
    step: u64,
    /// Its members that have outputs.
    members: usize,
    /// The directions of parameters in which these differ.
    directions: usize,
    /// The share of the outputs' variance that is linear in the parameters, where the members are enough to tell.
    linear: Option<f64>,
    /// True if the posterior is one step of the first ensemble.
    first_step: bool,
    /// The posterior with the changes asked for, beside that of the run's own settings.
    parameters: Vec<Shifted>,
    /// Without each group, beside the posterior with all that counts.
    groups: Vec<WithoutGroup>,
}

/// The posterior without a group of observations.
#[derive(Debug, Serialize)]
struct WithoutGroup {
    group: String,
    observations: usize,
    parameters: Vec<Shifted>,
}

/// Answers `eki-mpi replay`.
pub fn answer(arguments: &ReplayArguments, data_dir: &Path) -> Result<String> {
    let folder = &arguments.folder;
    let finished = Finished::open(folder)?;
    let resolved = finished.resolved;
    let Some(prior) = JointPrior::of(&resolved)? else {
        return Err(Error::Usage(format!(
            "{}: is no run of a simulator: there are no parameters with units",
            folder.display()
        )));
    };
    let history = opened(folder, &resolved)?;
    let own = Case::load(resolved, data_dir, true)?;
    let other = match arguments.sets.is_empty() {
        true => None,
        false => Some(Case::load(changed(arguments)?, data_dir, false)?),
    };
    let case = other.as_ref().unwrap_or(&own);
    if case.table.outputs != own.table.outputs {
        return Err(Error::Usage(format!(
            "{}: data.observations must be of the outputs that the run observed: these were kept",
            folder.display()
        )));
    }
    let first = [&own, case].into_iter().any(|case: &Case| case.is_of_first);
    let step = arguments.step.unwrap_or_else(|| match first {
        true => 0,
        false => history.last(),
    });
    if first && step > 0 {
        return Err(Error::Usage(format!(
            "--step {step}: must be 0 with method.localise, or with first members that are the prior (ensemble.prior): the first \
             ensemble is updated"
        )));
    }
    let ensemble = StoredEnsemble::read(&history, step, (&prior, &own.table.outputs))?;
    let by = match first {
        true => By::FirstStep(&ensemble, all_cores()?),
        false => By::Linearisation(Linearisation::new(&ensemble)?),
    };
    let (was, kept) = (
        own.posterior(&by, &own.all())?,
        case.kept(&arguments.without)?,
    );
    let is = case.posterior(&by, &kept)?;
    let mut groups = Vec::new();
    for (group, members) in case.groups(&kept) {
        let rest: Vec<usize> = kept
            .iter()
            .copied()
            .filter(|k| members.binary_search(k).is_err())
            .collect();
        if !rest.is_empty() {
            groups.push(WithoutGroup {
                group,
                observations: members.len(),
                parameters: shifted(&prior, &is, &case.posterior(&by, &rest)?),
            });
        }
    }
    let replay = Replay {
        step,
        members: ensemble.members(),
        directions: by.directions(),
        linear: was.linear,
        first_step: first,
        parameters: shifted(&prior, &was, &is),
        groups,
    };
    if let Some(path) = &arguments.csv {
        Files::default().write_whole(path, replay.csv().as_bytes())?;
    }
    Ok(match arguments.json {
        true => json(&replay),
        false => text(folder, &replay, prior.coordinates()),
    })
}

/// Returns the configuration of the run with the changes that `arguments` ask for.
fn changed(arguments: &ReplayArguments) -> Result<Resolved> {
    let known = |set: &&String| KEYS.iter().any(|key| set.split('=').next() == Some(key));
    if let Some(set) = arguments.sets.iter().find(|set| !known(set)) {
        return Err(Error::Usage(format!(
            "--set {set}: only {} and {} can be changed: outputs were kept for the run's own parameters",
            KEYS[..2].join(", "),
            KEYS[2]
        )));
    }
    Finished::open_with(&arguments.folder, &arguments.sets).map(|finished| finished.resolved)
}

/// The input of a linear update.
enum By<'a> {
    /// The outputs, made linear by an ensemble.
    Linearisation(Linearisation<'a>),
    /// One step of the first ensemble.
    FirstStep(&'a StoredEnsemble, ThreadPool),
}

impl By<'_> {
    /// Returns the number of directions in which the members differ.
    fn directions(&self) -> usize {
        match self {
            Self::Linearisation(linear) => linear.directions(),
            Self::FirstStep(ensemble, _) => (ensemble.members() - 1).min(ensemble.xi.ncols()),
        }
    }
}

/// Observations, their noise, their groups and their localisation.
struct Case {
    resolved: Resolved,
    loaded: LoadedProblem,
    table: ObservationTable,
    localisation: Option<Localisation>,
    /// True if the posterior is one step of the first ensemble.
    is_of_first: bool,
}

impl Case {
    /// Loads what `resolved` asks for; groups and matrices of tapers are left out where they are the run's `own`.
    fn load(resolved: Resolved, data_dir: &Path, is_own: bool) -> Result<Self> {
        let loaded = LoadedProblem::load(&resolved, data_dir)?;
        let parameters = loaded.map::<f64>(&resolved)?.parameters();
        let plan = Plan::with_noise(resolved, loaded.noise(), loaded.shape(), parameters)?
            .with_table(loaded.table())?
            .localised_by(loaded.tapers())?;
        let by_groups = |by: &Localisation| matches!(by, Localisation::Near(Reach::Groups(_)));
        let localisation = plan.localisation();
        let is_other = plan.taper_file().is_some() || localisation.as_ref().is_some_and(by_groups);
        if is_other && !is_own {
            let allowed =
                "can be replayed by correlations or distances alone, not by groups or a matrix";
            return Err(plan.resolved.error("method.localise", allowed));
        }
        let localisation = localisation.filter(|_| !is_other);
        Ok(Self {
            is_of_first: localisation.is_some() || plan.sample_is_prior(),
            localisation,
            table: loaded.table(),
            resolved: plan.resolved,
            loaded,
        })
    }

    /// Returns the places of all observations.
    fn all(&self) -> Vec<usize> {
        (0..self.table.outputs.count()).collect()
    }

    /// Returns the posterior given the observations at `places`.
    fn posterior(&self, by: &By, places: &[usize]) -> Result<LinearPosterior> {
        let noise = self.loaded.noise_of(&self.resolved, places)?;
        let (observations, about) = (self.loaded.observations(), (places, &noise));
        match by {
            By::Linearisation(linear) => linear.posterior(observations, about),
            By::FirstStep(ensemble, pool) => {
                let step = FirstStep {
                    ensemble,
                    localisation: self.localisation.clone(),
                };
                step.posterior(pool, observations, about)
            }
        }
    }

    /// Returns the groups and sets of the observations at `places`, by name; single ones where there are neither, and few of them.
    fn groups(&self, places: &[usize]) -> Vec<(String, Vec<usize>)> {
        let parts = self.table.parts();
        if parts.is_empty() {
            let few = places.iter().filter(|_| places.len() <= MOST_SINGLE);
            return few.map(|&k| (self.table.label(k), vec![k])).collect();
        }
        let is_kept = |k: &usize| places.binary_search(k).is_ok();
        let kept = |own: Vec<usize>| own.into_iter().filter(is_kept).collect();
        let parts = parts.into_iter().map(|(name, own)| (name, kept(own)));
        parts
            .filter(|(_, members): &(String, Vec<usize>)| !members.is_empty())
            .collect()
    }

    /// Returns the places of all observations but those of the groups or the names `without`.
    fn kept(&self, without: &[String]) -> Result<Vec<usize>> {
        let (table, parts) = (&self.table, self.table.parts());
        let holds = |of: &[usize], k| of.binary_search(&k).is_ok();
        let is_in = |k, name: &str| parts.iter().any(|(own, of)| own == name && holds(of, k));
        let is = |k: usize, name: &str| table.label(k) == name || is_in(k, name);
        let all = self.all();
        let is_unknown = |name: &&String| !all.iter().any(|&k| is(k, name));
        if let Some(name) = without.iter().find(is_unknown) {
            return Err(Error::Usage(format!(
                "--without {name}: no group, set or observation has this name: there are {}",
                match parts.is_empty() {
                    true => format!("{} to {}", table.label(0), table.label(all.len() - 1)),
                    false => parts
                        .into_iter()
                        .unzip::<_, _, Vec<_>, Vec<_>>()
                        .0
                        .join(", "),
                }
            )));
        }
        let counts = |k: &usize| !without.iter().any(|name| is(*k, name));
        let kept: Vec<usize> = all.iter().copied().filter(counts).collect();
        match kept.is_empty() {
            true => Err(Error::Usage("--without: no observation is left".to_owned())),
            false => Ok(kept),
        }
    }
}

/// Returns the line that says what the replay is.
fn heading(folder: &Path, replay: &Replay) -> String {
    let (folder, members) = (folder.display(), replay.members);
    if replay.first_step {
        return format!(
            "{folder}: one step of the {members} first members, as if outputs were linear in the parameters: a linearisation over the \
             whole prior, nothing is simulated\n"
        );
    }
    let share = replay.linear.map_or_else(
        || "too few members to tell how linear it is".to_owned(),
        |linear| {
            format!(
                "{:.0} % of the outputs' variance is linear in the parameters",
                100.0 * linear
            )
        },
    );
    format!(
        "{folder}: a linearisation by the {members} members after {} steps, nothing is simulated: {share}\n",
        replay.step
    )
}

/// Returns the replay as text.
fn text(folder: &Path, replay: &Replay, free: usize) -> String {
    let mut text = heading(folder, replay);
    if replay.directions < free && !replay.first_step {
        text += &format!(
            "the members differ in {} of {free} directions: along the others parameters keep their prior\n",
            replay.directions
        );
    }
    let value = |[median, low, high]: [f64; 3]| {
        format!(
            "{} ({} .. {})",
            number(median, 4),
            number(low, 4),
            number(high, 4)
        )
    };
    let names = ["parameter", "with the run's settings", "with the changes"];
    let heading = [names[0], names[1], names[2], "shift", "deviation"];
    let row = |p: &Shifted| {
        [
            p.name.clone(),
            value(p.was),
            value(p.is),
            format!("{:+.2}", p.shift),
            format!("x {:.2}", p.deviation_ratio),
        ]
    };
    let rows = replay.parameters.iter().map(row);
    let rows = std::iter::once(heading.map(str::to_owned)).chain(rows);
    text += &text_table([Left, Right, Right, Right, Right], rows);
    if replay.groups.is_empty() {
        return text;
    }
    text += "without a group of observations: shift, in deviations, and what the deviation is multiplied by\n";
    let names = replay.parameters.iter().take(SHOWN).map(|p| p.name.clone());
    let heading = ["group", "observations"]
        .map(str::to_owned)
        .into_iter()
        .chain(names);
    let rows = replay.groups.iter().map(|g| {
        let cells = g.parameters.iter().take(SHOWN);
        let cells = cells.map(|p| format!("{:+.2} x {:.2}", p.shift, p.deviation_ratio));
        let first = [g.group.clone(), g.observations.to_string()];
        first.into_iter().chain(cells).collect::<Vec<String>>()
    });
    let columns: Vec<_> = std::iter::once(Left)
        .chain(std::iter::repeat_n(Right, SHOWN + 1))
        .collect();
    text += &table_of(&columns, std::iter::once(heading.collect()).chain(rows));
    if replay.parameters.len() > SHOWN {
        text += &format!(
            "and {} more parameters with --json or --csv\n",
            replay.parameters.len() - SHOWN
        );
    }
    text
}

impl Replay {
    /// Returns what each group is worth as CSV.
    fn csv(&self) -> String {
        let mut text = "group,observations,name,shift,deviation_ratio,median,low,high\n".to_owned();
        for g in &self.groups {
            let group = quoted(&g.group);
            for p in &g.parameters {
                let [median, low, high] = p.is;
                text += &format!(
                    "{group},{},{},{:?},{:?},{median:?},{low:?},{high:?}\n",
                    g.observations,
                    quoted(&p.name),
                    p.shift,
                    p.deviation_ratio
                );
            }
        }
        text
    }
}
