//! A sweep: many runs, described by one file, each an ordinary configuration with a name.
//!
//! The runs are all combinations of one listed run (`[[run]]`), one draw (`[draws]`) and one point of the grid (`[grid]`), where
//! these are given; each is the base, overlaid by `[set]` and then by its own settings. Nothing is run here.

mod draws;
mod file;
mod names;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::overlay::preset_names;
use super::presets::Preset;
use super::refusal::refused;
use super::resolved::Resolved;
use crate::error::{Error, Result};
use file::{File, Listed, Settings, leaves};

/// The word that stands for a run's preset or file among its settings.
const BASE: &str = "base";

/// The key over whose values results are averaged.
const SEED: &str = "seed";

/// The scores that a sweep can be judged by, as summary.json names them, and whether a higher one is better.
pub const SCORES: &[(&str, bool)] = &[
    ("accuracy_mean", true),
    ("accuracy_best", true),
    ("mse_mean", false),
    ("mse_best", false),
    ("mse_pass", false),
    ("return_mean", true),
    ("return_best", true),
    ("misfit_mean", false),
    ("misfit_best", false),
    ("misfit_members", false),
];

/// Names in the folder of a sweep that no run may have.
pub const RESERVED: [&str; 10] = [
    "failed",
    "taken",
    "results.csv",
    "results.md",
    "runs.csv",
    "report.html",
    "summary.json",
    "sweep.toml",
    "sweep.log",
    "STOP",
];

/// Many runs of one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sweep {
    /// The file's stem.
    pub name: String,
    /// The score by which the table is sorted, best first.
    pub best: Option<String>,
    /// The settings that vary between runs, apart from the seed, by the names that tables show.
    pub columns: Vec<String>,
    /// The runs, in the order in which they are begun.
    pub runs: Vec<SweepRun>,
}

/// A run of a sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepRun {
    /// The name of the run's folder.
    pub name: String,
    /// Its value in each of the sweep's columns; runs that agree in all of them differ in their seed alone.
    pub values: Vec<String>,
    /// Its configuration.
    pub resolved: Resolved,
}

/// The settings that one run has of its own, before they are checked.
struct Combination<'a> {
    listed: &'a Listed,
    draw: Option<(u64, Settings)>,
    grid: Settings,
}

impl Sweep {
    /// Reads the file at `path` and resolves the configuration of each run.
    ///
    /// # Errors
    /// One line that names the file, the section, the key, its value and what is allowed.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path
            .to_str()
            .ok_or_else(|| Error::Usage(format!("{}: not UTF-8", path.display())))?;
        let file = File::read(shown)?;
        let combinations = combinations(&file);
        let of_grid = file.grid.iter().filter(|(_, values)| values.len() > 1);
        let keys: BTreeSet<&str> = of_grid
            .map(|(key, _)| key)
            .chain(file.listed.iter().flat_map(|listed| listed.settings.keys()))
            .chain(file.draws.iter().flat_map(|draws| draws.ranges.keys()))
            .map(String::as_str)
            .collect();
        let short = names::short_keys(&keys);
        let mut runs = Vec::new();
        let mut taken = BTreeSet::new();
        for combination in &combinations {
            let (base, resolved) = combination.resolve(&file, shown)?;
            let name = combination.name(&base, &keys, &short);
            if RESERVED.contains(&name.as_str()) {
                let why = format!("{shown}: {name}: a run cannot have this name");
                return Err(Error::Usage(why));
            }
            if !taken.insert(name.clone()) {
                let why = format!(
                    "{shown}: two runs are named {name}: leave one out, or give them names under [[run]]"
                );
                return Err(Error::Usage(why));
            }
            runs.push(SweepRun {
                values: combination.cells(&base, &keys, &resolved),
                name,
                resolved,
            });
        }
        let stem = path.file_stem().unwrap_or_default();
        Ok(Self {
            name: stem.to_string_lossy().into_owned(),
            best: file.best,
            columns: keep_what_varies(&mut runs, &keys, &short),
            runs,
        })
    }
}

/// Keeps of each run's values, the listed run's name and one for each of `keys`, those that vary between runs, but for the seed;
/// returns their names.
fn keep_what_varies(
    runs: &mut [SweepRun],
    keys: &BTreeSet<&str>,
    short: impl Fn(&str) -> String,
) -> Vec<String> {
    let columns = std::iter::once(("run".to_owned(), false))
        .chain(keys.iter().map(|key| (short(key), *key == SEED)));
    let varies = |column: usize| {
        runs.iter()
            .any(|run| run.values[column] != runs[0].values[column])
    };
    let shown: Vec<(usize, String)> = columns
        .enumerate()
        .filter(|(column, (_, is_seed))| !is_seed && varies(*column))
        .map(|(column, (name, _))| (column, name))
        .collect();
    for run in runs {
        let values = shown.iter().map(|(column, _)| run.values[*column].clone());
        run.values = values.collect();
    }
    shown.into_iter().map(|(_, name)| name).collect()
}

/// Returns every combination of a listed run, a draw and a point of the grid, seeds together.
fn combinations(file: &File) -> Vec<Combination<'_>> {
    let drawn = file.draws.as_ref().map_or(vec![None], |draws| {
        let ranges: Vec<_> = draws.ranges.values().copied().collect();
        let draw = |i| {
            let values = draws::draw(&ranges, draws.seed, i);
            Some((i, draws.ranges.keys().cloned().zip(values).collect()))
        };
        (0..draws.count).map(draw).collect()
    });
    let mut points = vec![Settings::new()];
    for (key, values) in &file.grid {
        let with = |point: &Settings| {
            let each = values.iter().map(|value| {
                let mut point = point.clone();
                point.insert(key.clone(), value.clone());
                point
            });
            each.collect::<Vec<_>>()
        };
        points = points.iter().flat_map(with).collect();
    }
    let mut all = Vec::new();
    for listed in &file.listed {
        for draw in &drawn {
            all.extend(points.iter().map(|grid| Combination {
                listed,
                draw: draw.clone(),
                grid: grid.clone(),
            }));
        }
    }
    all
}

impl Combination<'_> {
    /// Returns the base of this run and its configuration.
    fn resolve(&self, file: &File, path: &str) -> Result<(String, Resolved)> {
        let sections = [
            ("[set]", leaves(&file.set).collect::<Settings>()),
            ("[[run]]", self.listed.settings.clone()),
            ("[draws]", self.draw.clone().unwrap_or_default().1),
            ("[grid]", self.grid.clone()),
        ];
        let own = sections.iter().rev();
        let base = own.filter_map(|(_, settings)| settings.get(BASE)).next();
        let base = base.or(file.base.as_ref()).cloned().ok_or_else(|| {
            Error::Usage(format!("{path}: base is missing: name a preset or a file"))
        })?;
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let source = source(path, &base, folder)?;
        let layers = sections.into_iter().map(|(section, settings)| {
            let settings = settings.into_iter().filter(|(key, _)| key != BASE);
            (settings.collect::<Table>(), format!("{path} {section}"))
        });
        let resolved = Resolved::layered(&source, layers.collect(), folder)?;
        Ok((names::text(&base), resolved))
    }

    /// Returns the name of the run: what is listed, drawn and on the grid, as far as it varies.
    fn name(&self, base: &str, keys: &BTreeSet<&str>, short: impl Fn(&str) -> String) -> String {
        let part = |(key, value): (&String, &Value)| names::part(&short(key), key, value);
        let listed = self.listed.settings.iter().map(part);
        let mut parts: Vec<String> = match &self.listed.name {
            Some(name) => vec![name.clone()],
            None => listed.collect(),
        };
        parts.extend(self.draw.iter().map(|(i, _)| format!("draw-{:03}", i + 1)));
        let varying = self
            .grid
            .iter()
            .filter(|(key, _)| keys.contains(key.as_str()));
        parts.extend(varying.map(part));
        if parts.is_empty() {
            parts.push(names::part(BASE, BASE, &Value::String(base.to_owned())));
        }
        names::joined(&parts)
    }

    /// Returns the listed run's name and the value of each of `keys`.
    fn cells(&self, base: &str, keys: &BTreeSet<&str>, resolved: &Resolved) -> Vec<String> {
        let value = |key: &&str| match *key {
            BASE => base.to_owned(),
            key => resolved
                .value(key)
                .as_ref()
                .map_or_else(String::new, names::text),
        };
        let listed = self.listed.name.clone().unwrap_or_default();
        std::iter::once(listed)
            .chain(keys.iter().map(value))
            .collect()
    }
}

/// Returns the preset or the path of the file that `base` names: files stand beside the sweep's, in `folder`.
fn source(path: &str, base: &Value, folder: &Path) -> Result<String> {
    let text = base.as_str();
    if let Some(preset) = text.and_then(Preset::find) {
        return Ok(preset.name.to_owned());
    }
    let file = text
        .map(|name| folder.join(name))
        .filter(|file| file.is_file());
    let file = file.and_then(|file| file.into_os_string().into_string().ok());
    file.ok_or_else(|| {
        let names = preset_names();
        let allowed =
            format!("no such preset, and no such file beside the sweep's (presets: {names})");
        refused(path, BASE, base, allowed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sweep> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(folder.path().join("case.toml"), "preset = \"dnn1\"\n").unwrap();
        std::fs::write(&path, text).unwrap();
        Sweep::read(&path)
    }

    fn names(sweep: &Sweep) -> Vec<&str> {
        sweep.runs.iter().map(|run| run.name.as_str()).collect()
    }

    #[test]
    fn a_grid_is_every_combination_and_seeds_are_no_column() {
        let text = "base = \"digits\"\n[set]\nrun.steps = 5\n[grid]\nseed = [1, 2]\n\"method.h\" = [1, 2.5]\n\
                    \"ensemble.members\" = [50]\n";
        let sweep = read(text).unwrap();
        assert_eq!(
            names(&sweep),
            ["h=1,seed=1", "h=1,seed=2", "h=2.5,seed=1", "h=2.5,seed=2"]
        );
        assert_eq!(
            (sweep.name.as_str(), &sweep.columns[..]),
            ("mine", &["h".to_owned()][..])
        );
        let last = &sweep.runs[3];
        assert_eq!(last.values, ["2.5"]);
        let config = &last.resolved.config;
        assert_eq!((config.method.h.unit(), config.seed), (2.5, 2));
        assert_eq!((config.ensemble.members, config.run.steps), (50, 5));
        // The same configuration as that of one run.
        let sets = [
            "run.steps=5",
            "seed=2",
            "method.h=2.5",
            "ensemble.members=50",
        ];
        let alone = Resolved::new("digits", &sets.map(str::to_owned)).unwrap();
        assert_eq!(alone.toml(), last.resolved.toml());
    }

    #[test]
    fn listed_runs_have_their_own_names_bases_and_seeds() {
        let text = "[[run]]\nname = \"small\"\nbase = \"digits\"\nensemble.members = 20\n[[run]]\nname = \"case\"\n\
                    base = \"case.toml\"\n[grid]\nseed = [1, 2]\n";
        let sweep = read(text).unwrap();
        assert_eq!(
            names(&sweep),
            ["small,seed=1", "small,seed=2", "case,seed=1", "case,seed=2"]
        );
        assert_eq!(sweep.columns, ["run", "base", "members"]);
        assert_eq!(sweep.runs[0].values, ["small", "digits", "20"]);
        assert_eq!(sweep.runs[2].values, ["case", "case.toml", "2000"]);
    }

    #[test]
    fn noise_can_be_drawn_and_listed_as_a_table() {
        let text = "base = \"process\"\n[draws]\ncount = 3\nmethod.noise = { log = [0.01, 1] }\n";
        assert_eq!(names(&read(text).unwrap()).len(), 3);
        let text =
            "base = \"process\"\n[grid]\nmethod.noise = [0.1, { covariance = \"gamma.npy\" }]\n";
        assert_eq!(names(&read(text).unwrap()).len(), 2);
    }

    #[test]
    fn draws_are_numbered_and_a_longer_sweep_keeps_its_first() {
        let text = |count| {
            format!(
                "base = \"digits\"\nbest = \"accuracy_mean\"\n[draws]\ncount = {count}\nseed = 3\n\
                 \"method.h\" = {{ log = [0.1, 10] }}\n\"ensemble.members\" = {{ integer = [20, 90] }}\n[grid]\nseed = [4, 5]\n"
            )
        };
        let (short, long) = (read(&text(2)).unwrap(), read(&text(5)).unwrap());
        assert_eq!(names(&short)[1..3], ["draw-001,seed=5", "draw-002,seed=4"]);
        assert_eq!((short.runs.len(), long.runs.len()), (4, 10));
        for (a, b) in short.runs.iter().zip(&long.runs) {
            assert_eq!((&a.name, a.resolved.toml()), (&b.name, b.resolved.toml()));
        }
        assert_eq!(short.columns, ["members", "h"]);
        assert_eq!(short.best.as_deref(), Some("accuracy_mean"));
    }

    /// Files without a base of their own that are refused, and words of the message.
    const WHOLE: &[(&str, &str)] = &[
        ("base = \"digits\"", "nothing to sweep"),
        ("[grid]\nseed = [1]", "base is missing"),
        (
            "base = \"digitz\"\n[grid]\nseed = [1]",
            "base = \"digitz\": no such preset",
        ),
        ("base = 3\n[grid]\nseed = [1]", "base = 3: no such preset"),
        (
            "base = \"gone.toml\"\n[grid]\nseed = [1]",
            "no such file beside",
        ),
        (
            "base = \"digits\"\nseeds = 3\n[grid]\nseed = [1]",
            "seeds = 3: unknown; a sweep's",
        ),
        ("[grid]\nseed = [1\n", "mine.toml:"),
    ];

    /// Sections of a sweep's file that are refused after a valid base, and words of the message.
    const AFTER_BASE: &[(&str, &str)] = &[
        ("[grid]", "grid = {}: must be a section of keys"),
        ("grid = 3", "grid = 3"),
        (
            "[grid]\nseed = []",
            "[grid]: seed = []: must be a list of one value",
        ),
        ("[grid]\nseed = 3", "[grid]: seed = 3"),
        (
            "[grid]\nensemble.member = [3]",
            "[grid]: ensemble.member = 3: unknown key",
        ),
        (
            "[grid]\nensemble.members = [20, \"x\"]",
            "[grid]: ensemble.members = \"x\": must be",
        ),
        (
            "[set]\nmethod.h = -1\n[grid]\nseed = [1]",
            "[set]: method.h = -1: must be",
        ),
        ("[grid]\nseed = [1, 1]", "two runs are named seed=1"),
        (
            "[set]\nseed = 1\n[grid]\nseed = [1]",
            "seed stands in [set] and [grid]",
        ),
        (
            "[grid]\ndata.warp = [1]\n\"data.elastic\" = [1]",
            "data.elastic is given twice",
        ),
        ("run = []", "run = []: must be a list of runs"),
        ("[[run]]", "[[run]] 1: has no name and no key"),
        (
            "[[run]]\nname = \"../a\"",
            "name = \"../a\": must be a folder's name",
        ),
        (
            "[[run]]\nname = \"failed\"",
            "failed: a run cannot have this name",
        ),
        (
            "[[run]]\nname = \"a\"\n[[run]]\nname = \"a\"",
            "two runs are named a:",
        ),
        (
            "[draws]\ncount = 0\nseed = 1",
            "[draws]: count = 0: must be an integer of at least 1",
        ),
        (
            "[draws]\nmethod.h = { log = [1, 2] }",
            "[draws]: count is missing",
        ),
        ("[draws]\ncount = 3", "no key is drawn"),
        (
            "[draws]\ncount = 3\nmethod.h = 2",
            "method.h = 2: must be a range",
        ),
        (
            "[draws]\ncount = 3\nmethod.h = { log = [0, 2] }",
            "must be a range",
        ),
        (
            "[draws]\ncount = 3\nmethod.h = { uniform = [3, 2] }",
            "must be a range",
        ),
        (
            "[draws]\ncount = 3\nmethod.h = { integer = [1.5, 2] }",
            "must be a range",
        ),
        (
            "[draws]\ncount = 3\nmethod.x = { uniform = [1, 2] }",
            "method.x = ",
        ),
        (
            "[draws]\ncount = 1000000\nmethod.h = { log = [1, 2] }",
            "more than 10000 runs",
        ),
    ];

    #[test]
    fn bad_files_are_refused_in_one_line() {
        let base = "base = \"digits\"\n";
        for (text, words) in WHOLE {
            let line = read(text).unwrap_err().to_string();
            assert!(line.contains(words) && !line.contains('\n'), "{line}");
        }
        for (text, words) in AFTER_BASE {
            let line = read(&format!("{base}{text}\n")).unwrap_err().to_string();
            assert!(line.contains(words) && !line.contains('\n'), "{line}");
        }
        let line = read("best = \"score\"\nbase = \"digits\"\n[grid]\nseed = [1]\n");
        assert!(
            line.unwrap_err()
                .to_string()
                .contains("best = \"score\": must be one of")
        );
    }
}
