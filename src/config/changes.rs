//! Two configurations compared: what may differ between the parts of one run, and what would make it another run.

use toml::{Table, Value};

/// Keys that may change when a run is resumed: none of them alters the numbers of a step.
///
/// How long the run goes on alters them where the ensemble grows towards its last epoch; that is judged apart.
pub const MAY_CHANGE: &[&str] = &[
    "run.epochs",
    "run.steps",
    "run.stop_at_misfit",
    "run.evaluate_every",
    "run.best",
    "run.report_every",
    "run.hang_timeout",
    "run.on_hang",
    "checkpoint.*",
    "output.*",
];

/// Whether `path` is among `MAY_CHANGE`.
fn may_change(path: &str) -> bool {
    MAY_CHANGE.iter().any(|allowed| {
        allowed
            .strip_suffix('*')
            .map_or(*allowed == path, |section| path.starts_with(section))
    })
}

/// What differs, beyond what may, between the configurations `was` and `is`, both as TOML: "key = old, now new" for
/// each key. A key that one of them lacks has its default there.
///
/// # Errors
/// A text that is not TOML.
pub fn changes(was: &str, is: &str) -> Result<Vec<String>, String> {
    let leaves = |text: &str| -> Result<std::collections::BTreeMap<String, Value>, String> {
        let mut values = super::key::defaults();
        values.extend(leaves(text)?);
        super::renamed::settle(&mut values, &mut std::collections::BTreeMap::new());
        Ok(values)
    };
    let (was, is) = (leaves(was)?, leaves(is)?);
    let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let told = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), super::written);
    Ok(keys
        .into_iter()
        .filter(|key| was.get(*key) != is.get(*key) && !may_change(key))
        .map(|key| format!("{key} = {}, now {}", told(was.get(key)), told(is.get(key))))
        .collect())
}

/// Returns the keys that the configuration `whole` has and `part` lacks, both as TOML: `part` was cut short.
///
/// # Errors
/// A text that is not TOML.
pub fn lacking(part: &str, whole: &str) -> Result<Vec<String>, String> {
    let (part, whole) = (leaves(part)?, leaves(whole)?);
    let has = |key: &String| part.iter().any(|(known, _)| known == key);
    let keys = whole.into_iter().map(|(key, _)| key);
    Ok(keys.filter(|key| !has(key)).collect())
}

/// The keys of the TOML `text` and their values.
fn leaves(text: &str) -> Result<Vec<(String, Value)>, String> {
    let table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| e.message().replace('\n', " "))?;
    let mut leaves = Vec::new();
    super::flatten("", Value::Table(table), &mut leaves);
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{KEYS, Resolved};

    fn toml(sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Resolved::new("digits", &sets).unwrap().toml()
    }

    #[test]
    fn differing_keys_are_named_and_those_that_may_differ_are_not() {
        let was = toml(&[]);
        assert_eq!(changes(&was, &was), Ok(Vec::new()));
        let is = toml(&[
            "method.h=3",
            "run.epochs=70",
            "checkpoint.keep=3",
            "output.ensemble=true",
            "seed=2",
        ]);
        let found = changes(&was, &is).unwrap();
        assert_eq!(found, ["method.h = 2.0, now 3.0", "seed = 1, now 2"]);
    }

    #[test]
    fn a_word_of_an_older_version_is_no_change() {
        let now = toml(&["method.kind=kalman"]);
        let was = toml(&[]).replace("step = \"adaptive\"", "step = \"kalman\"");
        assert_eq!(changes(&was, &now), Ok(Vec::new()));
        assert_eq!(changes(&was, &toml(&[])).unwrap().len(), 1);
    }

    #[test]
    fn a_key_an_older_version_did_not_know_has_its_default() {
        let was = toml(&[]).replace("fail_beyond = 1000000000.0\n", "");
        assert_eq!(changes(&was, &toml(&[])), Ok(Vec::new()));
        assert_eq!(
            changes(&was, &toml(&["method.fail_beyond=10"]))
                .unwrap()
                .len(),
            1
        );
        assert!(changes("seed = ", &was).is_err());
    }

    #[test]
    fn a_configuration_that_was_cut_short_lacks_keys() {
        let whole = toml(&[]);
        assert_eq!(lacking(&whole, &whole), Ok(Vec::new()));
        let cut = whole.replace("[output]\nensemble = false\n", "");
        assert_eq!(
            lacking(&cut, &whole),
            Ok(vec!["output.ensemble".to_owned()])
        );
        assert!(lacking("seed = ", &whole).is_err());
    }

    #[test]
    fn every_key_that_may_change_exists() {
        for path in MAY_CHANGE {
            let known = |key: &crate::config::Key| {
                path.strip_suffix('*')
                    .map_or(key.path == *path, |s| key.path.starts_with(s))
            };
            assert!(KEYS.iter().any(known), "{path}");
        }
    }
}
