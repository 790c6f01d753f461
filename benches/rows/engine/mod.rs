//! The engine of the published rows: chooses the runs that rows.toml still lacks, orders them by value over cost, runs them as
//! a sweep, stores each as far as it has come, and draws the tables of benches/RESULTS.md and README.md.
//!
//! A run is a row with a seed. Its priority is value / cost:
//!
//! ```text
//! value = worth * (1 - epochs stored / epochs of the row)
//!     worth  100 for a published score, 10 for a row of the publication without one, 1 for a row of ours;
//!            a tenth of it for every seed but the first
//! cost  = hours of the epochs that the sweep's folder lacks: from the seconds of a stored run of the row, else from the
//!         arithmetic that `eki-mpi plan` predicts, at 100 GFLOP/s
//! ```

#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "the bench and its test each use a part; what is run is printed"
)]

pub mod order;
pub mod row;
pub mod stored;
pub mod sweep;
pub mod table;

/// The result of a bench's function.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
