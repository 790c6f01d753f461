//! How fast this machine is, measured in a moment: the kernels of a step on one thread while all threads work, and the
//! network between ranks.

mod kernels;
mod network;

use std::time::{Duration, Instant};

use ndarray::Array2;
use rayon::ThreadPool;

pub use network::Network;

use crate::ensemble::transform::Form;
use crate::kernels::buffers::{Aligned, BufferPool};
use crate::kernels::panel::{PANEL, Packed, Target, in_panels, multiply};
use crate::kernels::real::{Real, product};
use crate::method::loss::Loss;
use crate::method::outputs::by_rows;
use crate::parallel::partition::BLOCK;
use crate::run::layer_blocks::LayerSchedule;

/// How long each measurement repeats its work, in every thread at once.
const MOMENT: Duration = Duration::from_millis(120);

/// Flops a second of one thread in a product of 512 x 1024 by 1024 x 512; of bfloat16 where it is `mixed`.
#[must_use]
pub fn product_rate<T: Real>(pool: &ThreadPool, mixed: bool) -> f64 {
    let (m, k, n) = (512, 1024, 512);
    let rates = pool.broadcast(|_| {
        let a = Array2::from_elem((m, k), T::from_f64(0.5));
        let b = Array2::from_elem((k, n), T::from_f64(0.25));
        let mut c = Array2::zeros((m, n));
        let seconds = if mixed {
            let a = Packed::of(a.view()).paired(&BufferPool::default());
            let mut panels = Aligned::zeros(in_panels(k, n));
            panels.fill(T::from_f64(0.25));
            T::pair_rows::<PANEL>(&mut panels, k);
            let mut target = Target {
                numbers: c.as_slice_mut().expect("row-major"),
                panel: PANEL,
                row: n,
                columns: n,
            };
            best(|| multiply(&a, &panels, false, T::one(), &mut target))
        } else {
            best(|| product(c.view_mut(), T::zero(), T::one(), a.view(), b.view()))
        };
        (2 * m * k * n) as f64 / seconds
    });
    mean(&rates)
}

/// What a step is made of, in seconds of one thread while all threads do the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Flops a second of a large product.
    pub product: f64,
    /// Bytes a second of a copy.
    pub copy: f64,
    /// One group of members through the forward map; of low-rank members, one unit.
    pub group: f64,
    /// What all low-rank members share of the forward map.
    pub shared: f64,
    /// One unit's share of the mean's move, of low-rank members.
    pub unit_sum: f64,
    /// One normal number.
    pub draw: f64,
    /// One normal number, times a coefficient, rounded and added to a sum.
    pub summed_draw: f64,
    /// The update of one block of columns.
    pub block: f64,
    /// One output: its part of the mean over members.
    pub mean: f64,
    /// One output: mean, gradient and anomaly.
    pub gradient: f64,
    /// One output: its square, in double precision.
    pub square: f64,
    /// One tile of the factored ||D||.
    pub tile: f64,
    /// One panel of rows of D; by samples, from one block of these.
    pub panel: f64,
    /// The Kalman gain.
    pub gain: GainRates,
}

/// Seconds of the Kalman gain's parts: groups of rows by one thread while all threads do the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct GainRates {
    /// A group of rows of the Gram matrix.
    pub gram: f64,
    /// The factor, by all threads.
    pub factor: f64,
    /// A group of rows that is solved for.
    pub solved: f64,
}

/// What is measured: the sizes that kernels see at a step.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    /// Members J.
    pub members: usize,
    /// Outputs K.
    pub outputs: usize,
    /// Samples m.
    pub samples: usize,
    /// The form of the update.
    pub form: Form,
    /// The rank of the draws, where members are of low rank.
    pub low_rank: Option<usize>,
    /// Whether products are of bfloat16.
    pub mixed: bool,
    /// The side of the matrix that the Kalman gain factors, where there is one.
    pub gain: Option<usize>,
    /// The loss whose gradients enter D.
    pub loss: &'a Loss,
}

impl Rates {
    /// Measured on the threads of `pool`, all of them at once.
    #[must_use]
    pub fn measure<T: Real>(pool: &ThreadPool, turns: &LayerSchedule<T>, sizes: &Sizes) -> Self {
        let map = turns.whole();
        let mut rates = Self {
            product: product_rate::<T>(pool, sizes.mixed),
            copy: copy_rate(pool),
            draw: kernels::draw_seconds::<T>(pool, false),
            summed_draw: kernels::draw_seconds::<T>(pool, true),
            square: kernels::square_seconds::<T>(pool),
            ..Self::default()
        };
        (rates.mean, rates.gradient) = kernels::output_seconds::<T>(pool, sizes);
        match (sizes.low_rank, map.low_rank()) {
            (Some(rank), Some(low)) => {
                [rates.shared, rates.group, rates.unit_sum] =
                    kernels::low_rank_seconds(pool, low, sizes.samples, rank);
            }
            _ => {
                rates.group = turns.mean(|map, _| kernels::group_seconds(pool, map, sizes.samples));
            }
        }
        match sizes.form {
            Form::Explicit => {
                let by_rows = by_rows(sizes.members, sizes.outputs);
                rates.panel = match (by_rows, sizes.gain) {
                    (true, None) => kernels::rows_seconds::<T>(pool, sizes),
                    (true, Some(_)) => 0.0, // the gain's own rows are all there is
                    (false, None) => kernels::panel_seconds::<T>(pool, sizes),
                    (false, Some(_)) => kernels::panel_seconds::<f64>(pool, sizes),
                };
            }
            _ => rates.tile = kernels::tile_seconds::<T>(pool, sizes),
        }
        if let Some(side) = sizes.gain {
            rates.gain = kernels::gain_seconds(pool, sizes, side);
        }
        if sizes.form != Form::Mean {
            rates.block = kernels::block_seconds::<T>(pool, sizes, BLOCK.min(map.parameters()));
        }
        rates
    }
}

/// Bytes a second of one thread's copy of what no cache holds.
fn copy_rate(pool: &ThreadPool) -> f64 {
    let rates = pool.broadcast(|_| {
        let from = vec![1_u8; 24 << 20];
        let mut to = vec![0_u8; from.len()];
        from.len() as f64 / usual(|| to.copy_from_slice(&from))
    });
    mean(&rates)
}

/// The least seconds one call of `work` takes, called again and again for a moment after a first time.
fn best(work: impl FnMut()) -> f64 {
    calls(work).into_iter().fold(f64::INFINITY, f64::min)
}

/// The mean seconds of one call of `work` in a moment after a first time: what other work on the machine takes from a
/// run, it takes from this too.
fn usual(work: impl FnMut()) -> f64 {
    mean(&calls(work))
}

/// The seconds of each call.
fn calls(mut work: impl FnMut()) -> Vec<f64> {
    work();
    let (begin, mut calls) = (Instant::now(), Vec::new());
    loop {
        let start = Instant::now();
        work();
        calls.push(start.elapsed().as_secs_f64());
        if begin.elapsed() > MOMENT {
            return calls;
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
