//! What happens to a block of columns between the transform and the exchange, one stage a file.
//!
//! A run makes its list of stages once, in the order of the paper: deviations are relaxed or take noise, failed members are
//! replaced, deviations inflated, then
//! momentum moves members or their mean on, and last members are drawn anew. Each stage works on one block of columns of all
//! members, on whichever thread moved it, so that a block is finished while it is in the cache.
//!
//! To add a stage: its file here, and its line in `Plan::stages`.

pub mod additive;
pub mod inflation;
pub mod momentum;
pub mod redraw;
pub mod relaxation;
pub mod replacement;
pub mod sparse;

use std::ops::Range;

use ndarray::{Array2, ArrayRef2, ArrayView2, ArrayViewMut2};

use crate::ensemble::centre::{DrawCentre, rounded_means};
use crate::ensemble::draw::Draw;
use crate::ensemble::survivors::Survivors;
use crate::forward::prior::Prior;
use crate::kernels::real::Real;

/// A stage of the update of one block of columns.
pub trait Stage<T>: Send + Sync {
    /// Returns true if it reads the block as it was before the transform.
    fn reads_before(&self) -> bool {
        false
    }

    /// Changes the block in place. The same bits whichever rank and thread calls it.
    fn apply(&self, block: &mut Block<T>, step: &StepInput);
}

/// One block of columns of all members, after the transform.
pub struct Block<'a, T> {
    /// Its columns.
    pub columns: Range<usize>,
    /// On entry u_{n+1}, J x w; after the last stage what the forward map is given in the next step.
    pub u: &'a mut ArrayRef2<T>,
    /// u_n, J x w, where momentum moves each member on.
    pub previous: Option<ArrayViewMut2<'a, T>>,
    /// The members before the transform, J x w, where a stage reads them.
    pub before: Option<Array2<T>>,
    /// The centre that members are drawn about, where it is kept.
    pub(crate) centre: Option<&'a mut DrawCentre<T>>,
    /// The first members' deviations over sqrt(J_0), J_0 x w, where these are the prior.
    pub(crate) sample: Option<ArrayView2<'a, T>>,
    /// The survivors' column means before the transform.
    pub means_before: &'a [f64],
}

/// The input that all blocks of one step share.
pub struct StepInput<'a> {
    /// The members whose outputs counted.
    pub survivors: &'a Survivors,
    /// The draws that replace failed members.
    pub replacements: Draw,
    /// The draws of additive inflation.
    pub noise: Draw,
    /// h_n.
    pub h: f64,
    /// The factor of deviations that the step found, where inflation is adaptive; else 1.
    pub inflation: f64,
    /// The momentum coefficient, 0 without.
    pub momentum: f64,
    /// The re-randomisation after this step, if one is due.
    pub redraw: Option<Redraw>,
    /// The prior whose covariance draws have.
    pub prior: &'a Prior,
}

/// A re-randomisation that is due.
#[derive(Clone, Copy, Debug)]
pub struct Redraw {
    /// Which draws.
    pub draw: Draw,
    /// sqrt(gamma).
    pub spread: f64,
    /// True if momentum restarts.
    pub restart: bool,
}

impl Redraw {
    /// Fills the rows `members` of `block`, the columns `columns` of members, with draws about `about`, w numbers: by the covariance of
    /// the `sample`, J_0 x w, where that is the prior, else by that of `prior`.
    pub(crate) fn fill<T: Real>(
        &self,
        block: &mut ArrayRef2<T>,
        (members, columns): (Range<usize>, Range<usize>),
        about: &[T],
        law: (&Prior, Option<ArrayView2<T>>),
    ) {
        let rows = (members, columns);
        self.draw.fill_by(rows, about, (law, self.spread), block);
    }
}

/// Returns the column means of all rows of `u`, rounded to its precision.
pub(crate) fn means<T: Real>(u: &ArrayRef2<T>) -> Vec<T> {
    let all = Survivors::new(vec![true; u.nrows()]);
    rounded_means(u.view(), &all)
}
