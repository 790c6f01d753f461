//! The members of a run, whole or as their mean: one face for the loop.

pub(crate) mod arrays;
pub mod centre;
pub mod draw;
pub(crate) mod full;
pub(crate) mod hidden_state;
pub(crate) mod localisation;
pub(crate) mod low_rank;
pub(crate) mod mean;
pub mod moments;
pub mod momentum;
pub mod survivors;
pub mod transform;
pub mod whitening;

use ndarray::ArrayView2;

use crate::ensemble::full::{FullEnsemble, Redraw, Update};
use crate::ensemble::mean::{MeanEnsemble, MeanMove, NextDraw};
use crate::ensemble::transform::Transform;
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::evaluator::Evaluator;
use crate::forward::prior::Prior;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;

/// The members of a run.
pub enum Ensemble<T> {
    /// All of them, J x P over ranks.
    FullEnsemble(FullEnsemble<T>),
    /// Their mean, P numbers on every rank.
    Mean(MeanEnsemble<T>),
}

impl<T: Real> Ensemble<T> {
    /// Members over ranks.
    pub fn members(&self, ranks: Ranks) -> Partition {
        match self {
            Self::FullEnsemble(stored) => stored.layout.members,
            Self::Mean(mean) => mean.partition(ranks),
        }
    }

    /// Parameters P.
    pub fn parameters(&self) -> usize {
        match self {
            Self::FullEnsemble(stored) => stored.layout.blocks.columns(),
            Self::Mean(mean) => mean.parameters(),
        }
    }

    /// What the members of the mean form are about, P numbers.
    ///
    /// # Errors
    /// All members are kept: their mean is another array's (`mean`).
    pub fn centre(&self) -> Result<&[T]> {
        match self {
            Self::FullEnsemble(_) => Err(Error::Run(
                "an ensemble whose members are all kept has no centre but their mean".to_owned(),
            )),
            Self::Mean(mean) => Ok(&mean.centre),
        }
    }

    /// Writes `member`'s point, one of this rank's, to `out`, P numbers; in the mean form as many last ones as there is
    /// room for.
    pub fn fill(&self, map: &dyn ForwardMap<T>, member: usize, out: &mut [T]) {
        match self {
            Self::FullEnsemble(stored) => stored.gather(member, out),
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

    /// As `for_outputs`, of members that carry a hidden state, one of `hidden` each, which is taken on.
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

    /// One update; returns the mean over parameters of the members' variance before it, the same on all ranks.
    pub fn update(
        &mut self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        prior: &Prior,
        update: &Update<T>,
    ) -> f64 {
        match self {
            Self::FullEnsemble(stored) => {
                let own = stored.layout.own_blocks();
                let squares = stored.update(ranks, prior, update);
                let mut all = vec![0.0; stored.layout.blocks.count()];
                all[own].copy_from_slice(&squares);
                ranks.comm.sum_exact(&mut all);
                let sum: f64 = all.iter().sum();
                sum / (update.survivors.count() * stored.layout.blocks.columns()) as f64
            }
            Self::Mean(mean) => {
                let weights = match update.interaction {
                    Transform::Mean(coefficients) => MeanMove::Members(coefficients),
                    Transform::MeanBySample(weights) => {
                        MeanMove::Samples(weights.view(), update.inputs)
                    }
                    _ => unreachable!("the mean form's interaction is its coefficients"),
                };
                let variance = mean.mean_variance();
                let redraw = update.redraw.expect("the mean form redraws at each step");
                let next = NextDraw {
                    draw: redraw.draw,
                    spread: redraw.spread,
                    differing: update.differing.clone(),
                };
                mean.update(ranks, map.low_rank(), &weights, update.length, next);
                variance
            }
        }
    }

    /// More members, to `count`: drawn about the mean, or all drawn anew where `all`.
    pub fn expand(&mut self, ranks: Ranks, count: usize, prior: &Prior, redraw: Redraw, all: bool) {
        match self {
            Self::FullEnsemble(stored) => stored.expand(ranks, count, prior, redraw, all),
            Self::Mean(mean) => mean.expand(count),
        }
    }

    /// The mean, P numbers, on all ranks.
    pub fn mean(&self, ranks: Ranks) -> Vec<T> {
        match self {
            Self::FullEnsemble(stored) => stored.mean(ranks),
            Self::Mean(mean) => mean.estimate().to_vec(),
        }
    }

    /// Whether `mean` is an average over steps.
    pub fn averages(&self) -> bool {
        matches!(self, Self::Mean(mean) if !mean.average.is_empty())
    }

    /// Makes `fill` give members of the ensemble u itself rather than momentum's points v; called again, back.
    pub fn swap(&mut self, ranks: Ranks) {
        if let Self::FullEnsemble(stored) = self {
            stored.swap(ranks);
        }
    }

    /// Rows `rows` of the ensemble on rank 0, row-major; nothing elsewhere.
    pub fn rows_on_first(
        &self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        rows: std::ops::Range<usize>,
    ) -> Option<Vec<T>> {
        match self {
            Self::FullEnsemble(stored) => stored.rows_on_first(ranks, rows),
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

    /// The digest of the ensemble, or of the mean where only the mean is kept.
    pub fn digest(&self, ranks: Ranks) -> String {
        match self {
            Self::FullEnsemble(stored) => full::digest(ranks, stored.current()),
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
