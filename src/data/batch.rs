//! The order in which samples are taken: a fresh permutation each epoch, or the file's order; from (seed, epoch) alone.

use std::ops::Range;

use crate::kernels::rng::{Key, Purpose};

/// How an epoch is cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The run's seed.
    pub seed: u64,
    /// Samples in the training set n.
    pub samples: usize,
    /// Samples in a batch m <= n.
    pub batch: usize,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
}

impl Batches {
    /// Steps in an epoch: whole batches; samples beyond them wait for another epoch's order.
    #[must_use]
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples / self.batch) as u64
    }

    /// The epoch, from 0, that `step` belongs to.
    #[must_use]
    pub fn epoch(&self, step: u64) -> u64 {
        step / self.steps_per_epoch()
    }

    /// The samples of an epoch in their order.
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

    /// The place of `step`'s batch in its epoch's order.
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
