//! The values of all keys, overlaid by a preset, a file and `--set`, each value checked against its key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::keys::{find, keys};
use super::presets::{PRESETS, Preset};
use super::refusal::{refused, shortened, unknown};
use super::renamed;
use super::value::Kind;
use crate::error::{Error, Result};
use crate::files::bounded;

/// The longest configuration file that is read, bytes.
const LONGEST: u64 = 1 << 26;

/// The values of all keys, and where each was set.
pub(super) struct Overlay {
    /// Every key's path with its value.
    pub values: BTreeMap<String, Value>,
    /// The preset, file or `--set` that a key's value came from; none: it has its default.
    pub origins: BTreeMap<String, String>,
    /// The name by which each of these keys was given.
    names: BTreeMap<String, String>,
}

impl Overlay {
    /// Returns every key with its default.
    pub fn new() -> Self {
        Self {
            values: defaults(),
            origins: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Overlays what the file at `path` sets, and before it the preset that it names by `preset = "name"`; returns the file's
    /// stem.
    pub fn file(&mut self, path: &str) -> Result<String> {
        let file = Path::new(path);
        if !file.exists() && !path.contains(['/', '.']) {
            let near = Preset::suggestion(path);
            let names = preset_names();
            let why = format!("{path}: no such preset or file{near} (presets: {names})");
            return Err(Error::Usage(why));
        }
        let mut given = read_table(path)?;
        if let Some(base) = given.remove("preset") {
            let preset = base.as_str().and_then(Preset::find);
            let preset = preset.ok_or_else(|| {
                let allowed = format!("one of {}", preset_names());
                refused(path, "preset", &base, allowed)
            })?;
            self.table(preset.table(), preset.name)?;
        }
        self.table(given, path)?;
        Ok(file.file_stem().map_or_else(
            || path.to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ))
    }

    /// Overlays what the pair `key.path=value` sets.
    pub fn set(&mut self, pair: &str) -> Result<()> {
        let (path, value) = pair.split_once('=').ok_or_else(|| {
            Error::Usage(format!(
                "--set {pair}: write key.path=value, as in ensemble.members=500"
            ))
        })?;
        // A value that is not TOML is taken as text.
        let value = match format!("v = {value}").parse::<Table>() {
            Ok(mut table) if table.len() == 1 => match table.remove("v").expect("just parsed") {
                // No key is a time of day: a duration as HH:MM:SS is meant.
                Value::Datetime(time) => Value::String(time.to_string()),
                value => value,
            },
            Err(_) if !value.trim().contains(['\n', '\r']) => {
                Value::String(value.trim().to_owned())
            }
            _ => {
                return Err(Error::Usage(format!(
                    "--set {}: text follows after the value's line: give each key with a --set of its own",
                    shortened(path)
                )));
            }
        };
        // The path stays in one piece: tables within tables would be as deep as it has parts.
        self.table(Table::from_iter([(path.trim().to_owned(), value)]), "--set")
    }

    /// Overlays every value within `given`, which stands in `file`, each checked against its key's kind.
    pub fn table(&mut self, given: Table, file: &str) -> Result<()> {
        let mut leaves = Vec::new();
        flatten("", Value::Table(given), &mut leaves);
        let mut seen = BTreeSet::new();
        for (name, value) in leaves {
            let section = format!("{name}.");
            let is_empty = value.as_table().is_some_and(Table::is_empty);
            if is_empty && keys().any(|key| key.path.starts_with(&section)) {
                continue;
            }
            if !seen.insert(name.clone()) {
                return Err(refused(file, &name, &value, "is given twice"));
            }
            let path = renamed::current(&name);
            let key = find(path).ok_or_else(|| unknown(file, &name, &value))?;
            let beside = self.names.get(path).filter(|other| **other != name);
            if let Some(other) = beside.filter(|_| self.origins[path] == file) {
                let allowed = format!(
                    "stands beside {other}, and both are names of one key: give {path} alone"
                );
                return Err(refused(file, &name, &value, allowed));
            }
            let value = match renamed::is_old_word(path, &value) {
                true => value,
                false => key.kind.accept(value).map_err(|value| {
                    let allowed = format!("must be {}", key.kind.allowed());
                    refused(file, &name, &value, allowed)
                })?,
            };
            self.values.insert(path.to_owned(), value);
            self.origins.insert(path.to_owned(), file.to_owned());
            self.names.insert(path.to_owned(), name);
        }
        Ok(())
    }

    /// Returns the earlier versions' names by which keys were given, by today's name.
    pub fn old_names(&self) -> BTreeMap<String, String> {
        let old = self.names.iter().filter(|(path, name)| path != name);
        old.map(|(path, name)| (path.clone(), name.clone()))
            .collect()
    }

    /// Replaces words of earlier versions by today's; returns "old is now new" if there was one.
    pub fn settle(&mut self) -> Option<String> {
        let step = renamed::settle(&mut self.values);
        let origin = step
            .as_ref()
            .and_then(|_| self.origins.remove(renamed::STEP));
        if let Some(origin) = origin {
            self.origins.insert(renamed::KIND.to_owned(), origin);
        }
        step
    }

    /// Returns the values as a table of sections.
    pub fn into_table(self) -> Table {
        let mut table = Table::new();
        for (path, value) in self.values {
            place(&mut table, &path, value);
        }
        table
    }
}

/// Returns the TOML file at `path`.
///
/// # Errors
/// A file that cannot be read, or the line that is not TOML.
pub(super) fn read_table(path: &str) -> Result<Table> {
    let text = bounded::text(Path::new(path), LONGEST)?;
    text.parse().map_err(|e: toml::de::Error| {
        let line = e
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let why = e.message().replace('\n', " ");
        Error::Usage(format!("{path}:{line}: not TOML: {why}"))
    })
}

/// Returns every key's path with its default.
pub(super) fn defaults() -> BTreeMap<String, Value> {
    keys()
        .map(|key| (key.path.to_owned(), key.value()))
        .collect()
}

/// Returns the names of all presets, as messages put them.
pub(super) fn preset_names() -> String {
    let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    names.join(", ")
}

/// Adds to `leaves` each value within `value` with its path. A section that holds nothing is a leaf too, and so is the table of
/// a key that takes tables.
pub(super) fn flatten(prefix: &str, value: Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) if prefix.is_empty() || !table.is_empty() && !takes_tables(prefix) => {
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

/// Returns true if the values of the key at `path` may be tables.
fn takes_tables(path: &str) -> bool {
    find(path).is_some_and(|key| matches!(key.kind, Kind::Noise | Kind::Localise | Kind::Inflation))
}

/// Puts `value` into the section of `table` that `path` begins with.
fn place(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        Some((section, name)) => {
            let inner = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            let inner = inner.as_table_mut().expect("sections are tables");
            inner.insert(name.to_owned(), value);
        }
        None => {
            table.insert(path.to_owned(), value);
        }
    }
}
