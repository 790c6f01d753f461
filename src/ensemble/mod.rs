//! The ensemble u: all members, or their mean where they are drawn about it at each step.
//!
//! A full ensemble (`full`) is J x P over ranks: each owns whole members for the forward map and columns of all members for the
//! update. A mean ensemble (`mean`) is P numbers on every rank. Here stand draws, survivors, how a transform is applied
//! (`transform`), what happens to a block of columns after it (`stages`), localisation, whitening and hidden states. The room may
//! import `forward` and every room above it; it knows no method, no loss and no clock.
//!
//! The most common change is a stage: its file in `stages`, and its line where `run::context` lists a run's stages.

pub mod centre;
pub mod draw;
pub mod exact_draw;
pub(crate) mod full;
pub(crate) mod hidden_state;
mod kept_members;
pub mod localisation;
pub(crate) mod low_rank;
pub(crate) mod mean;
mod mean_kernels;
pub mod moments;
pub mod sample;
pub mod sigma_points;
pub mod stages;
pub mod survivors;
pub mod transform;
pub mod whitening;

use std::ops::{Deref, DerefMut, Range};

use ndarray::ArrayView2;

use crate::ensemble::draw::Draw;
use crate::ensemble::full::FullEnsemble;
use crate::ensemble::mean::MeanEnsemble;
use crate::ensemble::stages::{Redraw, Stage, StepInput};
use crate::ensemble::transform::Transform;
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::evaluator::Evaluator;
use crate::forward::prior::Prior;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::partition::{Blocks, Partition};
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
    /// Called by whichever thread has updated a block of columns of all members.
    pub after_block: &'a (dyn Fn() + Sync),
}

/// The step size and momentum of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepLength {
    /// The step's number n, from 1.
    pub step: u64,
    /// h_n.
    pub h: f64,
    /// h at this step, before it is divided by ||D||.
    pub undivided: f64,
    /// The momentum coefficient, 0 without.
    pub momentum: f64,
}

/// The draws of a step's members.
#[derive(Clone, Debug)]
pub struct NextDraw {
    /// Which draws.
    pub draw: Draw,
    /// sqrt(gamma).
    pub spread: f64,
    /// The parameters in which they differ.
    pub differing: Range<usize>,
}

/// An ensemble, whatever is kept of it: what evaluation, updates, reports and checkpoints need.
pub trait EnsembleState<T: Real>: Send + Sync {
    /// Returns the members over ranks.
    fn members(&self, ranks: Ranks) -> Partition;

    /// Returns the number of parameters P.
    fn parameters(&self) -> usize;

    /// Writes `member`'s point, one of this rank's, to `out`, P numbers; in the mean form as many last ones as there is
    /// room for.
    fn fill(&self, map: &dyn ForwardMap<T>, member: usize, out: &mut [T]);

    /// Moves the ensemble as `update` says; returns the mean over parameters of the members' variance before the move, the same
    /// on all ranks. Called by all ranks.
    ///
    /// # Errors
    /// A transform of the mean for an ensemble whose members are kept, or the other way round; a redraw that the mean needs and
    /// that is missing.
    fn update(&mut self, ranks: Ranks, map: &dyn ForwardMap<T>, update: &Update<T>) -> Result<f64>;

    /// Adds members up to `count`, drawn about the mean; with `all` the others are drawn anew too. Called by all ranks.
    fn expand(&mut self, ranks: Ranks, count: usize, prior: &Prior, redraw: Redraw, all: bool);

    /// Returns the mean, P numbers, on all ranks: of the ensemble u itself, before momentum moves it on. Called by all ranks.
    fn mean(&self, ranks: Ranks) -> Vec<T>;

    /// Returns true if `mean` is an average over steps.
    fn averages(&self) -> bool {
        false
    }

    /// Returns true if `fill` gives momentum's points v in place of the members u.
    fn extrapolates(&self) -> bool {
        false
    }

    /// Makes `fill` give members of the ensemble u itself rather than momentum's points v; called again, back. Called by all
    /// ranks.
    fn swap(&mut self, _ranks: Ranks) {}

    /// Returns the rows `rows` of u on rank 0, row-major; nothing elsewhere. Called by all ranks.
    fn rows_on_first(
        &self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        rows: Range<usize>,
    ) -> Option<Vec<T>>;

    /// Returns the digest of what is kept: SHA-256, hexadecimal, the same on all ranks. Called by all ranks.
    fn digest(&self, ranks: Ranks) -> String;

    /// Returns the arrays that a checkpoint holds of it.
    fn arrays(&self) -> Vec<Array>;

    /// Returns the numbers of its `arrays`, in their order, in `block`, one of this rank's.
    fn sections(&self, block: usize) -> Vec<&[T]>;

    /// Returns the numbers of its `arrays`, in their order, in `block`, one of this rank's, to be filled.
    fn sections_mut(&mut self, block: usize) -> Vec<&mut [T]>;

    /// Carries what each rank has filled of its blocks to wherever it is needed. Called by all ranks.
    fn share(&mut self, ranks: Ranks);

    /// Returns the blocks of columns that this rank saves and restores.
    fn own_blocks(&self, ranks: Ranks) -> Range<usize> {
        let blocks = Blocks::new(self.parameters()).count();
        Partition::new(blocks, ranks.comm.size()).range(ranks.comm.rank())
    }

    /// Returns the number of numbers in all arrays, over all ranks.
    fn saved_numbers(&self, ranks: Ranks) -> f64 {
        let members = self.members(ranks).items();
        let rows: usize = self.arrays().iter().map(|array| array.rows(members)).sum();
        rows as f64 * self.parameters() as f64
    }
}

/// The ensemble of a run, of one of two types; all that both do is in `EnsembleState`, to which this leads.
///
/// It is an enum, not a `Box<dyn EnsembleState<T>>`, for evaluation: the outputs of each member are handed to the caller's
/// closures (`for_outputs`, `advance`), and functions that are generic in closures can't be called through a trait object.
/// Whitening, descent and the redraw that lengthens a run ask for the type that they belong to.
pub enum Ensemble<T> {
    /// All members, J x P over ranks.
    Full(FullEnsemble<T>),
    /// The mean of members that are drawn about it at each step, P numbers on every rank.
    Mean(MeanEnsemble<T>),
}

impl<T: Real> Deref for Ensemble<T> {
    type Target = dyn EnsembleState<T>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Full(full) => full,
            Self::Mean(mean) => mean,
        }
    }
}

impl<T: Real> DerefMut for Ensemble<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Full(full) => full,
            Self::Mean(mean) => mean,
        }
    }
}

impl<T: Real> Ensemble<T> {
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
}
