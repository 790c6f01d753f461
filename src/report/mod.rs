//! Reports on finished runs: the account of time, the environment, the calibrated parameters, uncertainty, and the HTML
//! page.
//!
//! Imports every room above it. To add a number to the page: a field in `finished` (read from metrics.jsonl or
//! summary.json, with a default, so that runs of older versions can still be shown), and a row in the tables of
//! `page::curves` or `page::results`.

pub mod account;
pub mod assess;
pub mod calibrated;
pub mod check;
pub mod environment;
pub mod finished;
pub mod linear;
pub mod page;
pub mod predictions;
pub mod predictive;
pub mod statistics;
pub mod text_table;
pub mod trained;
pub mod uncertainty;
