//! Replaces failed members by draws from the normal law of the others.

use ndarray::{Array2, ArrayRef2};

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::rounded_means;
use crate::ensemble::draw::Draw;
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::{Real, product};

/// u_f = ubar + (S - 1)^{-1/2} sum_k z_k (u_k - ubar) for each failed member f, z_k ~ N(0, 1), over the S survivors.
pub struct Replacement;

impl<T: Real> Stage<T> for Replacement {
    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        replace_failed(block.u, step.replacements, step.survivors);
    }
}

/// Replaces failed members of one block u, J x w, by draws from the normal law of the survivors:
/// u_f = ubar + (S - 1)^{-1/2} sum_k z_k (u_k - ubar), z_k ~ N(0, 1), S survivors.
pub fn replace_failed<T: Real>(u: &mut ArrayRef2<T>, draw: Draw, survivors: &Survivors) {
    if survivors.all() {
        return;
    }
    let failed: Vec<usize> = survivors.failed().collect();
    let means = rounded_means(u.view(), survivors);
    let mut weights = Array2::zeros((failed.len(), u.nrows()));
    let scale = T::from_f64(1.0 / (survivors.count() as f64 - 1.0).sqrt());
    for (mut row, &member) in weights.rows_mut().into_iter().zip(&failed) {
        let numbers = row.as_slice_mut().expect("row-major");
        T::fill_normal(&draw.key(member, 0), 0, numbers);
        for (k, z) in row.iter_mut().enumerate() {
            *z = if survivors.contains(k) {
                *z * scale
            } else {
                T::zero()
            };
        }
    }
    let mut centred = u.to_owned();
    for (j, mut row) in centred.rows_mut().into_iter().enumerate() {
        if survivors.contains(j) {
            row.iter_mut().zip(&means).for_each(|(x, &mean)| *x -= mean);
        } else {
            row.fill(T::zero());
        }
    }
    let mut drawn = Array2::zeros((failed.len(), u.ncols()));
    product(
        drawn.view_mut(),
        T::zero(),
        T::one(),
        weights.view(),
        centred.view(),
    );
    for (row, &member) in drawn.rows().into_iter().zip(&failed) {
        for ((x, &z), &mean) in u.row_mut(member).iter_mut().zip(row).zip(&means) {
            *x = mean + z;
        }
    }
}
