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

/// The least likeness, from 0 to 1, of two names one of which is suggested for the other.
const LIKE: f64 = 0.85;

/// Other words for keys, as the field and other programs have them.
const SYNONYMS: &[(&str, &str)] = &[
    ("size", "ensemble.members"),
    ("particles", "ensemble.members"),
    ("n_members", "ensemble.members"),
    ("lr", "method.rate"),
    ("learning_rate", "method.rate"),
    ("iterations", "run.steps"),
    ("n_steps", "run.steps"),
    ("batch_size", "data.batch"),
    ("interval", "checkpoint.every"),
    ("localisation", "method.localise"),
    ("localization", "method.localise"),
];

/// Returns the known name that was meant by `word`, in small letters or large ones, if one is like it: in the same section one that is
/// spelled nearly so, in another one of the same last part, a synonym, or in another section one that is spelled nearly so.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = &*word.to_lowercase();
    let parts = |path: &str| {
        let (section, last) = path.rsplit_once('.').unwrap_or(("", path));
        (section.to_owned(), last.to_owned())
    };
    let (section, last) = parts(word);
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == last);
    let score = |path: &str| {
        let (known_section, known_last) = parts(path);
        let like = strsim::jaro_winkler(&last, &known_last);
        let rank = if section == known_section && like >= LIKE {
            4.0
        } else if last == known_last {
            3.0
        } else if synonym.is_some_and(|(_, key)| *key == path) {
            2.0
        } else if like >= LIKE {
            1.0
        } else {
            return None;
        };
        Some(rank + 0.5 * strsim::jaro_winkler(word, path))
    };
    let like = known.filter_map(|path| Some((score(path)?, path)));
    let best = like.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, path)| path)
}
