//! The settings of a calibration, checked and turned into a plan.

use std::sync::Arc;

use ndarray::Array2;
use toml::Value;

use super::Method;
use super::places::Places;
use crate::config::{Localise, Resolved};
use crate::data::noise::covariance::Covariance;
use crate::data::noise::{Gamma, Noise};
use crate::data::shape::DataShape;
use crate::error::{Error, Result};
use crate::forward::joint_prior::{JointPrior, field_names};
use crate::run::plan::Plan;

/// The source of a calibration's settings, as messages name it.
const SOURCE: &str = "Calibration";
/// The sections of keys that `set` takes; all others follow from the map and the data.
const SECTIONS: [&str; 2] = ["method.", "ensemble."];
/// Further keys that `set` takes.
const KEYS: [&str; 7] = [
    "seed",
    "data.conflict",
    "run.steps",
    "run.stop_at_misfit",
    "run.end_time",
    "run.best",
    "output.history",
];

/// The settings of a calibration, not checked yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub prior: Vec<String>,
    pub correlation: Option<Array2<f64>>, // P x P
    pub inputs: Option<Array2<f64>>,      // d x m
    pub observations: Vec<f64>,
    pub noise: GivenNoise,
    /// Where parameters and observations lie, to localise by distance.
    pub places: Option<Places>,
    /// None: as the preset does.
    pub method: Option<Method>,
    pub sets: Vec<(String, String)>,
}

/// The noise of the observations as a program gives it.
#[derive(Clone, Debug)]
pub(super) enum GivenNoise {
    /// Variances, one or K; none: not given.
    Variances(Vec<f64>),
    /// A covariance, K x K.
    Covariance(Array2<f64>),
    /// The diagonal, one number or K, and U, K x r.
    Factors(Vec<f64>, Array2<f64>),
}

impl Default for GivenNoise {
    fn default() -> Self {
        Self::Variances(Vec::new())
    }
}

/// The refusal of what `method` of the builder was given.
pub(super) fn refused(method: &str, why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("{SOURCE}::{method}: {why}"))
}

impl Settings {
    /// The prior.
    ///
    /// # Errors
    /// No entry, one that cannot be read, or no parameter that is free.
    pub fn joint_prior(&self) -> Result<JointPrior> {
        if self.prior.is_empty() {
            let why = "must have an entry for each parameter of the forward map, as in \"growth lognormal 1.0 0.5\"";
            return Err(refused("prior", why));
        }
        let prior = JointPrior::new(&self.prior);
        let prior = prior.map_err(|why| refused("prior", format!("must {why}")))?;
        if prior.coordinates() == 0 {
            return Err(refused("prior", "must leave a parameter free"));
        }
        match &self.correlation {
            None => Ok(prior),
            Some(matrix) => prior
                .correlated(matrix.view())
                .map_err(|why| refused("prior_correlation", format!("must {why}"))),
        }
    }

    /// The plan of a calibration of `parameters` numbers P by the program's preset `preset`.
    ///
    /// # Errors
    /// What is missing, of another length, not finite, or not allowed by a key.
    pub fn plan(&self, preset: &str, parameters: usize) -> Result<Plan> {
        let noise = self.checked_noise()?;
        let prior = Value::Array(self.prior.iter().cloned().map(Value::String).collect());
        let mut sets = vec![format!("model.prior={prior}")];
        if let Gamma::Diagonal(variances) = &noise.gamma {
            sets.push(format!("method.noise={variances:?}"));
        }
        let keys = self.method.map_or(&[][..], Method::keys);
        let of_method = keys.iter().map(|(key, value)| format!("{key}={value}"));
        sets.extend(of_method);
        for (key, value) in &self.sets {
            let known = KEYS.contains(&key.as_str())
                || SECTIONS.iter().any(|section| key.starts_with(section));
            if !known {
                let keys = KEYS.join(", ");
                let why = format!("{key}: only keys of method and ensemble can be set, and {keys}");
                return Err(refused("set", why));
            }
            sets.push(format!("{key}={value}"));
        }
        let mut resolved = Resolved::new(preset, &sets).map_err(of_the_library)?;
        let origins = resolved.origins.values_mut();
        origins
            .filter(|o| *o == "--set")
            .for_each(|o| *o = SOURCE.to_owned());
        let localise = &resolved.config.method.localise;
        if matches!(
            localise,
            Localise::Distance { .. } | Localise::Groups(_) | Localise::Taper(_)
        ) {
            let why = "method.localise: files are for runs of the program; `localise_by_distance` takes coordinates";
            return Err(refused("set", why.to_owned()));
        }
        let outputs = self.observations.len();
        let shape = DataShape {
            train: 1,
            test: 1,
            features: 0,
            outputs,
            classes: false,
            image: None,
        };
        let Some(places) = &self.places else {
            return Plan::with_noise(resolved, noise, shape, parameters);
        };
        places.check(parameters, outputs)?;
        self.check_localisable(&resolved, &noise)?;
        resolved.config.method.localise = places.key();
        let plan = Plan::with_noise(resolved, noise, shape, parameters)?;
        plan.localised_by(Some(places.tapers()))
    }

    /// Refuses distances where a parameter or an observation has no place of its own, or where `method.localise` says something else.
    fn check_localisable(&self, resolved: &Resolved, noise: &Noise) -> Result<()> {
        let config = &resolved.config;
        let needed = if !matches!(noise.gamma, Gamma::Diagonal(_)) {
            "independent noise: correlated outputs are mixed before they inform parameters"
        } else if self.correlation.is_some() {
            "parameters that the prior takes as independent: correlated members can be given by ensemble.initial"
        } else if field_names(resolved).next().is_some() {
            "parameters that have a place each, and a random field's coordinates have none"
        } else if config.method.tikhonov > 0.0 {
            "method.tikhonov = 0"
        } else if config.method.localise != Localise::None {
            "method.localise = \"none\": they localise already"
        } else {
            return Ok(());
        };
        Err(refused(
            "localise_by_distance",
            format!("distances need {needed}"),
        ))
    }

    /// Checks the observations and their noise, and returns the noise.
    fn checked_noise(&self) -> Result<Noise> {
        let count = self.observations.len();
        if count == 0 {
            return Err(refused(
                "observations",
                "must hold a number for each output of the forward map",
            ));
        }
        if let Some(place) = self.observations.iter().position(|y| !y.is_finite()) {
            let why = format!(
                "number {} is {}, and all must be finite",
                place + 1,
                self.observations[place]
            );
            return Err(refused("observations", why));
        }
        let (setter, covariance) = match &self.noise {
            GivenNoise::Variances(variances) => {
                check_variances(variances, count)?;
                return Ok(Gamma::Diagonal(variances.clone()).into());
            }
            GivenNoise::Covariance(gamma) => ("noise_covariance", Covariance::full(gamma.clone())),
            GivenNoise::Factors(diagonal, u) => {
                ("noise_factors", Covariance::low_rank(diagonal, u.clone()))
            }
        };
        let covariance = covariance.map_err(|why| refused(setter, why))?;
        if covariance.outputs() != count {
            let given = covariance.outputs();
            let why = format!("is of {given} outputs, and there are {count} observations");
            return Err(refused(setter, why));
        }
        Ok(Gamma::Correlated(Arc::new(covariance)).into())
    }
}

/// Checks the `variances` of `count` observations.
fn check_variances(variances: &[f64], count: usize) -> Result<()> {
    let given = variances.len();
    if given == 0 {
        let why = "must be given: the variance of the observations' errors";
        return Err(refused("noise", why));
    }
    if ![1, count].contains(&given) {
        let why = format!("has {given} variances, and there are {count} observations");
        return Err(refused("noise_of_each", why));
    }
    let sound = |v: &f64| v.is_finite() && *v > 0.0;
    if let Some(place) = variances.iter().position(|v| !sound(v)) {
        let why = format!(
            "variance {} is {}, and must be finite and greater than 0",
            place + 1,
            variances[place]
        );
        return Err(refused("noise", why));
    }
    Ok(())
}

/// The error of a configuration, as one of a program that has no command line.
fn of_the_library(error: Error) -> Error {
    match error {
        Error::Config {
            key,
            value,
            allowed,
            file,
        } if file == "--set" => Error::Config {
            file: SOURCE.to_owned(),
            key,
            value,
            allowed,
        },
        other => other,
    }
}
