//! Where a key applies: with which forward maps, methods and data.

use super::kinds::{DataKind, MethodKind, ModelKind};

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

    /// Returns true if a key of this scope applies to `model`, `method` and the data called `data`.
    #[must_use]
    pub fn holds(&self, model: ModelKind, method: MethodKind, data: &str) -> bool {
        let data = DataKind::of(data);
        (self.models.is_empty() || self.models.contains(&model))
            && (self.methods.is_empty() || self.methods.contains(&method))
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
