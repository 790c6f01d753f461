//! Values of keys that are more than a word or a number, on their way through serde.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

/// Serializes the `value` of a key: as TOML, or within a message between ranks, which holds no types, as the text of TOML.
pub(super) fn as_toml<S: Serializer>(value: Value, serializer: S) -> Result<S::Ok, S::Error> {
    match serializer.is_human_readable() {
        true => value.serialize(serializer),
        false => value.to_string().serialize(serializer),
    }
}

/// Deserializes what `as_toml` has written.
pub(super) fn from_toml<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    if deserializer.is_human_readable() {
        return Value::deserialize(deserializer);
    }
    let line = format!("v = {}", String::deserialize(deserializer)?);
    let mut table: Table = line.parse().map_err(D::Error::custom)?;
    Ok(table.remove("v").unwrap_or(Value::Boolean(false)))
}
