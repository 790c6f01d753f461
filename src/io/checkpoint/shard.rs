//! The shard of one rank: written in one pass, read section by section, each compared with its checksum.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::format::{
    Array, Manifest, PRELUDE, ShardDigest, ShardHeader, frame, frame_length, frame_sum, unframe,
};
use super::{Checked, folders};
use crate::error::{Error, Result};
use crate::files::Files;

const MAGIC: &[u8; 8] = b"EKI-PART";

/// Writes the shard of rank `header.rank` into the checkpoint's `folder`. `sections` are its sections in order, with
/// their CRC-32s; `header.sections` is filled from them. Called by every rank.
///
/// # Errors
/// The first file call that failed.
pub fn write_shard(
    files: &Files,
    folder: &Path,
    mut header: ShardHeader,
    sections: &[(&[u8], u32)],
) -> Result<ShardDigest> {
    header.sections = sections
        .iter()
        .map(|(bytes, sum)| (bytes.len() as u64, *sum))
        .collect();
    let path = folder.join(folders::shard_name(header.rank, header.ranks));
    let head = frame(MAGIC, &header)
        .map_err(|defect| Error::Run(format!("{}: {defect}", path.display())))?;
    files.write_with(&path, |sink| {
        sink.write_all(&head)?;
        sections
            .iter()
            .try_for_each(|(bytes, _)| sink.write_all(bytes))
    })?;
    let bulk: u64 = header.sections.iter().map(|(length, _)| length).sum();
    Ok(ShardDigest {
        length: head.len() as u64 + bulk,
        header: frame_sum(&head),
    })
}

/// A shard that is open for reading.
#[derive(Debug)]
pub struct Shard {
    name: String,
    file: File,
    first_block: usize,
    arrays: Vec<Array>,
    /// The position, length and checksum of each section.
    sections: Vec<(u64, u64, u32)>,
}

impl Shard {
    /// Opens the shard of `rank` in the checkpoint `folder`, whose manifest is `manifest` and whose configuration has
    /// the digest `run`.
    ///
    /// # Errors
    /// Anything that does not agree with the manifest.
    pub fn open(folder: &Path, manifest: &Manifest, run: &[u8; 32], rank: usize) -> Checked<Self> {
        let name = folders::shard_name(rank as u64, manifest.parts.len() as u64);
        match Self::open_named(&folder.join(&name), manifest, run, rank) {
            Ok(part) => Ok(Self { name, ..part }),
            Err(defect) => Err(format!("{name}: {defect}")),
        }
    }

    /// Opens the shard in the file `path`.
    fn open_named(path: &Path, manifest: &Manifest, run: &[u8; 32], rank: usize) -> Checked<Self> {
        let unreadable = |e: std::io::Error| format!("cannot be read: {e}");
        let expected_digest = manifest.parts[rank];
        let mut file = folders::open_regular(path)?;
        let length = file.metadata().map_err(unreadable)?.len();
        if length != expected_digest.length {
            return Err(format!(
                "has {length} bytes, but {} were written",
                expected_digest.length
            ));
        }
        let mut prelude = [0; PRELUDE];
        file.read_exact(&mut prelude).map_err(unreadable)?;
        let whole = frame_length(MAGIC, &prelude)?;
        if whole as u64 > length {
            return Err("is shorter than its header".to_owned());
        }
        let mut head = vec![0; whole];
        head[..PRELUDE].copy_from_slice(&prelude);
        file.read_exact(&mut head[PRELUDE..]).map_err(unreadable)?;
        let header: ShardHeader = unframe(&head)?;
        if frame_sum(&head) != expected_digest.header {
            return Err("belongs to another checkpoint than the manifest".to_owned());
        }
        let expected_header = ShardHeader {
            rank: rank as u64,
            ranks: manifest.parts.len() as u64,
            members: manifest.members,
            parameters: manifest.parameters,
            step: manifest.step,
            run: *run,
            number: manifest.number,
            sections: header.sections.clone(),
        };
        if header != expected_header {
            return Err("belongs to another run, rank or step".to_owned());
        }
        Self::index(file, manifest, rank, &header, whole as u64, length)
    }

    /// Compares the lengths of the sections with what the manifest implies, and records where each begins.
    fn index(
        file: File,
        manifest: &Manifest,
        rank: usize,
        header: &ShardHeader,
        start: u64,
        length: u64,
    ) -> Checked<Self> {
        let blocks = manifest.owners().range(rank);
        let expected = blocks
            .clone()
            .flat_map(|b| manifest.arrays.iter().map(move |&array| (array, b)));
        let expected: Vec<u64> = expected
            .map(|(array, b)| manifest.section_length(array, b))
            .collect();
        if !expected
            .iter()
            .eq(header.sections.iter().map(|(length, _)| length))
        {
            return Err("has other sections than its position implies".to_owned());
        }
        let mut next = start;
        let mut sections = Vec::with_capacity(expected.len());
        for &(bytes, sum) in &header.sections {
            sections.push((next, bytes, sum));
            next += bytes;
        }
        if next != length {
            return Err(format!("has {length} bytes instead of {next}"));
        }
        Ok(Self {
            name: String::new(),
            file,
            first_block: blocks.start,
            arrays: manifest.arrays.clone(),
            sections,
        })
    }

    /// Reads `array` of `block`, one of this shard's blocks, to `out`, which must have exactly its length.
    ///
    /// # Errors
    /// Bytes that cannot be read or whose checksum differs.
    pub fn read(&mut self, array: Array, block: usize, out: &mut [u8]) -> Checked<()> {
        self.read_section(array, block, out)
            .map_err(|defect| format!("{}: {defect}", self.name))
    }

    /// Reads one section and compares its checksum.
    fn read_section(&mut self, array: Array, block: usize, out: &mut [u8]) -> Checked<()> {
        let position = self.arrays.iter().position(|a| *a == array);
        let position = position.ok_or_else(|| format!("holds no {array:?}"))?;
        let section = (block - self.first_block) * self.arrays.len() + position;
        let (start, length, sum) = self.sections[section];
        if length != out.len() as u64 {
            return Err(format!("{array:?} of block {block} has another length"));
        }
        self.file
            .seek(SeekFrom::Start(start))
            .and_then(|_| self.file.read_exact(out))
            .map_err(|e| format!("{array:?} of block {block} cannot be read: {e}"))?;
        if crc32fast::hash(out) != sum {
            return Err(format!(
                "the checksum of {array:?} of block {block} differs"
            ));
        }
        Ok(())
    }
}
