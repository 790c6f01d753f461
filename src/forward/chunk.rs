//! What the networks that run over chunks of samples share: the copies in and out, d x m to d x samples and back.

use ndarray::{ArrayView2, ArrayViewMut2};

use crate::kernels::real::Real;
use crate::kernels::window::{CHUNK, FULL};

/// The chunks of `m` samples: first sample, how many, and how many with those that fill the last vector.
pub fn chunks(m: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..m).step_by(CHUNK).map(move |first| {
        let count = CHUNK.min(m - first);
        (first, count, count.next_multiple_of(FULL))
    })
}

/// Samples `first..first + count` of the rows of `from` into rows of `samples`, zeros beyond.
pub fn copy_in<T: Real>(from: ArrayView2<T>, chunk: (usize, usize, usize), to: &mut [T]) {
    let (first, count, samples) = chunk;
    for (from, to) in from.rows().into_iter().zip(to.chunks_exact_mut(samples)) {
        let (there, beyond) = to.split_at_mut(count);
        match from.as_slice() {
            Some(from) => there.copy_from_slice(&from[first..first + count]),
            None => {
                let from = from.iter().skip(first);
                there.iter_mut().zip(from).for_each(|(to, &x)| *to = x);
            }
        }
        beyond.fill(T::zero());
    }
}

/// Rows of `samples` back to samples `first..first + count` of the rows of `to`.
pub fn copy_out<T: Real>(from: &[T], chunk: (usize, usize, usize), mut to: ArrayViewMut2<T>) {
    let (first, count, samples) = chunk;
    for (from, mut to) in from.chunks_exact(samples).zip(to.rows_mut()) {
        let to = to.as_slice_mut().expect("samples are consecutive");
        to[first..first + count].copy_from_slice(&from[..count]);
    }
}
