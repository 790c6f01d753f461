//! Outputs that simulators gave since the last checkpoint, kept in the run's folder as they come: a run that is killed in
//! the middle of a step does not simulate those members again.
//!
//! Each rank appends to a file of its own. A record is
//!
//! | bytes | content |
//! |---|---|
//! | 32 | SHA-256 of the simulator's command, K, the bits of the member's parameters in their own units, and the sets it was asked for |
//! | 8 K | its outputs, little-endian |
//! | 4 | CRC-32 of the bytes before |
//!
//! A record that is torn, damaged, or of another member is no record of any member: that one is simulated. Members that
//! failed have none, for one may have failed by what ended the run: they are simulated again.
//!
//! Written are answers that took `PERIOD` or longer, alone or together; files are not synced. All of it is forgotten once a
//! checkpoint holds what became of it, and when a simulator printed a line that nobody asked for.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::Simulator;
use crate::data::observed::ObservedOutputs;
use crate::error::{Error, Result};
use crate::files::{Files, Sink, open_own};

/// The work that a kill may cost each simulator, and the least time between two writes.
const PERIOD: Duration = Duration::from_millis(200);
/// Bytes beyond which the files of all ranks hold no more than the present step.
pub const LIMIT: u64 = 1 << 26;
/// Bytes of a record beside its outputs.
const KEY: usize = 32;
const CHECKSUM: usize = 4;
/// The beginning of a file's name; the rank's number follows.
const PREFIX: &str = "rank-";

/// Bytes of a record of `outputs` numbers.
#[must_use]
pub fn record_size(outputs: usize) -> usize {
    KEY + 8 * outputs + CHECKSUM
}

/// The file of `rank` in `folder`.
fn file_of(folder: &Path, rank: usize) -> PathBuf {
    folder.join(format!("{PREFIX}{rank:05}"))
}

/// The outputs that a killed run left in its folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Whole records, one after another.
    pub records: Vec<u8>,
    /// Their files.
    pub files: Vec<PathBuf>,
}

/// Reads the files in `folder`, at most `most` bytes of records of `outputs` numbers, and cuts off what follows the last
/// whole one of each, so that more can be appended. Files that can't be read are skipped. For rank 0.
#[must_use]
pub fn find(folder: &Path, outputs: usize, most: u64) -> Found {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX));
    let mut found = Found {
        files: named.map(|entry| entry.path()).collect(),
        ..Found::default()
    };
    found.files.sort();
    for path in &found.files {
        let left = most.saturating_sub(found.records.len() as u64);
        match read(path, record_size(outputs), left) {
            Ok((records, 0)) => found.records.extend(records),
            Ok((records, damaged)) => {
                tracing::warn!(
                    "{}: {damaged} records are damaged: their members are simulated again",
                    path.display()
                );
                found.records.extend(records);
            }
            Err(error) => tracing::warn!("{}: skipped: {error}", path.display()),
        }
    }
    found
}

/// The sound records of the file at `path`, each of `size` bytes, and the number of damaged ones.
fn read(path: &Path, size: usize, most: u64) -> io::Result<(Vec<u8>, usize)> {
    let file = open_own(path)?;
    let length = file.metadata()?.len();
    let whole = length - length % size as u64;
    if whole < length {
        file.set_len(whole)?;
    }
    let mut bytes = Vec::new();
    file.take(most - most % size as u64)
        .read_to_end(&mut bytes)?;
    let is_sound = |record: &&[u8]| {
        let (content, checksum) = record.split_at(size - CHECKSUM);
        crc32fast::hash(content).to_le_bytes() == checksum
    };
    let sound: Vec<&[u8]> = bytes.chunks_exact(size).filter(is_sound).collect();
    let damaged = bytes.len() / size - sound.len();
    Ok((sound.concat(), damaged))
}

/// The outputs that one rank keeps, and those that a killed run left to all.
#[derive(Debug)]
pub struct KeptOutputs {
    files: Files,
    folder: PathBuf,
    /// This rank's own file.
    path: PathBuf,
    /// Files of the killed run's ranks that this one is to remove with its own.
    others: Vec<PathBuf>,
    outputs: usize,
    /// Bytes beyond which this rank's file holds no more than the present step.
    limit: u64,
    /// The hash of the command, to be gone on with.
    command: Sha256,
    /// The killed run's records, and where the outputs of each key stand in them.
    records: Vec<u8>,
    places: HashMap<[u8; KEY], usize>,
    /// Records to be written, and when the first of them was asked for.
    unwritten: Vec<u8>,
    since: Instant,
    file: Option<Sink>,
    length: u64,
    complained: bool,
}

impl KeptOutputs {
    /// Returns the store of rank `rank` of `ranks`, in the folder `folder`, for the observed `outputs` of `simulator`; `found` has the same
    /// records on all ranks.
    #[must_use]
    pub fn new(
        files: Files,
        folder: &Path,
        (rank, ranks): (usize, usize),
        (simulator, outputs): (&Simulator, &ObservedOutputs),
        found: Found,
    ) -> Self {
        let mut command = Sha256::new();
        for word in &simulator.command {
            command.update((word.len() as u64).to_le_bytes());
            command.update(word);
        }
        command.update((outputs.count() as u64).to_le_bytes());
        // Of other outputs of as many the numbers mean something else.
        let places = outputs.places();
        for place in places.filter(|_| outputs.count() < outputs.total()) {
            command.update((place as u64).to_le_bytes());
        }
        let size = record_size(outputs.count());
        let keys = found.records.chunks_exact(size).enumerate();
        let places = keys.map(|(i, record)| (key_in(record), i * size + KEY));
        let own: Vec<PathBuf> = (0..ranks).map(|rank| file_of(folder, rank)).collect();
        Self {
            files,
            folder: folder.to_path_buf(),
            path: file_of(folder, rank),
            others: (found.files.into_iter())
                .filter(|path| !own.contains(path))
                .collect(),
            outputs: outputs.count(),
            limit: LIMIT / ranks as u64,
            command,
            places: places.collect(),
            records: found.records,
            unwritten: Vec::new(),
            since: Instant::now(),
            file: None,
            length: 0,
            complained: false,
        }
    }

    /// The number of members whose outputs a killed run left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.places.len()
    }

    /// The outputs at the parameters `u` that a killed run left, K numbers, where it asked for the same sets of observations; without
    /// sets, none.
    #[must_use]
    pub fn recall(&self, (u, sets): (&[f64], &[usize])) -> Option<Vec<f64>> {
        if self.places.is_empty() {
            return None;
        }
        let place = *self.places.get(&self.key(u, sets))?;
        let numbers = &self.records[place..place + 8 * self.outputs];
        let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().expect("8 bytes"));
        Some(numbers.chunks_exact(8).map(number).collect())
    }

    /// Keeps the `outputs` at `u` of these sets of observations, whose simulation took `taken`.
    pub fn keep(&mut self, (u, sets): (&[f64], &[usize]), outputs: &[f64], taken: Duration) {
        if self.unwritten.is_empty() {
            let now = Instant::now();
            self.since = now.checked_sub(taken).unwrap_or(now);
        }
        let start = self.unwritten.len();
        self.unwritten.extend(self.key(u, sets));
        self.unwritten
            .extend(outputs.iter().flat_map(|z| z.to_le_bytes()));
        let checksum = crc32fast::hash(&self.unwritten[start..]);
        self.unwritten.extend(checksum.to_le_bytes());
        if self.since.elapsed() >= PERIOD {
            let written = self.write();
            self.unwritten.clear();
            self.complain_of(written);
        }
    }

    fn write(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.files.create_folder(&self.folder)?;
                let (file, length) = self.files.append(&self.path)?;
                self.length = length;
                self.file.insert(file)
            }
        };
        match file.write_all(&self.unwritten) {
            Ok(()) => self.length += self.unwritten.len() as u64,
            Err(error) => {
                // Half a record would spoil those that follow.
                file.cut(self.length)?;
                return Err(Error::io(&self.path, "write", error));
            }
        }
        Ok(())
    }

    /// Forgets what was not worth writing: the members' outputs have been used.
    pub fn settled(&mut self) {
        self.unwritten.clear();
    }

    /// A step has ended: where `saved`, a checkpoint holds what became of it, and all outputs are forgotten; else this rank's
    /// file is, where it has grown long.
    pub fn step_ended(&mut self, saved: bool) {
        if saved {
            self.forget();
        } else if self.length > self.limit {
            let removed = self.remove();
            self.complain_of(removed);
        }
    }

    /// Forgets all outputs.
    pub fn forget(&mut self) {
        self.unwritten.clear();
        self.places.clear();
        self.records = Vec::new();
        let removed = self.remove();
        self.complain_of(removed);
    }

    fn remove(&mut self) -> Result<()> {
        (self.file, self.length) = (None, 0);
        let paths = std::mem::take(&mut self.others);
        (paths.iter().chain([&self.path])).try_for_each(|path| self.files.remove(path))
    }

    /// Says once that outputs can't be kept: the run goes on without.
    fn complain_of(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        if std::mem::replace(&mut self.complained, true) {
            return;
        }
        super::messages::warn(&format!(
            "outputs are not kept, and will be simulated again if this run is killed: {error}"
        ));
    }

    /// Returns the fingerprint by which the outputs at `u` of these sets are found.
    fn key(&self, u: &[f64], sets: &[usize]) -> [u8; KEY] {
        let mut hash = self.command.clone();
        for x in u {
            hash.update(x.to_bits().to_le_bytes());
        }
        for &set in sets {
            hash.update((set as u64).to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// The key that `record` begins with.
fn key_in(record: &[u8]) -> [u8; KEY] {
    record[..KEY].try_into().expect("a record is longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Call, Watch};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn simulator(word: &str) -> Simulator {
        Simulator {
            command: vec!["simulate".to_owned(), word.to_owned()],
            folder: None,
            timeout: None,
            numbered: false,
            set: None,
        }
    }

    /// Returns the store of rank `rank` of two in `folder`, where it finds what was left there.
    fn kept(folder: &Path, rank: usize, word: &str, files: Files) -> KeptOutputs {
        let found = find(folder, 2, 1 << 20);
        KeptOutputs::new(
            files,
            folder,
            (rank, 2),
            (&simulator(word), &2.into()),
            found,
        )
    }

    fn plain(folder: &Path) -> KeptOutputs {
        kept(folder, 0, "a", Files::default())
    }

    #[test]
    fn outputs_are_found_by_the_bits_of_parameters_and_the_command() {
        let room = tempfile::tempdir().unwrap();
        let folder = &room.path().join("simulated");
        let (u, outputs) = ([0.1 + 0.2, -0.0], [f64::MIN_POSITIVE, 1e300]);
        let mut first = plain(folder);
        assert_eq!(first.recall((&u, &[])), None);
        first.keep((&u, &[]), &outputs, PERIOD);
        // One that took no time waits for others, and goes where the step ends before.
        first.keep((&[1.0, 2.0], &[]), &outputs, Duration::ZERO);
        first.settled();
        for rank in [0, 1] {
            let next = kept(folder, rank, "a", Files::default());
            assert_eq!(
                (next.left(), next.recall((&u, &[]))),
                (1, Some(outputs.to_vec()))
            );
            assert_eq!(next.recall((&[0.3, -0.0], &[])), None);
            assert_eq!(next.recall((&[0.1 + 0.2, 0.0], &[])), None);
        }
        assert_eq!(
            kept(folder, 0, "b", Files::default()).recall((&u, &[])),
            None
        );
        let mut last = plain(folder);
        last.step_ended(false);
        assert_eq!(last.recall((&u, &[])), Some(outputs.to_vec()));
        last.step_ended(true);
        assert_eq!(last.recall((&u, &[])), None);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn torn_and_damaged_records_are_skipped_and_others_follow_them() {
        let room = tempfile::tempdir().unwrap();
        let folder = &room.path().join("simulated");
        let mut first = plain(folder);
        for x in [1.0, 2.0, 3.0] {
            first.keep((&[x], &[]), &[x, x], PERIOD);
        }
        let path = file_of(folder, 0);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[record_size(2) + KEY] ^= 1;
        bytes.truncate(3 * record_size(2) - 1);
        std::fs::write(&path, bytes).unwrap();
        let mut second = plain(folder);
        let known =
            |kept: &KeptOutputs| [1.0, 2.0, 3.0].map(|x| kept.recall((&[x], &[])).is_some());
        assert_eq!(known(&second), [true, false, false]);
        second.keep((&[3.0], &[]), &[3.0, 3.0], PERIOD);
        assert_eq!(known(&plain(folder)), [true, false, true]);
        assert_eq!(
            find(folder, 2, 2 * record_size(2) as u64).records.len(),
            record_size(2)
        );
    }

    #[test]
    fn a_long_file_goes_when_its_step_ends() {
        let room = tempfile::tempdir().unwrap();
        let folder = &room.path().join("simulated");
        let mut kept = plain(folder);
        kept.limit = record_size(2) as u64;
        for (count, left) in [(1, true), (1, false), (2, false), (1, true)] {
            (0..count).for_each(|_| kept.keep((&[1.0], &[]), &[1.0, 2.0], PERIOD));
            kept.step_ended(false);
            assert_eq!(file_of(folder, 0).exists(), left);
        }
    }

    /// A disk that is full for a while, with room for a few bytes.
    struct Full(AtomicBool);

    impl Watch for Full {
        fn allow(&self, call: Call, _: &Path, bytes: usize) -> io::Result<usize> {
            match call {
                Call::Write if bytes > 7 && self.0.load(Ordering::Relaxed) => Ok(7),
                Call::Write if bytes > 0 && self.0.load(Ordering::Relaxed) => {
                    Err(io::ErrorKind::StorageFull.into())
                }
                _ => Ok(bytes),
            }
        }
    }

    #[test]
    fn a_full_disk_leaves_whole_records() {
        let room = tempfile::tempdir().unwrap();
        let folder = &room.path().join("simulated");
        let full = Arc::new(Full(AtomicBool::new(false)));
        let mut kept = kept(folder, 0, "a", Files::watched(full.clone()));
        for (x, is_full) in [(1.0, false), (2.0, true), (3.0, false)] {
            full.0.store(is_full, Ordering::Relaxed);
            kept.keep((&[x], &[]), &[x, x], PERIOD);
        }
        let found = plain(folder);
        let known = [1.0, 2.0, 3.0].map(|x| found.recall((&[x], &[])).is_some());
        assert_eq!(known, [true, false, true]);
    }
}
