//! The value of `method.localise`: a word, or a table with the settings of what localises.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use super::as_toml::{as_toml, from_toml};

/// Localisation as a configuration asks for it; paths are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Localise {
    /// No localisation.
    None,
    /// Sampling error correction: each correlation r is multiplied by |r| to this power, at least 1.
    Sec(u32),
    /// Each correlation is shrunk by what Fisher's transformation says of its sampling error.
    Fisher,
    /// Correlations below this many times 1 / sqrt(J) are taken as 0.
    Threshold(f64),
    /// By the distances of parameters from observations.
    Distance {
        /// The distance from which on an observation does not inform a parameter: one for all directions, or one for each.
        radius: Vec<f64>,
        /// The file of the parameters' coordinates.
        parameters: String,
        /// The file of the observations' coordinates.
        observations: String,
    },
    /// By the file that says which groups of observations inform which parameters.
    Groups(String),
    /// By the matrix of factors in a file.
    Taper(String),
}

/// The largest power of sampling error correction.
const LARGEST_POWER: i64 = 100;

impl Localise {
    /// The allowed values, in words that follow "must be".
    pub(super) const ALLOWED: &str = "\"none\", \"sec\", \"threshold\", \"fisher\", { sec = POWER from 1 and at most 100 }, { threshold = NUMBER greater than 0 }, { distance = NUMBER or \
         LIST, parameters = FILE, observations = FILE }, { groups = FILE } or { taper = FILE }, with files in quotes";

    /// Returns what `value` says, if it is allowed. A whole number is the power of sampling error correction, as in earlier versions;
    /// 0: none.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let positive = |value: &Value| {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|i| i as f64));
            number.filter(|x| x.is_finite() && *x > 0.0)
        };
        let power = |value: &Value| {
            let power = value.as_integer();
            power.filter(|a| (1..=LARGEST_POWER).contains(a))
        };
        let table = match value {
            Value::Integer(0) => return Some(Self::None),
            Value::Integer(_) => return power(value).map(|a| Self::Sec(a as u32)),
            Value::String(word) => {
                return match &**word {
                    "none" => Some(Self::None),
                    "sec" => Some(Self::Sec(1)),
                    "threshold" => Some(Self::Threshold(3.0)),
                    "fisher" => Some(Self::Fisher),
                    _ => None,
                };
            }
            Value::Table(table) => table,
            _ => return None,
        };
        let file = |key: &str| {
            let path = table[key].as_str().filter(|path| !path.is_empty());
            path.map(str::to_owned)
        };
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match keys[..] {
            ["sec"] => power(&table["sec"]).map(|a| Self::Sec(a as u32)),
            ["threshold"] => positive(&table["threshold"]).map(Self::Threshold),
            ["groups"] => file("groups").map(Self::Groups),
            ["taper"] => file("taper").map(Self::Taper),
            ["distance", "observations", "parameters"] => Some(Self::Distance {
                radius: match &table["distance"] {
                    Value::Array(list) if list.is_empty() => return None,
                    Value::Array(list) => list.iter().map(positive).collect::<Option<_>>()?,
                    one => vec![positive(one)?],
                },
                parameters: file("parameters")?,
                observations: file("observations")?,
            }),
            _ => None,
        }
    }

    /// Returns it as TOML.
    pub(super) fn value(&self) -> Value {
        let table = |entries: Vec<(&str, Value)>| {
            let entries = entries.into_iter().map(|(key, v)| (key.to_owned(), v));
            Value::Table(Table::from_iter(entries))
        };
        match self {
            Self::None => Value::String("none".to_owned()),
            Self::Fisher => Value::String("fisher".to_owned()),
            Self::Sec(power) => table(vec![("sec", Value::Integer(i64::from(*power)))]),
            Self::Threshold(level) => table(vec![("threshold", Value::Float(*level))]),
            Self::Groups(path) => table(vec![("groups", Value::String(path.clone()))]),
            Self::Taper(path) => table(vec![("taper", Value::String(path.clone()))]),
            Self::Distance {
                radius,
                parameters,
                observations,
            } => {
                let radius = radius.iter().copied().map(Value::Float);
                table(vec![
                    ("distance", Value::Array(radius.collect())),
                    ("parameters", Value::String(parameters.clone())),
                    ("observations", Value::String(observations.clone())),
                ])
            }
        }
    }
}

/// Serialises to TOML; within a message between ranks, which holds no types, as the text of TOML.
impl Serialize for Localise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_toml(self.value(), serializer)
    }
}

impl<'de> Deserialize<'de> for Localise {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_toml(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("must be {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_written_alike() {
        let of = |text: &str| {
            let table: Table = format!("v = {text}").parse().unwrap();
            Localise::of(&table["v"])
        };
        for (text, meant) in [
            ("0", Localise::None),
            ("2", Localise::Sec(2)),
            ("\"sec\"", Localise::Sec(1)),
            ("\"fisher\"", Localise::Fisher),
            ("{ threshold = 2 }", Localise::Threshold(2.0)),
            ("{ groups = \"g\" }", Localise::Groups("g".to_owned())),
            ("{ taper = \"t\" }", Localise::Taper("t".to_owned())),
        ] {
            assert_eq!(of(text).as_ref(), Some(&meant), "{text}");
            assert_eq!(Localise::of(&meant.value()), Some(meant));
        }
        let distance = of("{ distance = 3, parameters = \"x\", observations = \"y\" }").unwrap();
        assert_eq!(Localise::of(&distance.value()), Some(distance));
        for refused in [
            "101",
            "-1",
            "\"near\"",
            "{ sec = 0 }",
            "{ threshold = 0 }",
            "{ distance = [], parameters = \"x\", observations = \"y\" }",
            "{ distance = [1, -1], parameters = \"x\", observations = \"y\" }",
            "{ distance = 1, parameters = \"x\" }",
            "{ taper = \"\" }",
            "{ groups = 1 }",
            "{ distance = 1, parameters = \"x\", observations = \"\" }",
        ] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
