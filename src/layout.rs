//! The two layouts of the ensemble u in R^{J x P}: columns for the update (`Slab`), rows for the forward map
//! (`Members`), and the one exchange that leads from the first to the second.
//!
//! A slab block is J x w, row-major, so the rows that go to one rank are one consecutive slice: nothing is packed,
//! and they arrive where they stay. Blocks a rank owns itself are read in the slab; one rank needs no second copy.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ndarray::Array2;
use rayon::ThreadPool;

use crate::comm::Comm;
use crate::partition::{Blocks, Partition};
use crate::real::Real;

/// Who holds what, as one rank sees it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// This rank.
    pub rank: usize,
    /// Rows of the ensemble over ranks.
    pub members: Partition,
    /// Columns of the ensemble in blocks.
    pub blocks: Blocks,
    /// Blocks over ranks.
    pub owners: Partition,
}

impl Layout {
    /// J x P over the ranks of `comm`.
    #[must_use]
    pub fn new(comm: &Comm, members: usize, parameters: usize) -> Self {
        let blocks = Blocks::new(parameters);
        Self {
            rank: comm.rank(),
            members: Partition::new(members, comm.size()),
            blocks,
            owners: Partition::new(blocks.count(), comm.size()),
        }
    }

    /// The rows (members) this rank evaluates.
    #[must_use]
    pub fn own_members(&self) -> Range<usize> {
        self.members.range(self.rank)
    }

    /// The blocks of columns this rank updates.
    #[must_use]
    pub fn own_blocks(&self) -> Range<usize> {
        self.owners.range(self.rank)
    }
}

/// The columns of this rank's blocks, all members of them: the authority on the ensemble.
#[derive(Clone, Debug)]
pub struct Slab<T> {
    first: usize,
    blocks: Vec<Array2<T>>, // each J x w
}

impl<T: Real> Slab<T> {
    /// This rank's blocks, made one by one, in parallel, from (block, its columns, J x w zeros).
    pub fn fill(
        pool: &ThreadPool,
        layout: &Layout,
        fill: impl Fn(usize, Range<usize>, &mut Array2<T>) + Sync,
    ) -> Self {
        let members = layout.members.items();
        let mut blocks: Vec<_> = layout
            .own_blocks()
            .map(|b| Array2::zeros((members, layout.blocks.range(b).len())))
            .collect();
        let first = layout.own_blocks().start;
        for_each(pool, blocks.iter_mut().enumerate(), |_, (i, block)| {
            fill(first + i, layout.blocks.range(first + i), block);
        });
        Self { first, blocks }
    }

    /// The block numbered `block` among all, which this rank owns.
    #[must_use]
    pub fn block(&self, block: usize) -> &Array2<T> {
        &self.blocks[block - self.first]
    }

    /// This rank's blocks with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Array2<T>)> {
        self.blocks
            .iter()
            .enumerate()
            .map(|(i, block)| (self.first + i, block))
    }

    /// This rank's blocks with their numbers, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Array2<T>)> {
        let first = self.first;
        self.blocks
            .iter_mut()
            .enumerate()
            .map(move |(i, block)| (first + i, block))
    }
}

/// This rank's members' columns in the blocks that other ranks own.
#[derive(Debug)]
pub struct Members<T> {
    rows: Range<usize>,
    remote: Vec<Option<Array2<T>>>, // by block, J/R x w where another rank owns it
}

impl<T: Real> Members<T> {
    /// Room for this rank's members; `Layout::carry` fills it.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let (rows, own) = (layout.own_members(), layout.own_blocks());
        let remote = (0..layout.blocks.count())
            .map(|b| {
                (!own.contains(&b))
                    .then(|| Array2::zeros((rows.len(), layout.blocks.range(b).len())))
            })
            .collect();
        Self { rows, remote }
    }

    /// Copies the parameters of `member`, one of this rank's, to `out`, P numbers.
    pub fn gather(&self, slab: &Slab<T>, layout: &Layout, member: usize, out: &mut [T]) {
        for (b, remote) in self.remote.iter().enumerate() {
            let row = match remote {
                Some(block) => block.row(member - self.rows.start),
                None => slab.block(b).row(member),
            };
            out[layout.blocks.range(b)]
                .copy_from_slice(row.to_slice().expect("rows are consecutive"));
        }
    }
}

impl Layout {
    /// Applies `update` to each of this rank's blocks, in parallel, and carries the new columns to their members'
    /// owners while later blocks are still being computed.
    ///
    /// `update` is given the number of its thread, for scratch space, the block's number, and whatever `along`
    /// yields beside the block.
    pub fn carry<'a, T: Real, A: Send>(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        slab: &'a mut Slab<T>,
        members: &'a mut Members<T>,
        along: impl Iterator<Item = A> + Send,
        update: impl Fn(usize, usize, &mut Array2<T>, A) + Sync,
    ) {
        if comm.size() == 1 && pool.current_num_threads() == 1 {
            // Nobody to send to; and where steps are short, waking another thread takes longer than the work.
            let blocks = slab.iter_mut().zip(along);
            return blocks.for_each(|((b, block), along)| update(0, b, block, along));
        }
        let own = self.own_blocks();
        let receives = members
            .remote
            .iter_mut()
            .enumerate()
            .filter_map(|(b, block)| {
                let block = block.as_mut()?;
                Some((
                    self.owners.owner(b),
                    block.as_slice_mut().expect("row-major"),
                ))
            });
        let queue = Mutex::new(slab.iter_mut().zip(along));
        let (done, finished) = mpsc::channel::<(usize, &'a [T])>();
        pool.in_place_scope(|scope| {
            for thread in 0..pool.current_num_threads() {
                let (queue, done, update) = (&queue, done.clone(), &update);
                scope.spawn(move |_| {
                    loop {
                        let next = queue.lock().expect("no thread panicked").next();
                        let Some(((b, block), along)) = next else {
                            break;
                        };
                        update(thread, b, block, along);
                        let block: &'a Array2<T> = block;
                        // The receiver outlives this scope; it is gone only when its thread panicked.
                        let _ = done.send((b, block.as_slice().expect("row-major")));
                    }
                });
            }
            drop(done);
            let sends = InOrder {
                next: own.start,
                early: BTreeMap::new(),
                finished,
                alone: comm.size() == 1,
            }
            .flat_map(|finished| {
                let slices = finished.map(|(b, block)| {
                    let width = self.blocks.range(b).len();
                    let slice =
                        move |rows: Range<usize>| &block[rows.start * width..rows.end * width];
                    let all = self.members.ranges().enumerate();
                    let elsewhere = all.filter(|(to, _)| *to != self.rank);
                    elsewhere.map(move |(to, rows)| Some((to, slice(rows))))
                });
                let unfinished = slices.is_none().then_some(None);
                slices.into_iter().flatten().chain(unfinished)
            });
            comm.count_exposed(comm.exchange_along(receives, sends));
        });
    }
}

/// How long to wait for a block before the exchange is moved on: so long that it costs the thread that computes on the
/// same core a per mille, so short that what travels keeps up with what is computed.
const PAUSE: Duration = Duration::from_millis(1);

/// Finished blocks in the order of their numbers, which is the order the receivers expect them in; None now and then
/// while the next is not ready.
struct InOrder<'a, T> {
    next: usize,
    early: BTreeMap<usize, &'a [T]>,
    finished: mpsc::Receiver<(usize, &'a [T])>,
    /// Whether any other rank waits for them.
    alone: bool,
}

impl<'a, T> Iterator for InOrder<'a, T> {
    type Item = Option<(usize, &'a [T])>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.early.contains_key(&self.next) {
            let received = if self.alone {
                self.finished
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.finished.recv_timeout(PAUSE)
            };
            match received {
                Ok((b, block)) => self.early.insert(b, block),
                Err(RecvTimeoutError::Timeout) => return Some(None),
                Err(RecvTimeoutError::Disconnected) => return None,
            };
        }
        let block = self.early.remove(&self.next)?;
        self.next += 1;
        Some(Some((self.next - 1, block)))
    }
}

/// Runs `work` on every item: each thread takes the next whole item when it is free. `work` is told its thread's
/// number, for scratch space; results must not depend on it.
pub fn for_each<I: Send>(
    pool: &ThreadPool,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(usize, I) + Sync,
) {
    if pool.current_num_threads() == 1 {
        // Where steps are short, waking another thread for each takes longer than the work.
        return items.for_each(|item| work(0, item));
    }
    let queue = Mutex::new(items);
    pool.in_place_scope(|scope| {
        for thread in 0..pool.current_num_threads() {
            let (queue, work) = (&queue, &work);
            scope.spawn(move |_| {
                loop {
                    let next = queue.lock().expect("no thread panicked").next();
                    let Some(item) = next else { break };
                    work(thread, item);
                }
            });
        }
    });
}
