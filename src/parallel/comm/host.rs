//! Ranks of one host that read each other's memory where it lies: nothing is copied, nothing is sent.

use std::io::ErrorKind;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::Comm;
use crate::error::{Error, Result};
use crate::parallel::abort::Waiting;
use crate::parallel::shared_memory::{Address, PeerRegion, SharedRegion};

/// Set to "never": ranks of one host send each other messages, as ranks of two hosts do.
pub const SHARED_MEMORY: &str = "EKI_SHARED_MEMORY";

/// The ranks of one host.
pub(super) struct Host {
    ranks: SimpleCommunicator,
    /// Their numbers among all.
    numbers: Vec<usize>,
    /// Whether they can read each other's memory.
    shares: bool,
}

/// What a rank has made for those near it, and what these have made.
#[derive(Debug)]
pub struct Shared {
    /// This rank's.
    pub own: SharedRegion,
    /// The others', with their numbers.
    pub theirs: Vec<(usize, PeerRegion)>,
}

impl Host {
    fn of(comm: &Comm) -> Self {
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
        // First a few bytes, to see whether everyone here can read everyone's. Two containers have processes and
        // descriptors of the same numbers: what is read must be what its owner wrote.
        let made = match std::env::var(SHARED_MEMORY).as_deref() {
            Ok("never") => Err(ErrorKind::Unsupported.into()),
            _ => SharedRegion::new(size_of::<usize>()),
        };
        let reads = host.share(made.map(|mut own| {
            own.bytes_mut().copy_from_slice(&comm.rank().to_le_bytes());
            own
        }));
        let agrees = reads.is_ok_and(|shared| {
            let mut read = shared.theirs.iter();
            read.all(|(rank, theirs)| theirs[..] == rank.to_le_bytes())
        });
        host.shares = host.all(agrees);
        host
    }

    /// Whether `own` holds on all of them.
    fn all(&self, own: bool) -> bool {
        let mut count = 0_u64;
        let sum = mpi::collective::SystemOperation::sum();
        self.ranks.all_reduce_into(&u64::from(own), &mut count, sum);
        count == self.ranks.size() as u64
    }

    /// What this rank has `made`, and what each other has. Fails on all alike where any has failed.
    fn share(&self, made: std::io::Result<SharedRegion>) -> std::io::Result<Shared> {
        let nowhere: Address = [u64::MAX; 3];
        let address = made.as_ref().map_or(nowhere, SharedRegion::address);
        let mut addresses = vec![0_u64; 3 * self.ranks.size() as usize];
        self.ranks.all_gather_into(&address[..], &mut addresses[..]);
        let all = self.numbers.iter().zip(addresses.as_chunks().0).enumerate();
        let others = all.filter(|(place, _)| *place != self.ranks.rank() as usize);
        let opened: std::io::Result<Vec<_>> = others
            .map(|(_, (&rank, &address))| Ok((rank, PeerRegion::open(address)?)))
            .collect();
        // Everyone has opened everything, or has failed to.
        let both = made.and_then(|own| Ok((own, opened?)));
        if !self.all(both.is_ok()) {
            return Err(both
                .err()
                .unwrap_or_else(|| std::io::Error::other("another rank has failed")));
        }
        let (mut own, theirs) = both?;
        own.close();
        Ok(Shared { own, theirs })
    }
}

impl Comm {
    fn host(&self) -> &Host {
        self.host.get_or_init(|| Host::of(self))
    }

    /// The number of ranks on this rank's host.
    #[must_use]
    pub fn ranks_on_host(&self) -> usize {
        self.host().ranks.size() as usize
    }

    /// The threads that this rank should start: its share of its host's cores, at least 1.
    #[must_use]
    pub fn share_of_cores(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / self.ranks_on_host()).max(1)
    }

    /// The ranks whose memory this rank reads where it lies, itself among them, in order: those of its host, or itself
    /// alone where the system does not allow it or `EKI_SHARED_MEMORY` is "never".
    #[must_use]
    pub fn near(&self) -> &[usize] {
        let host = self.host();
        if host.shares {
            return &host.numbers;
        }
        let place = host.ranks.rank() as usize;
        &host.numbers[place..=place]
    }

    /// `bytes` zeros on each of the ranks near, which can all read them; none where no other is near. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks near alike: there is no room.
    pub fn share(&self, bytes: usize) -> Result<Option<Shared>> {
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

    /// Waits for the ranks near: before it they read, or write, what is shared; after it they take the other turn.
    pub fn host_barrier(&self) {
        if self.near().len() > 1 {
            let _waiting = Waiting::begin();
            self.host().ranks.barrier();
        }
    }
}
