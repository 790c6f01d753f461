//! The two layouts of the ensemble u in R^{J x P}: columns for the update (`Slab`), rows for the forward map
//! (`Members`), and the one exchange from the first to the second.
//!
//! A block of a slab is J x w, row-major, so that the rows for one rank are one slice: nothing is packed, and they
//! arrive at their final place. A rank reads its own blocks, and those of ranks of the same host, in the slab: these
//! need no copy and no message, only barriers between writing and reading.

mod member_rows;

use crate::kernels::threads::for_each;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2};
use rayon::ThreadPool;

use crate::kernels::buffers::Aligned;
use crate::kernels::real::Real;
use crate::parallel::comm::Comm;
use crate::parallel::partition::{BLOCK, Blocks, Partition};
use crate::parallel::shared_memory::{PeerRegion, SharedRegion};
pub use crate::parallel::slab::member_rows::Members;

/// The distribution of members and columns over ranks, as one rank sees it.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// This rank's number.
    pub rank: usize,
    /// The distribution of members (rows) over ranks.
    pub members: Partition,
    /// The blocks of parameters (columns).
    pub blocks: Blocks,
    /// The distribution of blocks over ranks.
    pub owners: Partition,
}

impl Layout {
    /// Distributes a J x P ensemble over the ranks of `comm`.
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

    /// Returns the members (rows) that this rank evaluates.
    #[must_use]
    pub fn own_members(&self) -> Range<usize> {
        self.members.range(self.rank)
    }

    /// Returns the blocks of columns that this rank updates.
    #[must_use]
    pub fn own_blocks(&self) -> Range<usize> {
        self.owners.range(self.rank)
    }

    /// Returns the columns that `rank` updates.
    fn columns_of(&self, rank: usize) -> Range<usize> {
        self.blocks.span(self.owners.range(rank))
    }
}

/// The columns of this rank's blocks for all members: the stored ensemble. Near ranks (see `Comm::near`) read each
/// other's blocks in place.
#[derive(Debug)]
pub struct Slab<T> {
    layout: Layout,
    /// This rank's blocks, one after the other, each J x w.
    own: SlabMemory<T>,
    /// The blocks of other ranks, by rank: None if this rank can't read them in place.
    peers: Vec<Option<PeerRegion>>,
}

/// The memory of a slab: private to this rank, or readable by other ranks of its host.
#[derive(Debug)]
enum SlabMemory<T> {
    Private(Aligned<T>),
    Shared(SharedRegion),
}

impl<T: Real> SlabMemory<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::Private(numbers) => numbers,
            Self::Shared(own) => bytemuck::cast_slice(own.bytes()),
        }
    }

    fn all_mut(&mut self) -> &mut [T] {
        match self {
            Self::Private(numbers) => numbers,
            Self::Shared(own) => bytemuck::cast_slice_mut(own.bytes_mut()),
        }
    }
}

impl<T: Real> Slab<T> {
    /// Allocates this rank's blocks and fills them in parallel: `fill` receives a block's number, its columns and J x w
    /// zeros. Called by all ranks.
    ///
    /// # Panics
    /// If there is not enough memory.
    pub fn fill(
        comm: &Comm,
        pool: &ThreadPool,
        layout: &Layout,
        fill: impl Fn(usize, Range<usize>, &mut ArrayRef2<T>) + Sync,
    ) -> Self {
        let numbers = layout.members.items() * layout.columns_of(layout.rank).len();
        let shared = comm
            .share(numbers * size_of::<T>())
            .unwrap_or_else(|e| panic!("{e}"));
        let mut peers: Vec<_> = (0..comm.size()).map(|_| None).collect();
        let own = match shared {
            Some(shared) => {
                for (rank, map) in shared.peers {
                    peers[rank] = Some(map);
                }
                SlabMemory::Shared(shared.own)
            }
            None => SlabMemory::Private(Aligned::zeros(numbers)),
        };
        let mut slab = Self {
            layout: *layout,
            own,
            peers,
        };
        for_each(pool, slab.iter_mut(), |_, (b, mut block)| {
            fill(b, layout.blocks.range(b), &mut block);
        });
        slab
    }

    /// Returns a copy. Called by all ranks.
    pub fn copy(&self, comm: &Comm, pool: &ThreadPool) -> Self {
        Self::fill(comm, pool, &self.layout, |b, _, block| {
            block.assign(&self.block(b));
        })
    }

    /// Returns block `block`, J x w, numbered among all blocks. Panics unless this rank can read it in place.
    #[must_use]
    pub fn block(&self, block: usize) -> ArrayView2<'_, T> {
        self.readable_block(block).expect("a block of this rank's")
    }

    /// Returns the numbers of block `block`, one of this rank's: J x w, row-major, for changing them.
    pub fn block_mut(&mut self, block: usize) -> &mut [T] {
        let layout = self.layout;
        let (members, columns) = (layout.members.items(), layout.blocks.range(block));
        let first = layout.columns_of(layout.rank).start;
        let numbers = members * (columns.start - first)..members * (columns.end - first);
        &mut self.own.all_mut()[numbers]
    }

    /// Returns all blocks of rank `owner`, one after the other, if this rank can read them in place.
    fn readable_blocks(&self, owner: usize) -> Option<&[T]> {
        if owner == self.layout.rank {
            return Some(self.own.all());
        }
        self.peers[owner].as_deref().map(bytemuck::cast_slice)
    }

    /// Returns block `block`, J x w, of any rank, if this rank can read it in place.
    fn readable_block(&self, block: usize) -> Option<ArrayView2<'_, T>> {
        let layout = &self.layout;
        let owner = layout.owners.owner(block);
        let all = self.readable_blocks(owner)?;
        let (members, columns) = (layout.members.items(), layout.blocks.range(block));
        let start = members * (columns.start - layout.columns_of(owner).start);
        let numbers = &all[start..start + members * columns.len()];
        Some(ArrayView2::from_shape((members, columns.len()), numbers).expect("a block"))
    }

    /// Applies `map` to groups of `count` consecutive blocks; each group is handled by the rank that owns its first
    /// block and reads the other blocks in place or receives them. Returns the results of this rank's groups, in order.
    /// Called by all ranks.
    pub fn map_block_groups<D: Clone + Default + Send>(
        &self,
        (comm, pool): (&Comm, &ThreadPool),
        count: usize,
        map: impl Fn(&[ArrayView2<T>]) -> D + Sync,
    ) -> Vec<D> {
        comm.host_barrier();
        let (layout, members) = (&self.layout, self.layout.members.items());
        let (own, all) = (layout.own_blocks(), layout.blocks.count());
        let first = |block: usize| block / count * count;
        let groups = own.clone().filter(|&b| first(b) == b);
        let groups: Vec<Range<usize>> = groups.map(|b| b..(b + count).min(all)).collect();
        let needed = groups.iter().cloned().flatten();
        let mut sent: BTreeMap<usize, Vec<T>> = needed
            .filter(|&b| self.readable_block(b).is_none())
            .map(|b| (b, vec![T::zero(); members * layout.blocks.range(b).len()]))
            .collect();
        let away = own
            .map(|b| (layout.owners.owner(first(b)), b))
            .filter(|(to, _)| *to != layout.rank && self.peers[*to].is_none());
        comm.exchange(
            sent.iter_mut()
                .map(|(&b, buffer)| (layout.owners.owner(b), &mut buffer[..])),
            away.map(|(to, b)| (to, self.block(b).to_slice().expect("row-major"))),
        );
        let mut made = vec![D::default(); groups.len()];
        for_each(pool, groups.iter().zip(&mut made), |_, (group, made)| {
            let blocks = group.clone().map(|b| match sent.get(&b) {
                Some(numbers) => {
                    let shape = (members, layout.blocks.range(b).len());
                    ArrayView2::from_shape(shape, numbers).expect("a block")
                }
                None => self.readable_block(b).expect("else it was sent"),
            });
            *made = map(&blocks.collect::<Vec<_>>());
        });
        comm.host_barrier();
        made
    }

    /// Returns this rank's blocks with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, ArrayView2<'_, T>)> {
        self.layout.own_blocks().map(|b| (b, self.block(b)))
    }

    /// Returns this rank's blocks with their numbers, for changing them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, ArrayViewMut2<'_, T>)> {
        let layout = self.layout;
        let members = layout.members.items();
        // All blocks have the same width, except the last one of all.
        let blocks = self.own.all_mut().chunks_mut((members * BLOCK).max(1));
        layout.own_blocks().zip(blocks).map(move |(b, block)| {
            let shape = (members, layout.blocks.range(b).len());
            (b, ArrayViewMut2::from_shape(shape, block).expect("a block"))
        })
    }
}

impl Layout {
    /// Applies `update` to each of this rank's blocks, in parallel, and sends the new columns to the owners of the
    /// members while later blocks are still being computed. Called by all ranks, when none reads members any longer.
    ///
    /// `update` receives the number of its thread, for scratch space, the block's number, the block, and the next item
    /// of `along`.
    pub fn update_and_send<'a, T: Real, A: Send>(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        slab: &'a mut Slab<T>,
        members: &'a mut Members<T>,
        along: impl Iterator<Item = A> + Send,
        update: impl Fn(usize, usize, &mut ArrayRef2<T>, A) + Sync,
    ) {
        let far: Vec<(usize, Range<usize>)> = {
            let all = self.members.ranges().enumerate();
            all.filter(|(rank, _)| *rank != self.rank && slab.peers[*rank].is_none())
                .collect()
        };
        comm.host_barrier();
        if far.is_empty() {
            for_each(
                pool,
                slab.iter_mut().zip(along),
                |thread, ((b, mut block), along)| {
                    update(thread, b, &mut block, along);
                },
            );
        } else {
            self.update_and_send_far(comm, pool, (slab, &far), members, along, update);
        }
        let computed = Instant::now();
        comm.host_barrier();
        comm.count_exposed(computed.elapsed());
    }

    /// Updates this rank's blocks and sends them to `far`, the ranks that can't read this rank's slab in place, with
    /// the members of each. Long because the exchange borrows what the threads in its scope compute.
    fn update_and_send_far<'a, T: Real, A: Send>(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        (slab, far): (&'a mut Slab<T>, &[(usize, Range<usize>)]),
        members: &'a mut Members<T>,
        along: impl Iterator<Item = A> + Send,
        update: impl Fn(usize, usize, &mut ArrayRef2<T>, A) + Sync,
    ) {
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
                        let Some(((b, mut block), along)) = next else {
                            break;
                        };
                        update(thread, b, &mut block, along);
                        let block: &'a [T] = block.into_slice().expect("row-major");
                        // The receiver outlives this scope; it is gone only if its thread panicked.
                        let _ = done.send((b, block));
                    }
                });
            }
            drop(done);
            let sends = InOrder {
                next: own.start,
                early: BTreeMap::new(),
                finished,
            }
            .flat_map(|finished| {
                let slices = finished.map(|(b, block)| {
                    let width = self.blocks.range(b).len();
                    let slice =
                        move |rows: Range<usize>| &block[rows.start * width..rows.end * width];
                    far.iter()
                        .map(move |(to, rows)| Some((*to, slice(rows.clone()))))
                });
                let unfinished = slices.is_none().then_some(None);
                slices.into_iter().flatten().chain(unfinished)
            });
            comm.count_exposed(comm.exchange_along(receives, sends));
        });
    }
}

/// The time to wait for a block before the exchange is progressed: long enough to cost the thread that computes on the
/// same core only a thousandth, short enough for messages to keep up with the computation.
const PAUSE: Duration = Duration::from_millis(1);

/// An iterator over finished blocks in the order of their numbers, in which the receivers expect them; it yields None
/// after every `PAUSE` for which the next one is not ready.
struct InOrder<'a, T> {
    next: usize,
    early: BTreeMap<usize, &'a [T]>,
    finished: mpsc::Receiver<(usize, &'a [T])>,
}

impl<'a, T> Iterator for InOrder<'a, T> {
    type Item = Option<(usize, &'a [T])>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.early.contains_key(&self.next) {
            match self.finished.recv_timeout(PAUSE) {
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
