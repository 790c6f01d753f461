//! Reusable buffers of numbers that begin at a cache line. In short steps, memory fresh from the system costs more than
//! the work on it.
//!
//! Written here because `Vec` and ndarray align to the element, not to the cache line.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use ndarray::Array2;

use crate::kernels::real::Real;

/// The size of a cache line in bytes.
pub const LINE_BYTES: usize = 64;

/// The number of single-precision numbers in a cache line.
pub const LINE: usize = LINE_BYTES / size_of::<f32>();

/// The largest number of elements that a slice loses to alignment.
pub const LOST: usize = LINE;

/// Returns `scratch` from its first cache line on. Vectors that straddle two lines take twice as long.
pub fn aligned<T>(scratch: &mut [T]) -> &mut [T] {
    let skip = scratch.as_ptr().align_offset(64).min(LOST);
    &mut scratch[skip..]
}

/// A buffer whose first number is at the start of a cache line.
#[derive(Debug)]
pub struct Aligned<T> {
    buffer: Vec<T>,
    first: usize,
    count: usize,
}

impl<T: Real> Aligned<T> {
    /// Aligns `buffer`: all its numbers but `LOST` of them are used.
    fn within(mut buffer: Vec<T>) -> Self {
        let (all, count) = (buffer.len(), buffer.len().saturating_sub(LOST));
        // Moving the vector does not move its memory.
        let first = all - aligned(&mut buffer).len();
        Self {
            buffer,
            first,
            count,
        }
    }

    /// Returns `count` zeros.
    #[must_use]
    pub fn zeros(count: usize) -> Self {
        Self::within(vec![T::zero(); count + LOST])
    }

    /// Returns the whole buffer, for `BufferPool::put`.
    #[must_use]
    pub fn into_buffer(self) -> Vec<T> {
        self.buffer
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[self.first..][..self.count]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.first..][..self.count]
    }
}

/// A pool of buffers that are free to be used again.
#[derive(Debug)]
pub struct BufferPool<T>(Mutex<Vec<Vec<T>>>);

impl<T> Default for BufferPool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Real> BufferPool<T> {
    /// Returns the number of free buffers.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.0.lock().expect("no thread panicked").len()
    }

    /// Returns `count` numbers of any value, in the smallest free buffer that is large enough.
    #[must_use]
    pub fn take(&self, count: usize) -> Vec<T> {
        let mut held = self.0.lock().expect("no thread panicked");
        let fits = (0..held.len()).filter(|&i| held[i].capacity() >= count);
        let smallest = fits.min_by_key(|&i| held[i].capacity());
        let mut numbers = smallest.map_or_else(Vec::new, |i| held.swap_remove(i));
        drop(held);
        numbers.resize(count, T::zero());
        numbers
    }

    /// Returns a `rows` x `columns` array of any values from the pool.
    #[must_use]
    pub fn array(&self, rows: usize, columns: usize) -> Array2<T> {
        let numbers = self.take(rows * columns);
        Array2::from_shape_vec((rows, columns), numbers).expect("as many numbers")
    }

    /// Returns `count` numbers of any value that begin at a cache line; give its `into_buffer` back to `put`.
    #[must_use]
    pub fn aligned(&self, count: usize) -> Aligned<T> {
        Aligned::within(self.take(LOST + count))
    }

    /// Gives `numbers` to the pool, to be used again.
    pub fn put(&self, numbers: Vec<T>) {
        self.0.lock().expect("no thread panicked").push(numbers);
    }

    /// Gives the memory of `array` to the pool, to be used again.
    pub fn put_array(&self, array: Array2<T>) {
        self.put(array.into_raw_vec_and_offset().0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The allocator may begin anywhere: of buffers of many sizes, some do not begin at a line.
    #[test]
    fn aligned_numbers_begin_at_a_line_and_leave_their_room_whole() {
        for count in 0..200 {
            let mut numbers = Aligned::<f32>::within(vec![1.0; count + LOST]);
            assert_eq!((numbers.as_ptr() as usize % 64, numbers.len()), (0, count));
            numbers.fill(2.0);
            let buffer = numbers.into_buffer();
            assert_eq!(buffer.len(), count + LOST);
            assert_eq!(buffer.iter().filter(|&&x| x == 2.0).count(), count);
        }
        assert_eq!(*Aligned::<f64>::zeros(3), [0.0; 3]);
    }

    #[test]
    fn room_is_used_again_where_it_fits() {
        let buffers = BufferPool::default();
        let (large, small) = (vec![1.0_f32; 100], vec![2.0_f32; 10]);
        let places = [large.as_ptr(), small.as_ptr()];
        buffers.put(large);
        buffers.put(small);
        let array = buffers.array(2, 5);
        assert_eq!((array.as_ptr(), array.dim()), (places[1], (2, 5)));
        let other = buffers.take(9);
        assert_eq!((other.as_ptr(), other.len()), (places[0], 9));
        assert_eq!(buffers.take(3), [0.0; 3]);
        buffers.put_array(array);
        let again = buffers.take(10);
        assert_eq!(again.as_ptr(), places[1]);
    }
}
