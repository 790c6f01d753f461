//! The ranks that work together, and the threads of this rank.

use rayon::ThreadPool;
use sha2::{Digest as _, Sha256};

use crate::files::numbers::hexadecimal;
use crate::parallel::comm::Comm;

/// The workers of a run: all ranks, and the threads of this rank.
#[derive(Clone, Copy)]
pub struct Ranks<'a> {
    /// The communicator of all ranks.
    pub comm: &'a Comm,
    /// The threads of this rank.
    pub pool: &'a ThreadPool,
}

/// Returns on all ranks the SHA-256 digest, in hexadecimal, of the bytes of all ranks in the order of ranks. Called by
/// all ranks.
pub(crate) fn digest_of(ranks: Ranks, own: &[u8]) -> String {
    let parts = ranks.comm.gather(own);
    let digest = ranks.comm.is_first().then(|| {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        digest.finalize().to_vec()
    });
    let digest = ranks.comm.broadcast(digest.unwrap_or_default());
    hexadecimal(&digest)
}
