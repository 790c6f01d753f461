//! The ensemble u: all members, or their mean where they are drawn about it at each step.
//!
//! A full ensemble (`full`) is J x P over ranks: each owns whole members for the forward map and columns of all members for the
//! update. A mean ensemble (`mean`) is P numbers on every rank. Here stand draws, survivors, how a transform is applied
//! (`transform`), what happens to a block of columns after it (`stages`), localisation, whitening and hidden states. The room may
//! import `forward` and every room above it; it knows no method, no loss and no clock.
//!
//! The most common change is a stage: its file in `stages`, and its line where `run::context` lists a run's stages.

pub(crate) mod arrays;
pub mod centre;
pub mod draw;
pub(crate) mod full;
pub(crate) mod hidden_state;
pub(crate) mod localisation;
pub(crate) mod low_rank;
pub(crate) mod mean;
mod mean_kernels;
pub mod moments;
pub mod stages;
pub mod survivors;
pub mod transform;
pub mod whitening;

use std::ops::Range;

use ndarray::ArrayView2;

use crate::ensemble::full::FullEnsemble;
use crate::ensemble::mean::{MeanEnsemble, NextDraw, StepLength};
use crate::ensemble::stages::{Redraw, Stage, StepInput};
use crate::ensemble::transform::Transform;
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::evaluator::Evaluator;
use crate::forward::prior::Prior;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;

/// The update of an ensemble in one step.
pub struct Update<'a, T> {
    /// The transform.
    pub transform: &'a Transform<T>,
    /// The step size and momentum.
    pub length: StepLength,
    /// The batch's inputs, d x m.
    pub inputs: ArrayView2<'a, T>,
    /// The stages that each block of members goes through after the transform, in order.
    pub stages: &'a [Box<dyn Stage<T>>],
    /// The input of these stages.
    pub step: StepInput<'a>,
    /// The parameters in which members of the mean form then differ.
    pub differing: Range<usize>,
}

/// The members of a run.
pub enum Ensemble<T> {
    /// All members, J x P over ranks.
    Full(FullEnsemble<T>),
    /// The mean of members that are drawn about it at each step, P numbers on every rank.
    Mean(MeanEnsemble<T>),
}

impl<T: Real> Ensemble<T> {
    /// Members over ranks.
    pub fn members(&self, ranks: Ranks) -> Partition {
        match self {
            Self::Full(full) => full.layout.members,
            Self::Mean(mean) => mean.partition(ranks),
        }
    }

    /// Parameters P.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Full(full) => full.layout.blocks.columns(),
            Self::Mean(mean) => mean.parameters(),
        }
    }

    /// Returns the point that members of the mean form are drawn about, P numbers.
    ///
    /// # Errors
    /// All members are kept: `mean` gives their mean.
    pub fn centre(&self) -> Result<&[T]> {
        match self {
            Self::Full(_) => Err(Error::Run(
                "an ensemble whose members are all kept has no centre but their mean".to_owned(),
            )),
            Self::Mean(mean) => Ok(&mean.centre),
        }
    }

    /// Writes `member`'s point, one of this rank's, to `out`, P numbers; in the mean form as many last ones as there is
    /// room for.
    pub fn fill(&self, map: &dyn ForwardMap<T>, member: usize, out: &mut [T]) {
        match self {
            Self::Full(full) => full.gather(member, out),
            Self::Mean(mean) => mean.fill(map.low_rank(), member, out),
        }
    }

    /// Evaluates this rank's members on `inputs`, d x m: `take` is handed each one's place, from `places` in order, and
    /// outputs, c x m.
    pub fn for_outputs<P: Send>(
        &mut self,
        evaluator: &Evaluator<T>,
        ranks: Ranks,
        inputs: ArrayView2<T>,
        places: impl Iterator<Item = P> + Send,
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let map = evaluator.map();
        if let (Self::Mean(mean), Some(low_rank)) = (&mut *self, map.low_rank())
            && mean.is_low_rank()
        {
            return mean.evaluate_low_rank(ranks, low_rank, inputs, places, take);
        }
        let own = self.members(ranks).range(ranks.comm.rank());
        let fill = |member, out: &mut [T]| self.fill(map, member, out);
        evaluator.for_members(own, inputs, places, fill, |_, place, outputs| {
            take(place, outputs)
        });
    }

    /// Evaluates members like `for_outputs`, each from its own hidden state in `hidden`, which is replaced by the next one.
    pub fn advance<'h, P: Send>(
        &self,
        evaluator: &Evaluator<T>,
        ranks: Ranks,
        inputs: ArrayView2<T>,
        (hidden, places): (
            impl Iterator<Item = &'h mut [T]> + Send,
            impl Iterator<Item = P> + Send,
        ),
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let own = self.members(ranks).range(ranks.comm.rank());
        let fill = |member, out: &mut [T]| self.fill(evaluator.map(), member, out);
        evaluator.advance_members(own, inputs, hidden.zip(places), fill, take);
    }

    /// Moves the ensemble as `update` says; returns the mean over parameters of the members' variance before the move, the same
    /// on all ranks. Called by all ranks.
    ///
    /// # Errors
    /// A transform of the mean for an ensemble whose members are kept, or the other way round; a redraw that the mean needs and
    /// that is missing.
    pub fn update(
        &mut self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        update: &Update<T>,
    ) -> Result<f64> {
        match (self, update.transform) {
            (Self::Full(full), Transform::Members(transform)) => {
                let transform = (transform, update.length.h);
                Ok(full.update(ranks, transform, update.stages, &update.step))
            }
            (Self::Mean(mean), Transform::Mean(coefficients)) => {
                let missing = || Error::Run("the mean form redraws at each step".to_owned());
                let redraw = update.step.redraw.ok_or_else(missing)?;
                let next = NextDraw {
                    draw: redraw.draw,
                    spread: redraw.spread,
                    differing: update.differing.clone(),
                };
                let variance = mean.mean_variance();
                let weights = (coefficients, update.inputs);
                mean.update(ranks, map.low_rank(), weights, update.length, next)?;
                Ok(variance)
            }
            (Self::Full(_), Transform::Mean(_)) => Err(Error::Run(
                "an ensemble whose members are all kept needs a transform of them".to_owned(),
            )),
            (Self::Mean(_), Transform::Members(_)) => Err(Error::Run(
                "an ensemble of which the mean alone is kept needs a transform of it".to_owned(),
            )),
        }
    }

    /// Adds members up to `count`, drawn about the mean; with `all` the others are drawn anew too. Called by all ranks.
    pub fn expand(&mut self, ranks: Ranks, count: usize, prior: &Prior, redraw: Redraw, all: bool) {
        match self {
            Self::Full(full) => full.expand(ranks, count, prior, redraw, all),
            Self::Mean(mean) => mean.expand(count),
        }
    }

    /// Returns the mean, P numbers, on all ranks.
    pub fn mean(&self, ranks: Ranks) -> Vec<T> {
        match self {
            Self::Full(full) => full.mean(ranks),
            Self::Mean(mean) => mean.estimate().to_vec(),
        }
    }

    /// Returns true if `mean` is an average over steps.
    pub fn averages(&self) -> bool {
        matches!(self, Self::Mean(mean) if !mean.average.is_empty())
    }

    /// Makes `fill` give members of the ensemble u itself rather than momentum's points v; called again, back.
    pub fn swap(&mut self, ranks: Ranks) {
        if let Self::Full(full) = self {
            full.swap(ranks);
        }
    }

    /// Rows `rows` of the ensemble on rank 0, row-major; nothing elsewhere.
    pub fn rows_on_first(
        &self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        rows: Range<usize>,
    ) -> Option<Vec<T>> {
        match self {
            Self::Full(full) => full.rows_on_first(ranks, rows),
            Self::Mean(mean) => ranks.comm.is_first().then(|| {
                let parameters = mean.parameters();
                let mut whole = vec![T::zero(); rows.len() * parameters];
                for (member, out) in rows.zip(whole.chunks_mut(parameters)) {
                    mean.fill(map.low_rank(), member, out);
                }
                whole
            }),
        }
    }

    /// Returns the digest of the ensemble, or of the mean where only the mean is kept.
    pub fn digest(&self, ranks: Ranks) -> String {
        match self {
            Self::Full(full) => full::digest(ranks, full.current()),
            Self::Mean(mean) => {
                let own = if ranks.comm.is_first() {
                    crate::ensemble::draw::digest_of(&[mean.as_rows().view()]).to_vec()
                } else {
                    Vec::new()
                };
                crate::parallel::ranks::digest_of(ranks, &own)
            }
        }
    }
}
