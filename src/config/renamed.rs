//! Names and words of earlier versions, which configurations and checkpoints may still use.

use std::collections::BTreeMap;

use toml::Value;

/// The key whose word "kalman" was what `method.kind = "kalman"` is now.
const STEP: &str = "method.step";
/// The key of the method.
const KIND: &str = "method.kind";

/// Returns true if `value` is the word of an earlier version for key `path`, which [`settle`] replaces.
pub(super) fn is_old_word(path: &str, value: &Value) -> bool {
    path == STEP && value.as_str() == Some("kalman")
}

/// Replaces the words of earlier versions among `values`, which hold every key, and in `origins`, where each was set; returns
/// "old is now new" if there was one.
///
/// `method.step = "kalman"` was a step of "eki"; gradient descent never looked at it.
pub(super) fn settle(
    values: &mut BTreeMap<String, Value>,
    origins: &mut BTreeMap<String, String>,
) -> Option<String> {
    if !is_old_word(STEP, &values[STEP]) {
        return None;
    }
    values.insert(STEP.to_owned(), super::key::default(STEP));
    if values[KIND].as_str() == Some("eki") {
        values.insert(KIND.to_owned(), Value::String("kalman".to_owned()));
    }
    if let Some(origin) = origins.remove(STEP) {
        origins.insert(KIND.to_owned(), origin);
    }
    Some("method.step = \"kalman\" is now method.kind = \"kalman\"".to_owned())
}
