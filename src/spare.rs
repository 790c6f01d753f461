//! Room for numbers: from a cache line on, and arrays that a step is done with, kept for the next: in short steps, memory
//! fresh from the system costs more than the work on it.

use std::sync::Mutex;

use ndarray::Array2;

use crate::real::Real;

/// Numbers a slice may lose to alignment.
pub const LOST: usize = 16;

/// `scratch` from its first cache line on: vectors that straddle two lines take twice as long.
pub fn aligned<T>(scratch: &mut [T]) -> &mut [T] {
    let skip = scratch.as_ptr().align_offset(64).min(LOST);
    &mut scratch[skip..]
}

/// What is there to be used again.
#[derive(Debug)]
pub struct Spare<T>(Mutex<Vec<Vec<T>>>);

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Real> Spare<T> {
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

    /// Keeps `numbers` to be used again, whatever they are.
    pub fn keep(&self, numbers: Vec<T>) {
        self.0.lock().expect("no thread panicked").push(numbers);
    }

    /// The same of an array.
    pub fn keep_array(&self, array: Array2<T>) {
        self.keep(array.into_raw_vec_and_offset().0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_where_it_fits() {
        let spare = Spare::default();
        let (large, small) = (vec![1.0_f32; 100], vec![2.0_f32; 10]);
        let places = [large.as_ptr(), small.as_ptr()];
        spare.keep(large);
        spare.keep(small);
        let array = spare.array(2, 5);
        assert_eq!((array.as_ptr(), array.dim()), (places[1], (2, 5)));
        let other = spare.take(9);
        assert_eq!((other.as_ptr(), other.len()), (places[0], 9));
        assert_eq!(spare.take(3), [0.0; 3]);
        spare.keep_array(array);
        let again = spare.take(10);
        assert_eq!(again.as_ptr(), places[1]);
    }
}
