//! The value of `output.history`: the steps whose members and outputs are kept in a run's folder.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use super::as_toml::{as_toml, from_toml};

/// The steps whose members and outputs a run keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistorySteps {
    /// The first and the last ensemble, where a simulator gives the outputs; else none.
    Auto,
    /// No step is kept.
    None,
    /// The first and the last ensemble.
    Ends,
    /// Every step.
    All,
    /// Every step whose number is a multiple of this, and the last ensemble.
    Every(u64),
}

/// The words that stand for some of these.
const WORDS: [(&str, HistorySteps); 4] = [
    ("auto", HistorySteps::Auto),
    ("none", HistorySteps::None),
    ("ends", HistorySteps::Ends),
    ("all", HistorySteps::All),
];

impl HistorySteps {
    /// The allowed values, in words that follow "must be".
    pub(super) const ALLOWED: &str =
        "\"all\", \"ends\", \"none\", \"auto\" or an integer of at least 1";

    /// Returns what `value` says, if it is allowed.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(word) => {
                let found = WORDS.iter().find(|(name, _)| name == word);
                found.map(|(_, steps)| *steps)
            }
            Value::Integer(steps) => u64::try_from(*steps)
                .ok()
                .filter(|&steps| steps > 0)
                .map(Self::Every),
            _ => None,
        }
    }

    /// Returns it as TOML.
    pub(super) fn value(self) -> Value {
        if let Self::Every(steps) = self {
            return Value::Integer(i64::try_from(steps).unwrap_or(i64::MAX));
        }
        let found = WORDS.iter().find(|(_, steps)| *steps == self);
        Value::String(found.map_or("", |(name, _)| name).to_owned())
    }

    /// Returns the number of ensembles that a run of so many `steps` keeps, the last among them.
    #[must_use]
    pub fn count(self, steps: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Auto | Self::Ends => 2.min(steps + 1),
            Self::All => steps + 1,
            Self::Every(every) => steps.div_ceil(every) + 1,
        }
    }

    /// Returns true if the members that enter the step after `done` steps are kept, whether or not the run ends there.
    #[must_use]
    pub fn keeps(self, done: u64) -> bool {
        match self {
            Self::None => false,
            Self::Auto | Self::Ends => done == 0,
            Self::All => true,
            Self::Every(steps) => done.is_multiple_of(steps),
        }
    }
}

/// Serialises to TOML; within a message between ranks, which holds no types, as the text of TOML.
impl Serialize for HistorySteps {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        as_toml(self.value(), to)
    }
}

impl<'de> Deserialize<'de> for HistorySteps {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = from_toml(from)?;
        Self::of(&value).ok_or_else(|| D::Error::custom(format!("must be {}", Self::ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_of_steps_are_read_and_written_back() {
        let number = |n: i64| Value::Integer(n);
        for (value, kept) in [
            (Value::from("all"), [true, true, true]),
            (Value::from("ends"), [true, false, false]),
            (Value::from("auto"), [true, false, false]),
            (Value::from("none"), [false, false, false]),
            (number(2), [true, false, true]),
        ] {
            let steps = HistorySteps::of(&value).unwrap();
            assert_eq!(steps.value(), value);
            let counted = (0..4).filter(|&done| steps.keeps(done)).count() as u64;
            let last = u64::from(steps != HistorySteps::None);
            assert_eq!(steps.count(4), counted + last, "{value}");
            assert_eq!([0, 1, 2].map(|done| steps.keeps(done)), kept, "{value}");
            let bytes = bincode::serde::encode_to_vec(steps, bincode::config::standard());
            let config = bincode::config::standard();
            let (back, _): (HistorySteps, usize) =
                bincode::serde::decode_from_slice(&bytes.unwrap(), config).unwrap();
            assert_eq!(back, steps);
        }
        for wrong in [Value::from("some"), number(0), number(-1), Value::from(1.5)] {
            assert_eq!(HistorySteps::of(&wrong), None, "{wrong}");
        }
    }
}
