//! The places of a calibration's parameters and observations, to localise it by distance.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;

use super::settings::refused;
use crate::config::Localise;
use crate::data::distances::Distances;
use crate::data::tapers::{TaperKind, Tapers};
use crate::error::Result;

/// Coordinates of parameters and observations, and the radius of localisation in their unit.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The distance from which on an observation does not inform a parameter.
    pub radius: f64,
    /// P x n, n from 1 to 3.
    pub parameters: Array2<f64>,
    /// K x n.
    pub observations: Array2<f64>,
}

impl Places {
    /// Checks that there is a place for each of `parameters` free parameters and `observations` observations.
    ///
    /// # Errors
    /// Another number of rows, no or more than three coordinates, a coordinate that is not finite, or a radius that is not above 0.
    pub fn check(&self, parameters: usize, observations: usize) -> Result<()> {
        let of = |what: &str, places: &Array2<f64>, needed: usize| {
            let (rows, columns) = places.dim();
            if rows != needed {
                Err(format!("{what} has {rows} rows, and there are {needed}"))
            } else if !(1..=3).contains(&columns) {
                Err(format!(
                    "{what} has {columns} columns, and places have 1 to 3 coordinates"
                ))
            } else if !places.iter().all(|x| x.is_finite()) {
                Err(format!("{what} has a coordinate that is not finite"))
            } else {
                Ok(())
            }
        };
        let alike = || match self.parameters.ncols() == self.observations.ncols() {
            true => Ok(()),
            false => {
                Err("parameters and observations have different numbers of coordinates".to_owned())
            }
        };
        let radius = match self.radius.is_finite() && self.radius > 0.0 {
            true => Ok(()),
            false => Err(format!(
                "the radius is {}, and must be finite and greater than 0",
                self.radius
            )),
        };
        radius
            .and_then(|()| of("parameters", &self.parameters, parameters))
            .and_then(|()| of("observations", &self.observations, observations))
            .and_then(|()| alike())
            .map_err(|why| refused("localise_by_distance", why))
    }

    /// Returns the value of `method.localise` that it stands for, without files.
    pub fn key(&self) -> Localise {
        Localise::Distance {
            radius: vec![self.radius],
            parameters: String::new(),
            observations: String::new(),
        }
    }

    /// Returns which observations inform which parameters.
    pub fn tapers(&self) -> Tapers {
        let scaled = |places: &Array2<f64>| places / self.radius;
        let (parameters, observations) = (scaled(&self.parameters), scaled(&self.observations));
        Tapers {
            kind: TaperKind::Distances(Arc::new(Distances::new(&parameters, &observations))),
            path: PathBuf::new(),
            files: Vec::new(),
        }
    }
}
