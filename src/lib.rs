//! Ensemble Kalman inversion over MPI.
pub mod data;
pub mod error;
pub mod forward;
pub mod prior;
pub mod real;
pub mod rng;
