//! Numbers on one core and its threads: element types, SIMD, packed products, elementary functions, factorisations,
//! keyed random numbers, exact sums and a buffer pool. Knows no member, rank or file.

pub mod amx;
pub mod bfloat;
pub mod buffers;
pub(crate) mod cholesky;
pub mod eigen;
pub mod elementary;
pub mod exact_sum;
pub mod panel;
pub mod real;
pub mod rng;
pub(crate) mod simd;
pub mod threads;
pub mod tile;
pub mod window;
