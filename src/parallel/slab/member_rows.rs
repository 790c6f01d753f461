//! The parameters of a rank's members, gathered from blocks that it reads in place and copies of the others.

use std::ops::Range;

use ndarray::Array2;

use super::Slab;
use crate::kernels::buffers::LINE_BYTES;
use crate::kernels::real::Real;
use crate::kernels::simd::fetch_beyond;

/// The number of rows that are prefetched ahead of the row being copied.
const AHEAD: usize = 16;

/// The columns of this rank's members in the blocks that it can't read in place.
#[derive(Debug)]
pub struct Members<T> {
    rows: Range<usize>,
    pub(super) remote: Vec<Option<Array2<T>>>, // by block, J/R x w
}

impl<T: Real> Members<T> {
    /// Allocates the copies for this rank's members; `Layout::update_and_send` fills them.
    #[must_use]
    pub fn new(slab: &Slab<T>) -> Self {
        let (layout, rows) = (&slab.layout, slab.layout.own_members());
        let remote = (0..layout.blocks.count())
            .map(|b| {
                slab.readable_block(b)
                    .is_none()
                    .then(|| Array2::zeros((rows.len(), layout.blocks.range(b).len())))
            })
            .collect();
        Self { rows, remote }
    }

    /// Copies the parameters of `member`, one of this rank's members, to `out`, P numbers.
    pub fn gather(&self, slab: &Slab<T>, member: usize, out: &mut [T]) {
        let rows = (0..slab.layout.owners.parts()).flat_map(|owner| self.rows(slab, owner, member));
        // Each row is in another page, and the processor's prefetcher does not find the next one.
        let ahead = rows.clone().skip(AHEAD).map(Some);
        let mut rest = out;
        for (row, ahead) in rows.zip(ahead.chain(std::iter::repeat(None))) {
            for line in ahead
                .unwrap_or_default()
                .chunks(LINE_BYTES / size_of::<T>())
            {
                fetch_beyond(&line[0], 0);
            }
            let (to, after) = rest.split_at_mut(row.len());
            to.copy_from_slice(row);
            rest = after;
        }
    }

    /// Returns the rows of `member` in the blocks of `owner`, in order.
    fn rows<'a>(
        &'a self,
        slab: &'a Slab<T>,
        owner: usize,
        member: usize,
    ) -> impl Iterator<Item = &'a [T]> + Clone {
        let (layout, near) = (&slab.layout, slab.readable_blocks(owner));
        let first = layout.columns_of(owner).start;
        layout.owners.range(owner).map(move |b| {
            let columns = layout.blocks.range(b);
            let (all, row) = match (near, &self.remote[b]) {
                (Some(all), _) => (
                    &all[layout.members.items() * (columns.start - first)..],
                    member,
                ),
                (None, Some(block)) => {
                    let block = block.as_slice().expect("row-major");
                    (block, member - self.rows.start)
                }
                (None, None) => unreachable!("what can't be read has buffer here"),
            };
            &all[row * columns.len()..][..columns.len()]
        })
    }
}
