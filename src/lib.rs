//! Ensemble Kalman inversion over MPI.

// 0: ground
pub mod error;
pub mod failure;
pub mod files;
pub mod real;
pub mod rng;

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

pub mod eki;

pub mod ensemble;

// 4: the mathematics over threads and ranks
pub mod evaluation;
pub mod interaction;

// 5: around the run
pub mod config;

pub mod plan;

pub mod checkpoint;
pub mod folder;
pub mod stop;
pub mod watch;

pub mod timing;

// 6: the run
pub mod report;
pub mod run;

pub mod problem;
