//! Relaxation: survivors' deviations are drawn back towards those before the step, or to their size.
//!
//! ```text
//! RTPS   u_j <- ubar + (1 + a (s_b - s_a) / s_a) (u_j - ubar)     s_b, s_a: a parameter's deviation over members before and after
//! RTPP   u_j <- ubar + (1 - a) (u_j - ubar) + a (v_j - vbar)      v: members before the step
//! ```
//!
//! RTPS: Whitaker & Hamill, Mon. Weather Rev. 140 (2012) 3078. RTPP: Zhang, Snyder & Sun, Mon. Weather Rev. 132 (2004) 1238.
//! Neither moves the mean. Failed members, whose points nobody has seen the outputs of, are replaced afterwards.

use ndarray::ArrayRef2;

use super::{Block, Stage, StepInput};
use crate::ensemble::centre::column_means;
use crate::ensemble::survivors::Survivors;
use crate::kernels::real::Real;

/// Relaxation with a weight a.
pub enum Relaxation {
    /// To the spread before the step (RTPS).
    Spread(f64),
    /// To the deviations before the step (RTPP).
    Perturbations(f64),
}

impl<T: Real> Stage<T> for Relaxation {
    fn reads_before(&self) -> bool {
        true
    }

    fn apply(&self, block: &mut Block<T>, step: &StepInput) {
        let Some(before) = &block.before else {
            return;
        };
        match *self {
            Self::Spread(weight) => to_spread(block.u, before, weight, step.survivors),
            Self::Perturbations(weight) => {
                to_perturbations(block.u, before, weight, step.survivors);
            }
        }
    }
}

/// Relaxes survivors of one block u, J x w, to the spread of `before`, J x w.
pub fn to_spread<T: Real>(
    u: &mut ArrayRef2<T>,
    before: &ArrayRef2<T>,
    weight: f64,
    survivors: &Survivors,
) {
    let means = column_means(u.view(), survivors);
    let after = squares(u, &means, survivors);
    let before = squares(before, &column_means(before.view(), survivors), survivors);
    // Members that have drawn together wholly have no direction to be drawn apart in.
    let factors = after.iter().zip(before);
    let factors = factors.map(|(&after, before)| match after > 0.0 {
        true => 1.0 + weight * ((before / after).sqrt() - 1.0),
        false => 1.0,
    });
    let factors: Vec<f64> = factors.collect();
    for (_, mut row) in rows_of(u, survivors) {
        for ((x, mean), factor) in row.iter_mut().zip(&means).zip(&factors) {
            *x = T::from_f64(mean + factor * (x.as_f64() - mean));
        }
    }
}

/// Relaxes survivors of one block u, J x w, to the deviations of `before`, J x w.
pub fn to_perturbations<T: Real>(
    u: &mut ArrayRef2<T>,
    before: &ArrayRef2<T>,
    weight: f64,
    survivors: &Survivors,
) {
    let means = column_means(u.view(), survivors);
    let means_before = column_means(before.view(), survivors);
    for (j, mut row) in rows_of(u, survivors) {
        let about = means.iter().zip(&means_before);
        for ((x, v), (mean, mean_before)) in row.iter_mut().zip(before.row(j)).zip(about) {
            let deviation = (1.0 - weight) * (x.as_f64() - mean);
            *x = T::from_f64(mean + deviation + weight * (v.as_f64() - mean_before));
        }
    }
}

/// The rows of survivors, each with its member's number.
fn rows_of<'a, T: Real>(
    u: &'a mut ArrayRef2<T>,
    survivors: &'a Survivors,
) -> impl Iterator<Item = (usize, ndarray::ArrayViewMut1<'a, T>)> {
    let rows = u.rows_mut().into_iter().enumerate();
    rows.filter(|(j, _)| survivors.contains(*j))
}

/// Returns the sum over survivors of each column's squared deviations from `means`.
fn squares<T: Real>(u: &ArrayRef2<T>, means: &[f64], survivors: &Survivors) -> Vec<f64> {
    let mut squares = vec![0.0; means.len()];
    for (j, row) in u.rows().into_iter().enumerate() {
        if survivors.contains(j) {
            for ((square, x), mean) in squares.iter_mut().zip(row).zip(means) {
                *square += (x.as_f64() - mean).powi(2);
            }
        }
    }
    squares
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;

    /// Three survivors and a failed member, whose numbers count nowhere. Before: deviations -4, 0, 4 about 5. After: -1, 0, 1 about 2.
    fn case() -> (Array2<f64>, Array2<f64>, Survivors) {
        let before = arr2(&[[1.0], [5.0], [1e9], [9.0]]);
        let after = arr2(&[[1.0], [2.0], [-7.0], [3.0]]);
        let survivors = Survivors::new(vec![true, true, false, true]);
        (before, after, survivors)
    }

    /// The deviation is a quarter of what it was: with a weight of 1/2 the factor is 1 + (4 - 1) / 2.
    #[test]
    fn relaxation_to_prior_spread_by_hand() {
        let (before, mut u, survivors) = case();
        to_spread(&mut u, &before, 0.5, &survivors);
        assert_eq!(u, arr2(&[[-0.5], [2.0], [-7.0], [4.5]]));
        // With a weight of 1 the spread is the one before; members that are all the same stay.
        to_spread(&mut u, &before, 1.0, &survivors);
        assert_eq!(u, arr2(&[[-2.0], [2.0], [-7.0], [6.0]]));
        let mut same = arr2(&[[3.0], [3.0], [3.0], [3.0]]);
        to_spread(&mut same, &before, 1.0, &survivors);
        assert_eq!(same, arr2(&[[3.0], [3.0], [3.0], [3.0]]));
    }

    /// Deviations -1, 0, 1 and -4, 0, 4 with weights 3/4 and 1/4.
    #[test]
    fn relaxation_to_prior_perturbations_by_hand() {
        let (before, mut u, survivors) = case();
        to_perturbations(&mut u, &before, 0.25, &survivors);
        assert_eq!(u, arr2(&[[0.25], [2.0], [-7.0], [3.75]]));
        // The member that failed has crossed sides in none of them: another order of members is another ensemble.
        let crossed = arr2(&[[9.0], [5.0], [0.0], [1.0]]);
        to_perturbations(&mut u, &crossed, 1.0, &survivors);
        assert_eq!(u, arr2(&[[6.0], [2.0], [-7.0], [-2.0]]));
    }
}
