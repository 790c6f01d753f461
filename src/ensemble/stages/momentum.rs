//! Nesterov's momentum, of each member or of their mean alone.
//!
//! ```text
//! v_{n+1} = u_{n+1} + n/(n+3) (u_{n+1} - u_n)           of members (MEKI, Kovachki & Stuart 2019)
//! c_{n+1} = m_{n+1} + n/(n+3) (m_{n+1} - m_n)           of the mean m alone: members keep their deviations from c
//! ```

use ndarray::{Array1, ArrayRef2, Zip};

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::{DrawCentre, column_means};
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::Real;

/// Momentum of each member. Where members are drawn anew after the step, the redraw moves the mean on instead.
pub struct OfMembers;

/// Momentum of the centre that members are drawn about, or deviate from.
pub struct OfMean;

impl<T: Real> Stage<T> for OfMembers {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        if let (None, Some(previous)) = (step.redraw, &mut block.previous) {
            extrapolate(block.u, previous, step.momentum);
        }
    }
}

impl<T: Real> Stage<T> for OfMean {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let Some(centre) = &mut block.centre else {
            return;
        };
        let all = Survivors::new(vec![true; block.u.nrows()]);
        let after = column_means(block.u.view(), &all);
        centre.follow(block.means_before, &after, step.momentum);
        if step.redraw.is_none() {
            let ends = centre.drawn.iter().zip(&centre.mean);
            *block.u += &ends.map(|(&to, &from)| to - from).collect::<Array1<T>>();
        }
    }
}

/// Nesterov's momentum on one block, in place: on entry `u` holds u_{n+1} and `previous` u_n; on return `u` holds
/// v_{n+1} = u_{n+1} + coefficient (u_{n+1} - u_n) and `previous` u_{n+1}.
pub fn extrapolate<T: Real>(u: &mut ArrayRef2<T>, previous: &mut ArrayRef2<T>, coefficient: f64) {
    let coefficient = T::from_f64(coefficient);
    Zip::from(u).and(previous).for_each(|u, previous| {
        let next = *u;
        *u = next + coefficient * (next - *previous);
        *previous = next;
    });
}

impl<T: Real> DrawCentre<T> {
    /// Moves the mean as the members' went in a step, from `before` to `after`, the draws' own mean left out, and the
    /// centre on from it by `momentum`.
    fn follow(&mut self, before: &[f64], after: &[f64], momentum: f64) {
        let moves = after.iter().zip(before);
        for ((drawn, mean), (after, before)) in self.drawn.iter_mut().zip(&mut self.mean).zip(moves)
        {
            let moved = T::from_f64(drawn.as_f64() + (after - before));
            *drawn = moved + T::from_f64(momentum) * (moved - *mean);
            *mean = moved;
        }
    }
}
