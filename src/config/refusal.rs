//! How a refused key and its value are written in a message of one line.

use toml::Value;

use super::keys::keys;
use crate::error::Error;

/// The most characters of a key or value that a message repeats.
const REPEATED: usize = 200;

/// Returns the refusal of `value` for the key at `path`, given in `file`.
pub(super) fn refused(file: &str, path: &str, value: &Value, allowed: impl Into<String>) -> Error {
    Error::Config {
        file: file.to_owned(),
        key: shortened(path),
        value: shortened(&written(value)),
        allowed: allowed.into(),
    }
}

/// Returns the refusal of a key that does not exist, with the nearest that does.
pub(super) fn unknown(file: &str, path: &str, value: &Value) -> Error {
    let near = nearest(&shortened(path), keys().map(|key| key.path));
    let allowed = near.map_or("unknown key".to_owned(), |near| {
        format!("unknown key; the nearest known one is {near}")
    });
    refused(file, path, value, allowed)
}

/// Returns `value` as TOML in a message: floats in the fewest digits that tell them apart, long ones with an exponent.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Float(x) => format!("{x:?}"),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns as much of `text` as a message of one line repeats.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the known name most like `word`: by the spelling of the whole and of its last part alike, since often only the
/// section is wrong.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |path: &str| {
        strsim::jaro_winkler(word, path) + strsim::jaro_winkler(&last(word), &last(path))
    };
    known.max_by(|a, b| score(a).total_cmp(&score(b)))
}
