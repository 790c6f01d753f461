//! A calibration from a program of your own: a forward map, priors, observations and their noise in; mean and members, in the
//! parameters' own units, out. It is the same run as the program's, with identical results on any number of ranks.
//!
//! | to begin | and then | for |
//! |---|---|---|
//! | [`Calibration::new`] | [`Calibration::run`] | a map that the run can call |
//! | [`Calibration::ask_tell`] | [`Calibration::start`] | outputs that come from a loop of your own |

mod asking;
mod fit;
mod method;
mod places;
mod settings;

use ndarray::{Array1, Array2};

pub use asking::AskTellLoop;
pub use fit::Fit;
pub use method::Method;
use places::Places;
use settings::{GivenNoise, Settings, refused};

use crate::data::Dataset;
use crate::error::Result;
use crate::forward::ForwardMap;
use crate::forward::ask_tell::AskTell;
use crate::forward::problem::Problem;
use crate::forward::with_prior::WithPrior;
use crate::parallel::ranks::Ranks;
use crate::run::reporter::Reporter;
use crate::run::timing::Timing;

/// A calibration that is being put together.
///
/// ```no_run
/// use eki_mpi::prelude::*;
///
/// fn main() -> Result<()> {
///     let mpi = Mpi::start()?;
///     let decay = FnMap::new(2, 5, |u| (0..5).map(|t| u[0] * u[1].powi(t)).collect());
///     let fit = Calibration::new(decay)
///         .prior(["amount lognormal 1 1", "kept uniform 0 1"])
///         .observations([2.0, 1.4, 0.98, 0.69, 0.48])
///         .noise(1e-4)
///         .run(&mpi.ranks())?;
///     println!("{:.3} after {} steps: {}", fit.mean(), fit.steps().len(), fit.reason());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Calibration<M> {
    map: M,
    settings: Settings,
}

/// In place of a forward map: outputs come from outside, step by step.
#[derive(Clone, Copy, Debug)]
pub struct FromOutside;

impl<M> Calibration<M> {
    /// Sets the prior: an entry for each parameter as in `model.prior`, such as `growth lognormal 1.0 0.5` or `k[10] normal 0 1`.
    /// The map receives values in these units.
    #[must_use]
    pub fn prior<S: Into<String>>(mut self, entries: impl IntoIterator<Item = S>) -> Self {
        self.settings.prior = entries.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the correlation matrix of the prior's free parameters, in their order: of the standard normal variables behind their laws
    /// (a Gaussian copula), which for normal ones is their own.
    #[must_use]
    pub fn prior_correlation(mut self, matrix: Array2<f64>) -> Self {
        self.settings.correlation = Some(matrix);
        self
    }

    /// Sets the observations y, K numbers that the map's outputs should come to.
    #[must_use]
    pub fn observations(mut self, y: impl Into<Vec<f64>>) -> Self {
        self.settings.observations = y.into();
        self
    }

    /// Sets the variance of each observation's error.
    #[must_use]
    pub fn noise(self, variance: f64) -> Self {
        self.noise_of_each([variance])
    }

    /// Sets the variances of the observations' errors, K numbers.
    #[must_use]
    pub fn noise_of_each(mut self, variances: impl Into<Vec<f64>>) -> Self {
        self.settings.noise = GivenNoise::Variances(variances.into());
        self
    }

    /// Sets the covariance of the observations' errors, K x K, where they are correlated.
    #[must_use]
    pub fn noise_covariance(mut self, covariance: Array2<f64>) -> Self {
        self.settings.noise = GivenNoise::Covariance(covariance);
        self
    }

    /// Sets the covariance of the observations' errors to diagonal + U U^T, with one number for the diagonal or K, and U, K x r. No
    /// K x K matrix is formed.
    #[must_use]
    pub fn noise_factors(mut self, diagonal: impl Into<Vec<f64>>, u: Array2<f64>) -> Self {
        self.settings.noise = GivenNoise::Factors(diagonal.into(), u);
        self
    }

    /// Sets the method; [`Method::KalmanByMisfit`] where none is set.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.settings.method = Some(method);
        self
    }

    /// Sets the number of members J, at least 2; 64 where it is not set.
    #[must_use]
    pub fn members(self, count: usize) -> Self {
        self.set("ensemble.members", count)
    }

    /// Localises by distance, as `method.localise = { distance = .. }` does: an observation informs a parameter less the farther off it is,
    /// and not at all from `radius` on (Gaspari & Cohn, Q. J. R. Meteorol. Soc. 125 (1999) 723). `parameters` has a row of 1 to 3 coordinates for
    /// each free parameter, `observations` one for each observation, in the unit of `radius`.
    #[must_use]
    pub fn localise_by_distance(
        mut self,
        radius: f64,
        parameters: Array2<f64>,
        observations: Array2<f64>,
    ) -> Self {
        self.settings.places = Some(Places {
            radius,
            parameters,
            observations,
        });
        self
    }

    /// Sets a key of sections `method` or `ensemble`, `seed`, `data.conflict`, `output.history`, or one of `run.steps`,
    /// `run.stop_at_misfit`, `run.end_time` and `run.best`, as `eki-mpi presets --keys` explains them. The history is kept in memory
    /// ([`Fit::history`]).
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.sets.push((key.to_owned(), value.to_string()));
        self
    }
}

impl<M: ForwardMap<f64> + 'static> Calibration<M> {
    /// A calibration of the parameters of `map`.
    #[must_use]
    pub fn new(map: M) -> Self {
        let settings = Settings::default();
        Self { map, settings }
    }

    /// Sets the inputs of the map's samples, d x m, where it has inputs: observations are then the c m outputs on these m samples,
    /// the first output of all samples first.
    #[must_use]
    pub fn inputs(mut self, inputs: Array2<f64>) -> Self {
        self.settings.inputs = Some(inputs);
        self
    }

    /// Runs the calibration to its end. Called by all ranks, with the same settings.
    ///
    /// # Errors
    /// On all ranks alike: a prior, observations, noise or inputs that are missing, do not fit the map or are not finite; a key's
    /// value that is not allowed; too few members with finite outputs.
    pub fn run(self, ranks: &Ranks) -> Result<Fit> {
        let Self { map, settings } = self;
        let map: Box<dyn ForwardMap<f64>> = match map.own_units() {
            Some(_) if settings.prior.is_empty() && settings.correlation.is_none() => Box::new(map),
            Some(_) => return Err(refused("prior", "the forward map has a prior of its own")),
            None => {
                let inputs = settings.inputs.clone();
                let inputs = inputs.unwrap_or_else(|| Array2::zeros((0, 1)));
                let map = WithPrior::new(map, settings.joint_prior()?, inputs);
                Box::new(map.map_err(|why| refused("run", why))?)
            }
        };
        let (outputs, given) = (map.outputs(), settings.observations.len());
        if given > 0 && given != outputs {
            let why = format!("has {given} numbers, and the forward map gives {outputs} outputs");
            return Err(refused("observations", why));
        }
        let plan = settings.plan("process", map.parameters())?;
        ranks.comm.from_first(|| {
            let centre = vec![0.0; map.parameters()];
            map.try_member(&centre)
                .map_err(|why| refused("run", format!("the forward map {why}")))
        })?;
        let problem = problem(map, settings.observations);
        let (mut reporter, mut timing) = (Reporter::recording(), Timing::default());
        let (state, outcome) = super::run(*ranks, &plan, &problem, &mut reporter, &mut timing)?;
        let recorded = reporter.into_recorded();
        Ok(Fit::new(
            *ranks,
            (&plan, problem.map.as_ref()),
            recorded,
            (state, outcome, &timing),
        ))
    }
}

impl Calibration<FromOutside> {
    /// A calibration whose outputs come from a loop of your own, step by step.
    #[must_use]
    pub fn ask_tell() -> Self {
        let settings = Settings::default();
        Self {
            map: FromOutside,
            settings,
        }
    }

    /// Draws the first members. Called by all ranks, with the same settings.
    ///
    /// # Errors
    /// As `run`.
    pub fn start<'a>(self, ranks: &Ranks<'a>) -> Result<AskTellLoop<'a>> {
        let prior = self.settings.joint_prior()?;
        let plan = self.settings.plan("ask-tell", prior.coordinates())?;
        let map = AskTell::new(prior, self.settings.observations.len());
        AskTellLoop::start(
            *ranks,
            plan,
            problem(Box::new(map), self.settings.observations),
        )
    }
}

/// Returns the inverse problem: `map`, and the observations that its one sample should give.
fn problem(map: Box<dyn ForwardMap<f64>>, observations: Vec<f64>) -> Problem<f64> {
    Problem {
        map,
        dataset: Dataset::of_observations(Array1::from(observations)),
        scaling: crate::data::Scaling::unit(1.0),
        form: None,
        augment: None,
    }
}
