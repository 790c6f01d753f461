//! ||D||_F without D: the tiles of ||V W^T||_F^2, of which ranks and threads take whole ones.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::kernels::real::{Real, product};
use crate::kernels::threads::for_each;
use crate::method::outputs::Outputs;
use crate::parallel::comm::Comm;
use crate::parallel::partition::Partition;
use rayon::ThreadPool;
use std::sync::Mutex;

/// The width of a tile of ||V W^T||_F^2; part of the format.
pub const TILE: usize = 256;

/// Returns the tiles whose `norm_tile`s sum to ||V W^T||_F^2 for V and W, J x K; they and their order depend on J and K alone.
///
/// Where K <= J they are pairs a <= b of the K x K matrices of <V^T V, W^T W>_F, else all pairs of V W^T itself.
#[must_use]
pub fn norm_tiles(members: usize, outputs: usize) -> Vec<(usize, usize)> {
    let count = members.min(outputs).div_ceil(TILE);
    let least = |a| if outputs <= members { a } else { 0 };
    (0..count)
        .flat_map(|a| (least(a)..count).map(move |b| (a, b)))
        .collect()
}

/// One tile's part of ||V W^T||_F^2 = <V^T V, W^T W>_F. An off-diagonal tile of the latter stands for its mirror image
/// too.
#[must_use]
pub fn norm_tile<T: Real>(
    v: ArrayView2<T>,
    w: ArrayView2<T>,
    (a, b): (usize, usize),
    scratch: &mut Vec<T>,
) -> f64 {
    let (members, outputs) = v.dim();
    scratch.resize(2 * TILE * TILE, T::zero());
    let (first, second) = scratch.split_at_mut(TILE * TILE);
    let inner =
        |x: &[T], y: &[T]| -> f64 { x.iter().zip(y).map(|(x, y)| x.as_f64() * y.as_f64()).sum() };
    if outputs > members {
        let entries = rows_product(v, a, w, b, first);
        return inner(entries, entries);
    }
    let of_v = rows_product(v.t(), a, v.t(), b, first);
    let of_w = rows_product(w.t(), a, w.t(), b, second);
    let sum = inner(of_v, of_w);
    if a == b { sum } else { 2.0 * sum }
}

/// Returns the products of the rows in tile `a` of x with those in tile `b` of y, in `out`.
fn rows_product<'o, T: Real>(
    x: ArrayView2<T>,
    a: usize,
    y: ArrayView2<T>,
    b: usize,
    out: &'o mut [T],
) -> &'o [T] {
    let rows = |tile: usize| tile * TILE..((tile + 1) * TILE).min(x.nrows());
    let (m, n) = (rows(a).len(), rows(b).len());
    let out = &mut out[..m * n];
    product(
        ArrayViewMut2::from_shape((m, n), &mut *out).expect("scratch"),
        T::zero(),
        T::one(),
        x.slice(s![rows(a), ..]),
        y.slice(s![rows(b), ..]).t(),
    );
    out
}

impl<T: Real> Outputs<'_, T> {
    /// ||V W^T||_F / J from tiles that ranks and threads share out.
    pub(crate) fn factored_norm(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        v: &Array2<T>,
        w: &Array2<T>,
    ) -> f64 {
        let tiles = norm_tiles(v.nrows(), v.ncols());
        let own = Partition::new(tiles.len(), comm.size()).range(comm.rank());
        let mut parts = vec![0.0; tiles.len()];
        let scratch: Vec<Mutex<Vec<T>>> = (0..pool.current_num_threads())
            .map(|_| Mutex::new(self.buffers.take(0)))
            .collect();
        for_each(
            pool,
            parts[own.clone()].iter_mut().zip(&tiles[own]),
            |thread, (part, &tile)| {
                *part = norm_tile(
                    v.view(),
                    w.view(),
                    tile,
                    &mut scratch[thread].lock().expect("one thread each"),
                );
            },
        );
        for room in scratch {
            self.buffers
                .put(room.into_inner().expect("no thread panicked"));
        }
        // Every part is zero but on the rank that computed it: the sum is exact.
        comm.sum_exact(&mut parts);
        parts.iter().sum::<f64>().max(0.0).sqrt() / self.survivors.count() as f64
    }
}
