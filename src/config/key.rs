//! A configuration key, and the table of all keys' defaults.

use toml::Table;

use super::{KEYS, Kind};

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path, as in `ensemble.members`.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
}

/// The table of all keys with their defaults.
pub(super) fn defaults() -> Table {
    let mut table = Table::new();
    for key in KEYS {
        let value = format!("v = {}", key.default)
            .parse::<Table>()
            .expect("defaults are TOML")
            .remove("v");
        super::place(&mut table, key.path, value.expect("just parsed"));
    }
    table
}

/// A list of keys, each as `path: kind, default, about;`.
macro_rules! keys {
    ($($path:literal: $kind:expr, $default:literal, $about:literal;)*) => {
        &[$(Key { path: $path, kind: $kind, default: $default, about: $about }),*]
    };
}
pub(super) use keys;
