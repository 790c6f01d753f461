//! Checkpoints, agreed by all ranks: when to save, when to stop, and how a checkpoint is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::State;
use super::shards::{gather_stamps, processor, write_shard};
use crate::config::OnError;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::io::checkpoint;
use crate::io::checkpoint::Manifest;
use crate::io::run_folder::{Claim, STOP_FILE};
use crate::kernels::real::Real;
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::reporter::Reporter;
use crate::run::stop::{Stop, StopReason};

/// The bytes a second that one rank is assumed to write before its first checkpoint.
const SLOW_DISK: f64 = 1e8;

/// Saves the state of a run, and hears of reasons to stop. One on every rank.
#[derive(Debug)]
pub struct Checkpointer {
    /// The run's folder, the same on all ranks; none: nothing is saved.
    pub(super) folder: Option<PathBuf>,
    /// Rank 0's claim to it.
    pub(super) claim: Option<Arc<Claim>>,
    pub(super) files: Files,
    pub(super) stop: Stop,
    /// The data's digest, where it is known.
    pub(super) data: Option<[u8; 32]>,
    /// The step of the newest good generation.
    pub(super) saved: Option<u64>,
    /// Generations skipped as damaged on resuming.
    pub(super) damaged: Vec<u64>,
    /// Generations that could not be removed, each with a warning in the log.
    stuck: Vec<u64>,
    /// This rank's last checkpoint could not be written for lack of room.
    no_room: bool,
    last_save: Instant,
    turn: Instant,
    longest_turn: Duration,
    longest_save: Option<Duration>,
    /// Steps taken since `begin`.
    steps: u64,
}

/// The importance of a save: what becomes of the run if it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// The run goes on.
    Periodic,
    /// The run ends, and writes its results.
    End,
    /// The run stops, and its state would be lost.
    Stop,
}

/// Actions due after a step, the same on all ranks.
#[derive(Clone, Copy, Debug, Default)]
pub struct AfterStep {
    /// The state is to be saved.
    pub save: bool,
    /// The run is to stop.
    pub stop: Option<StopReason>,
}

impl Checkpointer {
    /// Saves nothing, hears nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::with(None, Files::default(), Stop::new(None))
    }

    /// Saves in the run's `folder`, the same on all ranks, by `files`; hears what `stop` hears.
    #[must_use]
    pub fn new(folder: &Path, files: Files, stop: Stop) -> Self {
        Self::with(Some(folder.to_path_buf()), files, stop)
    }

    fn with(folder: Option<PathBuf>, files: Files, stop: Stop) -> Self {
        Self {
            folder,
            claim: None,
            files,
            stop,
            data: None,
            saved: None,
            damaged: Vec::new(),
            stuck: Vec::new(),
            no_room: false,
            last_save: Instant::now(),
            turn: Instant::now(),
            longest_turn: Duration::ZERO,
            longest_save: None,
            steps: 0,
        }
    }

    /// Sets the digest of the run's data (`Dataset::digest`; rank 0's counts): a state of other data is not resumed.
    #[must_use]
    pub fn on_data(self, digest: Option<[u8; 32]>) -> Self {
        Self {
            data: digest,
            ..self
        }
    }

    /// Sets rank 0's claim to the folder: the run ends if it is lost or the folder is moved.
    #[must_use]
    pub fn claimed(self, claim: Option<Claim>) -> Self {
        Self {
            claim: claim.map(Arc::new),
            ..self
        }
    }

    /// Returns the longest a checkpoint took on this rank.
    #[must_use]
    pub fn longest_save(&self) -> Option<Duration> {
        self.longest_save
    }

    /// The steps begin: the clock of the first one starts.
    pub(super) fn begin(&mut self, comm: &Comm) {
        if let (Some(folder), true) = (&self.folder, comm.is_first()) {
            self.stop.look_in(folder, self.claim.clone());
        }
        self.last_save = Instant::now();
        self.turn = Instant::now();
    }

    /// Returns the actions due after a step. Called by all ranks, which agree by one small reduction.
    ///
    /// Any rank may have had a signal; on time rank 0's clock alone decides.
    pub(super) fn due<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        state: &State<T>,
    ) -> AfterStep {
        let comm = ranks.comm;
        if self.folder.is_none() {
            return AfterStep::default();
        }
        self.longest_turn = self.longest_turn.max(self.turn.elapsed());
        self.turn = Instant::now();
        self.steps += 1;
        let rules = &plan.config().checkpoint;
        let save = self.longest_save.unwrap_or_else(|| {
            let bytes = state.ensemble.saved_numbers(ranks) * size_of::<T>() as f64;
            Duration::from_secs_f64(bytes / comm.size() as f64 / SLOW_DISK)
        });
        let asked = self.stop.asked(self.longest_turn + save);
        // Of the time left and the time since the last save only rank 0 speaks.
        let asked = asked.filter(|reason| comm.is_first() || *reason != StopReason::Time);
        let time = rules
            .every
            .0
            .is_some_and(|every| self.last_save.elapsed() >= every);
        let mut wishes = [
            asked.map_or(0.0, StopReason::code),
            f64::from(u8::from(comm.is_first() && time)),
        ];
        comm.largest(&mut wishes);
        let by_steps = rules.every_steps > 0 && state.step.is_multiple_of(rules.every_steps);
        let end = state.step >= plan.steps;
        let stop = StopReason::of_code(wishes[0]).filter(|_| !end);
        if comm.is_first() && stop == Some(StopReason::Time) {
            self.announce_limit(state.step);
        }
        AfterStep {
            save: end || by_steps || wishes[1] > 0.0 || stop.is_some(),
            stop,
        }
    }

    /// Says which time limit stops the run, and that it is too short where it left room for one step alone.
    fn announce_limit(&self, step: u64) {
        let Some(limit) = self.stop.limit() else {
            return;
        };
        let (source, allowed) = (limit.source, limit.time.as_secs());
        tracing::info!("step {step}: the time limit is near: {source} allowed {allowed} s");
        if self.steps == 1 {
            tracing::warn!(
                "this limit left time for one step, which took {:.1} s, and so will the next: allow more time",
                self.longest_turn.as_secs_f64()
            );
        }
    }

    /// Saves the state; whether it could be. Called by all ranks. `seconds` is the run's time so far.
    ///
    /// # Errors
    /// On all ranks alike: it could not be written, and the run is to stop at that, by its `urgency` or as configured; or the
    /// run's folder is gone.
    pub(super) fn save<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        state: &State<T>,
        reporter: &mut Reporter,
        (seconds, urgency): (f64, Urgency),
    ) -> Result<bool> {
        self.follow(ranks.comm, reporter)?;
        if self.saved == Some(state.step) {
            return Ok(true);
        }
        let begun = Instant::now();
        let written = self.write(ranks, plan, state, reporter, seconds);
        let written = written.or_else(|error| {
            let mut full = [f64::from(u8::from(self.no_room))];
            ranks.comm.largest(&mut full);
            if full[0] == 0.0 || urgency == Urgency::Periodic {
                return Err(error);
            }
            let last = (seconds, urgency, error);
            self.save_without_room(ranks, plan, state, reporter, last)
        });
        self.longest_save = self.longest_save.max(Some(begun.elapsed()));
        self.last_save = Instant::now();
        self.turn = Instant::now();
        let step = state.step;
        let Err(error) = written else {
            tracing::debug!(
                "step {step}: saved in {:.3} s",
                begun.elapsed().as_secs_f64()
            );
            self.saved = Some(step);
            return Ok(true);
        };
        let older = self.saved.map_or("there is none yet".to_owned(), |older| {
            format!("the newest is that of step {older}")
        });
        let text = format!("step {step}: no checkpoint could be written: {error}; {older}");
        if urgency == Urgency::Stop || plan.config().checkpoint.on_error == OnError::Stop {
            return Err(Error::Run(text));
        }
        if ranks.comm.is_first() {
            tracing::warn!("{text}; the run goes on (checkpoint.on_error = \"continue\")");
        }
        Ok(false)
    }

    /// The stop was made and the state is safe.
    pub(super) fn stopped(&self) {
        if let Err(error) = self.stop.done() {
            tracing::warn!(
                "{STOP_FILE} in the run's folder cannot be removed: {error}: remove it, or the next run stops at once"
            );
        }
    }

    /// Folder, parts, mark; then old generations go. The error, if any, is the same on all ranks.
    pub(super) fn write<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        state: &State<T>,
        reporter: &mut Reporter,
        seconds: f64,
    ) -> Result<()> {
        let Some(run) = self.folder.clone() else {
            return Ok(());
        };
        let (comm, files, step) = (ranks.comm, self.files.clone(), state.step);
        let folder = checkpoint::step_folder(&run, step);
        let begun = comm.from_first(|| {
            // The log first: it may run ahead of the state it belongs to, and is then cut back, but never behind.
            reporter.sync()?;
            checkpoint::prepare(&files, &run, step).map(drop)
        });
        self.no_room = begun.as_ref().is_err_and(Error::lacks_room);
        begun?;
        let config = plan.resolved.toml();
        let carried = state.carried(ranks);
        let whole = state.whole(ranks);
        let beside = (carried.as_ref(), &whole);
        let arrays = state.arrays(ranks, beside);
        let settings = Sha256::digest(&config).into();
        let part = write_shard(ranks, (&files, &folder), state, beside, settings);
        self.no_room = part.as_ref().is_err_and(Error::lacks_room);
        let stamps = gather_stamps(comm, part);
        let outcome = comm.from_first(|| {
            let parts = stamps?;
            let mark = Manifest {
                step,
                steps: plan.steps,
                momentum_steps: state.momentum_steps,
                members: state.ensemble.members(ranks).items() as u64,
                parameters: plan.parameters as u64,
                number: size_of::<T>() as u64,
                arrays,
                seconds,
                config,
                processor: processor(),
                parts,
                data: self.data,
                time: state.time,
                version: checkpoint::VERSION,
            };
            checkpoint::write_manifest(&files, &folder, &mark)
        });
        self.no_room |= outcome.as_ref().is_err_and(Error::lacks_room);
        if comm.is_first() {
            self.tidy(&run, plan, step, outcome.is_ok());
        }
        outcome
    }

    /// Removes old generations, or the incomplete files of one that failed. One that cannot be removed does no harm, and
    /// the log says so once.
    fn tidy(&mut self, run: &Path, plan: &Plan, step: u64, committed: bool) {
        let left = if committed {
            let damaged: Vec<u64> = self
                .damaged
                .iter()
                .copied()
                .filter(|&d| d != step)
                .collect();
            let keep = plan.config().checkpoint.keep;
            checkpoint::prune(&self.files, run, (step, keep), &damaged)
        } else {
            checkpoint::remove(&self.files, run, step).map(|()| Vec::new())
        };
        let left = left.unwrap_or_else(|error| vec![(step, error)]);
        for (step, error) in left {
            if !self.stuck.contains(&step) {
                tracing::warn!("could not delete the checkpoint of step {step}: {error}");
                self.stuck.push(step);
            }
        }
    }
}
