//! How a run localises: its key, and the places that were read with its data.

use std::sync::Arc;

use crate::config::Localise;
use crate::data::distances::Distances;
use crate::ensemble::localisation::{CorrelationFactor, Localisation};
use crate::error::{Error, Result};
use crate::run::plan::Plan;

impl Plan {
    /// Returns this plan, localised by `distances` if there are any.
    ///
    /// # Errors
    /// Coordinates of another number of parameters.
    pub fn localised_by(self, distances: Option<Distances>) -> Result<Self> {
        if let Some(distances) = &distances
            && distances.parameters() != self.parameters
        {
            let given = distances.parameters();
            let why = format!(
                "has {given} lines, and there are {} parameters",
                self.parameters
            );
            return Err(Error::data(&distances.path, why));
        }
        Ok(Self {
            distances: distances.map(Arc::new),
            ..self
        })
    }

    /// Returns how covariances are localised, if at all.
    #[must_use]
    pub fn localisation(&self) -> Option<Localisation> {
        let by_correlations = |factor| Some(Localisation::Correlations(factor));
        match &self.config().method.localise {
            Localise::None => None,
            Localise::Sec(power) => by_correlations(CorrelationFactor::Power(*power)),
            Localise::Threshold(level) => by_correlations(CorrelationFactor::Threshold(*level)),
            Localise::Fisher => by_correlations(CorrelationFactor::Fisher),
            Localise::Distance { .. } => {
                let distances = self.distances.clone();
                Some(Localisation::Distances(
                    distances.expect("read with the data"),
                ))
            }
        }
    }
}
