//! A configuration: defaults, overlaid by a preset or a file, overlaid by `--set`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::keys::{Config, StepKind};
use super::kinds::MethodKind;
use super::listing;
use super::overlay::Overlay;
use super::places::Places;
use super::presets::Preset;
use super::prior_matrix::PriorMatrix;
use super::refusal::{shortened, written};
use crate::error::{Error, Result};

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
    /// The earlier version's name of each key that was set by it.
    pub old_names: BTreeMap<String, String>,
    /// Warnings about what was set by an earlier version's name or word, or has no effect.
    pub warnings: Vec<String>,
    /// The matrix that correlates the parameters of a simulator, if one is given.
    pub prior_matrix: Option<PriorMatrix>,
}

impl Resolved {
    /// The configuration of preset or file `source`, changed by the `key.path=value` pairs of `sets`.
    ///
    /// # Errors
    /// One line naming file, key, value and what is allowed; or the file that cannot be read.
    pub fn new(source: &str, sets: &[String]) -> Result<Self> {
        let mut base = Base::read(source)?;
        for set in sets {
            base.overlay.set(set)?;
        }
        base.resolve()
    }

    /// The configuration of preset or file `source`, overlaid by `layers`: tables of keys, each with where it stands, as messages
    /// name it. The files that layers name are looked for in `folder` too.
    ///
    /// # Errors
    /// As `new`.
    pub(super) fn layered(
        source: &str,
        layers: Vec<(Table, String)>,
        folder: &Path,
    ) -> Result<Self> {
        let mut base = Base::read(source)?;
        base.places.look_also_in(folder);
        for (table, place) in layers {
            base.overlay.table(table, &place)?;
        }
        base.resolve()
    }

    /// Returns a warning that names the keys and the words `old_words` of earlier versions, if there are any.
    fn renamed(&self, old_words: Option<String>) -> Option<String> {
        let names = self.old_names.iter();
        let names = names.map(|(path, old)| format!("{old} is now {path}"));
        let all: Vec<String> = names.chain(old_words).collect();
        (!all.is_empty()).then(|| format!("old names, which still hold: {}", all.join("; ")))
    }

    /// Returns a warning that names the keys that were given other values than their defaults, but for those of presets, and do not
    /// apply to this model, method and data, if there are any.
    fn without_effect(&self) -> Option<String> {
        let is_of_preset = |path: &str| {
            let origin = self.origins.get(path);
            origin.is_none_or(|origin| Preset::find(origin).is_some())
        };
        let idle = listing::without_effect(&self.config).into_iter();
        let names: Vec<&str> = idle
            .map(|key| key.path)
            .filter(|path| !is_of_preset(path))
            .collect();
        let Config {
            model,
            method,
            data,
            ..
        } = &self.config;
        (!names.is_empty()).then(|| {
            format!(
                "no effect with model.kind = \"{}\", method.kind = \"{}\" and data.name = \"{}\": {}",
                model.kind.word(),
                method.kind.word(),
                data.name,
                names.join(", ")
            )
        })
    }

    /// Returns a warning on a list of step sizes that members of a posterior are to be drawn by, and that does not add up to 1.
    fn off_the_posterior(&self) -> Option<String> {
        let method = &self.config.method;
        let is_meant =
            method.kind == MethodKind::Etki || method.kind == MethodKind::Kalman && method.perturb;
        let list = method.h.list().filter(|_| is_meant)?;
        (!method.h.adds_up_to_one()).then(|| {
            format!(
                "method.h adds up to {}: members are of the posterior where it adds up to 1",
                list.iter().sum::<f64>()
            )
        })
    }

    /// Refuses a rule for the step size with the Kalman gain, whose h is taken as given.
    fn check_step(&self) -> Result<()> {
        let method = &self.config.method;
        let is_asked = method.step != StepKind::Adaptive || self.is_set("method.step");
        if method.kind.with_gain() && is_asked {
            let allowed = "needs method.kind = \"eki\": with the Kalman gain each step takes h as it is given";
            return Err(self.error("method.step", allowed));
        }
        Ok(())
    }

    /// Refuses noise in files but for a simulator, whose observations alone are in a file too.
    fn check_noise(&self) -> Result<()> {
        let in_file = self.config.method.noise.variances().is_none();
        if in_file && !self.config.model.kind.simulates() {
            let allowed = "must be a number greater than 0, or a list of such: files are for model.kind = \"process\" or \
                           \"ask-tell\"";
            return Err(self.error("method.noise", allowed));
        }
        Ok(())
    }

    /// An error about the value of `key`, naming where it was set.
    #[must_use]
    pub fn error(&self, key: &str, allowed: impl Into<String>) -> Error {
        let value = self.value(key).map(|value| shortened(&written(&value)));
        let file = self
            .origins
            .get(key)
            .cloned()
            .unwrap_or_else(|| format!("{} (default)", self.name));
        let key = match self.old_names.get(key) {
            Some(old) => format!("{old} (now {key})"),
            None => key.to_owned(),
        };
        Error::Config {
            file,
            key,
            value: value.unwrap_or_default(),
            allowed: allowed.into(),
        }
    }

    /// Returns true if a file or `--set` gave `key` its value, not a preset or its default.
    pub(crate) fn is_given(&self, key: &str) -> bool {
        let origin = self.origins.get(key);
        origin.is_some_and(|origin| Preset::find(origin).is_none())
    }

    /// Returns the value of `key`, where there is such a key.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        let table = Table::try_from(&self.config).expect("a configuration is a table");
        key.split('.')
            .try_fold(&Value::Table(table), |value, part| value.get(part))
            .cloned()
    }

    /// Returns the configuration as TOML: every key that applies to its model, method and data, or differs from its default.
    #[must_use]
    pub fn toml(&self) -> String {
        listing::toml(&self.config)
    }
}

/// A preset or a file that is read and not yet checked as a whole.
struct Base<'a> {
    source: &'a str,
    name: String,
    places: Places,
    overlay: Overlay,
}

impl<'a> Base<'a> {
    /// Reads the preset or file `source`.
    fn read(source: &'a str) -> Result<Self> {
        let mut overlay = Overlay::new();
        let (name, places) = match Preset::find(source) {
            Some(preset) => {
                overlay.table(preset.table(), source)?;
                (source.to_owned(), Places::default())
            }
            None => (overlay.file(source)?, Places::of(Path::new(source))),
        };
        Ok(Self {
            source,
            name,
            places,
            overlay,
        })
    }

    /// Returns the configuration that all layers together give.
    fn resolve(self) -> Result<Resolved> {
        let Self {
            source,
            name,
            places,
            mut overlay,
        } = self;
        let old_words = overlay.settle();
        let old_names = overlay.old_names();
        let origins = std::mem::take(&mut overlay.origins);
        let table = Value::Table(overlay.into_table());
        let config = Config::deserialize(table).map_err(|error| {
            Error::Usage(format!(
                "{source}: {}",
                error.to_string().replace('\n', " ")
            ))
        })?;
        let mut resolved = Resolved {
            config,
            name,
            origins,
            places,
            old_names,
            warnings: Vec::new(),
            prior_matrix: None,
        };
        resolved.settle_simulator_defaults();
        resolved.settle_own_data()?;
        resolved.check_step()?;
        resolved.check_noise()?;
        resolved.read_prior()?;
        resolved.read_prior_matrix()?;
        let warnings = [
            resolved.renamed(old_words),
            resolved.without_effect(),
            resolved.off_the_posterior(),
        ];
        resolved.warnings = warnings.into_iter().flatten().collect();
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PRESETS;
    use crate::config::{HValue, MethodKind};

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
            (resolved.config.method.kind, resolved.warnings.join(" "))
        };
        let (new, none) = kind(&["method.kind=kalman"]);
        assert_eq!((new, &*none), (MethodKind::Kalman, ""));
        let old = "method.step=kalman";
        for sets in [
            &[old][..],
            &[old, "method.kind=eki"],
            &["method.kind=kalman", old],
        ] {
            let (now, told) = kind(sets);
            assert_eq!(now, MethodKind::Kalman);
            assert!(told.contains("is now method.kind = \"kalman\""));
        }
        // Gradient descent has never looked at it.
        assert_eq!(kind(&["method.kind=sgd", old]).0, MethodKind::Sgd);
        let step = refused(&["method.kind=kalman", "method.step=adaptive"]);
        assert!(step.contains("needs method.kind = \"eki\""), "{step}");
    }

    #[test]
    fn a_list_of_step_sizes_sets_the_length_and_is_told_where_it_misses_the_posterior() {
        let read = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            Resolved::new("esmda", &sets).unwrap()
        };
        assert_eq!(read(&[]).warnings, [""; 0]);
        assert_eq!(read(&["method.h=[0.1, 0.9]"]).warnings, [""; 0]);
        let short = read(&["method.h=[0.5, 0.25]"]);
        assert!(short.warnings[0].contains("adds up to 0.75"), "{short:?}");
        // Members that fit have no such sum.
        let fit = ["method.h=[0.5, 0.25]", "method.perturb=false"];
        assert_eq!(read(&fit).warnings, [""; 0]);
        let posterior = Resolved::new("posterior", &["method.h=[0.5, 0.5]".to_owned()]).unwrap();
        assert_eq!(posterior.config.run.steps, 0);
    }

    #[test]
    fn old_names_of_keys_are_read_and_named_once() {
        let read = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            Resolved::new("digits", &sets).unwrap()
        };
        let old = read(&["method.h_shape=cosine", "data.warp=2", "data.warp=3"]);
        let new = read(&["method.h_schedule=cosine", "data.elastic=3"]);
        assert_eq!((&old.config, &old.origins), (&new.config, &new.origins));
        assert_eq!(new.warnings, [""; 0]);
        let told = &old.warnings[0];
        assert!(
            told.contains("data.warp is now data.elastic; method.h_shape is now method.h_schedule"),
            "{told}"
        );
        // Of two sources the later holds, by whichever name; of one source, both names are refused.
        let sets = ["data.elastic=3".to_owned()];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "[data]\nwarp = 2.0\n").unwrap();
        let over = Resolved::new(path.to_str().unwrap(), &sets).unwrap();
        assert_eq!((over.config.data.elastic, over.warnings.len()), (3.0, 0));
        std::fs::write(&path, "[data]\nwarp = 2.0\nelastic = 2.0\n").unwrap();
        let both = Resolved::new(path.to_str().unwrap(), &[]).unwrap_err();
        assert!(both.to_string().contains("names of one key"), "{both}");
        let both = refused(&["data.elastic=3", "data.warp=3"]);
        assert!(both.contains("data.elastic"), "{both}");
        assert!(refused(&["method.h_shape=round"]).starts_with("--set: method.h_shape = "));
        let late = old.error("method.h_schedule", "is refused").to_string();
        assert!(
            late.starts_with("--set: method.h_shape (now method.h_schedule) = "),
            "{late}"
        );
    }

    #[test]
    fn keys_that_have_no_effect_are_named() {
        let warned = |source: &str, sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
            Resolved::new(source, &sets).unwrap().warnings
        };
        let idle = [
            "method.rate=3.0",
            "method.h=0.5",
            "model.timeout=1s",
            "data.lags=1",
        ];
        let told = warned("digits", &idle);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with(": model.timeout, method.rate") && told[0].contains("\"eki\""),
            "{told:?}"
        );
        // What a preset sets for another method is not the user's doing.
        assert_eq!(warned("digits", &["method.kind=sgd"]), [""; 0]);
        for preset in PRESETS {
            let config = Resolved::new(preset.name, &[]).expect(preset.name).config;
            assert_eq!(listing::without_effect(&config).len(), 0, "{}", preset.name);
        }
    }

    #[test]
    fn every_preset_resolves_and_its_toml_reads_back() {
        for preset in PRESETS {
            let resolved = Resolved::new(preset.name, &[]).expect(preset.name);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.toml");
            std::fs::write(&path, resolved.toml()).unwrap();
            let again = Resolved::new(path.to_str().unwrap(), &[]).expect("reads back");
            assert_eq!(again.config, resolved.config, "{}", preset.name);
            assert_eq!(again.toml(), resolved.toml(), "{}", preset.name);
        }
    }

    #[test]
    fn a_wrong_key_names_the_nearest_known_one() {
        assert!(refused(&["ensemble.member=10"]).contains("ensemble.members"));
        assert!(refused(&["method.gamma=1"]).contains("ensemble.gamma"));
        assert!(refused(&["models.kind=dense"]).contains("model.kind"));
        assert!(refused(&["run.seed=1"]).contains("did you mean seed?"));
        assert!(refused(&["METHOD.H=1"]).contains("did you mean method.h?"));
        assert!(refused(&["run.step=1"]).contains("did you mean run.steps?"));
        assert!(refused(&["ensemble.size=1"]).contains("did you mean ensemble.members?"));
        assert!(refused(&["method.alpha=1"]).ends_with("lists all)"));
        assert!(
            refused(&["colour=red"]).ends_with("unknown key (eki-mpi presets --keys lists all)")
        );
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
        assert_eq!(resolved.config.method.h, HValue::Constant(3.0));
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
