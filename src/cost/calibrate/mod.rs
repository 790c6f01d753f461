//! Measures the speed of this machine within seconds: the kernels of a step on one thread while all threads work, and
//! the network between ranks.

mod kernels;
mod localised;
mod network;

use std::time::{Duration, Instant};

use ndarray::Array2;
use rayon::ThreadPool;

pub use network::Network;

use crate::config::MethodKind;
use crate::ensemble::localisation::Localisation;
use crate::ensemble::transform::Form;
use crate::kernels::buffers::{Aligned, BufferPool};
use crate::kernels::panel::{PANEL, Packed, Target, in_panels, multiply};
use crate::kernels::real::{Real, product};
use crate::method::loss::Loss;
use crate::method::outputs::by_rows;
use crate::parallel::partition::Blocks;
use crate::run::layer_blocks::LayerSchedule;

/// The time for which each measurement repeats its work, on all threads at once.
const MOMENT: Duration = Duration::from_millis(120);

/// Returns the flops per second of one thread in a product of 512 x 1024 by 1024 x 512, of bfloat16 if `mixed`.
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

/// The measured rates of the parts of a step. Times are seconds of one thread while all threads do the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// The flops per second of a large product.
    pub product: f64,
    /// The bytes per second of a copy.
    pub copy: f64,
    /// The forward map for one group of members; with low-rank members, for one unit.
    pub group: f64,
    /// The part of the forward map that all low-rank members share.
    pub shared: f64,
    /// The part of one unit of low-rank members in the mean's move.
    pub unit_sum: f64,
    /// One normal draw.
    pub draw: f64,
    /// One normal draw, multiplied by a coefficient, rounded and added to a sum.
    pub summed_draw: f64,
    /// The update of one block of columns.
    pub block: f64,
    /// One output's part of the mean over members.
    pub mean: f64,
    /// The mean, gradient and anomaly of one output.
    pub gradient: f64,
    /// The square of one output, in double precision.
    pub square: f64,
    /// One tile of the factored ||D||.
    pub tile: f64,
    /// One panel of rows of D; with D summed by samples, from one block of samples.
    pub panel: f64,
    /// The parts of the Kalman gain.
    pub gain: GainRates,
}

/// The seconds of the parts of the Kalman gain; for groups of rows, of one thread while all threads do the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct GainRates {
    /// One group of rows of the Gram matrix.
    pub gram: f64,
    /// The factorisation, on all threads.
    pub factor: f64,
    /// One group of rows of the solution.
    pub solved: f64,
}

/// The sizes at which the kernels are measured: those of a step.
#[derive(Clone, Debug)]
pub struct Sizes<'a> {
    /// The number J of members.
    pub members: usize,
    /// The number K of outputs.
    pub outputs: usize,
    /// The number m of samples.
    pub samples: usize,
    /// The kind of method.
    pub kind: MethodKind,
    /// The form of the update.
    pub form: Form,
    /// The rank of the draws, if members are of low rank.
    pub low_rank: Option<usize>,
    /// True if products are of bfloat16.
    pub mixed: bool,
    /// The side of the matrix that is factored for the Kalman gain, if there is one.
    pub gain: Option<usize>,
    /// The loss whose gradients enter D.
    pub loss: &'a Loss,
    /// The localisation, if any.
    pub localisation: Option<Localisation>,
}

impl Rates {
    /// Measures the rates on all threads of `pool` at once.
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

                    (true, Some(_)) => 0.0, // the rows of the gain are counted in `gain`
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
            let blocks = Blocks::new(map.parameters());
            rates.block = match &sizes.localisation {
                Some(localisation) => {
                    localised::block_seconds::<T>(pool, sizes, localisation, blocks)
                }
                None => kernels::block_seconds::<T>(pool, sizes, blocks.range(0).len()),
            };
        }
        rates
    }
}

/// Returns the bytes per second of one thread's copy of data too large for any cache.
fn copy_rate(pool: &ThreadPool) -> f64 {
    let rates = pool.broadcast(|_| {
        let from = vec![1_u8; 24 << 20];
        let mut to = vec![0_u8; from.len()];
        from.len() as f64 / usual(|| to.copy_from_slice(&from))
    });
    mean(&rates)
}

/// Returns the least seconds of a call of `work`, repeated for `MOMENT` after a first call.
fn best(work: impl FnMut()) -> f64 {
    calls(work).into_iter().fold(f64::INFINITY, f64::min)
}

/// Returns the mean seconds of a call of `work`, repeated for `MOMENT` after a first call. Other work on the machine
/// slows this as it slows a run.
fn usual(work: impl FnMut()) -> f64 {
    mean(&calls(work))
}

/// Returns the seconds of each call of `work`.
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
