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
//! A run from a program of your own (one rank here; under mpirun each rank does the same):
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use eki_mpi::prelude::*;
//!
//! let universe = mpi::initialize().expect("MPI");
//! let comm = Comm::new(universe.world());
//! let pool = rayon::ThreadPoolBuilder::new().build()?;
//! let resolved = Resolved::new("digits", &["run.epochs=20".to_owned()])?;
//! let loaded = LoadedProblem::load(&resolved, &data_dir(None))?;
//! let (shape, problem) = (loaded.shape(), loaded.problem::<f32>(&resolved)?); // or a `Problem` of your own
//! let plan = Plan::new(resolved, shape, problem.map.parameters())?;
//! let ranks = Ranks { comm: &comm, pool: &pool };
//! let (state, outcome) = run::run(ranks, &plan, &problem, &mut Reporter::silent(), &mut Timing::default())?;
//! println!("{:?} {}", outcome.scores, state.step);
//! # Ok(()) }
//! ```
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
//!
//! To read the algorithm: `method/eki.rs` has the equation, `run/step.rs` the order.

// The rooms, in the order in which they may import: each only those above it (tests/layers.rs).
//
// Blank lines keep rustfmt from sorting them.

pub mod error;

pub mod files;

pub mod kernels;

pub mod parallel;

pub mod config;

pub mod data;

pub mod io;

pub mod forward;

pub mod ensemble;

pub mod method;

pub mod run;

pub mod cost;

pub mod report;

/// What a program of your own needs to run an inversion.
pub mod prelude {
    pub use crate::config::Resolved;
    pub use crate::data::folder::data_dir;
    pub use crate::error::{Error, Result};
    pub use crate::forward::ForwardMap;
    pub use crate::forward::load::LoadedProblem;
    pub use crate::forward::prior::Prior;
    pub use crate::forward::problem::Problem;
    pub use crate::parallel::comm::Comm;
    pub use crate::parallel::ranks::Ranks;
    pub use crate::run;
    pub use crate::run::plan::Plan;
    pub use crate::run::reporter::Reporter;
    pub use crate::run::timing::Timing;
    pub use mpi;
    pub use rayon;
}
