//! The type of a configuration key, and the macro that declares a section of keys.

use toml::{Table, Value};

use super::scope::Scope;
use super::value::Kind;

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path, as in `ensemble.members`.
    pub path: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// The setting that the key stands for, with its unit.
    pub about: &'static str,
    /// The models, methods and data to which it applies.
    pub scope: Scope,
    /// The rule for changing the value when a run is resumed.
    pub resume: Resume,
}

/// The rule for changing the value of a key when a run is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// No: it alters the numbers of a step.
    Fixed,
    /// Yes. How long a run goes on alters a step where the ensemble grows towards the last epoch; that is judged apart.
    MayChange,
}

impl Key {
    /// Returns the default as a value.
    #[must_use]
    pub fn value(&self) -> Value {
        let line = format!("v = {}", self.default);
        let mut table = line.parse::<Table>().expect("defaults are TOML");
        table.remove("v").expect("just parsed")
    }

    /// Returns the section of the key, empty for the one in none, and its name there.
    #[must_use]
    pub fn section_and_name(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }
}

/// Declares a section: a structure with a field for each key, and `KEYS`, the rows of these keys. A row is
///
/// ```text
/// /// What the key sets, a sentence that can be understood alone.
/// name: type = "default as TOML", values it takes, where it applies, Fixed or MayChange;
/// ```
macro_rules! section {
    ($(#[doc = $doc:literal])+ $section:ident in $path:literal {
        $($(#[doc = $about:literal])+ $name:ident: $type:ty = $default:literal, $kind:expr, $scope:expr, $resume:ident;)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $section {
            $($(#[doc = $about])+ pub $name: $type,)+
        }

        impl $section {
            /// The rows of this section's keys.
            pub(super) const KEYS: &'static [Key] = &[$(Key {
                path: concat!($path, ".", stringify!($name)),
                kind: $kind,
                default: $default,
                about: concat!($($about),+).trim_ascii(),
                scope: $scope,
                resume: Resume::$resume,
            }),+];
        }
    };
}
pub(super) use section;
