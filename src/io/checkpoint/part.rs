//! One rank's part of a checkpoint: written in one pass, read section by section, each compared with its checksum.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use super::format::{
    Array, Manifest, PRELUDE, PartHeader, ShardDigest, frame, frame_length, frame_sum, unframe,
};
use super::{Checked, generations};
use crate::error::{Error, Result};
use crate::files::Files;

const MAGIC: &[u8; 8] = b"EKI-PART";

/// Writes the part of `header.rank` into the generation's `folder`: `header` is given without its sections, which are
/// `sections`, in order, with their CRC-32s.
///
/// # Errors
/// The first file call that failed.
pub fn write_part(
    files: &Files,
    folder: &Path,
    mut header: PartHeader,
    sections: &[(&[u8], u32)],
) -> Result<ShardDigest> {
    header.sections = sections
        .iter()
        .map(|(bytes, sum)| (bytes.len() as u64, *sum))
        .collect();
    let path = folder.join(generations::part_name(header.rank, header.ranks));
    let head =
        frame(MAGIC, &header).map_err(|flaw| Error::Run(format!("{}: {flaw}", path.display())))?;
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

/// A part open for reading.
#[derive(Debug)]
pub struct Shard {
    name: String,
    file: File,
    first_block: usize,
    arrays: Vec<Array>,
    /// Place, length and checksum of each section.
    sections: Vec<(u64, u64, u32)>,
}

impl Shard {
    /// Opens part `rank` of the generation in `folder` whose mark is `mark` and whose configuration has digest `run`.
    ///
    /// # Errors
    /// Anything that is not as the mark says.
    pub fn open(folder: &Path, mark: &Manifest, run: &[u8; 32], rank: usize) -> Checked<Self> {
        let name = generations::part_name(rank as u64, mark.parts.len() as u64);
        match Self::open_named(&folder.join(&name), mark, run, rank) {
            Ok(part) => Ok(Self { name, ..part }),
            Err(flaw) => Err(format!("{name}: {flaw}")),
        }
    }

    fn open_named(path: &Path, mark: &Manifest, run: &[u8; 32], rank: usize) -> Checked<Self> {
        let unreadable = |e: std::io::Error| format!("cannot be read: {e}");
        let stamp = mark.parts[rank];
        let mut file = generations::open_regular(path)?;
        let length = file.metadata().map_err(unreadable)?.len();
        if length != stamp.length {
            return Err(format!(
                "has {length} bytes, but {} were written",
                stamp.length
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
        let header: PartHeader = unframe(&head)?;
        if frame_sum(&head) != stamp.header {
            return Err("belongs to another checkpoint than the mark".to_owned());
        }
        let wanted = PartHeader {
            rank: rank as u64,
            ranks: mark.parts.len() as u64,
            members: mark.members,
            parameters: mark.parameters,
            step: mark.step,
            run: *run,
            number: mark.number,
            sections: header.sections.clone(),
        };
        if header != wanted {
            return Err("belongs to another run, rank or step".to_owned());
        }
        Self::index(file, mark, rank, &header, whole as u64, length)
    }

    /// Compares the sections' lengths with what the mark implies and notes where each begins.
    fn index(
        file: File,
        mark: &Manifest,
        rank: usize,
        header: &PartHeader,
        start: u64,
        length: u64,
    ) -> Checked<Self> {
        let blocks = mark.owners().range(rank);
        let expected = blocks
            .clone()
            .flat_map(|b| mark.arrays.iter().map(move |&array| (array, b)));
        let expected: Vec<u64> = expected
            .map(|(array, b)| mark.section_length(array, b))
            .collect();
        if !expected
            .iter()
            .eq(header.sections.iter().map(|(length, _)| length))
        {
            return Err("has other sections than its place implies".to_owned());
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
            arrays: mark.arrays.clone(),
            sections,
        })
    }

    /// Reads `array` of `block`, one of this part's, to `out`, which has exactly its length.
    ///
    /// # Errors
    /// Bytes that cannot be read or whose checksum differs.
    pub fn read(&mut self, array: Array, block: usize, out: &mut [u8]) -> Checked<()> {
        self.read_section(array, block, out)
            .map_err(|flaw| format!("{}: {flaw}", self.name))
    }

    fn read_section(&mut self, array: Array, block: usize, out: &mut [u8]) -> Checked<()> {
        let place = self.arrays.iter().position(|a| *a == array);
        let place = place.ok_or_else(|| format!("holds no {array:?}"))?;
        let section = (block - self.first_block) * self.arrays.len() + place;
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
