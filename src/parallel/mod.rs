//! Who holds what: the communicator, shared memory of a host, partitions, slabs and member rows, abort and hang watch.
//! No mathematics.

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
