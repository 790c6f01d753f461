//! The prior that a configuration describes.

use super::JointPrior;
use crate::config::Resolved;
use crate::error::Result;
use crate::forward::random_field::RandomField;

impl JointPrior {
    /// The prior of the parameters of the forward map of `resolved` where they have units of their own.
    ///
    /// # Errors
    /// Entries of model.prior that cannot be read, or none; a matrix that does not fit them.
    pub fn of(resolved: &Resolved) -> Result<Option<Self>> {
        match resolved.config.model.kind.simulates() {
            true => Self::of_simulator(resolved).map(Some),
            false => Ok(None),
        }
    }

    /// The prior that `model.prior` describes, with its matrix where one is given.
    ///
    /// # Errors
    /// As `of`.
    pub(in crate::forward) fn of_simulator(resolved: &Resolved) -> Result<Self> {
        let prior = Self::new(&resolved.config.model.prior)
            .map_err(|why| resolved.error("model.prior", format!("must {why}")))?;
        if prior.named() == 0 && prior.fields().next().is_none() {
            let allowed = "must have an entry for each parameter of your simulator, as in \"growth lognormal 1.0 0.5\"";
            return Err(resolved.error("model.prior", allowed));
        }
        if prior.coordinates() == 0 {
            let allowed = "must leave a parameter free: all are fixed, or tied to fixed ones";
            return Err(resolved.error("model.prior", allowed));
        }
        let Some(matrix) = &resolved.prior_matrix else {
            return Ok(prior);
        };
        let is_covariance = matrix.key == "model.prior_covariance";
        let prior = prior.with_matrix_of(&matrix.bytes, matrix.is_array(), is_covariance);
        prior.map_err(|why| resolved.error(&matrix.key, format!("must {why}")))
    }
}

/// Returns the names of the random fields in the prior of `resolved`, and whether each has Karhunen-Loeve modes; without them its coordinates
/// are white noise.
pub fn field_names(resolved: &Resolved) -> impl Iterator<Item = (&str, bool)> {
    resolved.config.model.prior.iter().filter_map(|entry| {
        let mut words = entry.split_whitespace();
        let name = words.next()?.split('[').next()?;
        let is_field = words.next() == Some("matern");
        is_field.then(|| (name, words.any(|word| word == "modes")))
    })
}

/// Returns a line on each random field of the prior of `resolved`, if it has any.
#[must_use]
pub fn field_descriptions(resolved: &Resolved) -> Vec<String> {
    let prior = JointPrior::of(resolved).ok().flatten();
    let fields = prior.iter().flat_map(JointPrior::fields);
    fields.map(RandomField::description).collect()
}
