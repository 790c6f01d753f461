//! A rank's members, put together from their columns' blocks: those that it reads where they lie, and copies of the others.

use std::ops::Range;

use ndarray::Array2;

use super::Slab;
use crate::kernels::buffers::LINE_BYTES;
use crate::kernels::real::Real;
use crate::kernels::simd::fetch_beyond;

/// Rows of a member that are asked for before they are copied.
const AHEAD: usize = 16;

/// This rank's members' columns in the blocks that it can't read where they lie.
#[derive(Debug)]
pub struct Members<T> {
    rows: Range<usize>,
    pub(super) remote: Vec<Option<Array2<T>>>, // by block, J/R x w
}

impl<T: Real> Members<T> {
    /// Room for this rank's members; `Layout::carry` fills it.
    #[must_use]
    pub fn new(slab: &Slab<T>) -> Self {
        let (layout, rows) = (&slab.layout, slab.layout.own_members());
        let remote = (0..layout.blocks.count())
            .map(|b| {
                slab.seen(b)
                    .is_none()
                    .then(|| Array2::zeros((rows.len(), layout.blocks.range(b).len())))
            })
            .collect();
        Self { rows, remote }
    }

    /// Copies the parameters of `member`, one of this rank's, to `out`, P numbers.
    pub fn gather(&self, slab: &Slab<T>, member: usize, out: &mut [T]) {
        let rows = (0..slab.layout.owners.parts()).flat_map(|owner| self.rows(slab, owner, member));
        // Each row lies in a page of its own, and no processor guesses where the next one is.
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

    /// The rows of `member` in the blocks of `owner`, in order.
    fn rows<'a>(
        &'a self,
        slab: &'a Slab<T>,
        owner: usize,
        member: usize,
    ) -> impl Iterator<Item = &'a [T]> + Clone {
        let (layout, near) = (&slab.layout, slab.all_of(owner));
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
                (None, None) => unreachable!("what can't be read has room here"),
            };
            &all[row * columns.len()..][..columns.len()]
        })
    }
}
