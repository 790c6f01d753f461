//! Measures the localised update of one block of columns as a run does it, at the run's own sizes: how many observations are in reach
//! of a block, and what stays in the caches, follow from them.

use ndarray::{ArrayViewMut2, Axis};
use rayon::ThreadPool;

use super::kernels::numbers;
use super::{Sizes, mean, usual};
use crate::ensemble::localisation::{Correlations, Localisation, Near, Reach};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::MemberMove;
use crate::kernels::buffers::{Aligned, BufferPool};
use crate::kernels::panel::Packed;
use crate::kernels::real::Real;
use crate::parallel::partition::Blocks;

/// The number of blocks that are measured, evenly from all.
const MEASURED: usize = 64;

/// Returns the mean seconds of the update by `localisation` of one block of the columns `blocks`.
pub(super) fn block_seconds<T: Real>(
    pool: &ThreadPool,
    sizes: &Sizes,
    localisation: &Localisation,
    blocks: Blocks,
) -> f64 {
    let (members, count) = (sizes.members, blocks.count());
    let survivors = Survivors::new(vec![true; members]);
    let by = member_move::<T>(sizes, localisation);
    let seconds = pool.broadcast(|broadcast| {
        let width = blocks.range(0).len();
        let mut u = Aligned::zeros(members * width * count.min(MEASURED));
        let whole = numbers::<T>(members, width);
        for block in u.chunks_exact_mut(members * width) {
            block.copy_from_slice(whole.as_slice().expect("row-major"));
        }
        let (mut scratch, mut next) = (Vec::new(), broadcast.index());
        usual(|| {
            next = (next + 1) % count.min(MEASURED);
            let columns = blocks.range(next * count / count.min(MEASURED));
            let numbers = &mut u[next * members * width..][..members * columns.len()];
            let block = ArrayViewMut2::from_shape((members, columns.len()), numbers);
            let block = &mut block.expect("a block");
            by.apply((columns.start, block), 1e-3, &survivors, &mut scratch);
        })
    });
    mean(&seconds)
}

/// Returns a move of members that takes as long as a run's.
fn member_move<T: Real>(sizes: &Sizes, localisation: &Localisation) -> MemberMove<T> {
    let (members, outputs) = (sizes.members, sizes.outputs);
    let (v, w) = (
        numbers::<T>(members, outputs),
        numbers::<T>(members, outputs),
    );
    let buffers = BufferPool::default();
    match localisation {
        Localisation::Near(reach) => {
            let gradients = match reach {
                Reach::Groups(groups) => {
                    let rows: Vec<usize> = groups.observations().collect();
                    Packed::of(v.select(Axis(1), &rows).view())
                }
                _ => Packed::of(v.view()),
            };
            let mixed = sizes.mixed;
            MemberMove::Near(Near::new(
                reach.clone(),
                gradients,
                w.view(),
                mixed,
                &buffers,
            ))
        }
        Localisation::Correlations(factor) => {
            let beside = factor.of_gain() && sizes.kind.with_gain();
            let beside = beside.then(|| Packed::of(w.t()));
            MemberMove::Factors {
                gradients: Packed::of(v.view()),
                anomalies: Packed::of(w.t()),
                correlations: Some(Correlations::new(w.view(), *factor, members, beside)),
            }
        }
    }
}
