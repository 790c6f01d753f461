//! Where a run's state goes when its folder is not what it was: one that was moved is followed; where its disk is full at the
//! end, the state is written to another folder, or kept in memory until there is room.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::State;
use super::checkpointing::{Checkpointer, Urgency};
use crate::error::{Error, Result};
use crate::io::checkpoint::newest_manifest;
use crate::io::run_folder::{self, Claim};
use crate::kernels::real::Real;
use crate::parallel::abort;
use crate::parallel::comm::Comm;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::reporter::Reporter;

/// The pause before a full disk is tried again: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// The time between two looks for a stop while the disk is full.
const LOOK: Duration = Duration::from_millis(500);

impl Checkpointer {
    /// Looks where the claimed folder is now; the run writes there from now on. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: it was removed, or another run has claimed it.
    pub fn follow(&mut self, comm: &Comm, reporter: &mut Reporter) -> Result<()> {
        let Some(folder) = &mut self.folder else {
            return Ok(());
        };
        let place = comm.path_from_first(|| {
            let place = self.claim.as_ref().map(|claim| claim.place()).transpose()?;
            Ok(place.unwrap_or_else(|| folder.clone()))
        })?;
        if place == *folder {
            return Ok(());
        }
        if comm.is_first() {
            tracing::warn!(
                "the run's folder was moved to {}: the run's state is written there, and the run ends; go on with --resume \
                 --out {0}",
                place.display()
            );
        }
        reporter.moved(&place);
        *folder = place;
        Ok(())
    }

    /// Saves the last state of a run whose disk is full, as `error` says: in `checkpoint.fallback`, if there is one, else as
    /// soon as there is room, within `checkpoint.wait`. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: there was no room.
    pub(super) fn save_without_room<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        state: &State<T>,
        reporter: &mut Reporter,
        (seconds, urgency, error): (f64, Urgency, Error),
    ) -> Result<()> {
        let (comm, rules) = (ranks.comm, &plan.config().checkpoint);
        if !rules.fallback.is_empty() {
            let Err(refusal) = self.fall_back(ranks, plan, state, reporter, seconds) else {
                return Ok(());
            };
            if comm.is_first() {
                tracing::warn!("checkpoint.fallback cannot be used: {refusal}");
            }
        }
        let (Some(limit), step, begun) = (rules.wait.0, state.step, Instant::now()) else {
            return Err(error);
        };
        if comm.is_first() {
            tracing::warn!(
                "step {step}: {error}: the state is kept in memory until there is room, for at most {} (checkpoint.wait)",
                rules.wait
            );
        }
        let (mut pause, mut error) = (PAUSES[0], error);
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let waits = comm.is_first() && self.rest(pause.min(left), urgency);
            // The others sleep, too.
            comm.sleep_until_all();
            if !comm.from_first(|| Ok(waits && !left.is_zero()))? {
                return Err(error);
            }
            // No rank hangs: each has taken a turn.
            abort::set_step(step);
            self.follow(comm, reporter)?;
            match self.write(ranks, plan, state, reporter, seconds) {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
            pause = (2 * pause).min(PAUSES[1]);
        }
    }

    /// Sleeps for `pause`; returns false if meanwhile a run at its end is asked to stop.
    fn rest(&mut self, pause: Duration, urgency: Urgency) -> bool {
        let begun = Instant::now();
        loop {
            if urgency == Urgency::End && self.stop.asked(Duration::ZERO).is_some() {
                return false;
            }
            let left = pause.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Writes the state and the log to the folder of the run's name in `checkpoint.fallback`, which is the run's folder from
    /// now on. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: it cannot be written, or holds another run. The run's folder is then the one it was.
    fn fall_back<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        state: &State<T>,
        reporter: &mut Reporter,
        seconds: f64,
    ) -> Result<()> {
        let comm = ranks.comm;
        let own = self.folder.clone().expect("a run that saves");
        let (mut claim, mut log) = (None, None);
        let folder = comm.path_from_first(|| {
            let folder = fallback_of(plan, &own)?;
            claim = Some(claimed(&folder, plan, state.step)?);
            log = reporter.log_in(&self.files, &folder)?;
            Ok(folder)
        })?;
        let claims = std::mem::replace(&mut self.claim, claim.map(Arc::new));
        self.folder = Some(folder.clone());
        reporter.swap_log(&mut log);
        let written = self.write(ranks, plan, state, reporter, seconds);
        if written.is_err() {
            (self.claim, self.folder) = (claims, Some(own));
            reporter.swap_log(&mut log);
        } else if comm.is_first() {
            tracing::warn!(
                "step {}: the disk of {} is full: the run's state is in {}; go on with --resume --out {2}",
                state.step,
                own.display(),
                folder.display()
            );
        }
        written
    }
}

/// Returns the folder in `checkpoint.fallback` of the run in `own`.
fn fallback_of(plan: &Plan, own: &Path) -> Result<PathBuf> {
    let folder = Path::new(&plan.config().checkpoint.fallback);
    let folder = folder.join(own.file_name().unwrap_or_default());
    std::path::absolute(&folder).map_err(|e| Error::io(&folder, "find", e))
}

/// Claims the fallback `folder` for a run that has come to `step`.
fn claimed(folder: &Path, plan: &Plan, step: u64) -> Result<Claim> {
    let claim = run_folder::claim(folder, true, &plan.resolved.toml())?;
    match newest_manifest(folder) {
        Some(mark) if mark.step > step => Err(Error::Usage(format!(
            "{}: holds the state of step {}, which is later",
            folder.display(),
            mark.step
        ))),
        _ => Ok(claim),
    }
}
