//! A step of a finished run taken again, and its digest compared with the one that the run left.
//!
//! It begins from the newest state before it that is there to the bit: a checkpoint, or the first ensemble, which is drawn, or read, as
//! the run did. Outputs of a simulator come from the run's history; other forward maps are evaluated.

use std::path::Path;

use super::batches::BatchSequence;
use super::context::StepContext;
use super::history::Recorder;
use super::layer_blocks::LayerSchedule;
use super::step::{self, Step};
use super::timing::Timing;
use super::{State, resume};
use crate::error::{Error, Result};
use crate::forward::problem::Problem;
use crate::io::checkpoint;
use crate::io::run_folder::history::History;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;

/// A step that was taken again, and what it came to; the same on all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recomputed {
    /// The steps before the state that it begins from.
    pub from: u64,
    /// The steps before the state that it ends with.
    pub step: u64,
    /// The digest of the ensemble that the run left.
    pub was: String,
    /// The digest of the ensemble now.
    pub is: String,
}

/// The kept steps of a run.
struct Left<'a> {
    run: &'a Path,
    history: Option<History>,
    checkpoints: Vec<u64>,
    /// The last step, and the digest in summary.json.
    end: Option<(u64, String)>,
    /// True if outputs come from the history alone.
    simulates: bool,
}

impl Left<'_> {
    /// Returns the step to be recomputed: `asked` for, else the last that can be.
    fn step(&self, asked: Option<u64>) -> Result<u64> {
        if let Some(step) = asked {
            return self.start(step).map(|_| step);
        }
        let kept = self.history.iter().flat_map(History::steps).copied();
        let saved = self.checkpoints.iter().copied();
        let end = self.end.iter().map(|(step, _)| *step);
        let mut known: Vec<u64> = kept.chain(saved).chain(end).collect();
        known.sort_unstable();
        let last = known.last().copied();
        let possible = known.iter().rev().find(|&&step| self.start(step).is_ok());
        // The last says best what lacks.
        match (possible, last) {
            (Some(&step), _) => Ok(step),
            (None, Some(last)) => self.start(last).map(|_| last),
            (None, None) => Err(self.refused("has no step yet".to_owned())),
        }
    }

    fn refused(&self, why: String) -> Error {
        Error::Usage(format!("{}: {why}", self.run.display()))
    }

    /// Returns the newest state before `step` from which it can be reached.
    fn start(&self, step: u64) -> Result<u64> {
        if !self.is_known(step) {
            let why = format!("nothing is left of the ensemble after {step} steps to compare with");
            return Err(self.refused(why));
        }
        let saved = self
            .checkpoints
            .iter()
            .copied()
            .filter(|&saved| saved < step);
        let from = saved.max().unwrap_or(0);
        let kept = |step: &u64| {
            let history = self.history.as_ref();
            history.is_some_and(|history| history.steps().contains(step))
        };
        match (from..step).find(|step| self.simulates && !kept(step)) {
            None => Ok(from),
            Some(lacking) => Err(self.refused(format!(
                "step {step} cannot be recomputed: the outputs after {lacking} steps were not kept (output.history = \"all\" \
                 keeps all)"
            ))),
        }
    }

    /// Returns true if the digest of the ensemble after `step` steps is known.
    fn is_known(&self, step: u64) -> bool {
        let kept = self.history.as_ref();
        kept.is_some_and(|history| history.steps().contains(&step))
            || self.checkpoints.contains(&step)
            || self.end.as_ref().is_some_and(|(end, _)| *end == step)
    }
}

/// Takes the step `asked` for, else the last that can be, of the run of `plan` in the folder `run` again; `end` is its last step and
/// digest, where it has ended. Called by all ranks.
///
/// # Errors
/// On all ranks alike: nothing is left of the step, or of the outputs it needs; a history of another run, or that is damaged.
pub fn recompute<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
    (run, end): (&Path, Option<(u64, String)>),
    (asked, data): (Option<u64>, Option<[u8; 32]>),
) -> Result<Recomputed> {
    problem.check(plan)?;
    let comm = ranks.comm;
    let (history, checkpoints, from, step) = comm.from_first(|| {
        let history = History::open(run)?;
        let config = plan.resolved.toml();
        history
            .iter()
            .try_for_each(|history| history.check(&config, data))?;
        let left = Left {
            run,
            history,
            checkpoints: checkpoint::list(run)?,
            end: end.clone(),
            simulates: problem.map.own_units().is_some(),
        };
        let step = left.step(asked)?;
        let from = left.start(step)?;
        Ok((left.history, left.checkpoints, from, step))
    })?;
    let prior = problem.map.prior();
    let saved = |step: u64| resume::state_at::<T>(ranks, plan, &prior, (run, step));
    let mut state = match from {
        0 if !checkpoints.contains(&0) => State::start(ranks, plan, &prior)?,
        from => saved(from)?,
    };
    let schedule = LayerSchedule::new(plan, problem.map.as_ref());
    let mut context = StepContext::new(ranks, plan, problem, &schedule)?;
    context.history = history.clone().map(|history| Recorder::of(run, history));
    state.whiten(&context);
    state.take_steps_to(&context, step)?;
    let kept = history
        .as_ref()
        .filter(|history| history.steps().contains(&step));
    let was = match (kept, end) {
        (Some(history), _) => comm.from_first(|| Ok(history.record(step)?.digest))?,
        (None, Some((last, digest))) if last == step => digest,
        _ => saved(step)?.digest(ranks),
    };
    Ok(Recomputed {
        from,
        step,
        was,
        is: state.digest(ranks),
    })
}

impl<T: Real> State<T> {
    /// Takes steps up to `last`. Called by all ranks.
    fn take_steps_to(&mut self, context: &StepContext<T>, last: u64) -> Result<()> {
        let (mut batches, mut timing) = (BatchSequence::default(), Timing::default());
        while self.step < last {
            if let Some(history) = &context.history {
                let (plan, map) = (context.plan, context.problem.map.as_ref());
                let sets = plan.sets(self.step).map(|sets| plan.table.set_names(&sets));
                let about = (map, plan.data.outputs, sets.as_deref());
                let known = history.stored(context.ranks, self, about);
                if known.is_none() && context.problem.map.own_units().is_some() {
                    return Err(Error::Run(format!(
                        "the members after {} steps are not those of the run, to the bit",
                        self.step
                    )));
                }
            }
            let batch = batches.batch(context, self.step);
            self.begin_pass(context);
            match &context.plan.descent {
                #[cfg(feature = "gradients")]
                Some(descent) => drop(self.descend(descent, context, &batch, &mut timing)?),
                _ => match step::step(context, self, &batch, &mut timing)? {
                    Step::Taken(_) => {}
                    Step::AtNoiseLevel(_) | Step::GivenUp => {
                        let why = format!("the run ends before step {}", self.step + 1);
                        return Err(Error::Run(why));
                    }
                },
            }
        }
        Ok(())
    }
}
