//! Long-memory tasks, drawn from the seed. An example is a function of its number alone, so any number of fresh
//! examples can be drawn, by any program.
//!
//! | task | steps | inputs per step | targets |
//! |---|---|---|---|
//! | adding | T | a number in [0, 1), a mark | the sum of the two marked numbers |
//! | copying | T + 20 | one of 10 symbols, one-hot | the first 10 symbols of 8, one-hot, at the last 10 steps |
//!
//! Adding: Hochreiter & Schmidhuber, Neural Computation 9 (1997) 1735, marked as in Le, Jaitly & Hinton
//! (arXiv:1504.00941): one number in each half. Copying: Arjovsky, Shah & Bengio (ICML 2016, arXiv:1511.06464): ten
//! symbols, T - 1 blanks, a start sign, ten blanks. Without memory the best mean squared error is 1/6 for adding (by
//! the guess 1) and 7/64 per number for copying (by the guess 1/8).

use ndarray::{Array2, ArrayViewMut1};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::{Dataset, Inputs, Samples, Targets};
use crate::kernels::rng::{Key, Purpose};

/// The number of symbols to remember.
const REMEMBERED: usize = 10;
/// The number of kinds of symbols to remember.
const KINDS: usize = 8;
/// The number of symbols with the blank and the start sign.
const SYMBOLS: usize = KINDS + 2;

/// A long-memory task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The sum of two marked numbers among `length`.
    Adding {
        /// The length T of the sequence.
        length: usize,
    },
    /// The repetition of ten symbols after `length` steps.
    Copying {
        /// The delay T.
        length: usize,
    },
}

impl Task {
    /// Returns the task called `name`, of `length` steps T.
    #[must_use]
    pub fn find(name: &str, length: usize) -> Option<Self> {
        match name {
            "adding" => Some(Self::Adding { length }),
            "copying" => Some(Self::Copying { length }),
            _ => None,
        }
    }

    /// Returns the number of steps of an example, and the number of inputs per step.
    #[must_use]
    pub fn steps(self) -> (usize, usize) {
        match self {
            Self::Adding { length } => (length, 2),
            Self::Copying { length } => (length + 2 * REMEMBERED, SYMBOLS),
        }
    }

    /// Returns the number of steps, at the end, at which an answer is expected, and the number of values of each.
    #[must_use]
    pub fn answers(self) -> (usize, usize) {
        match self {
            Self::Adding { .. } => (1, 1),
            Self::Copying { .. } => (REMEMBERED, KINDS),
        }
    }

    /// Draws training examples 0..`train`, and test examples 0..`test` from another stream, of `seed`.
    #[must_use]
    pub fn draw(self, seed: u64, train: usize, test: usize) -> Dataset {
        Dataset {
            train: self.samples((seed, 0), train),
            test: self.samples((seed, 1), test),
        }
    }

    /// Draws `count` examples of the training part (0) or the test part (1).
    fn samples(self, (seed, part): (u64, u64), count: usize) -> Samples {
        let ((steps, inputs), (answers, numbers)) = (self.steps(), self.answers());
        let mut x = Array2::zeros((count, steps * inputs));
        let mut y = Array2::zeros((count, answers * numbers));
        for (i, (x, y)) in x.rows_mut().into_iter().zip(y.rows_mut()).enumerate() {
            let key = Key {
                seed,
                purpose: Purpose::Examples,
                step: part,
                member: i as u64,
                block: 0,
            };
            match self {
                Self::Adding { length } => adding(length, &mut key.stream(), x, y),
                Self::Copying { length } => copying(length, &mut key.stream(), x, y),
            }
        }
        Samples {
            inputs: Inputs::Reals(x),
            targets: Targets::Values(y),
        }
    }
}

/// Draws an integer below `bound`, as the high half of a product; its distribution differs from uniform by at most
/// bound / 2^32.
fn below(stream: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u64::from(stream.next_u32()) * bound as u64) >> 32) as usize
}

/// Draws an example of the adding task into `x` and `y`.
fn adding(
    length: usize,
    stream: &mut ChaCha8Rng,
    mut x: ArrayViewMut1<f64>,
    mut y: ArrayViewMut1<f64>,
) {
    for t in 0..length {
        x[2 * t] = f64::from(stream.next_u32()) / 4_294_967_296.0;
    }
    let half = length / 2;
    for t in [below(stream, half), half + below(stream, length - half)] {
        x[2 * t + 1] = 1.0;
        y[0] += x[2 * t];
    }
}

/// Draws an example of the copying task into `x` and `y`.
fn copying(
    length: usize,
    stream: &mut ChaCha8Rng,
    mut x: ArrayViewMut1<f64>,
    mut y: ArrayViewMut1<f64>,
) {
    for t in 0..length + 2 * REMEMBERED {
        let symbol = if t < REMEMBERED {
            let symbol = below(stream, KINDS);
            y[t * KINDS + symbol] = 1.0;
            symbol
        } else if t == length + REMEMBERED - 1 {
            KINDS + 1
        } else {
            KINDS
        };
        x[t * SYMBOLS + symbol] = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reals(samples: &Samples) -> (&Array2<f64>, &Array2<f64>) {
        match (&samples.inputs, &samples.targets) {
            (Inputs::Reals(x), Targets::Values(y)) => (x, y),
            _ => panic!("reals and values"),
        }
    }

    #[test]
    fn adding_sums_one_number_of_each_half() {
        let data = Task::find("adding", 7).unwrap().draw(3, 400, 50);
        let (x, y) = reals(&data.train);
        let (mut mean, mut square) = (0.0, 0.0);
        for (x, y) in x.rows().into_iter().zip(y) {
            let marked: Vec<usize> = (0..7).filter(|t| x[2 * t + 1] == 1.0).collect();
            assert!(marked.len() == 2 && marked[0] < 3 && marked[1] >= 3, "{x}");
            assert_eq!(*y, x[2 * marked[0]] + x[2 * marked[1]]);
            assert!(x.iter().all(|x| (0.0..=1.0).contains(x)));
            (mean, square) = (mean + y / 400.0, square + (y - 1.0).powi(2) / 400.0);
        }
        // Within four standard deviations of 1 and 1/6.
        assert!((mean - 1.0).abs() < 0.082 && (square - 1.0 / 6.0).abs() < 0.04);
        assert_ne!(x.row(0), reals(&data.test).0.row(0));
    }

    #[test]
    fn copying_asks_for_the_first_ten_symbols_at_the_last_ten_steps() {
        let task = Task::find("copying", 12).unwrap();
        assert_eq!((task.steps(), task.answers()), ((32, 10), (10, 8)));
        let data = task.draw(3, 60, 1);
        let (x, y) = reals(&data.train);
        let mut seen = [0; KINDS];
        for (x, y) in x.rows().into_iter().zip(y.rows()) {
            let symbols: Vec<usize> = (0..32)
                .map(|t| {
                    let hot: Vec<usize> = (0..10).filter(|s| x[10 * t + s] == 1.0).collect();
                    assert_eq!(hot.len(), 1);
                    hot[0]
                })
                .collect();
            assert!(symbols[..10].iter().all(|s| *s < 8));
            let mut rest = vec![8; 22];
            rest[11] = 9;
            assert_eq!(symbols[10..], rest, "T - 1 blanks, the sign, ten blanks");
            for (t, symbol) in symbols[..10].iter().enumerate() {
                seen[*symbol] += 1;
                let asked: Vec<f64> = (0..8).map(|s| f64::from(u8::from(s == *symbol))).collect();
                assert_eq!(y.as_slice().unwrap()[8 * t..8 * t + 8], asked);
            }
        }
        assert!(seen.iter().all(|n| (40..120).contains(n)), "{seen:?}");
    }

    /// An example is a function of (seed, number): it does not depend on how many are drawn, and its bits are these.
    #[test]
    fn examples_are_those_of_their_numbers() {
        let task = Task::find("adding", 100).unwrap();
        let (few, many) = (task.draw(1, 3, 1), task.draw(1, 30, 9));
        let rows = |samples: &Samples, n| samples.select(&(0..n).collect::<Vec<_>>());
        assert_eq!(few.train, rows(&many.train, 3));
        assert_eq!(few.test, rows(&many.test, 1));
        assert_ne!(few.train, task.draw(2, 3, 1).train);
        let mut bytes = Vec::new();
        for task in [task, Task::find("copying", 100).unwrap()] {
            let data = task.draw(1, 5, 2);
            for samples in [&data.train, &data.test] {
                let (x, y) = reals(samples);
                bytes.extend(x.iter().chain(y).flat_map(|v| v.to_le_bytes()));
            }
        }
        let sum = crate::data::checksum::sha256(&bytes[..]).unwrap();
        // The digest was computed by tests/reference/recall_reference.py.
        let golden = "d14c5008aa3a4512887364cf441f6e5823871f51d4c46684e317666fc01a5e82";
        assert_eq!(sum, golden);
    }
}
