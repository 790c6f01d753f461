//! Two configurations compared: what may differ between the parts of one run, and what would make it another run.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::key::Resume;
use super::keys::{find, keys};
use super::overlay::{defaults, flatten};
use super::refusal::written;
use super::renamed;

/// Returns the keys that may change when a run is resumed, as messages list them; `section.*` stands for all of a section.
#[must_use]
pub fn resumable() -> String {
    let mut listed: Vec<String> = Vec::new();
    for key in keys().filter(|key| key.resume == Resume::MayChange) {
        let (section, _) = key.section_and_name();
        let mut beside = keys().filter(|other| other.section_and_name().0 == section);
        let word = match beside.all(|other| other.resume == Resume::MayChange) {
            true => format!("{section}.*"),
            false => key.path.to_owned(),
        };
        if !listed.contains(&word) {
            listed.push(word);
        }
    }
    listed.join(", ")
}

/// Returns true if the key at `path` may change when a run is resumed.
fn may_change(path: &str) -> bool {
    find(path).is_some_and(|key| key.resume == Resume::MayChange)
}

/// Returns what differs, beyond what may, between the configurations `was` and `is`, both as TOML: "key = old, now new" for
/// each key. A key that one of them lacks has its default there.
///
/// # Errors
/// A text that is not TOML.
pub fn changes(was: &str, is: &str) -> Result<Vec<String>, String> {
    let (was, is) = (values(was)?, values(is)?);
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let told = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), written);
    Ok(keys
        .into_iter()
        .filter(|key| was.get(*key) != is.get(*key) && !may_change(key))
        .map(|key| format!("{key} = {}, now {}", told(was.get(key)), told(is.get(key))))
        .collect())
}

/// Returns the keys of the configuration `text` that may not change when a run is resumed, as TOML.
///
/// # Errors
/// A text that is not TOML.
pub fn fixed(text: &str) -> Result<String, String> {
    let leaves = leaves(text)?.into_iter();
    let fixed = leaves.filter(|(key, _)| !may_change(key));
    Ok(fixed
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect())
}

/// Returns true if the configurations `was` and `is`, both as TOML, set every key alike. A key that one of them lacks has its
/// default there.
///
/// # Errors
/// A text that is not TOML.
pub fn equal(was: &str, is: &str) -> Result<bool, String> {
    Ok(values(was)? == values(is)?)
}

/// Returns the keys that the configuration `whole` sets to other than their defaults and `part` lacks, both as TOML: `part` was
/// cut short.
///
/// # Errors
/// A text that is not TOML.
pub fn lacking(part: &str, whole: &str) -> Result<Vec<String>, String> {
    let part: BTreeSet<String> = leaves(part)?.into_keys().collect();
    let defaults = defaults();
    let missing = leaves(whole)?.into_iter();
    let missing =
        missing.filter(|(key, value)| defaults.get(key) != Some(value) && !part.contains(key));
    Ok(missing.map(|(key, _)| key).collect())
}

/// Returns the value of every key in the configuration `text`, in today's names and words.
fn values(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut values = defaults();
    values.extend(leaves(text)?);
    renamed::settle(&mut values);
    Ok(values)
}

/// Returns the keys that the TOML `text` sets, by today's names, and their values as today's configurations write them: `localise`
/// was a number once.
fn leaves(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| e.message().replace('\n', " "))?;
    let mut leaves = Vec::new();
    flatten("", Value::Table(table), &mut leaves);
    let current = |(name, value): (String, Value)| {
        let name = renamed::current(&name);
        let value = match find(name) {
            Some(key) => key.kind.accept(value).unwrap_or_else(|value| value),
            None => value,
        };
        (name.to_owned(), value)
    };
    Ok(leaves.into_iter().map(current).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resolved;

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
        assert_eq!(equal(&was, &was), Ok(true));
        assert_eq!(equal(&was, &toml(&["run.epochs=70"])), Ok(false));
    }

    #[test]
    fn a_word_of_an_older_version_is_no_change() {
        let now = toml(&["method.kind=kalman"]);
        let was = toml(&[]).replace("step = \"adaptive\"", "step = \"kalman\"");
        assert_eq!(changes(&was, &now), Ok(Vec::new()));
        assert_eq!(changes(&was, &toml(&[])).unwrap().len(), 1);
        let was = toml(&[]).replace("localise = \"none\"", "localise = 0");
        assert_eq!(changes(&was, &toml(&[])), Ok(Vec::new()));
        assert_eq!(
            changes(&was, &toml(&["method.localise=sec"]))
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn a_key_an_older_version_did_not_know_has_its_default() {
        let was = toml(&[]).replace("outlier_ratio = 1000000000.0\n", "");
        assert_eq!(changes(&was, &toml(&[])), Ok(Vec::new()));
        assert_eq!(
            changes(&was, &toml(&["method.outlier_ratio=10"]))
                .unwrap()
                .len(),
            1
        );
        assert!(changes("seed = ", &was).is_err());
    }

    #[test]
    fn a_configuration_that_was_cut_short_lacks_keys() {
        let whole = toml(&["output.ensemble=true"]);
        assert_eq!(lacking(&whole, &whole), Ok(Vec::new()));
        let cut = whole.replace("[output]\nensemble = true\n", "");
        assert_eq!(
            lacking(&cut, &whole),
            Ok(vec!["output.ensemble".to_owned()])
        );
        assert!(lacking("seed = ", &whole).is_err());
    }

    #[test]
    fn keys_that_may_change_are_listed_in_short() {
        assert_eq!(
            resumable(),
            "model.timeout, run.epochs, run.steps, run.stop_at_misfit, run.evaluate_every, run.best, run.report_every, run.hang_timeout, \
             run.on_hang, checkpoint.*, output.*"
        );
    }
}
