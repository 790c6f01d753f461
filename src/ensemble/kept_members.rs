//! Members as they were before a step, kept so that the step can be taken back.

use crate::ensemble::EnsembleState as _;
use crate::ensemble::full::FullEnsemble;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;

impl<T: Real> FullEnsemble<T> {
    /// Keeps the members as they are now.
    pub fn keep(&mut self) {
        let numbers = |b| self.points.block(b).iter().copied().collect();
        self.kept = Some(self.layout.own_blocks().map(numbers).collect());
    }

    /// Makes room for kept members, to be filled section by section.
    pub fn make_room_to_keep(&mut self) {
        let size = |b| vec![T::zero(); self.points.block(b).len()];
        self.kept = Some(self.layout.own_blocks().map(size).collect());
    }

    /// Makes the members those that were kept, if any were. Called by all ranks.
    pub fn take_back(&mut self, ranks: Ranks) {
        // Those near may still read the members that are replaced.
        ranks.comm.host_barrier();
        for (b, kept) in self.layout.own_blocks().zip(self.kept.iter().flatten()) {
            self.points.block_mut(b).copy_from_slice(kept);
        }
        self.share(ranks);
    }
}
