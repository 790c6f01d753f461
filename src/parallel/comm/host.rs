//! Memory that the ranks of one host share: they read each other's numbers in place, without a copy or a message.

use std::io::ErrorKind;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::Comm;
use crate::error::{Error, Result};
use crate::parallel::abort::Waiting;
use crate::parallel::shared_memory::{Address, PeerRegion, SharedRegion};

/// The environment variable that, set to "never", makes ranks of one host send each other messages, as ranks of two
/// hosts do.
pub const SHARED_MEMORY: &str = "EKI_SHARED_MEMORY";

/// The ranks of one host.
pub(super) struct Host {
    ranks: SimpleCommunicator,
    /// The numbers of these ranks among all ranks.
    numbers: Vec<usize>,
    /// True if these ranks can read each other's memory.
    shares: bool,
}

/// The memory that a rank and the other ranks of its host share with each other.
#[derive(Debug)]
pub struct SharedRegions {
    /// This rank's region.
    pub own: SharedRegion,
    /// The regions of the other ranks of this host, each with its rank.
    pub peers: Vec<(usize, PeerRegion)>,
}

impl Host {
    /// Finds the ranks of this host and checks that they can read each other's memory. Called by all ranks.
    fn find(comm: &Comm) -> Self {
        let (world, rank) = (&comm.world, comm.world.rank());
        let ranks = match comm.on_hosts_of {
            Some(ranks) => {
                let host = Color::with_value(rank / ranks as i32);
                let split = world.split_by_color_with_key(host, rank);
                split.expect("a rank of a colour is in a group")
            }
            None => world.split_shared(rank),
        };
        let mut numbers = vec![0_u64; ranks.size() as usize];
        ranks.all_gather_into(&(rank as u64), &mut numbers[..]);
        let mut host = Self {
            ranks,
            numbers: numbers.into_iter().map(|rank| rank as usize).collect(),
            shares: false,
        };
        // A first exchange of a few bytes shows whether every rank here can read every other. Two containers may have
        // processes and descriptors with the same numbers, so the bytes read are compared with what their owner must
        // have written.
        let made = match std::env::var(SHARED_MEMORY).as_deref() {
            Ok("never") => Err(ErrorKind::Unsupported.into()),
            _ => SharedRegion::new(size_of::<usize>()),
        };
        let reads = host.share(made.map(|mut own| {
            own.bytes_mut().copy_from_slice(&comm.rank().to_le_bytes());
            own
        }));
        let agrees = reads.is_ok_and(|shared| {
            let mut read = shared.peers.iter();
            read.all(|(rank, peers)| peers[..] == rank.to_le_bytes())
        });
        host.shares = host.all(agrees);
        host
    }

    /// Returns true if `own` is true on all ranks of this host.
    fn all(&self, own: bool) -> bool {
        let mut count = 0_u64;
        let sum = mpi::collective::SystemOperation::sum();
        self.ranks.all_reduce_into(&u64::from(own), &mut count, sum);
        count == self.ranks.size() as u64
    }

    /// Exchanges the regions: this rank's, `made`, for those of the other ranks of this host. Fails on all of them if
    /// it fails on one.
    fn share(&self, made: std::io::Result<SharedRegion>) -> std::io::Result<SharedRegions> {
        let nowhere: Address = [u64::MAX; 3];
        let address = made.as_ref().map_or(nowhere, SharedRegion::address);
        let mut addresses = vec![0_u64; 3 * self.ranks.size() as usize];
        self.ranks.all_gather_into(&address[..], &mut addresses[..]);
        let all = self.numbers.iter().zip(addresses.as_chunks().0).enumerate();
        let others = all.filter(|(place, _)| *place != self.ranks.rank() as usize);
        let opened: std::io::Result<Vec<_>> = others
            .map(|(_, (&rank, &address))| Ok((rank, PeerRegion::open(address)?)))
            .collect();
        // By now every rank has opened every region, or has failed to.
        let both = made.and_then(|own| Ok((own, opened?)));
        if !self.all(both.is_ok()) {
            return Err(both
                .err()
                .unwrap_or_else(|| std::io::Error::other("another rank has failed")));
        }
        let (mut own, peers) = both?;
        own.close();
        Ok(SharedRegions { own, peers })
    }
}

impl Comm {
    /// Returns the ranks of this host; the first call must be made by all ranks.
    fn host(&self) -> &Host {
        self.host.get_or_init(|| Host::find(self))
    }

    /// Returns the number of ranks on this rank's host, those of other groups among them.
    #[must_use]
    pub fn ranks_on_host(&self) -> usize {
        self.on_host
            .unwrap_or_else(|| self.host().ranks.size() as usize)
    }

    /// Returns the number of threads that this rank should start: its share of its host's cores, at least 1.
    #[must_use]
    pub fn share_of_cores(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / self.ranks_on_host()).max(1)
    }

    /// Returns the ranks whose memory this rank can read in place, in order and itself included: those of its host, or
    /// itself alone if the system does not allow it or `EKI_SHARED_MEMORY` is "never".
    #[must_use]
    pub fn near(&self) -> &[usize] {
        let host = self.host();
        if host.shares {
            return &host.numbers;
        }
        let place = host.ranks.rank() as usize;
        &host.numbers[place..=place]
    }

    /// Allocates `bytes` zeros on each rank of a host for all of them to read; None if no other rank is near. Called by
    /// all ranks.
    ///
    /// # Errors
    /// If there is not enough memory, on all near ranks alike.
    pub fn share(&self, bytes: usize) -> Result<Option<SharedRegions>> {
        if self.near().len() == 1 {
            return Ok(None);
        }
        let shared = self.host().share(SharedRegion::new(bytes));
        shared.map(Some).map_err(|e| {
            Error::Run(format!(
                "the ranks of this host can't share {bytes} bytes of memory: {e} (set {SHARED_MEMORY}=never, and they send \
                 messages)"
            ))
        })
    }

    /// Waits for the near ranks. It separates the time when shared memory is written from the time when it is read.
    pub fn host_barrier(&self) {
        if self.near().len() > 1 {
            let _waiting = Waiting::begin();
            self.host().ranks.barrier();
        }
    }
}
