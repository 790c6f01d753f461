//! Names and words of earlier versions, which configurations and checkpoints may still use.

use std::collections::BTreeMap;

use toml::Value;

use super::keys::find;

/// Keys that had another name: the old one, and today's.
const RENAMED: &[(&str, &str)] = &[
    ("model.steps", "model.sequence_steps"),
    ("data.window", "data.lags"),
    ("data.distort", "data.affine"),
    ("data.warp", "data.elastic"),
    ("data.distort_epochs", "data.deformation_epochs"),
    ("method.h_shape", "method.h_schedule"),
    ("method.fail_beyond", "method.outlier_ratio"),
    ("method.localisation_exponent", "method.localise"),
    ("method.second_moment", "method.rms_decay"),
    ("ensemble.layers", "ensemble.active_layers"),
    ("ensemble.average", "ensemble.polyak_decay"),
    ("run.stop_at_time", "run.end_time"),
];

/// The key whose word "kalman" was what `method.kind = "kalman"` is now.
pub(super) const STEP: &str = "method.step";
/// The key of the method.
pub(super) const KIND: &str = "method.kind";

/// Returns today's name of the key that was given as `name`.
pub(super) fn current(name: &str) -> &str {
    let found = RENAMED.iter().find(|(old, _)| *old == name);
    found.map_or(name, |(_, new)| new)
}

/// Returns true if `value` is the word of an earlier version for key `path`, which [`settle`] replaces.
pub(super) fn is_old_word(path: &str, value: &Value) -> bool {
    path == STEP && value.as_str() == Some("kalman")
}

/// Replaces the words of earlier versions among `values`, which hold every key; returns "old is now new" if there was one.
///
/// `method.step = "kalman"` was a step of "eki"; gradient descent never looked at it.
pub(super) fn settle(values: &mut BTreeMap<String, Value>) -> Option<String> {
    if !is_old_word(STEP, &values[STEP]) {
        return None;
    }
    let step = find(STEP).expect("a known key").value();
    values.insert(STEP.to_owned(), step);
    if values[KIND].as_str() == Some("eki") {
        values.insert(KIND.to_owned(), Value::String("kalman".to_owned()));
    }
    Some("method.step = \"kalman\" is now method.kind = \"kalman\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_old_name_stands_for_a_key_and_is_none() {
        for (old, new) in RENAMED {
            assert!(find(new).is_some(), "{new}");
            assert!(find(old).is_none(), "{old}");
            assert_eq!(current(old), *new);
        }
        assert_eq!(current("method.h"), "method.h");
    }
}
