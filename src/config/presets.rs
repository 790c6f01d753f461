//! Runs known by name, each a TOML file whose comments state the score it should reach and whence.

use toml::Table;

use super::refusal::nearest;

/// A preset.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its file, comments and all.
    pub text: &'static str,
}

impl Preset {
    /// The preset called `name`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Returns "; did you mean digits?" where a preset has nearly this name, else nothing.
    #[must_use]
    pub fn suggestion(name: &str) -> String {
        let near = nearest(name, PRESETS.iter().map(|preset| preset.name));
        near.map_or(String::new(), |near| format!("; did you mean {near}?"))
    }

    /// Its first line: what it is.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches('#')
            .trim()
    }

    /// Its settings.
    #[must_use]
    pub fn table(&self) -> Table {
        self.text.parse().expect("presets are TOML")
    }
}

// All presets: `PRESETS`, written by build.rs from the files in `presets`, in the order of the alphabet.
include!(concat!(env!("OUT_DIR"), "/presets.rs"));
