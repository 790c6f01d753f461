//! Where a key applies: with which forward maps, methods and data.

use super::keys::{Config, MethodKind, ModelKind};

/// The models, methods and data to which a key applies; an empty list stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Forward maps.
    pub models: &'static [ModelKind],
    /// Methods.
    pub methods: &'static [MethodKind],
    /// Kinds of data.
    pub data: &'static [DataKind],
}

/// The scope of a key that always applies.
pub const EVERYWHERE: Scope = Scope {
    models: &[],
    methods: &[],
    data: &[],
};

/// Kinds of data that have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// Labelled images.
    Images,
    /// A series in time.
    Series,
    /// A generated task of long memory.
    Task,
    /// Observations or a generated problem.
    Other,
}

/// Data sets by name, and what each holds. Of one that is not listed all keys apply.
const DATA: &[(&str, DataKind)] = &[
    ("digits", DataKind::Images),
    ("mnist", DataKind::Images),
    ("mnist-32", DataKind::Images),
    ("fashion-mnist", DataKind::Images),
    ("svhn", DataKind::Images),
    ("melbourne", DataKind::Series),
    ("sunspots", DataKind::Series),
    ("adding", DataKind::Task),
    ("copying", DataKind::Task),
    ("elliptic", DataKind::Other),
    ("random", DataKind::Other),
    ("cart-pole", DataKind::Other),
    ("observations", DataKind::Other),
];

impl DataKind {
    /// Returns what the data called `name` holds, if it is listed.
    fn of(name: &str) -> Option<Self> {
        let found = DATA.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }

    /// Returns the words for this kind of data.
    fn words(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Series => "series",
            Self::Task => "tasks of long memory",
            Self::Other => "observations",
        }
    }
}

impl Scope {
    /// Returns this scope for `models` alone.
    #[must_use]
    pub const fn models(self, models: &'static [ModelKind]) -> Self {
        Self { models, ..self }
    }

    /// Returns this scope for `methods` alone.
    #[must_use]
    pub const fn methods(self, methods: &'static [MethodKind]) -> Self {
        Self { methods, ..self }
    }

    /// Returns this scope for `data` alone.
    #[must_use]
    pub const fn data(self, data: &'static [DataKind]) -> Self {
        Self { data, ..self }
    }

    /// Returns true if a key of this scope applies to the model, method and data of `config`.
    #[must_use]
    pub fn holds(&self, config: &Config) -> bool {
        let data = DataKind::of(&config.data.name);
        (self.models.is_empty() || self.models.contains(&config.model.kind))
            && (self.methods.is_empty() || self.methods.contains(&config.method.kind))
            && (self.data.is_empty() || data.is_none_or(|kind| self.data.contains(&kind)))
    }

    /// Returns the scope in words, as a heading over keys.
    #[must_use]
    pub fn words(&self) -> String {
        let list = |words: Vec<&str>| words.join(", ");
        let models = list(self.models.iter().map(|kind| kind.word()).collect());
        let methods = list(self.methods.iter().map(|kind| kind.word()).collect());
        let data = list(self.data.iter().map(|kind| kind.words()).collect());
        let parts = [
            ("model.kind = ", models),
            ("method.kind = ", methods),
            ("data of ", data),
        ];
        let parts = parts.into_iter().filter(|(_, words)| !words.is_empty());
        let parts: Vec<String> = parts
            .map(|(what, words)| what.to_owned() + &words)
            .collect();
        match parts.is_empty() {
            true => "All runs".to_owned(),
            false => parts.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::catalogue::{Format, SOURCES};

    #[test]
    fn the_kinds_of_data_are_the_catalogues() {
        for source in &SOURCES {
            let kind = match source.format {
                Format::Series => DataKind::Series,
                _ => DataKind::Images,
            };
            assert_eq!(DataKind::of(source.name), Some(kind), "{}", source.name);
        }
    }
}
