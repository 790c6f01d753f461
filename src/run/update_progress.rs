//! Lines on how far an update is, where it takes long.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::parallel::partition::{Blocks, Partition};
use crate::parallel::ranks::Ranks;

/// The seconds between two lines.
const EVERY: u64 = 30;

/// The progress of one update through rank 0's blocks of parameters, which stand for those of all ranks.
pub(super) struct UpdateProgress {
    step: u64,
    blocks: usize,
    done: AtomicUsize,
    start: Instant,
    /// The seconds after which the next line is due; none on other ranks.
    due: AtomicU64,
}

impl UpdateProgress {
    /// The update of `parameters` in step `step`, which begins now.
    pub fn new(ranks: Ranks, parameters: usize, step: u64) -> Self {
        let blocks = Blocks::new(parameters).count();
        let first = ranks.comm.is_first();
        Self {
            step,
            blocks: Partition::new(blocks, ranks.comm.size()).range(0).len(),
            done: AtomicUsize::new(0),
            start: Instant::now(),
            due: AtomicU64::new(if first { EVERY } else { u64::MAX }),
        }
    }

    /// Counts a block that has been updated, and logs a line if one is due. Any thread may call it.
    pub fn after_block(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let (seconds, due) = (
            self.start.elapsed().as_secs(),
            self.due.load(Ordering::Relaxed),
        );
        let next = seconds.saturating_add(EVERY);
        let (set, at) = (Ordering::Relaxed, Ordering::Relaxed);
        // Of several threads one logs.
        if seconds >= due && self.due.compare_exchange(due, next, set, at).is_ok() {
            let share = 100 * done / self.blocks;
            let step = self.step;
            tracing::info!("step {step}: {share} % of the parameters updated after {seconds} s");
        }
    }
}
