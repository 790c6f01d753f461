//! A run taken up where a checkpoint left it, by any number of ranks.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{State, mean_options, redraw_before};
use crate::config::{changes, resumable};
use crate::ensemble::full::FullEnsemble;
use crate::ensemble::hidden_state::GatheredStates;
use crate::ensemble::mean::MeanEnsemble;
use crate::ensemble::transform::Form;
use crate::ensemble::{Ensemble, NextDraw};
use crate::error::{Error, Result};
use crate::forward::prior::Prior;
use crate::io::checkpoint;
use crate::io::checkpoint::{Array, Checked, Manifest, Shard};
use crate::kernels::real::Real;
use crate::parallel::partition::Blocks;
use crate::parallel::ranks::Ranks;
use crate::run::acceptance;
use crate::run::checkpointing::Checkpointer;
use crate::run::left_out::LeftOut;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;
use crate::run::shards::processor;
use crate::run::whole;

/// A state read from a checkpoint.
pub struct Resumed<T> {
    /// The state.
    pub state: State<T>,
    /// Seconds the run had taken.
    pub seconds: f64,
}

impl Checkpointer {
    /// Returns the newest state that can be read whole; none where no checkpoint was ever finished. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: checkpoints of another configuration, or none that is whole. Nothing has been changed then.
    pub fn resume<T: Real>(
        &mut self,
        ranks: Ranks,
        plan: &Plan,
        prior: &Prior,
    ) -> Result<Option<Resumed<T>>> {
        let Some(run) = self.folder.clone() else {
            return Ok(None);
        };
        let comm = ranks.comm;
        let steps = comm.from_first(|| checkpoint::list(&run))?;
        let (mut flaws, mut finished) = (Vec::new(), false);
        for &step in &steps {
            let folder = checkpoint::step_folder(&run, step);
            // A mark, or what is wrong with it; an error only where this run cannot go on from that one at all.
            let mark: Checked<Manifest> = comm.from_first(|| {
                let mark = checkpoint::read_manifest(&folder);
                if let Ok(mark) = &mark {
                    check::<T>(mark, plan, &folder)?;
                    check_data(mark, self.data, &folder)?;
                }
                Ok(mark)
            })?;
            finished |= mark.is_ok() || comm.from_first(|| Ok(folder.join("mark").exists()))?;
            let read = mark.and_then(|mark| read(ranks, plan, prior, &folder, &mark));
            match read {
                Ok(resumed) => {
                    self.saved = Some(step);
                    return Ok(Some(resumed));
                }
                Err(flaw) => {
                    if comm.is_first() {
                        tracing::warn!(
                            "the checkpoint of step {step} is skipped as damaged: {flaw}"
                        );
                    }
                    flaws.push(format!("step {step}: {flaw}"));
                    self.damaged.push(step);
                }
            }
        }
        if finished {
            return Err(Error::Run(format!(
                "{}: no checkpoint can be used, and nothing was changed: {}",
                run.join(checkpoint::FOLDER).display(),
                flaws.join("; ")
            )));
        }
        Ok(None)
    }
}

/// Checks that a run of `plan` may go on from the checkpoint `mark` in `folder`. On rank 0.
///
/// # Errors
/// The keys that differ, or another difference.
pub fn check<T: Real>(mark: &Manifest, plan: &Plan, folder: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::Usage(format!("{}: {why}", folder.display())));
    let differ = match changes(&mark.config, &plan.resolved.toml()) {
        Ok(differ) => differ,
        Err(error) => return refused(format!("its configuration is not TOML: {error}")),
    };
    if !differ.is_empty() {
        return refused(format!(
            "belongs to a run of another configuration: {}; these may change: {}",
            differ.join("; "),
            resumable()
        ));
    }
    let members = plan.members(plan.batches.epoch(mark.step));
    let found = (mark.members, mark.parameters, mark.number);
    let (steps, was) = (plan.steps, mark.steps);
    if let (true, Some(what)) = (steps != was, plan.depends_on_its_end()) {
        return refused(format!(
            "{what} towards step {was}, the run's last: run.epochs and run.steps may not change"
        ));
    }
    // At its last step a run leaves out what prepares the next epoch, so a shorter run cannot end where a longer
    // one went on.
    if steps != was && steps <= mark.step {
        return refused(format!(
            "step {} is done already: run.epochs or run.steps must reach beyond it",
            mark.step
        ));
    }
    let here = (
        members as u64,
        plan.parameters as u64,
        size_of::<T>() as u64,
    );
    if found != here {
        return refused(format!(
            "holds {} members of {} parameters of {} bytes, but this run has {}, {} and {}: its data changed",
            found.0, found.1, found.2, here.0, here.1, here.2
        ));
    }
    if mark.processor != processor() {
        tracing::warn!(
            "the run began on {} and goes on on {}: the last bits of its numbers may differ",
            mark.processor,
            processor()
        );
    }
    Ok(())
}

/// Checks that the data is the same as when `mark` was written, as far as both digests are known. On rank 0.
///
/// # Errors
/// The data differs.
fn check_data(mark: &Manifest, now: Option<[u8; 32]>, folder: &Path) -> Result<()> {
    match (mark.data, now) {
        (Some(was), Some(now)) if was != now => Err(Error::Usage(format!(
            "{}: belongs to a run on other data: the data's files, or that of the prior's matrix, have changed since",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// Returns the state that the checkpoint of `step` in the folder `run` holds. Called by all ranks.
///
/// # Errors
/// On all ranks alike: it is damaged, or of another configuration.
pub(super) fn state_at<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    prior: &Prior,
    (run, step): (&Path, u64),
) -> Result<State<T>> {
    let folder = checkpoint::step_folder(run, step);
    let damaged = |flaw: String| Error::data(&folder, format!("is damaged: {flaw}"));
    let mark: Manifest = ranks.comm.from_first(|| {
        let mark = checkpoint::read_manifest(&folder).map_err(damaged)?;
        check::<T>(&mark, plan, &folder).map(|()| mark)
    })?;
    let resumed = read(ranks, plan, prior, &folder, &mark).map_err(damaged)?;
    Ok(resumed.state)
}

/// Reads the generation in `folder`. Called by all ranks; the flaw, if any, is the same on all.
fn read<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    prior: &Prior,
    folder: &Path,
    mark: &Manifest,
) -> Checked<Resumed<T>> {
    let members = mark.members as usize;
    let mut ensemble = blank(ranks, plan, prior, members, mark.step);
    // A mark's lengths are no reason to allocate: only those that this run's state may have.
    let fits = |array: &Array| match *array {
        Array::Hidden { width } => width <= plan.parameters as u64,
        Array::LeftOut { count } => count < plan.data.outputs as u64,
        Array::Accepted { .. } => *array == acceptance::array::<T>(plan, members),
        Array::LastMisfit { count } => count == (size_of::<f64>() / size_of::<T>()) as u64,
        Array::Coefficients { count } => count == (members * members) as u64,
        Array::Predictions { count } => count == (plan.data.train * plan.data.outputs) as u64,
        _ => true,
    };
    let sane = mark.arrays.iter().all(fits);
    let (arrays, mut whole) = match sane {
        true => whole::split(&mark.arrays),
        false => (&mark.arrays[..], Vec::new()),
    };
    if let (Ensemble::Full(full), true) = (&mut ensemble, whole::has_accepted(&whole)) {
        full.make_room_to_keep();
    }
    let mut carried = sane
        .then(|| GatheredStates::blank(arrays, members))
        .flatten();
    let known = arrays.strip_prefix(&ensemble.arrays()[..]);
    let expected = carried.as_ref().map(|carried| carried.arrays(members));
    let own = if known == Some(expected.as_ref().map_or(&[][..], |arrays| &arrays[..])) {
        let into = (&mut ensemble, carried.as_mut(), &mut whole[..]);
        read_own(ranks, folder, mark, into)
    } else {
        Err("holds other arrays than this run's state".to_owned())
    };
    // All or none: one rank's flaw is everyone's.
    if let Some(flaw) = ranks.comm.first_flaw(&own.err().unwrap_or_default()) {
        return Err(flaw);
    }
    ensemble.share(ranks);
    if let (Ensemble::Full(full), true) = (&mut ensemble, plan.whitens_by_sample()) {
        full.whiten_by_sample(ranks)
            .map_err(|error| error.to_string())?;
    }
    let held = ensemble.members(ranks);
    let mut state = State {
        step: mark.step,
        momentum_steps: mark.momentum_steps,
        time: mark.time,
        carried: carried.map(|carried| carried.share(ranks, held, plan.data.outputs)),
        left_out: LeftOut::default(),
        accepted: None,
        last_misfit: None,
        coefficients: None,
        ensemble,
    };
    state.take_whole(ranks, plan, whole)?;
    if plan.steps > mark.steps && mark.step == mark.steps {
        state.extend(ranks, plan, prior)?;
    }
    Ok(Resumed {
        state,
        seconds: mark.seconds,
    })
}

/// The arrays that a checkpoint is read into: the ensemble, what its members carry, and what is stored whole with block 0.
type Places<'a, T> = (
    &'a mut Ensemble<T>,
    Option<&'a mut GatheredStates<T>>,
    &'a mut [(Array, Vec<T>)],
);

/// Fills this rank's blocks, and what stands `beside` them, from whichever parts hold them.
fn read_own<T: Real>(
    ranks: Ranks,
    folder: &Path,
    mark: &Manifest,
    (ensemble, mut carried, beside): Places<T>,
) -> Checked<()> {
    let run: [u8; 32] = Sha256::digest(&mark.config).into();
    let members = mark.members as usize;
    let (theirs, ours) = (mark.blocks(), Blocks::new(mark.parameters as usize));
    let own = ensemble.own_blocks(ranks);
    let around = theirs.around(ours.span(own.clone()));
    let (rank, count) = (ranks.comm.rank(), ranks.comm.size());
    let mut section = Vec::new();
    for (writer, blocks) in mark.owners().ranges().enumerate() {
        let wanted = blocks.start.max(around.start)..blocks.end.min(around.end);
        // Parts that hold nothing for anyone are looked at, too: the generation is whole or it is not.
        if wanted.is_empty() && writer % count != rank {
            continue;
        }
        let mut part = Shard::open(folder, mark, &run, writer)?;
        for block in wanted {
            let whole = theirs.range(block);
            for (i, array) in ensemble.arrays().into_iter().enumerate() {
                section.resize(array.rows(members) * whole.len(), T::zero());
                part.read(array, block, bytemuck::cast_slice_mut(&mut section))?;
                // Blocks of an older format are made of several of ours.
                let inside = ours.around(whole.clone());
                for b in inside.start.max(own.start)..inside.end.min(own.end) {
                    let columns = ours.range(b);
                    let from = section.chunks_exact(whole.len());
                    let mut sections = ensemble.sections_mut(b);
                    for (to, from) in sections[i].chunks_exact_mut(columns.len()).zip(from) {
                        to.copy_from_slice(&from[columns.start - whole.start..][..columns.len()]);
                    }
                }
            }
            if let Some(carried) = &mut carried {
                let arrays = carried.arrays(members).into_iter();
                for (array, numbers) in arrays.zip(carried.sections_mut()) {
                    let room = if block == 0 { numbers } else { &mut [] };
                    part.read(array, block, bytemuck::cast_slice_mut(room))?;
                }
            }
            for (array, numbers) in beside.iter_mut().filter(|(_, n)| !n.is_empty()) {
                let room = if block == 0 {
                    &mut numbers[..]
                } else {
                    &mut []
                };
                part.read(*array, block, bytemuck::cast_slice_mut(room))?;
            }
        }
    }
    Ok(())
}

impl<T: Real> State<T> {
    /// Goes on beyond what was to be the run's last step: what ends there now may end with a re-draw.
    fn extend(&mut self, ranks: Ranks, plan: &Plan, prior: &Prior) -> Checked<()> {
        if plan.redraws_each_step() || !plan.rerandomises(self.step) {
            return Ok(());
        }
        let redraw = redraw_before(plan, self.step);
        if ExtraArrays::of(plan).previous && !redraw.restart {
            // The mean's velocity is gone: it lies between the last two steps.
            return Err(
                "is the end of a run with momentum and method.momentum_restart = false, \
                 which only an earlier step can lengthen"
                    .to_owned(),
            );
        }
        if let Ensemble::Full(full) = &mut self.ensemble {
            full.redraw(ranks, prior, redraw);
        }
        self.momentum_steps = if redraw.restart {
            0
        } else {
            self.momentum_steps
        };
        Ok(())
    }
}

/// Makes room for the state that enters `step`, to be filled section by section and then exchanged by `share`.
fn blank<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    prior: &Prior,
    members: usize,
    step: u64,
) -> Ensemble<T> {
    if plan.form(members) == Form::Mean {
        let redraw = redraw_before(plan, step);
        let zeros = vec![T::zero(); prior.parameters()];
        let next = NextDraw {
            draw: redraw.draw,
            spread: redraw.spread,
            differing: prior.within(plan.layers(step)),
        };
        return Ensemble::Mean(MeanEnsemble::new(
            members,
            zeros,
            prior,
            next,
            mean_options(plan),
        ));
    }
    let beside = ExtraArrays::of(plan);
    let mut full = FullEnsemble::new(ranks, members, prior, beside.previous, |_, _, _| ());
    if beside.centres {
        full.track_centre(&vec![T::zero(); prior.parameters()]);
    }
    if let Some(members) = beside.sample {
        full.make_room_for_sample(members);
    }
    Ensemble::Full(full)
}
