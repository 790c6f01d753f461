//! What values a key takes: how each kind checks a value, and says what it would accept.

use toml::Value;

/// The largest entry of a list of sizes: a layer wider than this is a slip.
const LARGEST_SIZE: i64 = 1_000_000;

/// What values a key takes.
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
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// At least this many integers of at least 1.
    Sizes(usize),
    /// At least one text.
    Texts,
    /// Words, none or more; one text is cut at its blanks.
    Words,
    /// Texts, none or more, as in the example.
    Entries(&'static str),
    /// A number greater than 0, or a list of them.
    Variances,
    /// A number from 0 to 1, or a list of them.
    Shares,
    /// A duration, such as "15min", or "never".
    Duration,
}

impl Kind {
    /// What is allowed, in words.
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
                format!(
                    "one of {}",
                    words
                        .iter()
                        .map(|w| format!("{w:?}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
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
            Self::Entries(example) => format!("a list of texts in quotes, as in {example}"),
            Self::Variances => "a finite number greater than 0, or a list of such".to_owned(),
            Self::Shares => "a number from 0 to 1, or a list of such".to_owned(),
            Self::Duration => {
                "a duration in d, h, min, s or ms, as in \"15min\" or \"1h30min\", or \"never\""
                    .to_owned()
            }
        }
    }

    /// `value` in the key's own type, or `value` back where it is not allowed.
    ///
    /// # Errors
    /// The value itself.
    pub fn accept(&self, value: Value) -> Result<Value, Value> {
        let number = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|i| i as f64));
        let real = |admit: &dyn Fn(f64) -> bool| {
            number(&value)
                .filter(|x| x.is_finite() && admit(*x))
                .map(Value::Float)
        };
        let accepted = match self {
            Self::Integer(least) => value
                .as_integer()
                .filter(|i| i >= least)
                .map(Value::Integer),
            Self::Between(least, most) => value
                .as_integer()
                .filter(|i| (least..=most).contains(&i))
                .map(Value::Integer),
            Self::AtLeast(least) => real(&|x| x >= *least),
            Self::Above(bound) => real(&|x| x > *bound),
            Self::Within(least, bound) => real(&|x| x >= *least && x < *bound),
            Self::Bool => value.as_bool().map(Value::Boolean),
            Self::Choice(words) => value
                .as_str()
                .filter(|word| words.contains(word))
                .map(|w| Value::String(w.to_owned())),
            Self::Text => value.as_str().map(|w| Value::String(w.to_owned())),
            Self::Sizes(least) => value
                .as_array()
                .filter(|list| list.len() >= *least)
                .filter(|list| {
                    list.iter().all(|v| {
                        v.as_integer()
                            .is_some_and(|i| (1..=LARGEST_SIZE).contains(&i))
                    })
                })
                .map(|list| Value::Array(list.clone())),
            Self::Texts => value
                .as_array()
                .filter(|list| !list.is_empty() && list.iter().all(Value::is_str))
                .map(|list| Value::Array(list.clone())),
            Self::Words | Self::Entries(_) => match (&value, self) {
                (Value::String(line), Self::Words) => {
                    let words = line.split_whitespace().map(|w| Value::String(w.to_owned()));
                    Some(Value::Array(words.collect()))
                }
                (Value::Array(list), _) if list.iter().all(Value::is_str) => {
                    Some(Value::Array(list.clone()))
                }
                _ => None,
            },
            Self::Variances | Self::Shares => {
                let admit = |x: f64| match self {
                    Self::Shares => (0.0..=1.0).contains(&x),
                    _ => x.is_finite() && x > 0.0,
                };
                let admitted = |v: &Value| number(v).filter(|x| admit(*x)).map(Value::Float);
                // One number is a list of one.
                let list = value
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![value.clone()]);
                let list: Option<Vec<_>> = list.iter().map(admitted).collect();
                list.filter(|list| !list.is_empty()).map(Value::Array)
            }
            Self::Duration => value
                .as_str()
                .and_then(|text| text.parse::<super::duration::Interval>().ok())
                .map(|interval| Value::String(interval.to_string())),
        };
        accepted.ok_or(value)
    }
}
