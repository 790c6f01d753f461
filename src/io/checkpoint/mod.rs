//! Checkpoints: the state of a run on the disk, whole or absent, readable on any number of ranks.
//!
//! Each checkpoint is a folder, `checkpoints/step-NNNNNNNN/`. Every rank writes the blocks of columns that it owns to
//! its shard; when all shards are stored on the disk, rank 0 writes the manifest. A folder without a manifest is no
//! checkpoint.
//!
//! ```text
//! part-RRRRR-of-RRRRR    a shard: frame "EKI-PART" of `ShardHeader`, then the sections, one after the other
//! mark                   the manifest: frame "EKI-MARK" of `Manifest` (step, configuration, length and checksum of
//!                        each shard, digest of the data)
//!
//! frame      8 bytes  magic
//!            4        version of the format
//!            4        length n of the header
//!            n        the header, in bincode with fixed-width integers
//!            4        CRC-32 (IEEE) of all the bytes before it
//! section             one array's numbers in one block of 128 columns (the last is narrower), rows x width, row by row
//! ```
//!
//! Hidden states, predictions and the places of left-out observations, which are not columns of parameters, are stored whole with block 0.
//!
//! All numbers are little-endian. A shard holds for each of its blocks, in order, one section for each of the
//! manifest's arrays, in order. Shard i of n holds the blocks that `Partition::new(blocks, n)` gives to i. The CRC-32
//! of each section is in the shard's header and that header's CRC-32 in the manifest, so a shard of another run, rank,
//! step or checkpoint is recognised at once. Nothing is executed, no path is stored, and no length is trusted before it
//! is compared with the file's.
//!
//! Only what a step needs is saved: random numbers and the order of the samples follow from the seed.

mod folders;
mod format;
mod shard;

pub use folders::{
    FOLDER, list, newest_manifest, prepare, prune, read_manifest, remove, step_folder,
    write_manifest,
};
pub use format::{Array, Manifest, ShardDigest, ShardHeader, VERSION};
pub use shard::{Shard, write_shard};

// The arrays are written as they are in memory.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "checkpoints are little-endian"
);

/// A description of what is wrong with a checkpoint's file.
pub type Defect = String;

/// The value read from a checkpoint, or the defect found.
pub type Checked<T> = std::result::Result<T, Defect>;
