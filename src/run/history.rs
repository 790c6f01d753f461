//! The history of a simulator's run: which ensembles are kept with their outputs (`output.history`), by all ranks together, and
//! outputs that are there already and are not simulated again.

use ndarray::Array2;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::State;
use super::history_step::HistoryStep;
use crate::config::HistorySteps;
use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::files::numbers::hexadecimal;
use crate::forward::ForwardMap;
use crate::forward::joint_prior::JointPrior;
use crate::forward::problem::Problem;
use crate::io::run_folder::history::{History, HistoryOf, StepArray, StepRecord, write};
use crate::kernels::real::Real;
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;
use crate::run::Checkpointer;
use crate::run::plan::Plan;

/// The outputs of this rank's members.
pub(super) struct RawOutputs<T> {
    /// Outputs as they came, J/R x K; no columns where they are not kept.
    pub rows: Array2<T>,
    /// True if they were taken from the history.
    pub stored: bool,
    /// The sets of observations that they were asked for; None: all.
    pub sets: Option<Vec<String>>,
}

impl<T: Real> RawOutputs<T> {
    /// Returns the outputs `rows`, J/R x K or none, that a step asked for `sets` of the `table` alone (None: for all), or that were
    /// `stored`.
    pub fn new(
        table: &ObservationTable,
        (mut rows, stored): (Array2<T>, bool),
        sets: Option<&[usize]>,
    ) -> Self {
        if let Some(sets) = sets.filter(|_| rows.ncols() > 0) {
            // Also of members that were judged by all sets before: a run that is resumed does not know these.
            let others = table.places_of_others(sets);
            others.for_each(|place| rows.column_mut(place).fill(T::nan()));
        }
        let names = sets.map(|sets| table.set_names(sets));
        Self {
            rows,
            stored,
            sets: names.map(|names| names.into_iter().map(str::to_owned).collect()),
        }
    }
}

/// Keeps ensembles and their outputs in the run's folder. One on every rank.
#[derive(Debug)]
pub(super) struct Recorder {
    run: PathBuf,
    files: Files,
    steps: HistorySteps,
    of: HistoryOf,
    data: Option<[u8; 32]>,
    /// The steps that an earlier part of the run has kept, the same on all ranks.
    found: Option<History>,
    /// The steps kept, where they are kept in memory.
    in_memory: Option<Mutex<Vec<HistoryStep>>>,
}

impl Recorder {
    /// Returns the recorder of a run that `keeper` saves; None where nothing is to be kept. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: the run's folder holds the history of another run, or one that is damaged.
    pub fn begin<T: Real>(
        ranks: Ranks,
        plan: &Plan,
        keeper: &Checkpointer,
        problem: &Problem<T>,
    ) -> Result<Option<Self>> {
        let steps = plan.config().output.history;
        let (Some(run), Some(prior)) = (&keeper.folder, problem.map.own_units()) else {
            return Ok(None);
        };
        if steps == HistorySteps::None {
            return Ok(None);
        }
        let config = plan.resolved.toml();
        let found = ranks.comm.from_first(|| {
            let found = History::open(run)?;
            let check = |found: &History| found.check(&config, keeper.data);
            found.iter().try_for_each(check).map(|()| found)
        });
        let found = found.or_else(|error| match error.exit_code() {
            2 => Err(error),
            _ => {
                if ranks.comm.is_first() {
                    tracing::warn!("the history of the run cannot be read: {error}");
                }
                Ok(None)
            }
        })?;
        // Rank 0 alone writes them.
        let first = ranks.comm.is_first();
        let names = prior
            .names()
            .take(if first { usize::MAX } else { 0 })
            .map(|name| name.into_owned())
            .collect();
        let outputs = (0..plan.data.outputs).map(|k| plan.table.label(k));
        Ok(Some(Self {
            run: run.clone(),
            files: keeper.files.clone(),
            steps,
            of: HistoryOf {
                parameters: names,
                outputs: outputs.collect(),
                config: crate::config::fixed(&config).map_err(Error::Run)?,
                data: keeper.data.map(|data| hexadecimal(&data)),
            },
            data: keeper.data,
            found,
            in_memory: None,
        }))
    }

    /// Returns the recorder of a run of `plan` without a folder, which keeps its history in memory.
    pub fn in_memory(plan: &Plan) -> Self {
        let of = HistoryOf {
            parameters: Vec::new(),
            outputs: Vec::new(),
            config: String::new(),
            data: None,
        };
        Self {
            run: PathBuf::new(),
            files: Files::default(),
            steps: plan.config().output.history,
            of,
            data: None,
            found: None,
            in_memory: Some(Mutex::default()),
        }
    }

    /// Returns what was kept in memory, which is then empty.
    pub fn take_kept(&self) -> Vec<HistoryStep> {
        let kept = self.in_memory.as_ref();
        kept.map_or(Vec::new(), |kept| {
            std::mem::take(&mut *kept.lock().expect("no thread panicked"))
        })
    }

    /// Returns the recorder of a run in `run` whose outputs are in `history`; nothing more is kept.
    pub fn of(run: &Path, history: History) -> Self {
        Self {
            run: run.to_path_buf(),
            files: Files::default(),
            steps: HistorySteps::None,
            of: history.of().clone(),
            data: None,
            found: Some(history),
            in_memory: None,
        }
    }

    /// Returns true if the members that enter the step after `done` steps are kept, whether or not the run ends there.
    pub fn keeps(&self, done: u64) -> bool {
        self.steps.keeps(done)
    }

    /// Returns true if the configuration asks for a history, in place of the one by default.
    pub fn is_asked_for(&self) -> bool {
        self.steps != HistorySteps::Auto
    }

    /// Returns the `outputs` of this rank's members, K each, that an earlier part of the run has kept; None where there are none
    /// of these very members for the `sets` of observations (None: for all). The same choice on all ranks, and called by all.
    pub fn stored<T: Real>(
        &self,
        ranks: Ranks,
        state: &State<T>,
        (map, outputs, sets): (&dyn ForwardMap<T>, usize, Option<&[&str]>),
    ) -> Option<Array2<f64>> {
        let found = self.found.as_ref();
        let found = found.filter(|found| found.steps().contains(&state.step))?;
        let own = read_own(found, ranks, state, (map, outputs, sets));
        let flaw = match &own {
            Ok(Some(_)) => String::new(),
            Ok(None) => "it is of other members".to_owned(),
            Err(error) => error.to_string(),
        };
        let Some(flaw) = ranks.comm.first_flaw(&flaw) else {
            return own.ok().flatten();
        };
        if ranks.comm.is_first() {
            tracing::info!("the history after {} steps is not used: {flaw}", state.step);
        }
        None
    }

    /// Returns the outputs at the mean of the members of `state` that an earlier part of the run has kept, on rank 0. Called by all
    /// ranks.
    pub fn stored_mean<T: Real>(
        &self,
        ranks: Ranks,
        state: &State<T>,
        (map, outputs): (&dyn ForwardMap<T>, usize),
    ) -> Option<Vec<f64>> {
        self.stored(ranks, state, (map, outputs, None))?;
        let found = self.found.as_ref().filter(|_| ranks.comm.is_first())?;
        found.mean_outputs(state.step).ok().flatten()
    }

    /// Keeps the outputs at the mean of the last ensemble, that after `step` steps. Called by rank 0.
    pub fn record_mean<T: Real>(&self, step: u64, outputs: &[T]) {
        if self.in_memory.is_some() {
            return;
        }
        let outputs: Vec<f64> = outputs.iter().map(|z| z.as_f64()).collect();
        if let Err(error) = write::mean_outputs(&self.files, &self.run, step, &outputs) {
            tracing::warn!("step {step}: the outputs at the mean could not be kept: {error}");
        }
    }

    /// Keeps the members of `state` and their `raw` outputs; those of the `last` ensemble as text too, as those of the first. Where
    /// that fails the run goes on without them. Called by all ranks.
    pub fn record<T: Real>(
        &self,
        (ranks, map): (Ranks, &dyn ForwardMap<T>),
        state: &State<T>,
        (digest, raw): (String, &RawOutputs<T>),
        last: bool,
    ) {
        if let Some(kept) = &self.in_memory {
            let step = HistoryStep::gather((ranks, map), state, raw.rows.view());
            let mut kept = kept.lock().expect("no thread panicked");
            // The result takes the place of the points that momentum led to.
            kept.retain(|kept| kept.step != step.step);
            kept.push(step);
            return;
        }
        let prior = map
            .own_units()
            .expect("a simulator's parameters have units");
        let record = StepRecord {
            step: state.step,
            members: state.ensemble.members(ranks).items(),
            parameters: prior.parameters(),
            outputs: raw.rows.ncols(),
            time: state.time,
            digest,
            sets: raw.sets.clone(),
        };
        let as_text = last || state.step == 0;
        let written = match raw.stored {
            true if !as_text => Ok(()),
            true => ranks
                .comm
                .from_first(|| write::add_text(&self.files, &self.run, &record, &self.of)),
            false => self.write((ranks, map, prior), state, (&record, &raw.rows), as_text),
        };
        if let (Err(error), true) = (written, ranks.comm.is_first()) {
            tracing::warn!(
                "step {}: the members and their outputs could not be kept: {error}; the run goes on without them",
                state.step
            );
        }
    }

    /// Writes the ensemble of `record` and its outputs, J/R x K on each rank. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: the first file call that failed. Nothing is left then.
    fn write<T: Real>(
        &self,
        (ranks, map, prior): (Ranks, &dyn ForwardMap<T>, &JointPrior),
        state: &State<T>,
        (record, outputs): (&StepRecord, &Array2<T>),
        as_text: bool,
    ) -> Result<()> {
        let (comm, files, run) = (ranks.comm, &self.files, &self.run);
        let begun = comm.from_first(|| {
            write::begin(files, run, &self.of, self.data)?;
            write::prepare(files, run, record)
        });
        let own = state.ensemble.members(ranks).range(comm.rank());
        let mut point = vec![T::zero(); map.parameters()];
        let members = |member| {
            state.ensemble.fill(map, member, &mut point);
            prior.at(&point)
        };
        let first = own.start;
        let given = |member: usize| {
            outputs
                .row(member - first)
                .iter()
                .map(|z| z.as_f64())
                .collect()
        };
        let written = begun.and_then(|()| {
            let parameters = (StepArray::Parameters, own.clone());
            write::rows(files, run, record, parameters, members)?;
            write::rows(files, run, record, (StepArray::Outputs, own), given)
        });
        agreed(comm, written)
            .and_then(|()| {
                comm.from_first(|| write::commit(files, run, record, as_text.then_some(&self.of)))
            })
            .inspect_err(|_| {
                if comm.is_first() {
                    write::give_up(files, run, record.step);
                }
            })
    }
}

/// Returns the first rank's error of what each `own` is, on all ranks alike. Called by all ranks.
fn agreed(comm: &Comm, own: Result<()>) -> Result<()> {
    let flaw = own
        .err()
        .map_or_else(String::new, |error| error.to_string());
    comm.first_flaw(&flaw)
        .map_or(Ok(()), |flaw| Err(Error::Run(flaw)))
}

/// Returns the `outputs` of this rank's members, K each, in the history `found`; None where it is of other members.
///
/// # Errors
/// A damaged file, or outputs of some `sets` of observations are lacking.
fn read_own<T: Real>(
    found: &History,
    ranks: Ranks,
    state: &State<T>,
    (map, outputs, sets): (&dyn ForwardMap<T>, usize, Option<&[&str]>),
) -> Result<Option<Array2<f64>>> {
    let (record, members) = (found.record(state.step)?, state.ensemble.members(ranks));
    if !record.has_sets(sets) {
        let known = record.sets.unwrap_or_default().join(", ");
        return Err(Error::Run(format!("it is of the sets {known} alone")));
    }
    let prior = map
        .own_units()
        .expect("a simulator's parameters have units");
    let sizes = (members.items(), prior.parameters(), outputs);
    if (record.members, record.parameters, record.outputs) != sizes {
        return Ok(None);
    }
    let own = members.range(ranks.comm.rank());
    let were = found.rows(&record, StepArray::Parameters, own.clone())?;
    let mut point = vec![T::zero(); map.parameters()];
    let same = own.clone().zip(were.rows()).all(|(member, were)| {
        state.ensemble.fill(map, member, &mut point);
        let are = prior.at(&point);
        are.iter()
            .zip(were)
            .all(|(is, was)| is.to_bits() == was.to_bits())
    });
    match same {
        true => found.rows(&record, StepArray::Outputs, own).map(Some),
        false => Ok(None),
    }
}
