//! The commands that need no other rank: each answers with text for standard output.

use eki_mpi::error::{Error, Result};
use rayon::ThreadPool;

/// Returns all of this machine's cores.
pub fn all_cores() -> Result<ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .build()
        .map_err(|e| Error::Run(format!("threads could not be started: {e}")))
}

/// `value` as indented JSON with a newline at its end.
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain data encodes") + "\n"
}
