//! Ensemble Kalman inversion (EKI) over MPI: fit the parameters of any forward map G without derivatives.
//!
//! The algorithm (Kovachki & Stuart, Inverse Problems 35 (2019) 095005), which `run::run` spells out:
//!
//! ```text
//! draw members u_j from the prior N(0, C_0)                                    j = 1 .. J
//! at each step n, with the next batch (x, y):
//!     Gbar = (1/J) sum_k G(u_k)
//!     D_jk = (1/J) < G(u_k) - Gbar , grad_z Psi(G(u_j), y) >
//!     h_n  = h / (||D||_F + epsilon)                    or h_n = h, or h and D times the Kalman gain (`method::gain`)
//!     u    <- u - h_n D u                                                      EKI
//!     u    <- v - h_n D(v) v ,  v <- u + n/(n+3) (u - u_before)                MEKI
//!                                                   or, of the mean alone:  v <- u + n/(n+3) (ubar - ubar_before)
//!     u_j  <- ubar + sqrt(gamma) xi_j ,  xi_j ~ N(0, C_0)                      EKI(R), at an epoch's end or each step
//! ```
//!
//! | symbol | in the code | shape |
//! |---|---|---|
//! | u, v | ensemble, points | J x P |
//! | G | `forward::ForwardMap` | P numbers and d x m inputs to c x m outputs |
//! | W | anomalies: G(u) - Gbar | J x K |
//! | V | gradients: grad Psi at each member's own outputs | J x K |
//! | D | interaction: V W^T / J | J x J |
//! | Psi | `method::loss::Loss` | |
//! | C_0 | `forward::prior::Prior` | P deviations |
//! | J, P, K, R | members, parameters, outputs that enter D, ranks | |
//!
//! A calibration from a program of your own (one rank here; under mpirun each rank does the same):
//!
//! ```no_run
//! use eki_mpi::prelude::*;
//!
//! fn main() -> Result<()> {
//!     let mpi = Mpi::start()?;
//!     let decay = FnMap::new(2, 5, |u| (0..5).map(|t| u[0] * u[1].powi(t)).collect());
//!     let fit = Calibration::new(decay)
//!         .prior(["amount lognormal 1 1", "kept uniform 0 1"])
//!         .observations([2.0, 1.4, 0.98, 0.69, 0.48])
//!         .noise(1e-4)
//!         .run(&mpi.ranks())?;
//!     println!("{:.3}", fit.mean());
//!     Ok(())
//! }
//! ```
//!
//! Stable are [`prelude`], and of the documented modules what it is made of: [`error`], [`config`], [`forward`], [`method`] and
//! [`run`]. All others are internal: they are public for this project's tests and benchmarks, and may change at any time.
//!
//! The source stands in rooms (folders), each of which imports only from those above it:
//!
//! | room | for |
//! |---|---|
//! | `error` | what can go wrong |
//! | `files` | files that are whole or absent, files that users give, numbers in text |
//! | `kernels` | numbers on one core and its threads |
//! | `parallel` | who holds what: ranks, shared memory, partitions, slabs |
//! | `config` | keys, values and presets |
//! | `data` | data sets, batches, series, scores |
//! | `io` | .npy, observations, a run's folder, checkpoints |
//! | `forward` | G: one map a file, priors, the evaluator |
//! | `ensemble` | u: members or their mean, draws, how a transform is applied |
//! | `method` | one method a file: from outputs to a transform |
//! | `run` | the loop, a step, stopping, resuming |
//! | `cost` | what a run will take |
//! | `report` | what a run left |
//! | `guide` | chapters for users |
//!
//! To read the algorithm: `method/eki.rs` has the equation, `run/step.rs` the order.

// The rooms, in the order in which they may import: each only those above it (tests/layers.rs).
//
// Blank lines keep rustfmt from sorting them.

pub mod error;

#[doc(hidden)]
pub mod files;

#[doc(hidden)]
pub mod kernels;

#[doc(hidden)]
pub mod parallel;

pub mod config;

#[doc(hidden)]
pub mod data;

#[doc(hidden)]
pub mod io;

pub mod forward;

#[doc(hidden)]
pub mod ensemble;

pub mod method;

pub mod run;

#[doc(hidden)]
pub mod cost;

#[doc(hidden)]
pub mod report;

pub mod guide;

pub use mpi;
pub use ndarray;
pub use rayon;

/// The names that most programs need: `use eki_mpi::prelude::*`.
pub mod prelude {
    #[doc(inline)]
    pub use crate::error::{Error, Result};
    #[doc(inline)]
    pub use crate::forward::{FnMap, ForwardMap, MapShape};
    #[doc(inline)]
    pub use crate::parallel::mpi::Mpi;
    #[doc(inline)]
    pub use crate::parallel::ranks::Ranks;
    #[doc(inline)]
    pub use crate::run::calibration::{AskTellLoop, Calibration, Fit, Method};
    #[doc(inline)]
    pub use crate::run::history_step::HistoryStep;
    #[doc(inline)]
    pub use crate::run::statistics::{FinalMembers, MembersAre};
    pub use mpi;
    pub use ndarray;
    pub use rayon;
}
