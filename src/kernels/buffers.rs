//! Room for numbers: from a cache line on, and arrays that a step is done with, kept for the next: in short steps, memory
//! fresh from the system costs more than the work on it.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use ndarray::Array2;

use crate::kernels::real::Real;

/// Bytes of a cache line, which a processor fetches at once.
pub const LINE_BYTES: usize = 64;

/// Numbers of a cache line in single precision.
pub const LINE: usize = LINE_BYTES / size_of::<f32>();

/// Numbers a slice may lose to alignment.
pub const LOST: usize = LINE;

/// `scratch` from its first cache line on: vectors that straddle two lines take twice as long.
pub fn aligned<T>(scratch: &mut [T]) -> &mut [T] {
    let skip = scratch.as_ptr().align_offset(64).min(LOST);
    &mut scratch[skip..]
}

/// Numbers that begin at a cache line, wherever the room they stand in begins.
#[derive(Debug)]
pub struct Aligned<T> {
    room: Vec<T>,
    first: usize,
    count: usize,
}

impl<T: Real> Aligned<T> {
    /// The numbers of `room`, all but `LOST` of them.
    fn within(mut room: Vec<T>) -> Self {
        let (all, count) = (room.len(), room.len().saturating_sub(LOST));
        // The room stays where it is, wherever this goes.
        let first = all - aligned(&mut room).len();
        Self { room, first, count }
    }

    /// So many zeros.
    #[must_use]
    pub fn zeros(count: usize) -> Self {
        Self::within(vec![T::zero(); count + LOST])
    }

    /// The room they stood in.
    #[must_use]
    pub fn into_room(self) -> Vec<T> {
        self.room
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.room[self.first..][..self.count]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.room[self.first..][..self.count]
    }
}

/// What is there to be used again.
#[derive(Debug)]
pub struct BufferPool<T>(Mutex<Vec<Vec<T>>>);

impl<T> Default for BufferPool<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Real> BufferPool<T> {
    /// How many arrays there are.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.0.lock().expect("no thread panicked").len()
    }

    /// `count` numbers of any value, in the smallest room there is for them.
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

    /// The same, `rows` x `columns`.
    #[must_use]
    pub fn array(&self, rows: usize, columns: usize) -> Array2<T> {
        let numbers = self.take(rows * columns);
        Array2::from_shape_vec((rows, columns), numbers).expect("as many numbers")
    }

    /// The same from a cache line on; `keep` takes its `into_room`.
    #[must_use]
    pub fn aligned(&self, count: usize) -> Aligned<T> {
        Aligned::within(self.take(LOST + count))
    }

    /// Keeps `numbers` to be used again, whatever they are.
    pub fn put(&self, numbers: Vec<T>) {
        self.0.lock().expect("no thread panicked").push(numbers);
    }

    /// The same of an array.
    pub fn put_array(&self, array: Array2<T>) {
        self.put(array.into_raw_vec_and_offset().0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever the allocator begins: of rooms of many sizes, some do not begin at a line.
    #[test]
    fn aligned_numbers_begin_at_a_line_and_leave_their_room_whole() {
        for count in 0..200 {
            let mut numbers = Aligned::<f32>::within(vec![1.0; count + LOST]);
            assert_eq!((numbers.as_ptr() as usize % 64, numbers.len()), (0, count));
            numbers.fill(2.0);
            let room = numbers.into_room();
            assert_eq!(room.len(), count + LOST);
            assert_eq!(room.iter().filter(|&&x| x == 2.0).count(), count);
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
