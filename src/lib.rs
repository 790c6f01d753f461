//! Ensemble Kalman inversion over MPI.

// 0: ground
pub mod elementary;
pub mod error;
pub mod failure;
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

pub mod uncertainty;

// 4: the mathematics over threads and ranks
pub mod evaluation;
pub mod interaction;

// 5: around the run
pub mod config;

pub mod plan;

pub mod cost;

pub mod calibrate;

pub mod npy;

pub mod timing;

// 6: the run
pub mod report;
pub mod run;

pub mod problem;

pub mod environment;

pub mod account;
pub mod advice;

// 7: what a run left
pub mod finished;

pub mod assess;

pub mod page;
