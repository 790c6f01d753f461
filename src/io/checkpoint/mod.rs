//! Checkpoints: a run's state on the disk, whole or absent, readable by any number of ranks.
//!
//! One generation is one folder, `checkpoints/step-NNNNNNNN/`. Every rank writes the blocks of columns it owns to a
//! part of its own; when all parts lie on the disk, rank 0 writes the mark. A folder without a mark is no checkpoint.
//!
//! ```text
//! part-RRRRR-of-RRRRR    frame "EKI-PART" of `PartHeader`, then the sections' numbers, one after the other
//! mark                   frame "EKI-MARK" of `Manifest`, the step, the configuration, each part's length and checksum, and
//!                        of the data's digest
//!
//! frame      8 bytes  magic
//!            4        version of the format
//!            4        length n of the header
//!            n        the header, in bincode with fixed-width integers
//!            4        CRC-32 (IEEE) of all the bytes before it
//! section             one array's numbers in one block of 128 columns (the last is narrower), rows x width, row by row
//! ```
//!
//! Hidden states and predictions, which are no columns of parameters, stand whole with block 0, and with others nothing.
//!
//! All is little-endian. A part's sections are: for each of its blocks in order, each of the mark's arrays in order.
//! Part i of n holds the blocks that `Partition::new(blocks, n)` gives to i. Each section's CRC-32 stands in the part's
//! header and that header's CRC-32 in the mark, so a part of another run, rank, step or generation is told at once.
//! Nothing is executed, no path is stored, and no length is believed before it is compared with the file's.
//!
//! What is saved is what a step needs and no more: random numbers and the order of the samples follow from the seed.

mod format;
mod generations;
mod part;

pub use format::{Array, Manifest, PartHeader, ShardDigest, VERSION};
pub use generations::{
    FOLDER, list, newest_mark, prepare, prune, read_mark, remove, step_folder, write_mark,
};
pub use part::{Shard, write_part};

// The arrays are written as they lie in memory.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "checkpoints are little-endian"
);

/// What is wrong with a checkpoint's file, in words.
pub type Defect = String;

/// What was read from a checkpoint, or what is wrong with it.
pub type Checked<T> = std::result::Result<T, Defect>;
