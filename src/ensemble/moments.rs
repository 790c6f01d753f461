//! What the mean's move remembers beside momentum: second moments that scale it, and its average over steps.
//!
//! ```text
//! s_n = b s_{n-1} + (1 - b) r_n^2                        r: the move in units of the prior's deviation and of h
//! move = h r_n / (sqrt(s_n / (1 - b^n)) + 1e-8)
//! a_n = a_{n-1} + (1 - min(c, n / (n + 9))) (m_n - a_{n-1})   m: the mean
//! ```
//!
//! Hinton's RMSprop with the start corrected as in Kingma & Ba (arXiv:1412.6980); averaging: Polyak & Juditsky, SIAM J.
//! Control Optim. 30 (1992) 838, with weights that forget. These extend the publication.

use crate::kernels::real::Real;

/// Keeps a move finite where it always was 0.
const LEAST: f64 = 1e-8;

/// The decay of the second moments b and of the average c; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanAveraging {
    /// b.
    pub second: f64,
    /// c.
    pub average: f64,
}

impl MeanAveraging {
    /// Returns the weight of a second moment after step `n`, from 1: 1 - b^n.
    #[must_use]
    pub fn filled(self, n: u64) -> f64 {
        1.0 - self.second.powf(n as f64)
    }

    /// One parameter's move in units of h, `filled` being that of its step; brings its second moment `held` up to date.
    #[inline(always)]
    pub fn scale<T: Real>(self, filled: f64, raw: f64, held: &mut T) -> f64 {
        let second = self.second * held.as_f64() + (1.0 - self.second) * raw * raw;
        *held = T::from_f64(second);
        raw / ((second / filled).sqrt() + LEAST)
    }

    /// Takes the mean after step `n`, from 1, up into its average.
    pub fn average<T: Real>(self, n: u64, mean: &[T], average: &mut [T]) {
        let keep = self.average.min(n as f64 / (n as f64 + 9.0));
        for (average, mean) in average.iter_mut().zip(mean) {
            *average =
                T::from_f64(average.as_f64() + (1.0 - keep) * (mean.as_f64() - average.as_f64()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equal moves are scaled to 1 from the first step on, whatever their size; a smaller one after them to less.
    #[test]
    fn moves_of_one_size_become_one_and_others_keep_their_proportion() {
        let memory = MeanAveraging {
            second: 0.99,
            average: 0.0,
        };
        for size in [1e-3, -70.0] {
            let mut held = 0.0_f64;
            for n in 1..50 {
                let scaled = memory.scale(memory.filled(n), size, &mut held);
                assert!((scaled - size.signum()).abs() < 1e-4, "{n} {scaled}");
            }
            let scaled = memory.scale(memory.filled(50), size / 10.0, &mut held);
            assert!((scaled.abs() - 0.1).abs() < 2e-3, "{scaled}");
        }
        assert_eq!(memory.scale(memory.filled(1), 0.0, &mut 0.0_f64), 0.0);
    }

    /// The average of a mean that stands still is the mean; of one that swings, its middle.
    #[test]
    fn the_average_forgets_where_it_began_and_smooths() {
        let memory = MeanAveraging {
            second: 0.0,
            average: 0.95,
        };
        let mut average = [100.0_f64];
        for n in 1..=400 {
            let swing = if n % 2 == 0 { 1.0 } else { -1.0 };
            memory.average(n, &[3.0 + swing], &mut average);
        }
        assert!((average[0] - 3.0).abs() < 0.05, "{average:?}");
    }
}
