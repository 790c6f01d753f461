//! Measures the seconds that one thread takes in each kernel of a step, at the step's sizes, while all threads do the
//! same.

use crate::ensemble::centre;
use crate::ensemble::transform;
use crate::method::norm;
use ndarray::{Array2, Array3, ArrayViewMut2, Axis};
use rayon::ThreadPool;

use super::{GainRates, Sizes, mean, usual};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::Form;
use crate::forward::ForwardMap;
use crate::forward::low_rank::{About, LowRank, UNIT};
use crate::kernels::buffers::{Aligned, BufferPool};
use crate::kernels::exact_sum::Quantum;
use crate::kernels::panel::{Packed, in_panels, to_panels};
use crate::kernels::real::{Real, inner, product};
use crate::kernels::rng::{Key, Purpose};
use crate::method;
use crate::method::anomalies;
use crate::method::gain;
use crate::method::gain::{Gain, SOLVED};
use crate::method::interaction_matrix::rows_of_d;
use crate::method::norm::TILE;
use crate::method::outputs::ROWS_PER_TASK;
use crate::parallel::partition::{DRAWN, OUTPUTS};

/// The largest number of members and of outputs at which kernels are measured; times of larger ones are scaled from
/// there.
const LARGEST: usize = 2048;

/// Returns a small number of either sign: the values don't matter.
fn small<T: Real>(i: usize) -> T {
    T::from_f64(((i % 7) as f64 - 3.0) * 1e-3)
}

/// Returns a `rows x columns` array of small numbers.
pub(super) fn numbers<T: Real>(rows: usize, columns: usize) -> Array2<T> {
    Array2::from_shape_fn((rows, columns), |(i, j)| small(i + 2 * j))
}

/// Returns the seconds of the forward pass of one group of members on `samples` samples, with parameters read from
/// memory.
pub(super) fn group_seconds<T: Real>(
    pool: &ThreadPool,
    map: &dyn ForwardMap<T>,
    samples: usize,
) -> f64 {
    let (group, parameters) = (map.group(), map.parameters());
    let mut deviations = vec![T::zero(); parameters];
    map.prior().deviations(0, 1.0, &mut deviations);
    let seconds = pool.broadcast(|_| {
        // Halves of the prior deviations, of both signs.
        let sign = |i: usize| T::from_f64(if i.is_multiple_of(3) { 0.5 } else { -0.25 });
        let count = (64 << 20) / (group * parameters * size_of::<T>()) + 1;
        let stored = Array2::from_shape_fn((count.min(64) * group, parameters), |(i, p)| {
            deviations[p] * sign(i + p)
        });
        let inputs = Array2::from_shape_fn((map.features(), samples), |(i, j)| sign(i * j));
        let mut members = Array2::zeros((group, parameters));
        let mut outputs = Array3::zeros((group, map.outputs(), samples));
        let mut scratch = vec![T::zero(); map.scratch(samples)];
        let mut arranged = vec![T::zero(); map.arranged(samples)];
        map.arrange(inputs.view(), &mut arranged);
        let mut next = stored.axis_chunks_iter(Axis(0), group).cycle();
        usual(|| {
            members.assign(&next.next().expect("a group"));
            map.evaluate_arranged(
                members.view(),
                inputs.view(),
                &arranged,
                outputs.view_mut(),
                &mut scratch,
            );
        })
    });
    mean(&seconds)
}

/// Returns the seconds of low-rank members: of the part that all members share, of one unit's forward pass, and of one
/// unit's part of the mean's move.
pub(super) fn low_rank_seconds<T: Real>(
    pool: &ThreadPool,
    map: &dyn LowRank<T>,
    samples: usize,
    rank: usize,
) -> [f64; 3] {
    let measured = pool.broadcast(|_| {
        let draws = numbers::<T>(UNIT, map.draws(rank));
        let inputs = numbers::<T>(map.features(), samples);
        let centre = numbers::<T>(1, map.parameters());
        let centre = centre.as_slice().expect("one row");
        let mut shared = vec![T::zero(); map.shared(samples)];
        let sharing = usual(|| map.share(centre, inputs.view(), &mut shared));
        let about = About {
            centre,
            shared: &shared,
            spread: 1.0,
            rank,
        };
        let mut scratch = vec![T::zero(); map.low_rank_scratch(UNIT, samples, rank)];
        let (draws, inputs) = (draws.view(), inputs.view());
        let unit = usual(|| {
            map.evaluate_low_rank(&about, draws, inputs, &mut scratch, &mut |_, _| ());
        });
        let (coefficients, quantum) = ([T::one(); UNIT], Quantum::new(1e3, UNIT));
        let mut sums = vec![0.0; map.parameters()];
        let sum = usual(|| {
            for (part, (at, length)) in map.parts().into_iter().enumerate() {
                let (draws, sums) = ((draws, rank), &mut sums[at..at + length]);
                map.accumulate(part, draws, &coefficients, quantum, sums, &mut scratch);
            }
        });
        [sharing, unit, sum]
    });
    [0, 1, 2].map(|i| measured.iter().map(|m| m[i]).sum::<f64>() / measured.len() as f64)
}

/// Returns the seconds of one normal draw; if `summed`, including its part of an order-independent exact sum.
pub(super) fn draw_seconds<T: Real>(pool: &ThreadPool, summed: bool) -> f64 {
    let quantum = Quantum::new(1e3, DRAWN);
    let seconds = pool.broadcast(|thread| {
        let key = |block| Key {
            seed: 0,
            purpose: Purpose::Rerandomise,
            step: 0,
            member: thread.index() as u64,
            block,
        };
        let (mut numbers, mut sums) = ([T::zero(); DRAWN], [0.0; DRAWN]);
        let mut block = 0;
        usual(|| {
            block += 1;
            T::fill_normal(&key(block), 0, &mut numbers);
            if summed {
                for (sum, xi) in sums.iter_mut().zip(&numbers) {
                    *sum += quantum.round(0.3 * xi.as_f64());
                }
            }
            std::hint::black_box((&mut numbers, &mut sums));
        }) / DRAWN as f64
    });
    mean(&seconds)
}

/// Returns the seconds per output that enters D: for the mean over members, and for mean, gradient and anomaly
/// together.
pub(super) fn output_seconds<T: Real>(pool: &ThreadPool, sizes: &Sizes) -> (f64, f64) {
    let (j, k) = (sizes.members.min(LARGEST), sizes.outputs.min(OUTPUTS));
    let survivors = Survivors::new(vec![true; j]);
    let measured = pool.broadcast(|_| {
        let mut outputs = Array2::from_elem((j, k), T::from_f64(0.1));
        let mut gradients = Array2::zeros((j, k));
        let y = vec![T::one(); k];
        let means = usual(|| {
            std::hint::black_box(centre::column_means(outputs.view(), &survivors));
        });
        let all = usual(|| {
            let (w, v) = (outputs.view_mut(), gradients.view_mut());
            anomalies::anomalies_and_gradients(w, v, &y, 0, sizes.loss, &survivors);
        });
        (means, all)
    });
    let count = (j * k * measured.len()) as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| measured.iter().map(of).sum::<f64>() / count;
    (sum(|m| m.0), sum(|m| m.1))
}

/// Returns the seconds of one output's square in the sum that decides whether its member failed.
pub(super) fn square_seconds<T: Real>(pool: &ThreadPool) -> f64 {
    let seconds = pool.broadcast(|_| {
        let outputs = numbers::<T>(1, 1 << 16);
        usual(|| {
            let outputs = outputs.as_slice().expect("row-major");
            let sum = inner(outputs, outputs);
            std::hint::black_box(sum);
        }) / outputs.len() as f64
    });
    mean(&seconds)
}

/// Returns the seconds of one full tile of the factored ||D||.
pub(super) fn tile_seconds<T: Real>(pool: &ThreadPool, sizes: &Sizes) -> f64 {
    let (j, k) = (sizes.members.min(LARGEST), sizes.outputs.min(LARGEST));
    let seconds = pool.broadcast(|_| {
        let (v, w) = (numbers::<T>(j, k), numbers::<T>(j, k));
        let mut scratch = Vec::new();
        // Off the diagonal if there is such a tile: most tiles are.
        let last = norm::norm_tiles(j, k).into_iter().find(|(a, b)| a != b);
        let tile = last.unwrap_or((0, 0));
        usual(|| {
            std::hint::black_box(norm::norm_tile(v.view(), w.view(), tile, &mut scratch));
        })
    });
    let (short, long) = (j.min(k), j.max(k));
    let whole = TILE as f64 / TILE.min(short) as f64;
    let longer = sizes.members.max(sizes.outputs) as f64 / long as f64;
    mean(&seconds) * whole * whole * longer
}

/// Returns the seconds of one panel of rows of D from one full block of samples: its product, rounded and summed.
pub(super) fn panel_seconds<T: Real>(pool: &ThreadPool, sizes: &Sizes) -> f64 {
    let j = sizes.members.min(LARGEST);
    let quantum = Quantum::new(1.0, OUTPUTS);
    let seconds = pool.broadcast(|_| {
        let (v, w) = (
            numbers::<T>(ROWS_PER_TASK, OUTPUTS),
            numbers::<T>(j, OUTPUTS),
        );
        let mut partial = Array2::zeros((ROWS_PER_TASK, j));
        let mut sums = vec![0.0_f64; ROWS_PER_TASK * j];
        usual(|| {
            product(partial.view_mut(), T::zero(), T::one(), v.view(), w.t());
            for (sum, &term) in sums.iter_mut().zip(&partial) {
                *sum += quantum.round(term.as_f64());
            }
        })
    });
    mean(&seconds) * sizes.members as f64 / j as f64
}

/// Returns the seconds of one panel of rows of D from all outputs.
pub(super) fn rows_seconds<T: Real>(pool: &ThreadPool, sizes: &Sizes) -> f64 {
    let (j, k) = (sizes.members.min(LARGEST), sizes.outputs.min(LARGEST));
    let seconds = pool.broadcast(|_| {
        let (v, mut w) = (
            numbers::<T>(ROWS_PER_TASK, k),
            Aligned::zeros(in_panels(k, j)),
        );
        to_panels(numbers::<T>(k, j).view(), &mut w);
        let (mut out, mut squares) = (vec![T::zero(); ROWS_PER_TASK * j], vec![0.0; ROWS_PER_TASK]);
        let buffers = BufferPool::default();
        usual(|| {
            rows_of_d(
                v.view(),
                (&w, j),
                T::one(),
                (&mut out, &mut squares),
                &buffers,
            );
        })
    });
    let scale = |whole: usize, part: usize| whole as f64 / part as f64;
    mean(&seconds) * scale(sizes.members, j) * scale(sizes.outputs, k)
}

/// Returns the seconds of the parts of the Kalman gain; `side` is the side of the matrix that is factored.
pub(super) fn gain_seconds(pool: &ThreadPool, sizes: &Sizes, side: usize) -> GainRates {
    let n = side.min(LARGEST);
    let (long, all) = (
        sizes.members.max(sizes.outputs).min(LARGEST),
        sizes.members.max(sizes.outputs),
    );
    let rows = SOLVED.min(n);
    let factor = Gain::new(Array2::eye(n), 1.0, pool).expect("finite numbers");
    let measured = pool.broadcast(|_| {
        let x = numbers::<f64>(n, long);
        let mut gram = Array2::zeros((rows, n));
        // The rows in the middle are as long as the average row.
        let middle = (n - rows) / 2;
        let of_gram = usual(|| gain::gram_rows(x.view(), middle, gram.view_mut()));
        let mut solved = vec![1.0; rows * n];
        (of_gram, usual(|| factor.apply(&mut solved)))
    });
    let of_mean = |of: fn(&(f64, f64)) -> f64| {
        let seconds: Vec<f64> = measured.iter().map(of).collect();
        mean(&seconds)
    };
    let larger = side as f64 / n as f64;
    let method = method::of::<f64>(sizes.kind, sizes.form);
    let factor_seconds = |n: usize| {
        let matrix = Array2::from_shape_fn((n, n), |(i, j)| {
            (1.0 + i.abs_diff(j) as f64).powi(-2) + f64::from(u8::from(i == j))
        });
        usual(|| {
            std::hint::black_box(method.factor(matrix.clone(), pool));
        })
    };
    let whole = factor_seconds(n);
    GainRates {
        gram: of_mean(|m| m.0) * larger * all as f64 / long as f64,
        factor: match side > n {
            true => extrapolated((factor_seconds(n / 2), whole), larger),
            false => whole,
        },
        solved: of_mean(|m| m.1) * larger.powi(2),
    }
}

/// Returns the seconds of a factorisation of a side so many times `larger` than that of n rows, from those of n/2 and n rows: larger
/// matrices are factored at a higher rate, so that the seconds are taken as a n^3 + b n^2, a and b at least 0.
fn extrapolated((half, whole): (f64, f64), larger: f64) -> f64 {
    // In units of n: half = a/8 + b/4, whole = a + b.
    let a = (2.0 * whole - 8.0 * half).clamp(0.0, whole);
    a * larger.powi(3) + (whole - a) * larger.powi(2)
}

/// Returns the seconds of the update of one block of `width` columns. Long because it prepares the operands of both forms.
pub(super) fn block_seconds<T: Real>(pool: &ThreadPool, sizes: &Sizes, width: usize) -> f64 {
    let (j, k) = (sizes.members.min(LARGEST), sizes.outputs.min(LARGEST));
    let survivors = Survivors::new(vec![true; j]);
    let form = sizes.form;
    let seconds = pool.broadcast(|_| {
        // Alternates between blocks, so that each is read from memory.
        let count = (48 << 20) / (j * width * size_of::<T>()) + 1;
        let block = || {
            let mut block = Aligned::zeros(j * width);
            block.copy_from_slice(numbers::<T>(j, width).as_slice().expect("row-major"));
            block
        };
        let mut blocks: Vec<_> = (0..count.min(64)).map(|_| block()).collect();
        let mut scratch = vec![T::zero(); transform::update_scratch(form, j, k, width)];
        let packed = |rows, columns| {
            Packed::of(numbers::<T>(rows, columns).view())
                .paired_if(sizes.mixed, &BufferPool::default())
        };
        let (v, w) = match form {
            Form::Explicit => (packed(j, j), packed(0, 0)),
            _ => (packed(j, k), packed(k, j)),
        };
        let mut next = 0;
        usual(|| {
            let block = &mut *blocks[next];
            let block = &mut ArrayViewMut2::from_shape((j, width), block).expect("a block");
            next = (next + 1) % count.min(64);
            match form {
                Form::Explicit => {
                    transform::update_explicit(block, &v, 1e-3, &survivors, &mut scratch);
                }
                _ => {
                    transform::update_factored(block, (&v, &w), 1e-3, &survivors, &mut scratch);
                }
            }
        })
    });
    let scale = |whole: usize, part: usize| whole as f64 / part as f64;
    let by_members = scale(sizes.members, j);
    let other = match form {
        Form::Explicit => by_members,
        _ => scale(sizes.outputs, k),
    };
    mean(&seconds) * by_members * other
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand with 3 n^3 + 2 n^2 at n = 1/2 and 1: 7/8 and 5; at 2 it is 32. Noise leaves it between a square and a cube.
    #[test]
    fn larger_factorisations_are_extrapolated_by_a_cube_and_a_square() {
        assert_eq!(extrapolated((0.875, 5.0), 2.0), 32.0);
        assert_eq!(extrapolated((0.1, 5.0), 2.0), 40.0);
        assert_eq!(extrapolated((9.0, 5.0), 2.0), 20.0);
    }
}
