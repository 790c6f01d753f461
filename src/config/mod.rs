//! The configuration of a run: which keys there are, what values they take, and where a run's values come from.
//!
//! A configuration is every key's default, overlaid by a preset or a file, overlaid by `--set`. Each value is checked against its
//! key alone; what keys, data and sizes say together is checked where it is used (`run::plan`). Every word that a key takes is a
//! plain enum: nothing here knows an algorithm.
//!
//! May import `error` and `files`, no other room.
//!
//! To add a key, write its row in its section's file in `keys`, and use its field: `config.section.name`. The row is the field's
//! declaration; the parser, `presets --keys`, `presets NAME`, `config.toml`, the check of a resumed run and the guide's chapter on
//! settings read it (write that chapter anew by `UPDATE=1 cargo test --lib the_guides_chapter`). To rename a key, change its row
//! and list the old name in `renamed.rs`. To add a word, add a variant to its enum: kinds of
//! model and method stand in `kinds.rs`, all others below the rows.

mod as_toml;
mod changes;
mod duration;
mod h_value;
mod history;
mod inflation;
mod key;
mod keys;
mod kinds;
mod listing;
mod localise;
mod lookup;
mod noise;
mod overlay;
mod own_data;
mod places;
mod precision;
mod presets;
mod prior_laws;
mod prior_matrix;
mod refusal;
mod renamed;
mod resolved;
mod scope;
mod simulator_defaults;
pub mod sweep;
mod value;

pub use changes::{changes, equal, fixed, lacking, resumable};
pub use duration::Interval;
pub use h_value::{HValue, SUM_ROUNDING};
pub use history::HistorySteps;
pub use inflation::Inflation;
pub use key::{Key, Resume};
pub use keys::*;
pub use kinds::{DataKind, MethodKind, ModelKind, OWN_FILES, OWN_SERIES};
pub use listing::{key_chapter, key_list};
pub use localise::Localise;
pub use noise::{Diagonal, NoiseEstimate, NoiseSource};
pub use places::{CONFIG, ENVIRONMENT, OBSERVATIONS, PRIOR_MATRICES, Places, copies};
pub use presets::{PRESETS, Preset};
pub use prior_laws::LAWS;
pub use prior_matrix::PriorMatrix;
pub use resolved::Resolved;
pub use scope::Scope;
pub use value::{Kind, Word};
