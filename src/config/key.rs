//! A configuration key, and the table of all keys' defaults.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::keys::KEYS;
use super::value::Kind;

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

impl Key {
    /// Returns the default as a value.
    pub(super) fn value(&self) -> Value {
        let line = format!("v = {}", self.default);
        let mut table = line.parse::<Table>().expect("defaults are TOML");
        table.remove("v").expect("just parsed")
    }
}

/// Returns every key's path with its default.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    let keys = KEYS.iter();
    keys.map(|key| (key.path.to_owned(), key.value())).collect()
}

/// Returns the default of the key at `path`, which is one of [`KEYS`].
pub(super) fn default(path: &str) -> Value {
    let key = KEYS.iter().find(|key| key.path == path);
    key.expect("a known key").value()
}

/// A list of keys, each as `path: kind, default, about;`.
macro_rules! keys {
    ($($path:literal: $kind:expr, $default:literal, $about:literal;)*) => {
        &[$(Key { path: $path, kind: $kind, default: $default, about: $about }),*]
    };
}
pub(super) use keys;
