//! Ranks and what each holds: the communicator, shared memory of a host, partitions, slabs and member rows, abort and
//! hang watch. This room holds no mathematics.
//!
//! It imports `error`, `files` and `kernels`. To add a collective: a method of `comm::Comm` that all ranks call in the
//! same order; sums of floats only through `sum_exact`; and a test in `tests/ranks/collectives.rs` on several numbers
//! of ranks.

pub mod abort;
pub mod comm;
pub mod hang_watch;
pub mod launcher;
pub mod memory;
pub mod mpi;
pub mod partition;
pub mod ranks;
pub mod shared_memory;
pub mod slab;
