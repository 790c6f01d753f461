//! A conflict of prior and data: observations that no member of the first ensemble comes near.
//!
//! ```text
//! min over j |y_k - z_jk|  >  3 sqrt(Gamma_kk + var_j z_jk)              z_jk: output k of member j, of those that count
//! ```
//!
//! Members lie where the prior lets the outputs be, so that such an observation is a slip (a unit, a sign, an outlier), or the prior or
//! the noise is too narrow. Such observations are named, and left out of the run where that is asked for (`data.conflict`). Sums over
//! members are exact: the verdict is the same for any number of ranks.

use ndarray::Array2;

use super::State;
use super::forecast::Forecast;
use super::left_out::LeftOut;
use super::plan::Plan;
use crate::config::Conflict;
use crate::ensemble::survivors::Survivors;
use crate::error::Result;
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::run::context::StepContext;

/// The most members or observations that one line names.
pub(super) const NAMED: usize = 8;

/// The number of deviations beyond which an observation is in conflict with the prior.
const DEVIATIONS: f64 = 3.0;

impl<T: Real> State<T> {
    /// Looks for observations that conflict with the prior, in the `forecast` of the first ensemble by which the `survivors` count, and
    /// warns of them; returns true if they are left out of the run from now on, and of this forecast. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: all observations would be left out.
    pub(super) fn meet_conflict(
        &mut self,
        context: &StepContext<T>,
        (forecast, targets): (&mut Forecast<T>, &[T]),
        survivors: &Survivors,
    ) -> Result<bool> {
        let plan = context.plan;
        if self.step > 0 || !plan.config().model.kind.simulates() {
            return Ok(false);
        }
        let members = self.ensemble.members(context.ranks);
        let far = far(context, (&forecast.selected, members), survivors);
        let drops = plan.config().data.conflict == Conflict::Drop;
        if !far.is_empty() && context.ranks.comm.is_first() {
            warn(plan, &far, drops);
        }
        if far.is_empty() || !drops {
            return Ok(false);
        }
        self.left_out = LeftOut::new(far, &plan.loss, targets.len())?;
        self.leave_out(context, forecast, targets);
        Ok(true)
    }
}

/// Returns the places of the observations that conflict with the prior, from this rank's `selected` outputs of the first ensemble,
/// J/R x K; the same on all ranks. Called by all ranks.
fn far<T: Real>(
    context: &StepContext<T>,
    (selected, members): (&Array2<T>, Partition),
    survivors: &Survivors,
) -> Vec<usize> {
    let (comm, plan) = (context.ranks.comm, context.plan);
    let observed = context.problem.dataset.observations();
    let k = observed.len();
    let variances = plan.noise.variances(k);
    let (own, members) = (members.range(comm.rank()), members.items());
    let alive = || {
        own.clone()
            .enumerate()
            .filter(|(_, j)| survivors.contains(*j))
    };
    // The distances of member `row` of this rank from the observations, in deviations of each one's noise.
    let distances = |row: usize| {
        let mut z: Vec<f64> = selected
            .row(row)
            .iter()
            .take(k)
            .map(|z| z.as_f64())
            .collect();
        plan.noise.restore(&mut z);
        let about = z.iter().zip(observed).zip(&variances);
        about
            .map(|((z, y), v)| (z - y) / v.sqrt())
            .collect::<Vec<f64>>()
    };
    let mut bounds = vec![0.0_f64; k];
    let mut nearest = vec![f64::NEG_INFINITY; k];
    for (row, _) in alive() {
        for ((x, bound), near) in distances(row).iter().zip(&mut bounds).zip(&mut nearest) {
            *bound = bound.max(x.abs());
            *near = near.max(-x.abs());
        }
    }
    comm.largest(&mut bounds);
    comm.largest(&mut nearest);
    let mut sums = vec![0.0; 2 * k];
    for (row, _) in alive() {
        for (i, (x, &bound)) in distances(row).iter().zip(&bounds).enumerate() {
            sums[i] += Quantum::new(bound, members).round(*x);
            sums[k + i] += Quantum::new(bound * bound, members).round(x * x);
        }
    }
    comm.sum_exact(&mut sums);
    let count = survivors.count() as f64;
    let is_far = |i: &usize| {
        let mean = sums[*i] / count;
        let variance = (sums[k + *i] / count - mean * mean).max(0.0);
        -nearest[*i] > DEVIATIONS * (1.0 + variance).sqrt()
    };
    (0..k).filter(is_far).collect()
}

/// Warns of the observations at the places `far`, which the run leaves out if it `drops` them.
fn warn(plan: &Plan, far: &[usize], drops: bool) {
    let names = far.iter().take(NAMED);
    let names: Vec<String> = names.map(|&i| plan.table.name_and_group(i)).collect();
    let more = if far.len() > NAMED { ", ..." } else { "" };
    let then = match drops {
        true => "; they are left out of this run (data.conflict = \"drop\")",
        false => "; look at their units and signs, at model.prior and at method.noise",
    };
    tracing::warn!(
        "prior and data conflict: {} of {} observations lie further than {DEVIATIONS} deviations, of the noise and the members together, \
         from every member: {}{more}{then}",
        far.len(),
        plan.data.outputs,
        names.join(", ")
    );
}
