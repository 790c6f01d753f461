//! Files of a run: .npy arrays, observations, the run's folder and the format of checkpoints.
//!
//! Imports `error`, `files`, `kernels`, `parallel`, `config` and `data`. To save another array in checkpoints: a variant of
//! `checkpoint::Array` with its rows, and the run's `checkpointing` writes and reads it. A checkpoint without it must
//! stay readable; `tests/durable` holds one of every version of the format.

pub mod array;
pub mod checkpoint;
pub mod event_file;
pub mod matrix;
pub mod npy;
pub mod observation_table;
pub mod observations;
pub mod run_folder;
pub mod samples;
