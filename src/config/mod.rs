//! The configuration of a run: defaults, overlaid by a preset or a file, overlaid by `--set`; every key checked once.

mod changes;
mod duration;
mod key;
mod keys;
mod overlay;
mod places;
mod presets;
mod refusal;
mod renamed;
mod resolved;
mod sections;
mod value;

pub use changes::{MAY_CHANGE, changes, lacking};
pub use duration::Interval;
pub use key::Key;
pub use keys::KEYS;
pub use places::{CONFIG, ENVIRONMENT, OBSERVATIONS, Places};
pub use presets::{PRESETS, Preset};
pub use resolved::Resolved;
pub use sections::*;
pub use value::Kind;
