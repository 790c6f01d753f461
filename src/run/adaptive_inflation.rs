//! Adaptive inflation: how far members must lie apart for their outputs' spread to account for what their mean misses.
//!
//! ```text
//! d^2 = |y - Gbar|^2_Gamma ,  s^2 = (1/J) sum_j |G(u_j) - Gbar|^2_Gamma
//! lambda = (d^2 - t^2 K) / s^2                  members after the step: u <- ubar + f (u - ubar) ,  f^2 = min(most^2, max(1, lambda))
//! ```
//!
//! For t = 1 the estimate of Wang & Bishop, J. Atmos. Sci. 60 (2003) 1140: a mean that misses by d has E d^2 = lambda s^2 + K where
//! the forecast's covariance is lambda times the members'. It ends once the mean misses the observations by no more than t deviations of
//! the noise. The mean over members of |y - G(u_j)|^2 is d^2 + s^2, so that Gbar alone is to be found: K sums over ranks, exact.

use ndarray::Array2;

use super::agree::Agreed;
use crate::config::Inflation;
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::parallel::comm::Comm;
use crate::parallel::partition::Partition;
use crate::run::context::StepContext;

/// Returns the factor of deviations after this step of `members`, from this rank's `selected` outputs, J/R x K, and the observations `y`; None where
/// inflation is not adaptive. Called by all ranks.
pub(super) fn factor<T: Real>(
    context: &StepContext<T>,
    agreed: &Agreed,
    members: Partition,
    (selected, y): (&Array2<T>, &[T]),
) -> Option<f64> {
    let plan = context.plan;
    let Inflation::Adaptive { target, most } = plan.ensemble.inflation else {
        return None;
    };
    let mean = mean_outputs(context.ranks.comm, agreed, members, (selected, y.len()));
    let missed = 2.0 * plan.loss.misfit(&mean, y);
    let all = 2.0 * agreed.misfit;
    let noise = target * target * plan.observed() as f64;
    Some(factor_of((missed, all - missed), noise, most))
}

/// Returns f from d^2 and s^2, what of d^2 is the `noise`, and the largest f.
fn factor_of((missed, spread): (f64, f64), noise: f64, most: f64) -> f64 {
    let excess = missed - noise;
    if excess <= spread {
        return 1.0;
    }
    // Of members whose outputs are all the same the spread is 0, or less by rounding.
    match spread > 0.0 {
        true => most.min((excess / spread).sqrt()),
        false => most,
    }
}

/// Returns the survivors' mean outputs, the first `outputs` of those `selected`. Called by all ranks.
fn mean_outputs<T: Real>(
    comm: &Comm,
    agreed: &Agreed,
    members: Partition,
    (selected, outputs): (&Array2<T>, usize),
) -> Vec<T> {
    let own = members.range(comm.rank()).zip(selected.rows());
    let own: Vec<_> = own
        .filter(|(j, _)| agreed.survivors.contains(*j))
        .map(|(_, row)| row)
        .collect();
    let entries = own.iter().flat_map(|row| row.iter().take(outputs));
    let mut largest = [entries.fold(0.0_f64, |most, z| most.max(z.as_f64().abs()))];
    comm.largest(&mut largest);
    let quantum = Quantum::new(largest[0], members.items());
    let mut sums = vec![0.0; outputs];
    for row in own {
        for (sum, z) in sums.iter_mut().zip(row) {
            *sum += quantum.round(z.as_f64());
        }
    }
    comm.sum_exact(&mut sums);
    let count = agreed.survivors.count() as f64;
    sums.into_iter().map(|z| T::from_f64(z / count)).collect()
}

#[cfg(test)]
mod tests {
    use super::factor_of;

    /// d^2 = 19 with K = 10 and the noise's own target: 9 are missed beyond it. A spread of 4 explains them if it is 9/4 of what it is.
    #[test]
    fn the_factor_by_hand() {
        assert_eq!(factor_of((19.0, 4.0), 10.0, 2.0), 1.5);
        assert_eq!(factor_of((19.0, 4.0), 10.0, 1.2), 1.2);
        assert_eq!(factor_of((19.0, 9.0), 10.0, 2.0), 1.0);
        assert_eq!(factor_of((9.0, 4.0), 10.0, 2.0), 1.0);
        assert_eq!(factor_of((19.0, 0.0), 10.0, 2.0), 2.0);
        // A misfit of 1 at a target of 0.5 and K = 4 misses by 3: the factor is sqrt(3 / 0.75).
        assert_eq!(factor_of((4.0, 0.75), 1.0, 3.0), 2.0);
    }
}
