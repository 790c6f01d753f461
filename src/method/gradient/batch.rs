//! The gradient over a batch: parts of it by ranks and threads, summed exactly, so that their order does not matter.

use super::gradient;
use crate::data::Batch;
use crate::forward::network::Network;
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::method::loss::Loss;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;

/// Parameters that one thread sums at a time.
const SUMMED: usize = 1 << 13;

/// Returns the misfits and gradients of this rank's parts of `batch`, which `cut` cuts, at `point`; a series is entered with the
/// state `hidden`.
pub fn own_gradients<T: Real>(
    ranks: Ranks,
    (network, loss): (&Network, &Loss),
    (point, hidden): (&[T], &[T]),
    (batch, cut): (&Batch<T>, Partition),
) -> Vec<(f64, Vec<T>)> {
    let own = Partition::new(cut.parts(), ranks.comm.size()).range(ranks.comm.rank());
    let mut found: Vec<(f64, Vec<T>)> = vec![Default::default(); own.len()];
    let places = own.zip(found.iter_mut());
    for_each(ranks.pool, places, |_, (part, found)| {
        let samples = (batch, cut.range(part));
        *found = gradient(network, loss, (point, hidden), samples);
    });
    found
}

/// Returns the misfit of the whole batch and its gradient, P numbers, from the parts `own` of this rank; the same bits on all ranks;
/// None where one of them is not finite. Called by all ranks.
pub fn sum<T: Real>(
    ranks: Ranks,
    parameters: usize,
    cut: Partition,
    own: &[(f64, Vec<T>)],
) -> Option<(f64, Vec<f64>)> {
    let (comm, parts) = (ranks.comm, cut.parts());
    // Zero on all ranks but the part's own, so the sum is exact.
    let mut misfits = vec![0.0; parts];
    let first = Partition::new(parts, comm.size()).range(comm.rank());
    for (place, (misfit, _)) in misfits[first].iter_mut().zip(own) {
        *place = *misfit;
    }
    comm.sum_exact(&mut misfits);
    let misfit: f64 = misfits.iter().sum();
    let mut largest = [own.iter().map(|(_, g)| magnitude(g)).fold(0.0, f64::max)];
    comm.largest(&mut largest);
    if !(misfit.is_finite() && largest[0].is_finite()) {
        return None;
    }
    let quantum = Quantum::new(largest[0], parts);
    let mut sums = vec![0.0; parameters];
    let blocks = sums.chunks_mut(SUMMED).enumerate();
    for_each(ranks.pool, blocks, |_, (block, sums)| {
        for (_, gradient) in own {
            for (sum, g) in sums.iter_mut().zip(&gradient[block * SUMMED..]) {
                *sum += quantum.round(g.as_f64());
            }
        }
    });
    comm.sum_exact(&mut sums);
    Some((misfit, sums))
}

/// Returns the largest magnitude, infinite where a number is not finite.
fn magnitude<T: Real>(numbers: &[T]) -> f64 {
    let largest = numbers.iter().fold(T::zero(), |most, &g| {
        let size = g.abs();
        if most.is_nan() || size <= most {
            most
        } else {
            size
        }
    });
    if largest.is_nan() {
        f64::INFINITY
    } else {
        largest.as_f64()
    }
}
