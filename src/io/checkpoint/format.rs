//! The headers of a checkpoint's files and the frames around them.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Checked, Defect};
use crate::parallel::partition::{BLOCK, Blocks, Partition};

/// The version of the format that this program writes; it reads this one and all before it. Versions 2 to 5 each added
/// something: 2 second moments and a mean averaged over steps, 3 the digest of the data at the end of the manifest's
/// header, 4 the pseudo-time after it, 5 the version after that, and blocks of `BLOCK` columns instead of `OLD_BLOCK`.
pub const VERSION: u32 = 5;

/// The columns of a block before version 5.
const OLD_BLOCK: usize = 512;

/// Returns the number of bytes that a `version` lacks at the end of the manifest's header. Zeros in their place mean
/// that nothing is known.
fn missing_bytes(version: u32) -> usize {
    let (digest, time, own_version) = (1, size_of::<f64>(), size_of::<u32>());
    match version {
        1 | 2 => digest + time + own_version,
        3 => time + own_version,
        4 => own_version,
        _ => 0,
    }
}

/// The largest size of a header that is read: 2^26 bytes list the shards of four million ranks.
const LARGEST_HEADER: usize = 1 << 26;

/// The bytes of magic, version and length.
pub(super) const PRELUDE: usize = 16;

/// One of the arrays that make up the state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Array {
    /// The points at which the forward map is evaluated: v with momentum, u without; J rows.
    Points,
    /// The ensemble u, if momentum has moved the points; J rows.
    Previous,
    /// The centre about which members redrawn at each step are drawn; one row.
    Centre,
    /// The mean before momentum extrapolated it; one row.
    Mean,
    /// The members' hidden states, `width` numbers each; J rows, all in the section of block 0.
    Hidden {
        /// The numbers of one member.
        width: u64,
    },
    /// The predictions of the current pass over a series, `count` numbers, all in the section of block 0.
    Predictions {
        /// The number of predictions.
        count: u64,
    },
    /// The second moments of the moves of the mean; one row.
    Second,
    /// The mean averaged over steps; one row.
    Average,
    /// The places of observations that are left out, `count` numbers, all in the section of block 0.
    LeftOut {
        /// The number of observations.
        count: u64,
    },
    /// The last members that were accepted, where steps may be taken back; J rows.
    Kept,
    /// The outputs and misfits of these, `count` numbers, all in the section of block 0.
    Accepted {
        /// The number of numbers.
        count: u64,
    },
    /// The coefficients by which members follow from the first ones, `count` numbers, all in the section of block 0.
    Coefficients {
        /// The number of numbers.
        count: u64,
    },
    /// The members' mean misfit in the last step, a double in `count` numbers, all in the section of block 0.
    LastMisfit {
        /// The number of numbers.
        count: u64,
    },
    /// The deviations of the first members from their mean, over sqrt(J_0), and that mean, where these are the prior; J_0 + 1 rows.
    Sample {
        /// The number J_0 of first members.
        members: u64,
    },
}

impl Array {
    /// Returns the number of rows of parameters for `members` members; 0 for an array whose columns are not parameters.
    #[must_use]
    pub fn rows(self, members: usize) -> usize {
        match self {
            Self::Points | Self::Previous | Self::Kept => members,
            Self::Centre | Self::Mean | Self::Second | Self::Average => 1,
            Self::Hidden { .. }
            | Self::Predictions { .. }
            | Self::LeftOut { .. }
            | Self::Accepted { .. }
            | Self::Coefficients { .. }
            | Self::LastMisfit { .. } => 0,
            Self::Sample { members } => members as usize + 1,
        }
    }

    /// Returns the number of numbers besides columns of parameters.
    pub(crate) fn extra_numbers(self, members: u64) -> u64 {
        match self {
            Self::Hidden { width } => members * width,
            Self::Predictions { count }
            | Self::LeftOut { count }
            | Self::Accepted { count }
            | Self::Coefficients { count }
            | Self::LastMisfit { count } => count,
            _ => 0,
        }
    }

    /// Returns true if its sizes are possible for some state.
    fn has_possible_sizes(self) -> bool {
        match self {
            Self::Hidden { width } => width < 1 << 20,
            Self::Predictions { count }
            | Self::LeftOut { count }
            | Self::Accepted { count }
            | Self::Coefficients { count }
            | Self::LastMisfit { count } => count < 1 << 50,
            Self::Sample { members } => members < 1 << 32,
            _ => true,
        }
    }
}

/// The header of a shard: what identifies it and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHeader {
    /// The rank that wrote it.
    pub rank: u64,
    /// The number R of ranks.
    pub ranks: u64,
    /// The number J of members.
    pub members: u64,
    /// The number P of parameters.
    pub parameters: u64,
    /// The number of steps done.
    pub step: u64,
    /// The SHA-256 of the run's configuration.
    pub run: [u8; 32],
    /// The bytes of a number: 4 or 8.
    pub number: u64,
    /// The length in bytes and the CRC-32 of each section.
    pub sections: Vec<(u64, u32)>,
}

/// The length and checksum of a shard, as the manifest lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDigest {
    /// The length of the file in bytes.
    pub length: u64,
    /// The CRC-32 at the end of the header's frame.
    pub header: u32,
}

/// The manifest of a checkpoint: written last, it makes the checkpoint valid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The number of steps done.
    pub step: u64,
    /// The number of steps planned for the whole run.
    pub steps: u64,
    /// The number of steps since momentum last started.
    pub momentum_steps: u64,
    /// The number J of members.
    pub members: u64,
    /// The number P of parameters.
    pub parameters: u64,
    /// The bytes of a number: 4 or 8.
    pub number: u64,
    /// The arrays saved.
    pub arrays: Vec<Array>,
    /// The seconds that the run had taken.
    pub seconds: f64,
    /// The configuration, as the text of config.toml.
    pub config: String,
    /// The processor of rank 0's host: products have the same bits on hosts of the same kind.
    pub processor: String,
    /// The shards, by rank.
    pub parts: Vec<ShardDigest>,
    /// The SHA-256 of the data (`Dataset::digest`); None in manifests before version 3.
    pub data: Option<[u8; 32]>,
    /// The pseudo-time, the sum of the h of all steps done; 0 before version 4, whose runs did not end by it.
    pub time: f64,
    /// The version of the format in which it was written.
    pub version: u32,
}

impl Manifest {
    /// Returns the manifest in a frame.
    pub(super) fn frame(&self, magic: &[u8; 8]) -> Result<Vec<u8>, Defect> {
        frame(magic, self)
    }

    /// Reads the manifest in a whole frame whose prelude was checked.
    pub(super) fn unframe(bytes: &[u8]) -> Checked<Self> {
        let version = version(bytes);
        let manifest = unframe_longer(bytes, missing_bytes(version))?;
        Ok(Self {
            version,
            ..manifest
        })
    }

    /// Checks that the numbers are possible for some state; nothing is computed from them before.
    pub(super) fn check(&self) -> Checked<()> {
        let possible = (1..=self.steps).contains(&self.step)
            && self.momentum_steps <= self.step
            && (1..1 << 40).contains(&self.members)
            && (1..1 << 40).contains(&self.parameters)
            && [4, 8].contains(&self.number)
            && !self.arrays.is_empty()
            && self.arrays.iter().all(|array| array.has_possible_sizes())
            && self.seconds.is_finite()
            && self.seconds >= 0.0
            && self.time.is_finite()
            && self.time >= 0.0
            && !self.parts.is_empty();
        let repeated = (1..self.arrays.len()).any(|i| self.arrays[..i].contains(&self.arrays[i]));
        if possible && !repeated {
            Ok(())
        } else {
            Err("its numbers contradict each other".to_owned())
        }
    }

    /// Returns the blocks of columns.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        let width = if self.version < 5 { OLD_BLOCK } else { BLOCK };
        Blocks::of_width(self.parameters as usize, width)
    }

    /// Returns the distribution of the blocks over the ranks that wrote the checkpoint.
    #[must_use]
    pub fn owners(&self) -> Partition {
        Partition::new(self.blocks().count(), self.parts.len())
    }

    /// Returns the length in bytes of the section of `array` in `block`.
    pub(super) fn section_length(&self, array: Array, block: usize) -> u64 {
        let width = self.blocks().range(block).len() as u64;
        let extra_numbers = if block == 0 {
            array.extra_numbers(self.members)
        } else {
            0
        };
        (array.rows(self.members as usize) as u64 * width + extra_numbers) * self.number
    }
}

/// Returns the encoding of headers.
fn coding() -> Configuration<LittleEndian, Fixint, Limit<LARGEST_HEADER>> {
    bincode::config::standard()
        .with_fixed_int_encoding()
        .with_limit::<LARGEST_HEADER>()
}

/// Returns `header` in a frame.
pub(super) fn frame(magic: &[u8; 8], header: &impl Serialize) -> Result<Vec<u8>, Defect> {
    let header =
        bincode::serde::encode_to_vec(header, coding()).map_err(|e| format!("too large: {e}"))?;
    let length = u32::try_from(header.len()).map_err(|_| "too large".to_owned())?;
    let mut bytes = magic.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(header);
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    Ok(bytes)
}

/// Returns the number at `at` of a prelude.
fn number(prelude: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(prelude[at..at + 4].try_into().expect("four"))
}

/// Returns the version in a prelude.
fn version(prelude: &[u8]) -> u32 {
    number(prelude, 8)
}

/// Returns the length of a whole frame, from its first `PRELUDE` bytes.
pub(super) fn frame_length(magic: &[u8; 8], prelude: &[u8; PRELUDE]) -> Checked<usize> {
    if &prelude[..8] != magic {
        return Err("is not a file of a checkpoint".to_owned());
    }
    let version = version(prelude);
    if !(1..=VERSION).contains(&version) {
        return Err(format!(
            "has format version {version}; this program reads versions 1 to {VERSION}"
        ));
    }
    let length = number(prelude, 12) as usize;
    if length > LARGEST_HEADER {
        return Err("promises an impossible header".to_owned());
    }
    Ok(PRELUDE + length + 4)
}

/// Returns the CRC-32 at the end of a frame.
pub(super) fn frame_sum(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame[frame.len() - 4..].try_into().expect("four"))
}

/// Reads the header in a whole frame whose prelude was checked.
pub(super) fn unframe<H: DeserializeOwned>(frame: &[u8]) -> Checked<H> {
    unframe_longer(frame, 0)
}

/// Reads the header in a whole frame, followed by `zeros` zeros that an older version missing_bytes.
fn unframe_longer<H: DeserializeOwned>(frame: &[u8], zeros: usize) -> Checked<H> {
    let body = &frame[..frame.len() - 4];
    if crc32fast::hash(body) != frame_sum(frame) {
        return Err("its header's checksum differs".to_owned());
    }
    let header = [&body[PRELUDE..], &vec![0; zeros]].concat();
    let length = header.len();
    let (header, used) = bincode::serde::decode_from_slice(&header, coding())
        .map_err(|e| format!("its header cannot be read: {e}"))?;
    if used != length {
        return Err("its header has another length".to_owned());
    }
    Ok(header)
}
