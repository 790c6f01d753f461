//! The configuration of a run: defaults, overlaid by a preset or a file, overlaid by `--set`; every key checked once.

mod changes;
mod duration;
mod key;
mod keys;
mod places;
mod presets;
mod renamed;
mod sections;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use crate::config::duration::Interval;
pub use crate::config::value::Kind;
pub use changes::{MAY_CHANGE, changes, lacking};
pub use key::Key;
pub use keys::KEYS;
pub use places::{CONFIG, ENVIRONMENT, OBSERVATIONS, Places};
pub use presets::{PRESETS, Preset};
pub use sections::*;

use crate::error::{Error, Result};
use crate::files::bounded;

/// The longest configuration file that is read, bytes.
const LONGEST: u64 = 1 << 26;
/// The most characters of a key or value that a message repeats.
const REPEATED: usize = 200;

/// A configuration and where each of its keys was set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// The preset's name or the file's stem.
    pub name: String,
    /// The preset, file or `--set` each key's value came from.
    pub origins: BTreeMap<String, String>,
    /// The folders in which the files named by the configuration are looked for.
    pub places: Places,
    /// A warning that names what was set by an earlier version's name or word, and what it is called now.
    pub old_names: Option<String>,
}

impl Resolved {
    /// The configuration of preset or file `source`, changed by the `key.path=value` pairs of `sets`.
    ///
    /// # Errors
    /// One line naming file, key, value and what is allowed; or the file that cannot be read.
    pub fn new(source: &str, sets: &[String]) -> Result<Self> {
        let mut values = key::defaults();
        let mut origins = BTreeMap::new();
        let (name, places) = match Preset::find(source) {
            Some(preset) => {
                overlay(&mut values, preset.table(), source, &mut origins)?;
                (source.to_owned(), Places::default())
            }
            None => (
                overlay_file(&mut values, source, &mut origins)?,
                Places::of(Path::new(source)),
            ),
        };
        for set in sets {
            overlay(&mut values, parse_set(set)?, "--set", &mut origins)?;
        }
        let old_names = renamed::settle(&mut values, &mut origins);
        let mut table = Table::new();
        for (path, value) in values {
            place(&mut table, &path, value);
        }
        let config = Config::deserialize(Value::Table(table)).map_err(|error| {
            Error::Usage(format!(
                "{source}: {}",
                error.to_string().replace('\n', " ")
            ))
        })?;
        let resolved = Self {
            config,
            name,
            origins,
            places,
            old_names,
        };
        resolved.check_step()?;
        Ok(resolved)
    }

    /// Refuses a rule for the step size with the Kalman gain, whose h is taken as given.
    fn check_step(&self) -> Result<()> {
        let method = &self.config.method;
        let is_asked = method.step != StepKind::Adaptive || self.is_set("method.step");
        if method.kind == MethodKind::Kalman && is_asked {
            let allowed =
                "needs method.kind = \"eki\": with \"kalman\" each step takes h as it is given";
            return Err(self.error("method.step", allowed));
        }
        Ok(())
    }

    /// An error about the value of `key`, naming where it was set.
    #[must_use]
    pub fn error(&self, key: &str, allowed: impl Into<String>) -> Error {
        let table = Table::try_from(&self.config).expect("a configuration is a table");
        let value = key
            .split('.')
            .try_fold(&Value::Table(table), |value, part| value.get(part))
            .map(|value| shortened(&written(value)));
        let file = self
            .origins
            .get(key)
            .cloned()
            .unwrap_or_else(|| format!("{} (default)", self.name));
        Error::Config {
            file,
            key: key.to_owned(),
            value: value.unwrap_or_default(),
            allowed: allowed.into(),
        }
    }

    /// The whole configuration as TOML.
    #[must_use]
    pub fn toml(&self) -> String {
        toml::to_string(&self.config).expect("a configuration is a table")
    }
}

/// Reads `path`, which may build on a preset by `preset = "name"`, over `values`; returns the file's stem.
fn overlay_file(
    values: &mut BTreeMap<String, Value>,
    path: &str,
    origins: &mut BTreeMap<String, String>,
) -> Result<String> {
    let file = Path::new(path);
    if !file.exists() && !path.contains(['/', '.']) {
        let names = PRESETS.iter().map(|p| p.name);
        let near = nearest(path, names).map_or(String::new(), |n| format!("; did you mean {n}?"));
        return Err(Error::Usage(format!(
            "{path}: no such preset or file{near} (presets: {})",
            PRESETS
                .iter()
                .map(|p| p.name)
                .collect::<Vec<_>>()
                .join(", ")
        )));
    }
    let text = bounded::text(file, LONGEST)?;
    let mut given: Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Error::Usage(format!(
            "{path}:{line}: not TOML: {}",
            e.message().replace('\n', " ")
        ))
    })?;
    if let Some(base) = given.remove("preset") {
        let preset = base
            .as_str()
            .and_then(Preset::find)
            .ok_or_else(|| Error::Config {
                file: path.to_owned(),
                key: "preset".to_owned(),
                value: base.to_string(),
                allowed: format!(
                    "one of {}",
                    PRESETS
                        .iter()
                        .map(|p| p.name)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            })?;
        overlay(values, preset.table(), preset.name, origins)?;
    }
    overlay(values, given, path, origins)?;
    Ok(file.file_stem().map_or_else(
        || path.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    ))
}

/// `key.path=value` as a table of one entry; a value that is not TOML is taken as a string.
fn parse_set(set: &str) -> Result<Table> {
    let (path, value) = set.split_once('=').ok_or_else(|| {
        Error::Usage(format!(
            "--set {set}: write key.path=value, as in ensemble.members=500"
        ))
    })?;
    let value = match format!("v = {value}").parse::<Table>() {
        Ok(mut table) if table.len() == 1 => table.remove("v").expect("just parsed"),
        Err(_) if !value.trim().contains(['\n', '\r']) => Value::String(value.trim().to_owned()),
        _ => {
            return Err(Error::Usage(format!(
                "--set {}: text follows after the value's line: give each key with a --set of its own",
                shortened(path)
            )));
        }
    };
    // The path stays in one piece: tables within tables would be as deep as it has parts.
    Ok(Table::from_iter([(path.trim().to_owned(), value)]))
}

/// Writes every leaf of `given` over `values`, each checked against its key's kind.
fn overlay(
    values: &mut BTreeMap<String, Value>,
    given: Table,
    file: &str,
    origins: &mut BTreeMap<String, String>,
) -> Result<()> {
    let mut leaves = Vec::new();
    flatten("", Value::Table(given), &mut leaves);
    let mut seen = BTreeSet::new();
    for (path, value) in leaves {
        let section = format!("{path}.");
        let is_empty = value.as_table().is_some_and(Table::is_empty);
        if is_empty && KEYS.iter().any(|key| key.path.starts_with(&section)) {
            continue;
        }
        if !seen.insert(path.clone()) {
            return Err(refused(file, &path, &value, "is given twice"));
        }
        let key = KEYS
            .iter()
            .find(|key| key.path == path)
            .ok_or_else(|| unknown(file, &path, &value))?;
        let value = match renamed::is_old_word(&path, &value) {
            true => value,
            false => key.kind.accept(value).map_err(|value| {
                let allowed = format!("must be {}", key.kind.allowed());
                refused(file, &path, &value, allowed)
            })?,
        };
        values.insert(path.clone(), value);
        origins.insert(path, file.to_owned());
    }
    Ok(())
}

/// Adds to `leaves` each value within `value` with its path. A section that holds nothing is a leaf too.
fn flatten(prefix: &str, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) if !table.is_empty() || prefix.is_empty() => {
            for (key, value) in table {
                let path = if prefix.is_empty() {
                    key
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, value, leaves);
            }
        }
        leaf => leaves.push((prefix.to_owned(), leaf)),
    }
}

fn place(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        Some((section, rest)) => {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            place(
                inner.as_table_mut().expect("sections are tables"),
                rest,
                value,
            );
        }
        None => {
            table.insert(path.to_owned(), value);
        }
    }
}

fn unknown(file: &str, path: &str, value: &Value) -> Error {
    let near = nearest(&shortened(path), KEYS.iter().map(|key| key.path));
    let allowed = near.map_or("unknown key".to_owned(), |near| {
        format!("unknown key; the nearest known one is {near}")
    });
    refused(file, path, value, allowed)
}

/// The refusal of a key's value.
fn refused(file: &str, path: &str, value: &Value, allowed: impl Into<String>) -> Error {
    Error::Config {
        file: file.to_owned(),
        key: shortened(path),
        value: shortened(&written(value)),
        allowed: allowed.into(),
    }
}

/// `value` as TOML in a message: floats in the fewest digits that tell them apart, with an exponent where they are long.
fn written(value: &Value) -> String {
    match value {
        Value::Float(x) => format!("{x:?}"),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(written).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// As much of `text` as a message of one line repeats.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The known name most like `word`: by the spelling of the whole and of its last part alike, since often only the
/// section is wrong.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let score = |path: &str| {
        strsim::jaro_winkler(word, path) + strsim::jaro_winkler(&last(word), &last(path))
    };
    known.max_by(|a, b| score(a).total_cmp(&score(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let error = Resolved::new("digits", &sets).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn the_kalman_step_of_earlier_versions_is_the_kalman_method() {
        let kind = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            let resolved = Resolved::new("digits", &sets).unwrap();
            assert_eq!(resolved.config.method.step, StepKind::Adaptive);
            (resolved.config.method.kind, resolved.old_names)
        };
        let (new, none) = kind(&["method.kind=kalman"]);
        assert_eq!((new, none), (MethodKind::Kalman, None));
        let old = "method.step=kalman";
        for sets in [
            &[old][..],
            &[old, "method.kind=eki"],
            &["method.kind=kalman", old],
        ] {
            let (now, told) = kind(sets);
            assert_eq!(now, MethodKind::Kalman);
            assert!(told.unwrap().contains("is now method.kind = \"kalman\""));
        }
        // Gradient descent has never looked at it.
        assert_eq!(kind(&["method.kind=sgd", old]).0, MethodKind::Sgd);
        let step = refused(&["method.kind=kalman", "method.step=adaptive"]);
        assert!(step.contains("needs method.kind = \"eki\""), "{step}");
    }

    #[test]
    fn every_preset_resolves_and_its_toml_reads_back() {
        for preset in PRESETS {
            let resolved = Resolved::new(preset.name, &[]).expect(preset.name);
            let again: Config = toml::from_str(&resolved.toml()).expect("reads back");
            assert_eq!(again, resolved.config, "{}", preset.name);
        }
    }

    #[test]
    fn a_wrong_key_names_the_nearest_known_one() {
        assert!(refused(&["ensemble.member=10"]).contains("ensemble.members"));
        assert!(refused(&["method.gamma=1"]).contains("ensemble.gamma"));
        assert!(refused(&["models.kind=dense"]).contains("model.kind"));
    }

    #[test]
    fn wrong_types_and_impossible_values_say_what_is_allowed() {
        assert_eq!(
            refused(&["ensemble.members=1"]),
            "--set: ensemble.members = 1: must be an integer of at least 2"
        );
        assert!(refused(&["method.h=0"]).contains("greater than 0"));
        assert!(refused(&["ensemble.gamma=-1"]).contains("at least 0"));
        assert!(refused(&["method.h=nan"]).contains("greater than 0"));
        assert!(refused(&["data.shuffle=1"]).contains("true or false"));
        assert!(refused(&["model.activation=sigmoid"]).contains("\"relu\""));
        assert!(refused(&["model.layers=[64]"]).contains("at least 2"));
        assert!(refused(&["seed=-1"]).contains("integer"));
        assert!(refused(&["seed"]).contains("key.path=value"));
        assert!(refused(&["model=3"]).contains("unknown key"));
        assert!(
            refused(&["ensemble.gamma=-1e300"]).starts_with("--set: ensemble.gamma = -1e300: ")
        );
        assert!(refused(&["method.noise=[1, -1e-300]"]).contains("method.noise = [1, -1e-300]: "));
        assert!(refused(&["method.localise=9007199254740993"]).contains("at most 100"));
        let deep = format!("{}=1", ["a"; 60_000].join("."));
        assert!(refused(&[&deep]).len() < 500);
    }

    #[test]
    fn nothing_that_is_given_is_left_out_in_silence() {
        assert!(refused(&["seed=5\nmethod.h=77"]).contains("text follows after"));
        assert!(refused(&["data.name=digits\n[method]"]).contains("text follows after"));
        assert!(refused(&["ensemblee={}"]).contains("ensemblee = {}: unknown key"));
        assert!(refused(&["method.h={}"]).contains("a finite number"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        for (text, words) in [
            ("[ensembel]\n", Some("ensembel = {}: unknown key")),
            ("[ensemble.members]\n", Some("an integer of at least 2")),
            (
                "\"ensemble.members\" = 5\n[ensemble]\nmembers = 7\n",
                Some("is given twice"),
            ),
            ("[ensemble]\n[method]\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let read = Resolved::new(path.to_str().unwrap(), &["model={}".to_owned()]);
            match words {
                Some(words) => assert!(read.unwrap_err().to_string().contains(words), "{text}"),
                None => assert!(read.is_ok()),
            }
        }
    }

    #[test]
    fn files_build_on_presets_and_are_named_in_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "preset = \"dnn1\"\n[ensemble]\nmembers = 500\n").unwrap();
        let resolved = Resolved::new(path.to_str().unwrap(), &["method.h=3".to_owned()]).unwrap();
        assert_eq!(resolved.name, "mine");
        assert_eq!(resolved.config.ensemble.members, 500);
        assert_eq!(resolved.config.method.h, 3.0);
        assert_eq!(resolved.config.model.layers, [784, 10]);
        std::fs::write(&path, "seed = 1\n[ensemble\n").unwrap();
        let line = Resolved::new(path.to_str().unwrap(), &[])
            .expect_err("refused")
            .to_string();
        assert!(line.contains("mine.toml:2"), "{line}");
        let line = Resolved::new("digitz", &[])
            .expect_err("refused")
            .to_string();
        assert!(line.contains("did you mean digits"), "{line}");
    }
}
