//! The frames around a checkpoint's headers, and what the headers hold.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Checked, Defect};
use crate::parallel::partition::{BLOCK, Blocks, Partition};

/// The version this program writes; it reads this one and all before it. Since 2 there may be second moments and an
/// average; since 3 the mark's header ends with the data's digest, since 4 with the time after it, since 5 with the version
/// after that; before 5 blocks were `WIDE`. Nothing else differs.
pub const VERSION: u32 = 5;

/// The columns of a block before version 5.
const WIDE: usize = 512;

/// The bytes at the end of a mark's header that a `version` lacks; as zeros they say that nothing is known.
fn lacks(version: u32) -> usize {
    let (digest, time, own) = (1, size_of::<f64>(), size_of::<u32>());
    match version {
        1 | 2 => digest + time + own,
        3 => time + own,
        4 => own,
        _ => 0,
    }
}

/// Headers are read up to this size: 2^26 bytes list the parts of four million ranks.
const LARGEST_HEADER: usize = 1 << 26;

/// The bytes of magic, version and length.
pub(super) const PRELUDE: usize = 16;

/// One of the arrays that make up a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Array {
    /// What the forward map is given: v with momentum, u without; J rows.
    Points,
    /// u, where momentum has moved the points on; J rows.
    Previous,
    /// What members redrawn at each step are drawn about; one row.
    Centre,
    /// The mean before momentum extrapolated it; one row.
    Mean,
    /// The members' hidden states, `width` numbers each; J rows, all with block 0.
    Hidden {
        /// Numbers of one member.
        width: u64,
    },
    /// The predictions of the present pass over a series, `count` numbers, all with block 0.
    Predictions {
        /// How many.
        count: u64,
    },
    /// The second moments of the mean's move; one row.
    Second,
    /// The mean's average over steps; one row.
    Average,
}

impl Array {
    /// Rows of columns of parameters, in a run of `members`; 0 where its columns are none of parameters.
    #[must_use]
    pub fn rows(self, members: usize) -> usize {
        match self {
            Self::Points | Self::Previous => members,
            Self::Centre | Self::Mean | Self::Second | Self::Average => 1,
            Self::Hidden { .. } | Self::Predictions { .. } => 0,
        }
    }

    /// Numbers it has beside those of parameters' columns.
    fn beside(self, members: u64) -> u64 {
        match self {
            Self::Hidden { width } => members * width,
            Self::Predictions { count } => count,
            _ => 0,
        }
    }

    /// Whether its sizes can belong to any state at all.
    fn is_sane(self) -> bool {
        match self {
            Self::Hidden { width } => width < 1 << 20,
            Self::Predictions { count } => count < 1 << 50,
            _ => true,
        }
    }
}

/// What identifies a part and says what lies in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHeader {
    /// Whose part.
    pub rank: u64,
    /// Of how many ranks R.
    pub ranks: u64,
    /// Members J.
    pub members: u64,
    /// Parameters P.
    pub parameters: u64,
    /// Steps done.
    pub step: u64,
    /// SHA-256 of the run's configuration.
    pub run: [u8; 32],
    /// Bytes of a number: 4 or 8.
    pub number: u64,
    /// Length in bytes and CRC-32 of each section.
    pub sections: Vec<(u64, u32)>,
}

/// A part as the mark knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardDigest {
    /// The file's length in bytes.
    pub length: u64,
    /// The CRC-32 at the end of its header's frame.
    pub header: u32,
}

/// What makes a generation valid: written last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Steps done.
    pub step: u64,
    /// Steps the whole run was to have.
    pub steps: u64,
    /// Steps since momentum last started.
    pub momentum_steps: u64,
    /// Members J.
    pub members: u64,
    /// Parameters P.
    pub parameters: u64,
    /// Bytes of a number: 4 or 8.
    pub number: u64,
    /// The arrays saved.
    pub arrays: Vec<Array>,
    /// Seconds the run had taken.
    pub seconds: f64,
    /// The configuration, as config.toml.
    pub config: String,
    /// The processor of rank 0's host: products have the same bits on hosts of one kind.
    pub processor: String,
    /// The parts, by rank.
    pub parts: Vec<ShardDigest>,
    /// SHA-256 of the data (`Dataset::digest`), which the oldest marks lack.
    pub data: Option<[u8; 32]>,
    /// The sum of the h of all steps done; 0 in older marks, whose runs did not end by it.
    pub time: f64,
    /// The version of the format it was written in.
    pub version: u32,
}

impl Manifest {
    /// In a frame.
    pub(super) fn frame(&self, magic: &[u8; 8]) -> Result<Vec<u8>, Defect> {
        frame(magic, self)
    }

    /// From a whole frame whose prelude was checked.
    pub(super) fn unframe(bytes: &[u8]) -> Checked<Self> {
        let version = version(bytes);
        let mark = unframe_longer(bytes, lacks(version))?;
        Ok(Self { version, ..mark })
    }

    /// Whether the numbers in it can belong to any state at all; nothing is computed from them before.
    pub(super) fn check(&self) -> Checked<()> {
        let sane = (1..=self.steps).contains(&self.step)
            && self.momentum_steps <= self.step
            && (1..1 << 40).contains(&self.members)
            && (1..1 << 40).contains(&self.parameters)
            && [4, 8].contains(&self.number)
            && !self.arrays.is_empty()
            && self.arrays.iter().all(|array| array.is_sane())
            && self.seconds.is_finite()
            && self.seconds >= 0.0
            && self.time.is_finite()
            && self.time >= 0.0
            && !self.parts.is_empty();
        let repeated = (1..self.arrays.len()).any(|i| self.arrays[..i].contains(&self.arrays[i]));
        if sane && !repeated {
            Ok(())
        } else {
            Err("its numbers contradict each other".to_owned())
        }
    }

    /// The columns' blocks.
    #[must_use]
    pub fn blocks(&self) -> Blocks {
        let width = if self.version < 5 { WIDE } else { BLOCK };
        Blocks::of_width(self.parameters as usize, width)
    }

    /// The blocks over the ranks that wrote.
    #[must_use]
    pub fn owners(&self) -> Partition {
        Partition::new(self.blocks().count(), self.parts.len())
    }

    /// The bytes of `array` in `block`.
    pub(super) fn section_length(&self, array: Array, block: usize) -> u64 {
        let width = self.blocks().range(block).len() as u64;
        let beside = if block == 0 {
            array.beside(self.members)
        } else {
            0
        };
        (array.rows(self.members as usize) as u64 * width + beside) * self.number
    }
}

fn coding() -> Configuration<LittleEndian, Fixint, Limit<LARGEST_HEADER>> {
    bincode::config::standard()
        .with_fixed_int_encoding()
        .with_limit::<LARGEST_HEADER>()
}

/// `header` in a frame.
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

/// The number at `at` of a prelude.
fn number(prelude: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(prelude[at..at + 4].try_into().expect("four"))
}

fn version(prelude: &[u8]) -> u32 {
    number(prelude, 8)
}

/// The length of a whole frame, from its first `PRELUDE` bytes.
pub(super) fn frame_length(magic: &[u8; 8], prelude: &[u8; PRELUDE]) -> Checked<usize> {
    if &prelude[..8] != magic {
        return Err("is no file of a checkpoint".to_owned());
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

/// The CRC-32 that ends a frame.
pub(super) fn frame_sum(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame[frame.len() - 4..].try_into().expect("four"))
}

/// The header in a whole frame whose prelude was checked.
pub(super) fn unframe<H: DeserializeOwned>(frame: &[u8]) -> Checked<H> {
    unframe_longer(frame, 0)
}

/// The same where so many `zeros` follow the header.
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
