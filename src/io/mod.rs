//! Bytes on disk: whole-or-absent files, .npy, observations, the folder of a run and the checkpoint format.

pub mod checkpoint;
pub mod npy;
pub mod observations;
pub mod run_folder;
