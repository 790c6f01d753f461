//! Ensemble Kalman inversion (EKI) over MPI: fit the parameters of any forward map G without derivatives.
//!
//! The algorithm (Kovachki & Stuart, Inverse Problems 35 (2019) 095005), which `run::run` spells out:
//!
//! ```text
//! draw members u_j from the prior N(0, C_0)                                    j = 1 .. J
//! at each step n, with the next batch (x, y):
//!     Gbar = (1/J) sum_k G(u_k)
//!     D_jk = (1/J) < G(u_k) - Gbar , grad_z Psi(G(u_j), y) >
//!     h_n  = h / (||D||_F + epsilon)                    or h_n = h, or h and D times the Kalman gain (`eki::gain`)
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
//! | Psi | `loss::Loss` | |
//! | C_0 | `prior::Prior` | P deviations |
//! | J, P, K, R | members, parameters, outputs that enter D, ranks | |
//!
//! A run from a program of one's own (one rank here; under mpirun each rank does the same):
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use eki_mpi::{comm::Comm, config::Resolved, plan::Plan, problem::Given, report::Reporter, run, timing::Timing};
//!
//! let universe = mpi::initialize().expect("MPI");
//! let comm = Comm::new(universe.world());
//! let pool = rayon::ThreadPoolBuilder::new().build()?;
//! let resolved = Resolved::new("digits", &["run.epochs=20".to_owned()])?;
//! let given = Given::load(&resolved, &eki_mpi::data::folder::data_dir(None))?;
//! let (shape, problem) = (given.shape(), given.problem::<f32>(&resolved)?); // or a `run::Problem` of one's own
//! let plan = Plan::new(resolved, shape, problem.map.parameters())?;
//! let crew = run::Crew { comm: &comm, pool: &pool };
//! let (state, outcome) = run::run(crew, &plan, &problem, &mut Reporter::silent(), &mut Timing::default())?;
//! println!("{:?} {}", outcome.scores, state.step);
//! # Ok(()) }
//! ```
//!
//! Modules stand in layers; a file imports only from layers above its own.

// 0: ground
pub mod amx;
pub mod bfloat;
pub mod bounded;
pub mod elementary;
pub mod error;
pub mod failure;
pub mod files;
mod lanes;
pub mod numbers;
pub mod panel;
pub mod real;
pub mod rng;
pub mod shared;
pub mod spare;
pub mod tile;
pub mod window;

pub mod exact;

// 1: who holds what; knows ranks, knows no mathematics
pub mod partition;

pub mod comm;

pub mod layout;

// 2: what is inverted: data and forward maps
pub mod prior;

pub mod data;

pub mod forward;

// 3: the mathematics: functions of arrays, no communicator, no files, no clock
pub mod loss;

#[cfg(feature = "gradients")]
pub mod gradient;

pub mod eki;

pub mod ensemble;

pub mod moments;

pub mod whiten;

pub mod outlying;

pub mod uncertainty;

// 4: the mathematics over threads and ranks
pub mod evaluation;
pub mod interaction;

// 5: around the run
pub mod config;

pub mod plan;

pub mod turns;

pub mod checkpoint;
pub mod folder;
pub mod stop;
pub mod watch;

pub mod cost;

pub mod calibrate;

pub mod predict;

pub mod npy;

pub mod observations;

pub mod questions;

pub mod timing;

pub mod scores;

// 6: the run
pub mod report;
pub mod run;

pub mod model;

pub mod problem;

pub mod contract;

pub mod environment;

pub mod account;

// 7: what a run left
pub mod finished;

pub mod calibrated;

pub mod assess;

pub mod page;
