//! How a run localises: its key, and the files that were read with its data.

use std::sync::Arc;

use crate::config::Localise;
use crate::data::taper_blocks::TaperBlocks;
use crate::data::tapers::{TaperFile, TaperKind, Tapers};
use crate::ensemble::localisation::{CorrelationFactor, Localisation, Reach};
use crate::error::{Error, Result};
use crate::io::npy;
use crate::parallel::partition::{Blocks, Partition};
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;

impl Plan {
    /// Returns this plan, localised by `tapers` if there are any.
    ///
    /// # Errors
    /// Tapers of another number of parameters.
    pub fn localised_by(self, tapers: Option<Tapers>) -> Result<Self> {
        if let Some(tapers) = &tapers
            && tapers.parameters() != self.parameters
        {
            let (given, needed) = (tapers.parameters(), self.parameters);
            let why = match tapers.kind {
                TaperKind::Matrix(_) => {
                    format!("has {given} columns, and there are {needed} parameters")
                }
                _ => format!("has {given} lines, and there are {needed} parameters"),
            };
            return Err(Error::data(&tapers.path, why));
        }
        Ok(Self { tapers, ..self })
    }

    /// Returns how covariances are localised, if at all; None also where a matrix of tapers is to be read (`read_localisation`).
    #[must_use]
    pub fn localisation(&self) -> Option<Localisation> {
        let by_correlations = |factor| Some(Localisation::Correlations(factor));
        match &self.config().method.localise {
            Localise::None => None,
            Localise::Sec(power) => by_correlations(CorrelationFactor::Power(*power)),
            Localise::Threshold(level) => by_correlations(CorrelationFactor::Threshold(*level)),
            Localise::Fisher => by_correlations(CorrelationFactor::Fisher),
            Localise::Distance { .. } | Localise::Groups(_) | Localise::Taper(_) => {
                let tapers = self.tapers.as_ref().expect("read with the data");
                match &tapers.kind {
                    TaperKind::Distances(distances) => {
                        Some(Localisation::Near(Reach::Distances(distances.clone())))
                    }
                    TaperKind::Groups(groups) => {
                        Some(Localisation::Near(Reach::Groups(groups.clone())))
                    }
                    TaperKind::Matrix(_) => None,
                }
            }
        }
    }

    /// Returns the file of the matrix of tapers, if one localises.
    #[must_use]
    pub fn taper_file(&self) -> Option<&TaperFile> {
        match &self.tapers.as_ref()?.kind {
            TaperKind::Matrix(file) => Some(file),
            _ => None,
        }
    }

    /// Returns how covariances are localised, if at all, with this rank's columns of a matrix of tapers. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: a matrix that can no longer be read.
    pub fn read_localisation(&self, ranks: Ranks) -> Result<Option<Localisation>> {
        let Some(file) = self.taper_file() else {
            return Ok(self.localisation());
        };
        let blocks = Blocks::new(self.parameters);
        let own = Partition::new(blocks.count(), ranks.comm.size()).range(ranks.comm.rank());
        let mut tapers = TaperBlocks::new(blocks, own.clone());
        let (path, shape) = (&file.file.path, (file.rows, file.parameters));
        let wanted = file.observed.iter().copied();
        let mut place = 0..;
        let read = npy::read_columns(path, shape, (wanted, blocks.span(own)), |_, factors| {
            tapers.push(place.next().expect("endless"), factors);
            Ok(())
        });
        let flaw = read.err().map(|error| error.to_string());
        match ranks.comm.first_flaw(&flaw.unwrap_or_default()) {
            Some(flaw) => Err(Error::Run(flaw)),
            None => Ok(Some(Localisation::Near(Reach::Matrix(Arc::new(tapers))))),
        }
    }
}
