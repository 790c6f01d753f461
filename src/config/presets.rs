//! Runs known by name, each a TOML file whose comments state the score it should reach and whence.

use toml::Table;

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

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        /// All presets.
        pub const PRESETS: &[Preset] =
            &[$(Preset { name: $name, text: include_str!(concat!("presets/", $name, ".toml")) }),*];
    };
}

presets!(
    "dnn2-low-rank",
    "dnn2-sums",
    "dnn2-kalman",
    "fashion-sums",
    "digits",
    "dnn1",
    "dnn2",
    "dnn3",
    "dnn4",
    "cnn-mnist",
    "cnn-mnist-kalman",
    "cnn1",
    "cnn2",
    "cnn3",
    "rnn",
    "fashion-heaviside",
    "fashion-relu",
    "linear",
    "process",
    "ask-tell",
    "adding",
    "copying",
    "digits-zero-one",
    "cart-pole",
    "melbourne",
    "sunspots",
);
