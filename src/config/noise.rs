//! The value of `method.noise`: variances, the name of a file of them, or a table that names what the covariance is made of.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use super::as_toml::{as_toml, from_toml};

/// The noise of the observations as a configuration gives it; paths are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum NoiseSource {
    /// The covariance is diagonal.
    Diagonal(Diagonal),
    /// The file of a full covariance, K x K.
    Covariance(String),
    /// A diagonal and the file of the factors U, K x r: the covariance is diagonal + U U^T.
    Factors {
        /// The diagonal.
        diagonal: Diagonal,
        /// The file of U.
        factors: String,
    },
    /// The file of control runs, N x K, from which the covariance is estimated.
    Samples {
        /// The file.
        runs: String,
        /// The estimate.
        estimate: NoiseEstimate,
    },
}

/// The estimate of a covariance from control runs: the part of the sample's correlations that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum NoiseEstimate {
    /// The leading modes that stand out from sampling noise.
    #[default]
    Outstanding,
    /// This number of leading modes.
    Modes(usize),
    /// The fewest leading modes that hold this share of the variance.
    Share(f64),
    /// All, shrunk towards independent noise by this part of the way; None: by the estimate of the best.
    Shrinkage(Option<f64>),
}

impl NoiseEstimate {
    /// Returns what the entry `key = value` beside `samples` says, if it is allowed.
    fn of(key: &str, value: &Value) -> Option<Self> {
        let number = value
            .as_float()
            .or_else(|| value.as_integer().map(|i| i as f64));
        let part = number.filter(|x| (0.0..=1.0).contains(x));
        match key {
            "modes" => {
                let count = usize::try_from(value.as_integer()?).ok()?;
                (count > 0).then_some(Self::Modes(count))
            }
            "share" => part.filter(|share| *share > 0.0).map(Self::Share),
            "shrinkage" if value.as_str() == Some("auto") => Some(Self::Shrinkage(None)),
            "shrinkage" => part.map(|part| Self::Shrinkage(Some(part))),
            _ => None,
        }
    }

    /// Returns the entry that says it beside `samples`; None of the default.
    fn entry(self) -> Option<(&'static str, Value)> {
        match self {
            Self::Outstanding => None,
            Self::Modes(count) => Some(("modes", Value::Integer(count as i64))),
            Self::Share(share) => Some(("share", Value::Float(share))),
            Self::Shrinkage(None) => Some(("shrinkage", Value::String("auto".to_owned()))),
            Self::Shrinkage(Some(part)) => Some(("shrinkage", Value::Float(part))),
        }
    }
}

/// The diagonal of a covariance.
#[derive(Clone, Debug, PartialEq)]
pub enum Diagonal {
    /// One variance for all outputs, or one for each.
    Variances(Vec<f64>),
    /// The file that holds them.
    File(String),
}

impl Diagonal {
    /// Returns what `value` says, if it is allowed.
    fn of(value: &Value) -> Option<Self> {
        let variance = |value: &Value| {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|i| i as f64));
            number.filter(|x| x.is_finite() && *x > 0.0)
        };
        match value {
            Value::String(path) if !path.is_empty() => Some(Self::File(path.clone())),
            Value::Array(list) if list.is_empty() => None,
            Value::Array(list) => {
                let all: Option<Vec<f64>> = list.iter().map(variance).collect();
                all.map(Self::Variances)
            }
            one => variance(one).map(|one| Self::Variances(vec![one])),
        }
    }

    /// Returns it as TOML.
    fn value(&self) -> Value {
        match self {
            Self::Variances(variances) => {
                Value::Array(variances.iter().copied().map(Value::Float).collect())
            }
            Self::File(path) => Value::String(path.clone()),
        }
    }
}

impl NoiseSource {
    /// The allowed values, in words that follow "must be".
    pub(super) const ALLOWED: &str = "a finite number greater than 0, a list of such, a file that holds them, or one of \
         { covariance = FILE }, { diagonal = NUMBER, LIST or FILE, factors = FILE } and { samples = FILE }, with files in \
         quotes; beside samples one of modes = NUMBER, share = 0 to 1 and shrinkage = 0 to 1 or \"auto\"";

    /// Returns what `value` says, if it is allowed.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let Value::Table(table) = value else {
            return Diagonal::of(value).map(Self::Diagonal);
        };
        let file = |key: &str| {
            let path = table.get(key)?.as_str().filter(|path| !path.is_empty());
            path.map(str::to_owned)
        };
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match keys[..] {
            ["covariance"] => file("covariance").map(Self::Covariance),
            ["samples"] => Some(Self::Samples {
                runs: file("samples")?,
                estimate: NoiseEstimate::default(),
            }),
            [key, "samples"] | ["samples", key] => Some(Self::Samples {
                runs: file("samples")?,
                estimate: NoiseEstimate::of(key, &table[key])?,
            }),
            ["diagonal", "factors"] => Some(Self::Factors {
                diagonal: Diagonal::of(&table["diagonal"])?,
                factors: file("factors")?,
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
        let text = |path: &String| Value::String(path.clone());
        match self {
            Self::Diagonal(diagonal) => diagonal.value(),
            Self::Covariance(path) => table(vec![("covariance", text(path))]),
            Self::Samples { runs, estimate } => {
                let entries = [("samples", text(runs))].into_iter();
                table(entries.chain(estimate.entry()).collect())
            }
            Self::Factors { diagonal, factors } => table(vec![
                ("diagonal", diagonal.value()),
                ("factors", text(factors)),
            ]),
        }
    }

    /// Returns the variances, where the configuration holds all of them itself.
    #[must_use]
    pub fn variances(&self) -> Option<&[f64]> {
        match self {
            Self::Diagonal(Diagonal::Variances(variances)) => Some(variances),
            _ => None,
        }
    }
}

/// Serialises to TOML; within a message between ranks, which holds no types, as the text of TOML.
impl Serialize for NoiseSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_toml(self.value(), serializer)
    }
}

impl<'de> Deserialize<'de> for NoiseSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_toml(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("must be {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Resolved;

    fn read(value: &str) -> Option<NoiseSource> {
        let mut table: Table = format!("v = {value}").parse().unwrap();
        NoiseSource::of(&table.remove("v").unwrap())
    }

    #[test]
    fn each_form_is_read_and_written_back() {
        let samples = "{ samples = \"runs.npy\" }";
        for value in [
            "[1.0, 0.1]",
            "\"variances.csv\"",
            "{ covariance = \"gamma.npy\" }",
            "{ diagonal = [0.5], factors = \"u.npy\" }",
            "{ diagonal = \"d.csv\", factors = \"u.npy\" }",
            samples,
            "{ modes = 3, samples = \"runs.npy\" }",
            "{ samples = \"runs.npy\", share = 0.9 }",
            "{ samples = \"runs.npy\", shrinkage = \"auto\" }",
            "{ samples = \"runs.npy\", shrinkage = 0.0 }",
        ] {
            let noise = read(value).expect(value);
            assert_eq!(noise.value().to_string(), value);
            let bytes = bincode::serde::encode_to_vec(&noise, bincode::config::standard());
            let config = bincode::config::standard();
            let (back, _): (NoiseSource, usize) =
                bincode::serde::decode_from_slice(&bytes.unwrap(), config).unwrap();
            assert_eq!(back, noise);
        }
        assert_eq!(read("2"), read("[2.0]"));
        for value in [
            "0",
            "[]",
            "\"\"",
            "[1.0, -1.0]",
            "nan",
            "true",
            "{}",
            "{ covariance = 1.0 }",
            "{ factors = \"u.npy\" }",
            "{ diagonal = 0.0, factors = \"u.npy\" }",
            "{ covariance = \"g.npy\", samples = \"r.npy\" }",
            "{ samples = \"r.npy\", modes = 0 }",
            "{ samples = \"r.npy\", modes = 1.5 }",
            "{ samples = \"r.npy\", share = 0 }",
            "{ samples = \"r.npy\", share = 1.1 }",
            "{ samples = \"r.npy\", shrinkage = \"most\" }",
            "{ samples = \"r.npy\", share = 0.5, modes = 2 }",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
        // Through a configuration, its text and back.
        let set = format!("method.noise={samples}");
        let resolved = Resolved::new("process", &[set]).unwrap();
        assert!(resolved.toml().contains(&format!("noise = {samples}\n")));
        let changed = crate::config::changes(
            &resolved.toml(),
            &Resolved::new("process", &[]).unwrap().toml(),
        );
        assert_eq!(changed.unwrap().len(), 1);
    }
}
