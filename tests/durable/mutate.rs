//! Mutations of a run's checkpoints, and a reader that says whether what it read is the truth.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use eki_mpi::config::Resolved;
use eki_mpi::error::Result;
use eki_mpi::files::Files;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::forward::prior::Prior;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::Checkpointer;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::stop::Stop;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::durable::checkpoints;

/// Reads checkpoints of one run and knows the digest of each step's state.
pub struct Reader<'a> {
    ranks: Ranks<'a>,
    plan: Plan,
    prior: Prior,
    truth: BTreeMap<u64, (u64, String)>,
}

impl<'a> Reader<'a> {
    /// For the run in `whole`, whose checkpoints are sound.
    pub fn new(ranks: Ranks<'a>, settings: &[String], given: &LoadedProblem, whole: &Path) -> Self {
        let resolved = Resolved::new("digits", settings).expect("sound");
        let problem = given.clone().problem::<f32>(&resolved).expect("sound");
        let plan = Plan::new(resolved, given.shape(), problem.map.parameters()).expect("sound");
        let prior = problem.map.prior();
        let mut reader = Self {
            ranks,
            plan,
            prior,
            truth: BTreeMap::new(),
        };
        let newest = reader.read(whole).expect("sound").expect("there");
        reader.truth.insert(newest.0, (newest.1, newest.2));
        // The older ones are read when the newest is gone.
        let room = tempfile::tempdir().expect("a folder");
        crate::durable::copy(&whole.join("checkpoints"), &room.path().join("checkpoints"));
        let newest = crate::durable::checkpoint(room.path(), newest.0);
        fs::remove_dir_all(newest).expect("there");
        let older = reader.read(room.path()).expect("sound").expect("there");
        reader.truth.insert(older.0, (older.1, older.2));
        reader
    }

    /// Step, momentum's steps and digest of the state a resumed run finds.
    pub fn read(&self, folder: &Path) -> Result<Option<(u64, u64, String)>> {
        let mut keeper = Checkpointer::new(folder, Files::default(), Stop::new(None));
        let resumed = keeper.resume::<f32>(self.ranks, &self.plan, &self.prior)?;
        Ok(resumed.map(|resumed| {
            let state = resumed.state;
            (
                state.step,
                state.momentum_steps,
                state.ensemble.digest(self.ranks),
            )
        }))
    }

    /// What is read in `folder` is true or nothing.
    pub fn check(&self, folder: &Path, what: &str) {
        if let Ok(Some((step, momentum, digest))) = self.read(folder) {
            assert_eq!(self.truth.get(&step), Some(&(momentum, digest)), "{what}");
        }
    }
}

/// Changes one to three things in `folder`; says what, and whether checksums were made to fit.
pub fn mutate(folder: &Path, others: &[PathBuf], random: &mut ChaCha8Rng) -> (String, bool) {
    let mut told = Vec::new();
    let mut sealed = false;
    for _ in 0..random.random_range(1..4) {
        let files = all_files(folder);
        if files.is_empty() {
            break;
        }
        let path = &files[random.random_range(0..files.len())];
        let Ok(mut bytes) = fs::read(path) else {
            continue;
        };
        let kind = random.random_range(0..10);
        match kind {
            0 => bytes.truncate(random.random_range(0..=bytes.len())),
            1 => flip(&mut bytes, random),
            2 => {
                // The head of the file, where a changed bit says something else.
                let end = bytes.len().min(300);
                flip(&mut bytes[..end], random);
            }
            3 => {
                // A page that never reached the disk.
                let start = random.random_range(0..bytes.len().max(1));
                let end = (start + 4096).min(bytes.len());
                bytes[start.min(end)..end].fill(0);
            }
            4 => bytes.extend((0..random.random_range(1..100)).map(|_| 0x5a_u8)),
            5 => {
                let other = &files[random.random_range(0..files.len())];
                bytes = fs::read(other).unwrap_or_default();
            }
            6 | 7 => bytes = foreign(path, others, random),
            8 => {
                sealed |= seal(&mut bytes, random);
            }
            _ => {
                let _ = fs::remove_file(path);
                told.push(format!("{} removed", path.display()));
                continue;
            }
        }
        fs::write(path, bytes).expect("written");
        told.push(format!("{} by way {kind}", path.display()));
    }
    (told.join(", "), sealed)
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for step in checkpoints(folder) {
        let entries = fs::read_dir(crate::durable::checkpoint(folder, step)).expect("there");
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
}

fn flip(bytes: &mut [u8], random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return;
    }
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
    }
}

/// The file of the same name in another run, or of another generation.
fn foreign(path: &Path, others: &[PathBuf], random: &mut ChaCha8Rng) -> Vec<u8> {
    let other = &others[random.random_range(0..others.len())];
    let steps = checkpoints(other);
    let step = steps[random.random_range(0..steps.len())];
    let name = path.file_name().expect("a file");
    fs::read(crate::durable::checkpoint(other, step).join(name)).unwrap_or_default()
}

/// Changes a frame's header and makes its checksum fit; whether it was one.
fn seal(bytes: &mut [u8], random: &mut ChaCha8Rng) -> bool {
    if bytes.len() < 20 {
        return false;
    }
    let length = u32::from_le_bytes(bytes[12..16].try_into().expect("four")) as usize;
    if length == 0 || length + 20 > bytes.len() {
        return false;
    }
    let at = 16 + random.random_range(0..length.min(200));
    bytes[at] = random.random();
    let end = 16 + length;
    let sum = crc32fast::hash(&bytes[..end]);
    bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    true
}
