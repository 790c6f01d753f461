//! What values a key takes: how each kind checks a value, and says what it would accept; and the macro that declares words.

use toml::Value;

use super::duration::Interval;
use super::h_value::HValue;
use super::history::HistorySteps;
use super::inflation::Inflation;
use super::localise::Localise;
use super::noise::NoiseSource;

/// The largest entry of a list of sizes: a layer wider than this is a slip.
const LARGEST_SIZE: i64 = 1_000_000;

/// A word that a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// The meaning of the word.
    pub about: &'static str,
}

/// The values that a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An integer of at least this.
    Integer(i64),
    /// An integer from the first to the second.
    Between(i64, i64),
    /// A finite number of at least this.
    AtLeast(f64),
    /// A finite number greater than this.
    Above(f64),
    /// A finite number in this half-open range.
    Within(f64, f64),
    /// true or false.
    Bool,
    /// One of these words.
    Choice(&'static [Word]),
    /// Any text.
    Text,
    /// At least this many integers of at least 1.
    Sizes(usize),
    /// At least one text.
    Texts,
    /// Words, none or more; one text is cut at its blanks.
    Words,
    /// Texts, none or more, as in the example; one text stands for a list of one.
    Entries(&'static str),
    /// A number greater than 0, or a list of them.
    Variances,
    /// The noise of the observations: variances, a file of them, or a table that names the files of a covariance.
    Noise,
    /// The step size of `method.h`: a number greater than 0, or a list with one for each step.
    HValue,
    /// The covariance inflation of `ensemble.inflation`: a factor, or a table with a kind and its settings.
    Inflation,
    /// The localisation of `method.localise`: a word, or a table with its settings.
    Localise,
    /// A number from 0 to 1, or a list of them.
    Shares,
    /// A duration, such as "15min", or "never".
    Duration,
    /// The steps of a history: a word, or an integer of at least 1.
    History,
}

/// Declares an enumeration whose variants are the words that a key takes, each with what it means.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $about:literal])+ $variant:ident = $word:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $about])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The words of a configuration that stand for the variants.
            pub const WORDS: &'static [crate::config::value::Word] = &[$(crate::config::value::Word {
                name: $word,
                about: concat!($($about),+).trim_ascii(),
            }),+];

            /// Returns the word of a configuration that stands for this.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}
pub(super) use words;

impl Kind {
    /// Returns what values are allowed, in words that follow "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Integer(least) => format!("an integer of at least {least}"),
            Self::Between(least, most) => {
                format!("an integer of at least {least} and at most {most}")
            }
            Self::AtLeast(least) => format!("a finite number of at least {least}"),
            Self::Above(bound) => format!("a finite number greater than {bound}"),
            Self::Within(least, bound) => {
                format!("a number of at least {least} and less than {bound}")
            }
            Self::Bool => "true or false".to_owned(),
            Self::Choice(words) => {
                let names: Vec<_> = words.iter().map(|w| format!("{:?}", w.name)).collect();
                format!("one of {}", names.join(", "))
            }
            Self::Text => "text in quotes".to_owned(),
            Self::Sizes(least) => {
                format!(
                    "a list of at least {least} integers from 1 to {LARGEST_SIZE}, as in [64, 32, 10]"
                )
            }
            Self::Texts => {
                "a list of at least 1 text in quotes, as in [\"conv 8\", \"pool 2\", \"dense 10\"]"
                    .to_owned()
            }
            Self::Words => {
                "a list of words in quotes, as in [\"python3\", \"model.py\"]".to_owned()
            }
            Self::Entries(example) => {
                format!(
                    "a list of texts in quotes, as in {example}, or the name of a .csv file in quotes"
                )
            }
            Self::Variances => "a finite number greater than 0, or a list of such".to_owned(),
            Self::Noise => NoiseSource::ALLOWED.to_owned(),
            Self::Inflation => Inflation::ALLOWED.to_owned(),
            Self::HValue => HValue::ALLOWED.to_owned(),
            Self::Localise => Localise::ALLOWED.to_owned(),
            Self::Shares => "a number from 0 to 1, or a list of such".to_owned(),
            Self::History => HistorySteps::ALLOWED.to_owned(),
            Self::Duration => {
                "a duration in d, h, min, s or ms, as in \"15min\" or \"1h30min\", or as HH:MM:SS, or \"never\""
                    .to_owned()
            }
        }
    }

    /// Returns `value` in the key's own type, or `value` itself where it is not allowed.
    ///
    /// # Errors
    /// The value itself.
    pub fn accept(&self, value: Value) -> Result<Value, Value> {
        let real = |admit: &dyn Fn(f64) -> bool| {
            number(&value)
                .filter(|x| x.is_finite() && admit(*x))
                .map(Value::Float)
        };
        let accepted = match self {
            Self::Integer(least) => integer(&value, *least, i64::MAX),
            Self::Between(least, most) => integer(&value, *least, *most),
            Self::AtLeast(least) => real(&|x| x >= *least),
            Self::Above(bound) => real(&|x| x > *bound),
            Self::Within(least, bound) => real(&|x| x >= *least && x < *bound),
            Self::Bool => value.as_bool().map(Value::Boolean),
            Self::Choice(words) => value
                .as_str()
                .filter(|given| words.iter().any(|word| word.name == *given))
                .map(|w| Value::String(w.to_owned())),
            Self::Text => value.as_str().map(|w| Value::String(w.to_owned())),
            Self::Duration => value
                .as_str()
                .and_then(|text| text.parse::<Interval>().ok())
                .map(|interval| Value::String(interval.to_string())),
            Self::Noise => NoiseSource::of(&value).map(|noise| noise.value()),
            Self::Inflation => Inflation::of(&value).map(|inflation| inflation.value()),
            Self::HValue => HValue::of(&value).map(|h| h.value()),
            Self::Localise => Localise::of(&value).map(|localise| localise.value()),
            Self::History => HistorySteps::of(&value).map(HistorySteps::value),
            Self::Sizes(_)
            | Self::Texts
            | Self::Words
            | Self::Entries(_)
            | Self::Variances
            | Self::Shares => self.accept_list(&value),
        };
        accepted.ok_or(value)
    }

    /// Returns the list that `value` is, or stands for, where this kind of list may be so.
    fn accept_list(&self, value: &Value) -> Option<Value> {
        let size = |v: &Value| integer(v, 1, LARGEST_SIZE);
        let text = |v: &Value| v.as_str().map(|text| Value::String(text.to_owned()));
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        match (self, value) {
            (Self::Sizes(least), Value::Array(list)) if list.len() >= *least => all(list, size),
            (Self::Texts, Value::Array(list)) if !list.is_empty() => all(list, text),
            (Self::Words, Value::String(line)) => {
                let words = line.split_whitespace().map(|w| Value::String(w.to_owned()));
                Some(Value::Array(words.collect()))
            }
            (Self::Entries(_), Value::String(_)) => Some(Value::Array(vec![value.clone()])),
            (Self::Words | Self::Entries(_), Value::Array(list)) => all(list, text),
            (Self::Variances, _) => numbers(value, positive),
            (Self::Shares, _) => numbers(value, share),
            _ => None,
        }
    }
}

/// Returns the number that `value` is, an integer among them.
fn number(value: &Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
}

/// Returns `value` if it is an integer from `least` to `most`.
fn integer(value: &Value, least: i64, most: i64) -> Option<Value> {
    let value = value.as_integer();
    value
        .filter(|i| (least..=most).contains(i))
        .map(Value::Integer)
}

/// Returns the list of one or more numbers that `value` is, a number standing for a list of one, where all are admitted.
fn numbers(value: &Value, admit: impl Fn(f64) -> bool) -> Option<Value> {
    let one = |v: &Value| number(v).filter(|x| admit(*x)).map(Value::Float);
    match value {
        Value::Array(list) if list.is_empty() => None,
        Value::Array(list) => all(list, one),
        single => one(single).map(|single| Value::Array(vec![single])),
    }
}

/// Returns the list of what `accept` makes of each value, where it accepts all.
fn all(list: &[Value], accept: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    let accepted: Option<Vec<_>> = list.iter().map(accept).collect();
    accepted.map(Value::Array)
}
