//! Numbers on one core and its threads: element types, SIMD, packed products, elementary functions, factorisations,
//! keyed random numbers, exact sums and a buffer pool. This room knows no member, rank or file.
//!
//! It imports nothing from other rooms. To add a kernel: a file here with its formula and the order of its sums (the
//! bits must not depend on the width of the vectors or on the number of threads), a method of `real::Real` if f32 and
//! f64 differ, and a test against the definition.

pub mod amx;
pub mod bfloat;
pub mod buffers;
pub mod chi_square;
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
