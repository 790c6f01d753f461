//! How fast this machine is, measured in a moment: the products, the forward map and the update of one thread while
//! all threads work.

use std::time::{Duration, Instant};

use ndarray::{Array2, Array3};
use rayon::ThreadPool;

use crate::eki::{self, Form, Survivors};
use crate::forward::ForwardMap;
use crate::panel::Packed;
use crate::partition::BLOCK;
use crate::real::{Real, product};
use crate::rng::{Key, Purpose};

/// How long each measurement repeats its work, in every thread at once.
const MOMENT: Duration = Duration::from_millis(120);

/// Flops a second of one thread in a product of 512 x 1024 by 1024 x 512.
#[must_use]
pub fn product_rate<T: Real>(pool: &ThreadPool) -> f64 {
    let (m, k, n) = (512, 1024, 512);
    let rates = pool.broadcast(|_| {
        let a = Array2::from_elem((m, k), T::of(0.5));
        let b = Array2::from_elem((k, n), T::of(0.25));
        let mut c = Array2::zeros((m, n));
        let seconds = best(|| product(c.view_mut(), T::zero(), T::one(), a.view(), b.view()));
        (2 * m * k * n) as f64 / seconds
    });
    mean(&rates)
}

/// Seconds of one thread for one member's forward pass on `samples` samples.
#[must_use]
pub fn forward_seconds<T: Real>(pool: &ThreadPool, map: &dyn ForwardMap<T>, samples: usize) -> f64 {
    let (group, parameters) = (map.group(), map.parameters());
    let mut deviations = vec![T::zero(); parameters];
    map.prior().deviations(0, 1.0, &mut deviations);
    let seconds = pool.broadcast(|_| {
        // Any numbers of the right size will do: halves of the deviations, of both signs.
        let sign = |i: usize| T::of(if i.is_multiple_of(3) { 0.5 } else { -0.25 });
        let members =
            Array2::from_shape_fn((group, parameters), |(i, p)| deviations[p] * sign(i + p));
        let inputs = Array2::from_shape_fn((map.features(), samples), |(i, j)| sign(i * j));
        let mut outputs = Array3::zeros((group, map.outputs(), samples));
        let mut scratch = vec![T::zero(); map.scratch(samples)];
        let mut arranged = vec![T::zero(); map.arranged(samples)];
        map.arrange(inputs.view(), &mut arranged);
        best(|| {
            map.evaluate_arranged(
                members.view(),
                inputs.view(),
                &arranged,
                outputs.view_mut(),
                &mut scratch,
            );
        })
    });
    mean(&seconds) / group as f64
}

/// Seconds of one thread for one normal draw.
#[must_use]
pub fn draw_seconds<T: Real>(pool: &ThreadPool) -> f64 {
    let seconds = pool.broadcast(|thread| {
        let key = Key {
            seed: 0,
            purpose: Purpose::Rerandomise,
            step: 0,
            member: thread.index() as u64,
            block: 0,
        };
        let mut numbers = [T::zero(); 64 * BLOCK];
        best(|| {
            numbers
                .chunks_mut(BLOCK)
                .for_each(|block| T::fill_normal(&key, block));
        }) / numbers.len() as f64
    });
    mean(&seconds)
}

/// Flops a second of one thread in the update of one block, at up to 2048 members and outputs.
#[must_use]
pub fn update_rate<T: Real>(
    pool: &ThreadPool,
    form: Form,
    members: usize,
    outputs: usize,
    width: usize,
) -> f64 {
    let (j, k) = (members.min(2048), outputs.min(2048));
    let survivors = Survivors::new(vec![true; j]);
    let small = |i: usize| T::of(((i % 7) as f64 - 3.0) * 1e-3);
    let rates = pool.broadcast(|_| {
        let mut u = Array2::from_shape_fn((j, width), |(a, b)| small(a + b));
        let mut scratch = vec![T::zero(); eki::update_scratch(form, j, k, width)];
        let seconds = match form {
            Form::Explicit => {
                let d = Packed::of(Array2::from_shape_fn((j, j), |(a, b)| small(a * b)).view());
                best(|| {
                    eki::update_explicit(&mut u, &d, 1e-3, &survivors, &mut scratch);
                })
            }
            _ => {
                let v = Packed::of(Array2::from_shape_fn((j, k), |(a, b)| small(a * b)).view());
                let w = Packed::of(Array2::from_shape_fn((k, j), |(a, b)| small(a + 2 * b)).view());
                best(|| {
                    eki::update_factored(&mut u, &v, &w, 1e-3, &survivors, &mut scratch);
                })
            }
        };
        let flops = match form {
            Form::Explicit => 2 * j * j * width,
            _ => 4 * j * k * width,
        };
        flops as f64 / seconds
    });
    mean(&rates)
}

/// The least seconds one call of `work` takes, called again and again for a moment after a first time.
fn best(mut work: impl FnMut()) -> f64 {
    work();
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    loop {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
        if begin.elapsed() > MOMENT {
            return best;
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
