//! The small run that faults are tried on, and where.

use std::path::Path;

/// Eight steps of a small ensemble with momentum, growing: three arrays' worth of state, a checkpoint every other step.
pub const SMALL: [&str; 10] = [
    "ensemble.members=6",
    "ensemble.grow_to=9",
    "data.limit=60",
    "data.batch=15",
    "ensemble.rerandomise=epoch",
    "method.momentum=true",
    "run.epochs=2",
    "run.best=never",
    "checkpoint.every_steps=2",
    "checkpoint.wait=never",
];

/// A place in memory where syncing costs nothing, if there is one.
pub fn fast_room() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let room = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    room.or_else(|_| tempfile::tempdir())
        .expect("a temporary folder")
}
