//! The order of the training samples, or of the sets of observations of a simulator: a new permutation each epoch, or the file's order; a function of (seed, epoch)
//! alone.

use std::ops::Range;

use crate::kernels::rng::{Key, Purpose};

/// The sequence of batches of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The run's seed.
    pub seed: u64,
    /// The number n of training samples, or of sets of observations.
    pub samples: usize,
    /// The number m <= n of samples, or of sets, in a batch.
    pub batch: usize,
    /// True if every epoch has its own order.
    pub shuffle: bool,
    /// True if a batch counts sets: all stand in the one sample of a simulator, and a step takes those of its batch.
    pub of_sets: bool,
}

impl Batches {
    /// Returns the number of samples whose outputs a step has in memory: those of a batch, or the one of a simulator.
    #[must_use]
    pub fn width(&self) -> usize {
        if self.of_sets { 1 } else { self.batch }
    }

    /// Returns the share of the sets that a step takes; 1 of samples, which have no h of their own.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.of_sets {
            true => self.batch as f64 / self.samples as f64,
            false => 1.0,
        }
    }

    /// Returns the number of steps in an epoch. Only whole batches count: samples left over are not used in that epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples / self.batch) as u64
    }

    /// Returns the epoch, from 0, that `step` belongs to.
    #[must_use]
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// Returns the samples in the order of epoch `epoch`.
    #[must_use]
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        if self.shuffle {
            let key = Key {
                seed: self.seed,
                purpose: Purpose::Order,
                step: epoch,
                member: 0,
                block: 0,
            };
            key.permutation(self.samples)
        } else {
            (0..self.samples).collect()
        }
    }

    /// Returns the position of the batch of `step` in its epoch's order.
    #[must_use]
    pub fn place(&self, step: u64) -> Range<usize> {
        let start = (step % self.steps_per_epoch()) as usize * self.batch;
        start..start + self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_no_sample_twice_and_orders_differ_between_epochs() {
        let batches = Batches {
            seed: 1,
            samples: 23,
            batch: 5,
            shuffle: true,
            of_sets: false,
        };
        assert_eq!(batches.steps_per_epoch(), 4);
        let taken = |epoch: u64| -> Vec<usize> {
            let order = batches.order(epoch);
            (0..4)
                .flat_map(|step| order[batches.place(epoch * 4 + step)].to_vec())
                .collect()
        };
        let mut first = taken(0);
        assert_ne!(first, taken(1));
        assert_eq!(first, taken(0));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 20);
        let in_order = Batches {
            shuffle: false,
            ..batches
        };
        assert_eq!(in_order.order(3), (0..23).collect::<Vec<_>>());
        assert_eq!(in_order.place(5), 5..10);
    }
}
