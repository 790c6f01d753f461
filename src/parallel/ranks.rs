//! The ranks that do the work together, and the threads of this one.

use rayon::ThreadPool;
use sha2::{Digest as _, Sha256};

use crate::files::numbers::hexadecimal;
use crate::parallel::comm::Comm;

/// Who does the work: all ranks, and the threads of this one.
#[derive(Clone, Copy)]
pub struct Ranks<'a> {
    /// All ranks.
    pub comm: &'a Comm,
    /// This rank's threads.
    pub pool: &'a ThreadPool,
}

/// The digest of all ranks' bytes in the order of ranks, hexadecimal, on all ranks.
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
