//! From a configuration to what is inverted: the data, loaded by rank 0 and sent to all, and the forward map.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::config::{Config, ModelKind, OWN_FILES, OWN_SERIES, Resolved, Scale};
use crate::data::catalogue::Format;
use crate::data::form::SampleForm;
use crate::data::noise::{Gamma, Noise};
use crate::data::observed::ObservationTable;
use crate::data::shape::DataShape;
use crate::data::tapers::Tapers;
use crate::data::{Dataset, Inputs, Samples, Scaling, Targets, catalogue, series};
use crate::error::Result;
use crate::forward::ForwardMap;
use crate::forward::build;
use crate::forward::cart_pole;
use crate::forward::elliptic;
use crate::forward::localise;
use crate::forward::noise;
use crate::forward::observed;
use crate::forward::own_data;
use crate::forward::problem::Problem;
use crate::forward::process::Process;
use crate::forward::sources::{
    TEST_EXAMPLES, augment, check_room, cut, known_source, predicted, series_shape, split, task,
};
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
    /// The (channels, height, width) of a sample that has rows and columns.
    image: Option<(usize, usize, usize)>,
    /// The form of a network's samples, where it is known before they are scaled.
    form: Option<SampleForm>,
    /// The observations' names, noise, groups, sets and weights.
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
            image: None,
            form: None,
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

    /// Loads as `load` does, but without the noise.
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
        if config.data.name == OWN_FILES {
            let (dataset, form) = own_data::load(resolved)?;
            return Ok(Self {
                image: form.image,
                form: Some(form),
                ..Self::of(dataset)
            });
        }
        let given = match known_source(resolved)? {
            None if config.data.name == OWN_SERIES => {
                let (name, values) = own_data::own_series(resolved)?;
                return Self::series(resolved, name, &values);
            }
            None => Self::unpublished(resolved)?,
            Some(source) if source.format == Format::Series => {
                let values = catalogue::load_series(source.name, data_dir)?;
                return Self::series(resolved, source.name.to_owned(), &values);
            }
            Some(source) => {
                let loaded = catalogue::load(source.name, data_dir)?;
                Self {
                    largest: loaded.largest,
                    image: Some(loaded.shape),
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
    fn cut(self, resolved: &Resolved) -> Result<Self> {
        let dataset = cut(resolved, self.dataset)?;
        Ok(Self { dataset, ..self })
    }

    /// Loads as `load` does, but takes the shape alone of a published set, from the catalogue: no file is read, and the problem
    /// can be planned but not run.
    ///
    /// # Errors
    /// A data set that is unknown; a key that does not fit it.
    pub fn without_data(resolved: &Resolved) -> Result<Self> {
        Self::shape_alone(resolved)?.with_noise(resolved)
    }

    /// Loads as `without_data` does, but without the noise.
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
                    image: None,
                }),
                ..Self::of(dataset)
            });
        }
        let name = resolved.config.data.name.as_str();
        if name == OWN_FILES {
            let published = own_data::shape(resolved)?;
            return Ok(Self {
                image: published.image,
                published: Some(published),
                ..Self::of(dataset)
            });
        }
        let Some(source) = known_source(resolved)? else {
            if name == OWN_SERIES {
                let (_, values) = own_data::own_series(resolved)?;
                return Ok(Self {
                    published: Some(series_shape(resolved, values.len())?),
                    ..Self::of(dataset)
                });
            }
            return Self::unpublished(resolved)?.cut(resolved);
        };
        if source.format == Format::Series {
            return Ok(Self {
                published: Some(series_shape(resolved, source.samples.0)?),
                ..Self::of(dataset)
            });
        }
        let (channels, height, width) = source.shape;
        let (train, test) = source.samples;
        let (kept, held_out) = split(resolved, train)?;
        Ok(Self {
            largest: source.largest,
            image: Some(source.shape),
            published: Some(DataShape {
                train: kept,
                test: if held_out > 0 { held_out } else { test },
                features: channels * height * width,
                outputs: source.classes,
                classes: true,
                image: None,
            }),
            ..Self::of(dataset)
        })
    }

    /// A series, scaled to 0..1 by its own range, as samples of one-step-ahead prediction.
    fn series(resolved: &Resolved, name: String, values: &[f64]) -> Result<Self> {
        let lags = resolved.config.data.lags;
        let kept = predicted(resolved, values.len())?;
        check_room(resolved, "data.lags", (kept, lags + 1))?;
        let (unit, _) = series::to_unit(values);
        let train = series::lagged(&unit[..=kept], lags);
        Ok(Self {
            form: Some(own_data::series_form(name, lags, values)),
            ..Self::of(Dataset {
                test: train.clone(),
                train,
            })
        })
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

    /// Returns the description of the data that the plan needs.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        let shape = self.published.unwrap_or_else(|| self.dataset.shape());
        DataShape {
            image: self.image,
            ..shape
        }
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

    /// Returns the names, groups, sets and weights of the observations.
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

    /// The scaling of inputs when they enter a batch: numbers of the user's own and series have been scaled before.
    fn scaling(&self, scale: Scale) -> Scaling {
        match (&self.form, &self.dataset.train.inputs) {
            (Some(form), Inputs::Bytes(_)) => form.inputs[0],
            (Some(_), Inputs::Reals(_)) => Scaling::NONE,
            (None, _) => match scale {
                Scale::Unit => Scaling::unit(self.largest),
                Scale::Standard => Scaling::standard(&self.dataset.train),
                Scale::None => Scaling::NONE,
            },
        }
    }

    /// The whole problem in precision `T`.
    ///
    /// # Errors
    /// A model whose shape does not fit the data.
    pub fn problem<T: Real>(self, resolved: &Resolved) -> Result<Problem<T>> {
        let map = self.map(resolved)?;
        let augment = augment(resolved, self.shape())?;
        let scaling = self.scaling(resolved.config.data.scale);
        let form = map.network().map(|_| {
            let of = || SampleForm {
                image: self.image,
                ..SampleForm::of(&self.dataset.train, scaling)
            };
            self.form.clone().unwrap_or_else(of)
        });
        Ok(Problem {
            map,
            augment,
            dataset: self.dataset,
            scaling,
            form,
        })
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
