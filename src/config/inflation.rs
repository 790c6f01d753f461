//! The value of `ensemble.inflation`: a factor, or a table that names a kind of inflation and its settings.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use super::as_toml::{as_toml, from_toml};

/// Covariance inflation as a configuration asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inflation {
    /// Deviations times this factor after each step; 1: none.
    Factor(f64),
    /// Deviations times this factor to the power of the step's h.
    Scaled(f64),
    /// Noise with this much of the prior's covariance, added at each step.
    Additive(f64),
    /// Relaxation to the spread before the step, with this weight.
    Spread(f64),
    /// Relaxation to the deviations before the step, with this weight.
    Perturbations(f64),
    /// A factor that follows from how far the outputs' mean misses the observations.
    Adaptive {
        /// The misfit in deviations of the noise at which there is no inflation.
        target: f64,
        /// The largest factor.
        most: f64,
    },
}

impl Inflation {
    /// The allowed values, in words that follow "must be".
    pub(super) const ALLOWED: &str = "a finite number greater than 0, or one of { kind = \"scaled\", factor = NUMBER }, { kind = \"additive\", \
         variance = NUMBER }, { kind = \"rtps\", weight = NUMBER up to 1 }, { kind = \"rtpp\", weight = NUMBER up to 1 } and { kind = \
         \"adaptive\", target = NUMBER, most = NUMBER from 1 }";

    /// Returns what `value` says, if it is allowed.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let positive = |value: &Value| {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|i| i as f64));
            number.filter(|x| x.is_finite() && *x > 0.0)
        };
        let Value::Table(table) = value else {
            return positive(value).map(Self::Factor);
        };
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.retain(|key| *key != "kind");
        keys.sort_unstable();
        let weight = |key: &str| positive(&table[key]).filter(|weight| *weight <= 1.0);
        match (table.get("kind")?.as_str()?, &keys[..]) {
            ("scaled", ["factor"]) => positive(&table["factor"]).map(Self::Scaled),
            ("additive", ["variance"]) => positive(&table["variance"]).map(Self::Additive),
            ("rtps", ["weight"]) => weight("weight").map(Self::Spread),
            ("rtpp", ["weight"]) => weight("weight").map(Self::Perturbations),
            ("adaptive", ["most", "target"]) => Some(Self::Adaptive {
                target: positive(&table["target"])?,
                most: positive(&table["most"]).filter(|most| *most >= 1.0)?,
            }),
            _ => None,
        }
    }

    /// Returns it as TOML.
    pub(super) fn value(&self) -> Value {
        let table = |kind: &str, settings: &[(&str, f64)]| {
            let kind = ("kind".to_owned(), Value::String(kind.to_owned()));
            let settings = settings.iter();
            let settings = settings.map(|(key, x)| ((*key).to_owned(), Value::Float(*x)));
            Value::Table(Table::from_iter(std::iter::once(kind).chain(settings)))
        };
        match *self {
            Self::Factor(factor) => Value::Float(factor),
            Self::Scaled(factor) => table("scaled", &[("factor", factor)]),
            Self::Additive(variance) => table("additive", &[("variance", variance)]),
            Self::Spread(weight) => table("rtps", &[("weight", weight)]),
            Self::Perturbations(weight) => table("rtpp", &[("weight", weight)]),
            Self::Adaptive { target, most } => {
                table("adaptive", &[("target", target), ("most", most)])
            }
        }
    }

    /// Returns true if nothing is inflated.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::Factor(1.0)
    }
}

/// Serialises to TOML; within a message between ranks, which holds no types, as the text of TOML.
impl Serialize for Inflation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_toml(self.value(), serializer)
    }
}

impl<'de> Deserialize<'de> for Inflation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_toml(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("must be {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_and_written_alike() {
        let of = |text: &str| {
            let table: Table = format!("v = {text}").parse().unwrap();
            Inflation::of(&table["v"])
        };
        for (text, meant) in [
            ("1", Inflation::Factor(1.0)),
            ("{ kind = \"scaled\", factor = 2 }", Inflation::Scaled(2.0)),
            (
                "{ kind = \"additive\", variance = 0.01 }",
                Inflation::Additive(0.01),
            ),
            ("{ kind = \"rtps\", weight = 1 }", Inflation::Spread(1.0)),
            (
                "{ weight = 0.5, kind = \"rtpp\" }",
                Inflation::Perturbations(0.5),
            ),
        ] {
            assert_eq!(of(text), Some(meant), "{text}");
            assert_eq!(Inflation::of(&meant.value()), Some(meant));
        }
        let adaptive = of("{ kind = \"adaptive\", target = 1, most = 1.5 }").unwrap();
        assert_eq!(Inflation::of(&adaptive.value()), Some(adaptive));
        assert!(of("1.0").unwrap().is_none() && !adaptive.is_none());
        for refused in [
            "0",
            "{}",
            "{ factor = 1.1 }",
            "{ kind = \"scaled\" }",
            "{ kind = \"scaled\", weight = 1 }",
            "{ kind = \"rtps\", weight = 1.5 }",
            "{ kind = \"additive\", variance = 0 }",
            "{ kind = \"adaptive\", target = 1, most = 0.5 }",
            "{ kind = \"other\", weight = 1 }",
        ] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
