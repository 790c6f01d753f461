//! The communicator: every collective call of the program, in chunks small enough for MPI's counts.
//!
//! All ranks call every method in the same order unless its doc says otherwise. Floats are summed over ranks only after
//! the caller has made the sum exact (`kernels::exact_sum`), so no result depends on the order of reduction.

mod host;

use std::cell::{Cell, OnceCell};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{
    Communicator as _, CommunicatorCollectives as _, Destination as _, Root as _, Source as _,
};
use serde::{Serialize, de::DeserializeOwned};

pub use crate::parallel::comm::host::{SHARED_MEMORY, SharedRegions};

use crate::error::{Error, Result};
use crate::kernels::real::Real;
use crate::parallel::abort::Waiting;
use crate::parallel::partition::Partition;

/// The largest number of elements in one MPI call: counts are C ints, and some transports copy whole messages.
const LARGEST_COUNT: usize = 1 << 28;

/// The ranks of a run, as one of them sees them. Stays on the thread that initialised MPI.
pub struct Comm {
    world: SimpleCommunicator,
    largest: usize,
    sent: Cell<u64>,
    exposed: Cell<Duration>,
    on_hosts_of: Option<usize>,
    /// The ranks on this rank's host, where other groups than this one have ranks there too.
    on_host: Option<usize>,
    host: OnceCell<crate::parallel::comm::host::Host>,
}

impl Comm {
    /// Returns a communicator of all ranks of `world`.
    #[must_use]
    pub fn new(world: SimpleCommunicator) -> Self {
        Self {
            world,
            largest: LARGEST_COUNT,
            sent: Cell::new(0),
            exposed: Cell::default(),
            on_hosts_of: None,
            on_host: None,
            host: OnceCell::new(),
        }
    }

    /// Treats every `ranks` consecutive ranks as one host of their own: for tests.
    #[must_use]
    pub fn on_hosts_of(mut self, ranks: usize) -> Self {
        self.on_hosts_of = Some(ranks.max(1));
        self
    }

    /// Splits the ranks into `groups` groups of consecutive ranks, at most one for each rank; returns the number of this rank's
    /// group and its communicator. Ranks of different groups need not wait for each other. Called by all ranks.
    #[must_use]
    pub fn split(&self, groups: usize) -> (usize, Self) {
        let group = Partition::new(self.size(), groups).owner(self.rank());
        let colour = Color::with_value(group as i32);
        let world = self
            .world
            .split_by_color_with_key(colour, self.world.rank());
        let world = world.expect("a rank of a colour is in a group");
        let split = Self {
            largest: self.largest,
            on_hosts_of: self.on_hosts_of,
            on_host: Some(self.ranks_on_host()),
            ..Self::new(world)
        };
        (group, split)
    }

    /// Limits chunks to `elements >= 1` elements: tests make them tiny.
    #[must_use]
    pub fn with_chunks(mut self, elements: usize) -> Self {
        self.largest = elements.max(1);
        self
    }

    /// Returns this rank's number, `0..size`.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    /// Returns the number of ranks R.
    #[must_use]
    pub fn size(&self) -> usize {
        self.world.size() as usize
    }

    /// Returns true on rank 0, which prints and writes for all.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Returns the number of bytes this rank has given to MPI for other ranks so far. A reduction of n numbers counts
    /// as n numbers sent.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.sent.get()
    }

    /// Returns the time for which this rank has waited so far for parameters to arrive, with nothing left to compute.
    #[must_use]
    pub fn exposed(&self) -> Duration {
        self.exposed.get()
    }

    /// Adds to the time that [`Comm::exposed`] returns.
    pub fn count_exposed(&self, waited: Duration) {
        self.exposed.set(self.exposed.get() + waited);
    }

    /// Counts `elements` elements as sent.
    fn count_sent<T>(&self, elements: usize) {
        if self.size() > 1 {
            self.sent
                .set(self.sent.get() + (elements * size_of::<T>()) as u64);
        }
    }

    /// Waits for all ranks. Called by all ranks.
    pub fn barrier(&self) {
        let _waiting = Waiting::begin();
        self.world.barrier();
    }

    /// Waits for all ranks, as `barrier` does, but sleeps meanwhile, so that this rank's core is free.
    pub fn sleep_until_all(&self) {
        self.sleep_until_all_while(|| ());
    }

    /// Waits for all ranks, sleeping, and calls `look` now and then meanwhile.
    pub fn sleep_until_all_while(&self, look: impl Fn()) {
        let _waiting = Waiting::begin();
        let mut request = self.world.immediate_barrier();
        let mut pause = Duration::from_micros(20);
        while let Err(waiting) = request.test() {
            request = waiting;
            look();
            std::thread::sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(2));
        }
    }

    /// Ends all ranks with exit code `code`. Called by any one rank, from any thread: the hook of a panic has no access
    /// to the communicator.
    pub fn abort(code: i32) -> ! {
        // A launcher may end as soon as it is told to abort, before it has forwarded the lines that explain why.
        std::thread::sleep(Duration::from_millis(300));
        SimpleCommunicator::world().abort(code)
    }

    /// Returns the bytes of rank 0 on every rank. Called by all ranks.
    #[must_use]
    pub fn broadcast(&self, bytes: Vec<u8>) -> Vec<u8> {
        let _waiting = Waiting::begin();
        let mut length = [bytes.len() as u64];
        let root = self.world.process_at_rank(0);
        root.broadcast_into(&mut length[..]);
        let mut bytes = bytes;
        bytes.resize(length[0] as usize, 0);
        for chunk in bytes.chunks_mut(self.largest) {
            root.broadcast_into(chunk);
        }
        if self.is_first() {
            self.count_sent::<u8>(bytes.len());
        }
        bytes
    }

    /// Returns on every rank the path that `find` returns on rank 0, even one that is not UTF-8. Called by all ranks.
    ///
    /// # Errors
    /// The error of rank 0, on all ranks.
    pub fn path_from_first(&self, find: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
        let bytes = self.from_first(|| Ok(find()?.into_os_string().into_vec()))?;
        Ok(OsString::from_vec(bytes).into())
    }

    /// Returns on every rank the first rank's `own` that is not empty, if there is one: what is wrong there. Called by all ranks.
    pub fn first_flaw(&self, own: &str) -> Option<String> {
        let flaws = self.gather(own.as_bytes());
        let first = flaws.into_iter().find(|flaw| !flaw.is_empty());
        let first = self.broadcast(first.unwrap_or_default());
        (!first.is_empty()).then(|| String::from_utf8_lossy(&first).into_owned())
    }

    /// Returns on every rank what `find` returns on rank 0, value or error; it is not called on other ranks. Called by
    /// all ranks.
    ///
    /// # Errors
    /// The error of rank 0: the error itself on rank 0, a copy of its message and exit code elsewhere.
    pub fn from_first<V: Serialize + DeserializeOwned>(
        &self,
        find: impl FnOnce() -> Result<V>,
    ) -> Result<V> {
        let found = if self.is_first() { Some(find()) } else { None };
        let message: std::result::Result<Option<&V>, (String, i32)> = match &found {
            Some(Err(error)) => Err((error.to_string(), error.exit_code())),
            Some(Ok(value)) => Ok(Some(value)),
            None => Ok(None),
        };
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&message, config).expect("plain data encodes");
        let bytes = self.broadcast(bytes);
        match found {
            Some(result) => result,
            None => {
                let (message, _): (std::result::Result<Option<V>, (String, i32)>, usize) =
                    bincode::serde::decode_from_slice(&bytes, config)
                        .expect("rank 0's message decodes");
                match message {
                    Ok(value) => Ok(value.expect("rank 0 sends a value")),
                    Err((message, code)) => Err(Error::Remote { message, code }),
                }
            }
        }
    }

    /// Replaces each element by its largest value over all ranks: exact in any order. Called by all ranks.
    pub fn largest(&self, values: &mut [f64]) {
        self.reduce(values, SystemOperation::max());
    }

    /// Replaces each element by its sum over all ranks. Called by all ranks.
    pub fn sum_counts(&self, values: &mut [u64]) {
        self.reduce(values, SystemOperation::sum());
    }

    /// Replaces each element by its sum over all ranks. The caller must have made every partial sum exact
    /// (`kernels::exact_sum::Quantum`, or all ranks but one hold zero): then the result does not depend on the order of
    /// reduction. Called by all ranks.
    pub fn sum_exact(&self, values: &mut [f64]) {
        self.reduce(values, SystemOperation::sum());
    }

    /// Reduces each element over all ranks.
    fn reduce<V: mpi::traits::Equivalence + Copy>(
        &self,
        values: &mut [V],
        operation: SystemOperation,
    ) {
        if self.size() == 1 {
            return;
        }
        let _waiting = Waiting::begin();
        self.count_sent::<V>(values.len());
        let mut own = Vec::new();
        // Chunk by chunk, so that a large matrix needs no second copy.
        for chunk in values.chunks_mut(self.largest.min(1 << 20)) {
            own.clear();
            own.extend_from_slice(chunk);
            self.world.all_reduce_into(&own[..], chunk, operation);
        }
    }

    /// Gathers on every rank all rows of a `rows.items() x width` matrix that `rows` distributes over the ranks. On
    /// entry `all` holds this rank's rows at their place. Called by all ranks.
    pub fn all_gather_rows<T: Real>(&self, rows: Partition, width: usize, all: &mut [T]) {
        assert_eq!(
            all.len(),
            rows.items() * width,
            "shape of the gathered matrix"
        );
        if self.size() == 1 {
            return;
        }
        let _waiting = Waiting::begin();
        let spans: Vec<_> = rows
            .ranges()
            .map(|r| r.start * width..r.end * width)
            .collect();
        self.count_sent::<T>(spans[self.rank()].len() * (self.size() - 1));
        // In rounds, so that a large matrix needs no second copy.
        let piece = (self.largest.min(1 << 20) / self.size()).max(1);
        let rounds = spans
            .iter()
            .map(|s| s.len().div_ceil(piece))
            .max()
            .unwrap_or(0);
        let mut buffer: Vec<T> = Vec::new();
        for round in 0..rounds {
            let parts: Vec<_> = spans
                .iter()
                .map(|s| {
                    (s.start + round * piece).min(s.end)..(s.start + (round + 1) * piece).min(s.end)
                })
                .collect();
            let counts: Vec<i32> = parts.iter().map(|p| p.len() as i32).collect();
            let starts: Vec<i32> = counts
                .iter()
                .scan(0, |next, &count| {
                    let start = *next;
                    *next += count;
                    Some(start)
                })
                .collect();
            buffer.resize(parts.iter().map(std::ops::Range::len).sum(), T::zero());
            let own = &all[parts[self.rank()].clone()];
            let mut partition = PartitionMut::new(&mut buffer[..], counts, &starts[..]);
            self.world.all_gather_varcount_into(own, &mut partition);
            for (part, &start) in parts.iter().zip(&starts) {
                all[part.clone()]
                    .copy_from_slice(&buffer[start as usize..start as usize + part.len()]);
            }
        }
    }

    /// Moves slices between ranks. `receives` yields each slice to fill and the rank it comes from, `sends` each slice
    /// to send and the rank it goes to. Slices between the same two ranks are matched in order. Called by all ranks.
    pub fn exchange<'a, T: Real>(
        &self,
        receives: impl IntoIterator<Item = (usize, &'a mut [T])>,
        sends: impl IntoIterator<Item = (usize, &'a [T])>,
    ) {
        let _ = self.exchange_along(receives, sends.into_iter().map(Some));
    }

    /// Moves slices between ranks, as `exchange` does, while slices are still being computed. If the next slice is not
    /// ready, `sends` yields None after a short wait; messages on their way are then progressed, which MPI does only
    /// inside its calls.
    ///
    /// Returns the time spent waiting after the last slice was sent: the part of the communication that nothing hides.
    /// Called by all ranks.
    pub fn exchange_along<'a, T: Real>(
        &self,
        receives: impl IntoIterator<Item = (usize, &'a mut [T])>,
        sends: impl IntoIterator<Item = Option<(usize, &'a [T])>>,
    ) -> Duration {
        mpi::request::multiple_scope(16, |scope, requests| {
            for (from, slice) in receives {
                let from = self.world.process_at_rank(from as i32);
                for chunk in slice.chunks_mut(self.largest) {
                    requests.add(from.immediate_receive_into(scope, chunk));
                }
            }
            let mut arrived = Vec::new();
            for send in sends {
                let Some((to, slice)) = send else {
                    if requests.incomplete() > 0 {
                        requests.test_some(&mut arrived);
                    }
                    continue;
                };
                self.count_sent::<T>(slice.len());
                let to = self.world.process_at_rank(to as i32);
                for chunk in slice.chunks(self.largest) {
                    requests.add(to.immediate_send(scope, chunk));
                }
            }
            let _waiting = Waiting::begin();
            let computed = Instant::now();
            requests.wait_all(&mut arrived);
            computed.elapsed()
        })
    }

    /// Returns the bytes of every rank, in the order of ranks, on rank 0, and nothing elsewhere. Called by all ranks.
    #[must_use]
    pub fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths = vec![0_u64; self.size()];
        lengths[self.rank()] = bytes.len() as u64;
        self.sum_counts(&mut lengths);
        let _waiting = Waiting::begin();
        if !self.is_first() {
            self.count_sent::<u8>(bytes.len());
            let first = self.world.process_at_rank(0);
            for chunk in bytes.chunks(self.largest) {
                first.send(chunk);
            }
            return Vec::new();
        }
        let mut all = vec![bytes.to_vec()];
        for (rank, &length) in lengths.iter().enumerate().skip(1) {
            let mut received = vec![0_u8; length as usize];
            let from = self.world.process_at_rank(rank as i32);
            for chunk in received.chunks_mut(self.largest) {
                from.receive_into(chunk);
            }
            all.push(received);
        }
        all
    }
}
