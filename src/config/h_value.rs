//! The value of `method.h`: one step size for all steps, or a list with one for each.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use super::as_toml::{as_toml, from_toml};

/// The step size h as a configuration gives it.
#[derive(Clone, Debug, PartialEq)]
pub enum HValue {
    /// The same for all steps.
    Constant(f64),
    /// One for each step, or for each pass over sets of observations: at least one.
    List(Vec<f64>),
}

/// The tolerance for a sum of steps' h that is meant to be 1: numbers are written with few digits.
pub const SUM_ROUNDING: f64 = 1e-6;

impl HValue {
    /// The allowed values, in words that follow "must be".
    pub(super) const ALLOWED: &str =
        "a finite number greater than 0, or a list of such, one for each step";

    /// Returns what `value` says, if it is allowed.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let positive = |value: &Value| {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|i| i as f64));
            number.filter(|h| h.is_finite() && *h > 0.0)
        };
        match value {
            Value::Array(list) if list.is_empty() => None,
            Value::Array(list) => {
                let all: Option<Vec<f64>> = list.iter().map(positive).collect();
                all.map(Self::List)
            }
            one => positive(one).map(Self::Constant),
        }
    }

    /// Returns it as TOML.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Constant(h) => Value::Float(*h),
            Self::List(list) => Value::Array(list.iter().copied().map(Value::Float).collect()),
        }
    }

    /// Returns the list, if it is one.
    #[must_use]
    pub fn list(&self) -> Option<&[f64]> {
        match self {
            Self::Constant(_) => None,
            Self::List(list) => Some(list),
        }
    }

    /// Returns the number that the h of steps are multiples of: the constant h, or 1 for a list.
    #[must_use]
    pub fn unit(&self) -> f64 {
        match self {
            Self::Constant(h) => *h,
            Self::List(_) => 1.0,
        }
    }

    /// Returns true if it is a list that adds up to 1, up to the rounding of its numbers.
    #[must_use]
    pub fn adds_up_to_one(&self) -> bool {
        let sum = self.list().map(|list| list.iter().sum::<f64>());
        sum.is_some_and(|sum| (sum - 1.0).abs() < SUM_ROUNDING)
    }
}

/// Serialises to TOML; within a message between ranks, which holds no types, as the text of TOML.
impl Serialize for HValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_toml(self.value(), serializer)
    }
}

impl<'de> Deserialize<'de> for HValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_toml(deserializer)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("must be {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_list_is_read_and_written_alike() {
        let of = |text: &str| {
            let table: toml::Table = format!("v = {text}").parse().unwrap();
            HValue::of(&table["v"])
        };
        assert_eq!(of("2"), Some(HValue::Constant(2.0)));
        let list = of("[0.5, 1]").unwrap();
        assert_eq!(list, HValue::List(vec![0.5, 1.0]));
        assert_eq!(HValue::of(&list.value()), Some(list.clone()));
        assert!(!list.adds_up_to_one());
        assert!(of("[0.333333333, 0.333333333, 0.333333333]").is_some_and(|h| h.adds_up_to_one()));
        // One step of h = 1 is a posterior's by its sum, but no list was given.
        assert!(!of("1.0").unwrap().adds_up_to_one());
        for refused in [
            "[]",
            "[0.5, 0]",
            "[0.5, -1.0]",
            "[nan]",
            "inf",
            "\"h\"",
            "0",
        ] {
            assert_eq!(of(refused), None, "{refused}");
        }
    }
}
