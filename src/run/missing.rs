//! Outputs that a member lacks (`model.missing`): there it takes the mean of the members that have them.
//!
//! A member's anomaly is then 0 there, to rounding: the output says nothing of how its parameters differ from the mean. The means
//! are sums over all ranks, exact for any number of them.

use ndarray::ArrayViewMut2;

use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::run::context::StepContext;

/// Fills what members of `step` lack in the outputs of this rank's, `rows`, J/R x K. A member that lacks more than it may, as one that
/// failed, is left as it is. Returns the number of outputs that are lacking, the same on all ranks. Called by all ranks.
pub(super) fn fill<T: Real>(
    context: &StepContext<T>,
    (step, members): (u64, Partition),
    mut rows: ArrayViewMut2<T>,
) -> u64 {
    let comm = context.ranks.comm;
    let (most, k) = (context.plan.table.outputs.missing(), rows.ncols());
    let lacks = |row: &[T]| row.iter().filter(|z| z.is_nan()).count();
    let mut bounds = vec![0.0_f64; k];
    let row_of = |row: &[T]| row.iter().map(|z| z.as_f64()).collect::<Vec<f64>>();
    let counting: Vec<(usize, Vec<f64>)> = rows
        .rows()
        .into_iter()
        .enumerate()
        .map(|(i, row)| (i, row.to_slice().expect("row-major")))
        .filter(|(_, row)| lacks(row) <= most)
        .map(|(i, row)| (i, row_of(row)))
        .collect();
    for (_, row) in &counting {
        let known = row.iter().zip(&mut bounds).filter(|(z, _)| !z.is_nan());
        known.for_each(|(z, bound)| *bound = bound.max(z.abs()));
    }
    comm.largest(&mut bounds);
    // Of each output its sum and the members that have it; then the members that lack some, and what they lack.
    let mut sums = vec![0.0; 2 * k + 2];
    for (_, row) in &counting {
        for (i, z) in row.iter().enumerate().filter(|(_, z)| !z.is_nan()) {
            sums[i] += Quantum::new(bounds[i], members.items()).round(*z);
            sums[k + i] += 1.0;
        }
        let lacking = row.iter().filter(|z| z.is_nan()).count();
        sums[2 * k] += f64::from(u8::from(lacking > 0));
        sums[2 * k + 1] += lacking as f64;
    }
    comm.sum_exact(&mut sums);
    for (i, _) in counting {
        let row = rows.row_mut(i);
        for (place, z) in row.into_iter().enumerate().filter(|(_, z)| z.is_nan()) {
            *z = T::from_f64(sums[place] / sums[k + place]);
        }
    }
    if comm.is_first() && sums[2 * k] > 0.0 {
        tracing::info!(
            "step {}: {} of {} members lack {} outputs in all: there they take the mean of the others (model.missing)",
            step + 1,
            sums[2 * k],
            members.items(),
            sums[2 * k + 1]
        );
    }
    sums[2 * k + 1] as u64
}
