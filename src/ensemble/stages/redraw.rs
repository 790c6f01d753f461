//! Re-randomisation (EKI(R)): all members are drawn anew about their mean.
//!
//! ```text
//! u_j <- c + sqrt(gamma) xi_j ,  xi_j ~ N(0, C_0)       c: the mean, moved on by momentum where it has any;
//!                                                       C_0: the prior's covariance, by its laws or by a sample
//! ```
//!
//! Kovachki & Stuart, Inverse Problems 35 (2019) 095005.

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::Real;

/// Draws all members anew after the steps at which that is due.
pub struct Redrawing;

impl<T: Real> Stage<T> for Redrawing {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let Some(redraw) = step.redraw else {
            return;
        };
        let (all, law) = (
            (0..block.u.nrows(), block.columns.clone()),
            (step.prior, block.sample),
        );
        if let Some(centre) = &block.centre {
            redraw.fill(block.u, all, &centre.drawn, law);
            return;
        }
        let members = Survivors::new(vec![true; block.u.nrows()]);
        let after = column_means(block.u.view(), &members);
        let mean: Vec<T> = after.iter().copied().map(T::from_f64).collect();
        let Some(previous) = &mut block.previous else {
            redraw.fill(block.u, all, &mean, law);
            return;
        };
        // The mean's own momentum, from the difference of the means in double precision.
        let before = column_means(previous.view(), &members);
        let moves = mean.iter().zip(after.iter().zip(&before));
        let momentum = T::from_f64(step.momentum);
        let about: Vec<T> = moves
            .map(|(&mean, (after, before))| mean + momentum * T::from_f64(after - before))
            .collect();
        redraw.fill(block.u, all.clone(), &about, law);
        redraw.fill(previous, all, &mean, law);
    }
}
