//! From a configuration to what is inverted: the data, loaded by rank 0 and sent to all, and the forward map.

use crate::parallel::memory;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::config::{Config, ModelKind, Resolved, Scale};
use crate::data::catalogue::Format;
use crate::data::noise::{Gamma, Noise};
use crate::data::observed::ObservationTable;
use crate::data::shape::DataShape;
use crate::data::tapers::Tapers;
use crate::data::{Dataset, Inputs, Samples, Scaling, Targets, catalogue, series};
use crate::error::Result;
use crate::files::numbers::number;
use crate::forward::ForwardMap;
use crate::forward::build;
use crate::forward::cart_pole;
use crate::forward::elliptic;
use crate::forward::localise;
use crate::forward::noise;
use crate::forward::observed;
use crate::forward::problem::Problem;
use crate::forward::process::Process;
use crate::forward::sources::{TEST_EXAMPLES, augment, known_source, predicted, split, task};
use crate::kernels::real::Real;

/// The data of a run, and the operator of a synthetic problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadedProblem {
    dataset: Dataset,
    largest: f64,
    /// The linear operator and prior deviation, where the data is synthetic.
    operator: Option<Array2<f64>>,
    /// The shape as published, where the samples themselves were not loaded.
    published: Option<DataShape>,
    /// What is known of the observations beside their values.
    table: ObservationTable,
    /// The noise of the observations.
    noise: Noise,
    /// Which observations inform which parameters, if files localise.
    tapers: Option<Tapers>,
}

/// Starts of cart-pole's episodes to learn from, and others to be judged by.
const EPISODES: (usize, usize) = (1000, 100);

impl LoadedProblem {
    /// `dataset` as it is, in numbers up to 1.
    fn of(dataset: Dataset) -> Self {
        Self {
            dataset,
            largest: 1.0,
            operator: None,
            published: None,
            table: 0.into(),
            noise: Gamma::Diagonal(vec![1.0]).into(),
            tapers: None,
        }
    }

    /// Loads or draws what `resolved` asks for.
    ///
    /// # Errors
    /// A data set that is unknown, missing or damaged; a key that does not fit it.
    pub fn load(resolved: &Resolved, data_dir: &Path) -> Result<Self> {
        Self::load_data(resolved, data_dir)?.with_noise(resolved)
    }

    /// As `load`, but without the noise.
    fn load_data(resolved: &Resolved, data_dir: &Path) -> Result<Self> {
        let config = &resolved.config;
        if let Some(task) = task(resolved)? {
            let ((steps, inputs), (answers, numbers)) = (task.steps(), task.answers());
            let sample = steps * inputs + answers * numbers;
            check_room(
                resolved,
                "data.length",
                (config.data.examples + TEST_EXAMPLES, sample),
            )?;
            let dataset = task.draw(config.seed, config.data.examples, TEST_EXAMPLES);
            return Ok(Self::of(dataset));
        }
        let given = match known_source(resolved)? {
            None => Self::unpublished(resolved)?,
            Some(source) if source.format == Format::Series => {
                let values = catalogue::load_series(source.name, data_dir)?;
                return Self::series(resolved, &values);
            }
            Some(source) => {
                let loaded = catalogue::load(source.name, data_dir)?;
                Self {
                    largest: loaded.largest,
                    ..Self::of(loaded.dataset)
                }
            }
        };
        given.cut(resolved)
    }

    /// This with the noise of its observations, and what localises.
    fn with_noise(self, resolved: &Resolved) -> Result<Self> {
        let noise = noise::load(resolved, &self.table)?;
        let tapers = localise::load(resolved, &self.table, &noise.gamma)?;
        Ok(Self {
            noise,
            tapers,
            ..self
        })
    }

    /// The samples that `resolved` keeps, and those that it holds out.
    fn cut(mut self, resolved: &Resolved) -> Result<Self> {
        let Dataset { train, test } = &mut self.dataset;
        let n = train.len();
        let (kept, held_out) = split(resolved, n)?;
        if held_out > 0 {
            *test = train.select(&(n - held_out..n).collect::<Vec<_>>());
        }
        if kept < n {
            *train = train.select(&(0..kept).collect::<Vec<_>>());
        }
        Ok(self)
    }

    /// As `load`, but with the shape alone of a published set, from the catalogue: no file is read, and the problem
    /// can be planned but not run.
    ///
    /// # Errors
    /// A data set that is unknown; a key that does not fit it.
    pub fn without_data(resolved: &Resolved) -> Result<Self> {
        Self::shape_alone(resolved)?.with_noise(resolved)
    }

    /// As `without_data`, but without the noise.
    fn shape_alone(resolved: &Resolved) -> Result<Self> {
        let nothing = Samples {
            inputs: Inputs::Bytes(Array2::zeros((0, 0))),
            targets: Targets::Values(Array2::zeros((0, 0))),
        };
        let dataset = Dataset {
            train: nothing.clone(),
            test: nothing,
        };
        if let Some(task) = task(resolved)? {
            let ((steps, inputs), (answers, numbers)) = (task.steps(), task.answers());
            return Ok(Self {
                published: Some(DataShape {
                    train: resolved.config.data.examples,
                    test: TEST_EXAMPLES,
                    features: steps * inputs,
                    outputs: answers * numbers,
                    classes: false,
                }),
                ..Self::of(dataset)
            });
        }
        let Some(source) = known_source(resolved)? else {
            return Self::unpublished(resolved)?.cut(resolved);
        };
        if source.format == Format::Series {
            let kept = predicted(resolved, source.samples.0)?;
            return Ok(Self {
                published: Some(DataShape {
                    train: kept,
                    test: kept,
                    features: resolved.config.data.lags,
                    outputs: 1,
                    classes: false,
                }),
                ..Self::of(dataset)
            });
        }
        let (channels, height, width) = source.shape;
        let (train, test) = source.samples;
        let (kept, held_out) = split(resolved, train)?;
        Ok(Self {
            largest: source.largest,
            published: Some(DataShape {
                train: kept,
                test: if held_out > 0 { held_out } else { test },
                features: channels * height * width,
                outputs: source.classes,
                classes: true,
            }),
            ..Self::of(dataset)
        })
    }

    /// A series, scaled to 0..1 by its own range, as samples of one-step-ahead prediction.
    fn series(resolved: &Resolved, values: &[f64]) -> Result<Self> {
        let kept = predicted(resolved, values.len())?;
        check_room(resolved, "data.lags", (kept, resolved.config.data.lags + 1))?;
        let (unit, _) = series::to_unit(values);
        let train = series::lagged(&unit[..=kept], resolved.config.data.lags);
        Ok(Self::of(Dataset {
            test: train.clone(),
            train,
        }))
    }

    fn synthetic(config: &Config) -> Self {
        let variances = config.method.noise.variances();
        let noise = variances.expect("only a simulator's noise is in files")[0];
        let problem = match config.data.name.as_str() {
            "cart-pole" => return Self::episodes(config.seed),
            "elliptic" => elliptic::elliptic(config.seed, noise),
            _ => elliptic::random(config.seed, noise),
        };
        Self::one_sample(problem.observations, Some(problem.matrix))
    }

    /// A problem of `UNPUBLISHED`.
    fn unpublished(resolved: &Resolved) -> Result<Self> {
        if resolved.config.model.kind.simulates() {
            Self::observed(resolved)
        } else {
            Ok(Self::synthetic(&resolved.config))
        }
    }

    /// The observations that a simulator should reproduce, from their file.
    fn observed(resolved: &Resolved) -> Result<Self> {
        let (values, table) = observed::read(resolved)?;
        let loaded = Self::one_sample(values.into(), None);
        Ok(Self { table, ..loaded })
    }

    /// One sample without inputs, whose outputs are the `observations`.
    fn one_sample(
        observations: ndarray::Array1<f64>,
        operator: Option<ndarray::Array2<f64>>,
    ) -> Self {
        Self {
            operator,
            ..Self::of(Dataset::of_observations(observations))
        }
    }

    /// Cart-pole's: start states, and the highest return as the target of each.
    fn episodes(seed: u64) -> Self {
        // Blocks 0 to 2 are the linear problems'.
        let samples = |block, count| Samples {
            inputs: Inputs::Reals(cart_pole::starts(seed, block, count)),
            targets: Targets::Values(Array2::ones((count, 1))),
        };
        Self::of(Dataset {
            train: samples(3, EPISODES.0),
            test: samples(4, EPISODES.1),
        })
    }

    /// What the plan must know of the data.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        if let Some(published) = self.published {
            return published;
        }
        self.dataset.shape()
    }

    /// The forward map of `resolved` in precision `T`.
    ///
    /// # Errors
    /// A model whose shape does not fit the data.
    pub fn map<T: Real>(&self, resolved: &Resolved) -> Result<Box<dyn ForwardMap<T>>> {
        crate::forward::of(
            resolved,
            self.shape(),
            (self.operator.as_ref(), &self.table),
        )
    }

    /// The observations of a problem of one sample, K numbers; of others, none.
    #[must_use]
    pub fn observations(&self) -> &[f64] {
        self.dataset.observations()
    }

    /// What is known of the observations beside their values and their noise.
    #[must_use]
    pub fn table(&self) -> ObservationTable {
        self.table.clone()
    }

    /// The noise of the observations.
    #[must_use]
    pub fn noise(&self) -> Noise {
        self.noise.clone()
    }

    /// Which observations inform which parameters, if files localise.
    #[must_use]
    pub fn tapers(&self) -> Option<Tapers> {
        self.tapers.clone()
    }

    /// The noise of those observations alone whose `places`, ascending, are given.
    ///
    /// # Errors
    /// As `load`, of the noise.
    pub fn noise_of(&self, resolved: &Resolved, places: &[usize]) -> Result<Noise> {
        let noise = noise::load(resolved, &self.table.select(places))?;
        match &noise.gamma {
            Gamma::Diagonal(given) if ![1, places.len()].contains(&given.len()) => {
                let count = self.table.outputs.count();
                let allowed = format!("must be one number or {count}, one for each output");
                Err(resolved.error("method.noise", allowed))
            }
            _ => Ok(noise),
        }
    }

    /// The whole problem in precision `T`.
    ///
    /// # Errors
    /// A model whose shape does not fit the data.
    pub fn problem<T: Real>(self, resolved: &Resolved) -> Result<Problem<T>> {
        let map = self.map(resolved)?;
        let scaling = match resolved.config.data.scale {
            Scale::Unit => Scaling::unit(self.largest),
            Scale::Standard => Scaling::standard(&self.dataset.train),
        };
        Ok(Problem {
            map,
            augment: augment(resolved, self.shape())?,
            dataset: self.dataset,
            scaling,
        })
    }
}

/// Refuses a data set of `samples` of `numbers` each, sized by `key`, which this host has no memory for: all numbers are held
/// in double precision, and once more while they are sent to all ranks.
fn check_room(resolved: &Resolved, key: &str, (samples, numbers): (usize, usize)) -> Result<()> {
    let needed = 16.0 * samples as f64 * numbers as f64;
    match memory::memory_of_host().map(|limit| limit.bytes) {
        Some(host) if needed > host as f64 => {
            let gib = |bytes: f64| number(bytes / f64::from(1 << 30), 3);
            let allowed = format!(
                "{samples} samples of {numbers} numbers need {} GiB, and this host has {}",
                gib(needed),
                gib(host as f64)
            );
            Err(resolved.error(key, allowed))
        }
        _ => Ok(()),
    }
}

/// The simulator of `resolved`, where it starts one, for the observations of `table`; nothing is started yet.
///
/// # Errors
/// Keys that do not say what to start or to ask.
pub fn process(resolved: &Resolved, table: &ObservationTable) -> Result<Option<Process>> {
    if resolved.config.model.kind != ModelKind::Process {
        build::refuse_command(resolved)?;
        return Ok(None);
    }
    build::simulator(resolved, table).map(Some)
}
