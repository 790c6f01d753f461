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
    let unlike = "unknown key (eki-mpi presets --keys lists all)";
    let allowed = near.map_or(unlike.to_owned(), |near| {
        format!("unknown key; did you mean {near}?")
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

/// The least likeness of a name that is suggested, of at most 3.
const LIKE: f64 = 1.5;

/// Returns the known name most like `word`, in small letters or large ones, if one is like it: by the spelling of the whole and of its
/// last part alike, and most of all by the same last part, since often only the section is wrong.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = &*word.to_lowercase();
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |path: &str| {
        let (end, known) = (last(word), last(path));
        let same = f64::from(u8::from(end == known));
        strsim::jaro_winkler(word, path) + strsim::jaro_winkler(&end, &known) + same
    };
    let like = known.filter(|path| score(path) >= LIKE);
    like.max_by(|a, b| score(a).total_cmp(&score(b)))
}
