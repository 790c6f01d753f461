//! The file of a sweep, section by section, before any run is made of it.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::draws::Range;
use super::{BASE, SCORES, names};
use crate::config::overlay::{flatten, read_table};
use crate::config::refusal::refused;
use crate::config::renamed;
use crate::error::{Error, Result};

/// The most runs of one sweep.
const MOST_RUNS: usize = 10_000;

/// Settings by their keys' present names; among them `base`.
pub(super) type Settings = BTreeMap<String, Value>;

/// The content of a sweep's file.
pub(super) struct File {
    /// The preset or file of all runs that name no other.
    pub base: Option<Value>,
    /// The score by which the table is sorted.
    pub best: Option<String>,
    /// Keys for all runs.
    pub set: Table,
    /// Listed runs; one without a name or a setting where none is listed.
    pub listed: Vec<Listed>,
    /// Keys and the values that each takes.
    pub grid: BTreeMap<String, Vec<Value>>,
    /// Draws, if there are any.
    pub draws: Option<Draws>,
}

/// A run that is listed in the file.
#[derive(Default)]
pub(super) struct Listed {
    pub name: Option<String>,
    pub settings: Settings,
}

/// The quasi-random draws of settings.
pub(super) struct Draws {
    pub count: u64,
    pub seed: u64,
    pub ranges: BTreeMap<String, Range>,
}

impl File {
    /// Reads the file at `path`.
    pub fn read(path: &str) -> Result<Self> {
        let mut table = read_table(path)?;
        let grid = table.remove("grid");
        let listed = table.remove("run");
        let draws = table.remove("draws");
        if grid.is_none() && listed.is_none() && draws.is_none() {
            let why = "there is nothing to sweep: give [grid], [[run]] or [draws]";
            return Err(Error::Usage(format!("{path}: {why}")));
        }
        let file = Self {
            base: table.remove(BASE),
            best: read_best(path, table.remove("best"))?,
            set: match table.remove("set") {
                None => Table::new(),
                Some(Value::Table(set)) => set,
                Some(other) => return Err(refused(path, "set", &other, "must be a section")),
            },
            listed: read_listed(path, listed)?,
            grid: read_grid(path, grid)?,
            draws: draws.map(|draws| read_draws(path, draws)).transpose()?,
        };
        if let Some((key, value)) = table.into_iter().next() {
            let allowed = "unknown; a sweep's file has base, best, [set], [grid], [[run]] and [draws]: keys of all runs \
                           stand in [set]";
            return Err(refused(path, &key, &value, allowed));
        }
        file.check_overlap(path)?;
        file.check_count(path)?;
        Ok(file)
    }

    /// Refuses a key that two sections set, of which one would have no effect.
    fn check_overlap(&self, path: &str) -> Result<()> {
        let drawn = self.draws.iter().flat_map(|draws| draws.ranges.keys());
        let sections = |key: &String| {
            let grid = self.grid.contains_key(key).then_some("[grid]");
            let drawn = self.draws.as_ref();
            let drawn = drawn.filter(|draws| draws.ranges.contains_key(key));
            let listed = self.listed.iter().any(|run| run.settings.contains_key(key));
            let set = leaves(&self.set).any(|(set, _)| set == *key);
            let all = [
                set.then_some("[set]"),
                grid,
                listed.then_some("[[run]]"),
                drawn.map(|_| "[draws]"),
            ];
            all.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        };
        let twice = self
            .grid
            .keys()
            .chain(drawn)
            .find(|key| sections(key).contains(" and "));
        match twice {
            Some(key) => Err(Error::Usage(format!(
                "{path}: {key} stands in {}: give it once",
                sections(key)
            ))),
            None => Ok(()),
        }
    }

    /// Refuses more runs than anybody means.
    fn check_count(&self, path: &str) -> Result<()> {
        let grid = self.grid.values().map(Vec::len);
        let drawn = self.draws.as_ref().map_or(1, |draws| draws.count);
        let factors = grid.chain([
            self.listed.len(),
            usize::try_from(drawn).unwrap_or(usize::MAX),
        ]);
        let count = factors.fold(1_usize, usize::saturating_mul);
        if count > MOST_RUNS {
            let why = format!("asks for more than {MOST_RUNS} runs");
            return Err(Error::Usage(format!("{path}: {why}")));
        }
        Ok(())
    }
}

/// Returns each key of `table`, by its present name, with its value.
pub(super) fn leaves(table: &Table) -> impl Iterator<Item = (String, Value)> + use<> {
    let mut leaves = Vec::new();
    flatten("", Value::Table(table.clone()), &mut leaves);
    let current = |(name, value): (String, Value)| (renamed::current(&name).to_owned(), value);
    leaves.into_iter().map(current)
}

/// Collects keys into a map; refuses a key that is given twice.
fn distinct<V>(
    path: &str,
    pairs: impl IntoIterator<Item = Result<(String, V)>>,
) -> Result<BTreeMap<String, V>> {
    let mut all = BTreeMap::new();
    for pair in pairs {
        let (key, value) = pair?;
        if all.insert(key.clone(), value).is_some() {
            return Err(Error::Usage(format!("{path}: {key} is given twice")));
        }
    }
    Ok(all)
}

fn read_best(path: &str, best: Option<Value>) -> Result<Option<String>> {
    let Some(best) = best else { return Ok(None) };
    let known = |word: &&str| SCORES.iter().any(|(name, _)| name == word);
    match best.as_str().filter(known) {
        Some(word) => Ok(Some(word.to_owned())),
        None => {
            let all: Vec<String> = SCORES.iter().map(|(name, _)| format!("{name:?}")).collect();
            let allowed = format!("must be one of {}", all.join(", "));
            Err(refused(path, "best", &best, allowed))
        }
    }
}

fn read_listed(path: &str, listed: Option<Value>) -> Result<Vec<Listed>> {
    let list = match listed {
        None => return Ok(vec![Listed::default()]),
        Some(Value::Array(list)) if !list.is_empty() => list,
        Some(other) => {
            let allowed = "must be a list of runs, each under a line [[run]] of its own";
            return Err(refused(path, "run", &other, allowed));
        }
    };
    let read = |(i, run): (usize, Value)| {
        let place = format!("{path} [[run]] {}", i + 1);
        let Value::Table(mut table) = run else {
            return Err(refused(&place, "run", &run, "must be a section"));
        };
        let name = table.remove("name").map(|name| read_name(&place, name));
        let settings = distinct(&place, leaves(&table).map(Ok))?;
        let name = name.transpose()?;
        if name.is_none() && settings.is_empty() {
            return Err(Error::Usage(format!("{place}: has no name and no key")));
        }
        Ok(Listed { name, settings })
    };
    list.into_iter().enumerate().map(read).collect()
}

fn read_name(place: &str, name: Value) -> Result<String> {
    match name.as_str().filter(|name| names::is_safe(name)) {
        Some(name) => Ok(name.to_owned()),
        None => {
            let allowed = "must be a folder's name of letters, digits and . _ + - = , in quotes";
            Err(refused(place, "name", &name, allowed))
        }
    }
}

fn read_grid(path: &str, grid: Option<Value>) -> Result<BTreeMap<String, Vec<Value>>> {
    let place = format!("{path} [grid]");
    let table = match grid {
        None => return Ok(BTreeMap::new()),
        Some(Value::Table(table)) if !table.is_empty() => table,
        Some(other) => {
            let allowed = "must be a section of keys, each with a list of values";
            return Err(refused(path, "grid", &other, allowed));
        }
    };
    let read = |(key, value): (String, Value)| match value {
        Value::Array(values) if !values.is_empty() => Ok((key, values)),
        other => {
            let allowed = "must be a list of one value or more, as in [1, 2, 3]";
            Err(refused(&place, &key, &other, allowed))
        }
    };
    distinct(&place, leaves(&table).map(read))
}

fn read_draws(path: &str, draws: Value) -> Result<Draws> {
    let place = format!("{path} [draws]");
    let Value::Table(mut table) = draws else {
        return Err(refused(path, "draws", &draws, "must be a section"));
    };
    let mut number = |key: &str, least: i64| {
        let value = table.remove(key);
        let found = value.as_ref().and_then(Value::as_integer);
        match (found.filter(|n| *n >= least), value) {
            (Some(n), _) => Ok(n as u64),
            (None, None) if key == "seed" => Ok(1),
            (None, None) => Err(Error::Usage(format!("{place}: {key} is missing"))),
            (None, Some(value)) => {
                let allowed = format!("must be an integer of at least {least}");
                Err(refused(&place, key, &value, allowed))
            }
        }
    };
    let (count, seed) = (number("count", 1)?, number("seed", 0)?);
    let ranges = distinct(&place, leaves(&table).map(|leaf| read_range(&place, leaf)))?;
    if ranges.is_empty() {
        let why = "no key is drawn: give a range, as in \"method.h\" = { log = [0.1, 10] }";
        return Err(Error::Usage(format!("{place}: {why}")));
    }
    Ok(Draws {
        count,
        seed,
        ranges,
    })
}

/// Reads `key.kind = [low, high]`.
fn read_range(place: &str, (name, value): (String, Value)) -> Result<(String, Range)> {
    let allowed = "must be a range, { uniform = [0, 1] }, { log = [0.01, 10] } or { integer = [1, 9] }, the first number \
                   below the second and above 0 for log";
    // The table of a key that takes tables has not been taken apart.
    let (name, value) = match value {
        Value::Table(table) if table.len() == 1 => {
            let (kind, ends) = table.into_iter().next().expect("one entry");
            (format!("{name}.{kind}"), ends)
        }
        whole => (name, whole),
    };
    let refuse = || refused(place, &name, &value, allowed);
    let (key, kind) = name.rsplit_once('.').ok_or_else(refuse)?;
    let ends = value.as_array().filter(|ends| ends.len() == 2);
    let [low, high] = [0, 1].map(|i| ends.map(|ends| &ends[i]));
    let real = |end: Option<&Value>| {
        let end = end.and_then(|end| end.as_float().or(end.as_integer().map(|i| i as f64)));
        end.filter(|x| x.is_finite()).ok_or_else(refuse)
    };
    let integer = |end: Option<&Value>| end.and_then(Value::as_integer).ok_or_else(refuse);
    let range = match kind {
        "uniform" => Range::Uniform(real(low)?, real(high)?),
        "log" if real(low)? > 0.0 => Range::Log(real(low)?, real(high)?),
        "integer" => Range::Integer(integer(low)?, integer(high)?),
        _ => return Err(refuse()),
    };
    let rises = match range {
        Range::Uniform(low, high) | Range::Log(low, high) => low < high,
        Range::Integer(low, high) => low < high,
    };
    match rises {
        true => Ok((renamed::current(key).to_owned(), range)),
        false => Err(refuse()),
    }
}
