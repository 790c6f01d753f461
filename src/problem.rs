//! From a configuration to what is inverted: the data, loaded by rank 0 and sent to all, and the forward map.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::config::{Config, MethodKind, ModelKind, Resolved, Scale};
use crate::data::augment::Shifts;
use crate::data::catalogue::Format;
use crate::data::recall::Task;
use crate::data::{Dataset, Inputs, Samples, Scaling, Targets, catalogue, series};
use crate::error::Result;
use crate::forward::ForwardMap;
use crate::forward::cart_pole;
use crate::forward::elliptic;
use crate::forward::linear::Linear;
use crate::forward::process::{Process, marginals};
use crate::observations;
use crate::plan::DataShape;
use crate::real::Real;
use crate::run::Problem;

/// The data of a run, and the operator of a synthetic problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    dataset: Dataset,
    largest: f64,
    /// The linear operator and prior deviation, where the data is synthetic.
    operator: Option<Array2<f64>>,
    /// The shape as published, where the samples themselves were not loaded.
    published: Option<DataShape>,
}

/// The problems that come from no published set, each with the one kind of model that takes it and that kind's word: drawn
/// from the seed, or from the user's own file.
const UNPUBLISHED: [(&str, ModelKind, &str); 4] = [
    ("elliptic", ModelKind::Linear, "linear"),
    ("random", ModelKind::Linear, "linear"),
    ("cart-pole", ModelKind::CartPole, "cart-pole"),
    ("observations", ModelKind::Process, "process"),
];

/// Starts of cart-pole's episodes to learn from, and others to be judged by.
const EPISODES: (usize, usize) = (1000, 100);

impl Given {
    /// Loads or draws what `resolved` asks for.
    ///
    /// # Errors
    /// A data set that is unknown, missing or damaged; a key that does not fit it.
    pub fn load(resolved: &Resolved, data_dir: &Path) -> Result<Self> {
        let config = &resolved.config;
        if let Some(task) = task(resolved)? {
            return Ok(Self {
                dataset: task.draw(config.seed, config.data.examples, TEST_EXAMPLES),
                largest: 1.0,
                operator: None,
                published: None,
            });
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
                    dataset: loaded.dataset,
                    largest: loaded.largest,
                    operator: None,
                    published: None,
                }
            }
        };
        given.cut(resolved)
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
    pub fn foresee(resolved: &Resolved) -> Result<Self> {
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
                dataset,
                largest: 1.0,
                operator: None,
                published: Some(DataShape {
                    train: resolved.config.data.examples,
                    test: TEST_EXAMPLES,
                    features: steps * inputs,
                    outputs: answers * numbers,
                    classes: false,
                }),
            });
        }
        let Some(source) = known_source(resolved)? else {
            return Self::unpublished(resolved)?.cut(resolved);
        };
        if source.format == Format::Series {
            let kept = predicted(resolved, source.samples.0)?;
            return Ok(Self {
                dataset,
                largest: 1.0,
                operator: None,
                published: Some(DataShape {
                    train: kept,
                    test: kept,
                    features: resolved.config.data.window,
                    outputs: 1,
                    classes: false,
                }),
            });
        }
        let (channels, height, width) = source.shape;
        let (train, test) = source.samples;
        let (kept, held_out) = split(resolved, train)?;
        Ok(Self {
            dataset,
            largest: source.largest,
            operator: None,
            published: Some(DataShape {
                train: kept,
                test: if held_out > 0 { held_out } else { test },
                features: channels * height * width,
                outputs: source.classes,
                classes: true,
            }),
        })
    }

    /// A series, scaled to 0..1 by its own range, as samples of one-step-ahead prediction.
    fn series(resolved: &Resolved, values: &[f64]) -> Result<Self> {
        let kept = predicted(resolved, values.len())?;
        let (unit, _) = series::to_unit(values);
        let train = series::lagged(&unit[..=kept], resolved.config.data.window);
        Ok(Self {
            dataset: Dataset {
                test: train.clone(),
                train,
            },
            largest: 1.0,
            operator: None,
            published: None,
        })
    }

    fn synthetic(config: &Config) -> Self {
        let problem = match config.data.name.as_str() {
            "cart-pole" => return Self::episodes(config.seed),
            "elliptic" => elliptic::elliptic(config.seed, config.method.noise[0]),
            _ => elliptic::random(config.seed, config.method.noise[0]),
        };
        Self::one_sample(problem.observations, Some(problem.matrix))
    }

    /// A problem of `UNPUBLISHED`.
    fn unpublished(resolved: &Resolved) -> Result<Self> {
        if resolved.config.model.kind == ModelKind::Process {
            Self::observed(resolved)
        } else {
            Ok(Self::synthetic(&resolved.config))
        }
    }

    /// The observations that a simulator should reproduce, from their file.
    fn observed(resolved: &Resolved) -> Result<Self> {
        let path = &resolved.config.data.observations;
        if path.is_empty() {
            let allowed = "must be the file of the numbers your simulator should give, as in \"observed.txt\"";
            return Err(resolved.error("data.observations", allowed));
        }
        let numbers = observations::read(Path::new(path))?;
        Ok(Self::one_sample(numbers.into(), None))
    }

    /// One sample without inputs, whose outputs are the `observations`.
    fn one_sample(
        observations: ndarray::Array1<f64>,
        operator: Option<ndarray::Array2<f64>>,
    ) -> Self {
        let row = observations.insert_axis(ndarray::Axis(0));
        let one = Samples {
            inputs: Inputs::Reals(Array2::zeros((1, 0))),
            targets: Targets::Values(row),
        };
        Self {
            dataset: Dataset {
                train: one.clone(),
                test: one,
            },
            largest: 1.0,
            operator,
            published: None,
        }
    }

    /// Cart-pole's: start states, and the highest return as the target of each.
    fn episodes(seed: u64) -> Self {
        // Blocks 0 to 2 are the linear problems'.
        let samples = |block, count| Samples {
            inputs: Inputs::Reals(cart_pole::starts(seed, block, count)),
            targets: Targets::Values(Array2::ones((count, 1))),
        };
        Self {
            dataset: Dataset {
                train: samples(3, EPISODES.0),
                test: samples(4, EPISODES.1),
            },
            largest: 1.0,
            operator: None,
            published: None,
        }
    }

    /// What the plan must know of the data.
    #[must_use]
    pub fn shape(&self) -> DataShape {
        if let Some(published) = self.published {
            return published;
        }
        let train = &self.dataset.train;
        DataShape {
            train: train.len(),
            test: self.dataset.test.len(),
            features: train.features(),
            outputs: train.outputs(),
            classes: matches!(train.targets, Targets::Classes { .. }),
        }
    }

    /// The forward map of `resolved` in precision `T`.
    ///
    /// # Errors
    /// A model whose shape does not fit the data.
    pub fn map<T: Real>(&self, resolved: &Resolved) -> Result<Box<dyn ForwardMap<T>>> {
        if let Some(operator) = &self.operator {
            return Ok(Box::new(Linear::new(operator.clone())));
        }
        if let Some(process) = process(resolved, self.shape().outputs)? {
            return Ok(Box::new(process));
        }
        crate::model::network(resolved, self.shape())
    }

    /// The observations of a problem of one sample, K numbers; of others, none.
    #[must_use]
    pub fn observations(&self) -> &[f64] {
        match &self.dataset.train.targets {
            Targets::Values(values) if values.nrows() == 1 => values.as_slice().expect("row-major"),
            _ => &[],
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
            shifts: shifts(resolved, self.shape())?,
            dataset: self.dataset,
            scaling,
        })
    }
}

/// The simulator of `resolved`, where it has one, for `outputs` observations; nothing is started yet.
///
/// # Errors
/// Keys that do not say what to start or to ask.
pub fn process(resolved: &Resolved, outputs: usize) -> Result<Option<Process>> {
    let model = &resolved.config.model;
    if model.kind != ModelKind::Process {
        return Ok(None);
    }
    if model.command.first().is_none_or(String::is_empty) {
        let allowed =
            "must be the words that start your simulator, as in [\"python3\", \"model.py\"]";
        return Err(resolved.error("model.command", allowed));
    }
    let priors = marginals(&model.prior)
        .map_err(|why| resolved.error("model.prior", format!("must {why}")))?;
    if priors.is_empty() {
        let allowed = "must have an entry for each parameter of your simulator, as in \"growth lognormal 1.0 0.5\"";
        return Err(resolved.error("model.prior", allowed));
    }
    let command = model.command.clone();
    Ok(Some(Process::new(
        command,
        priors,
        outputs,
        model.timeout.0,
    )))
}

/// Examples of a task that it is judged on.
const TEST_EXAMPLES: usize = 1000;

/// The task of long memory that `resolved` names, if it names one.
fn task(resolved: &Resolved) -> Result<Option<Task>> {
    let (model, data) = (&resolved.config.model, &resolved.config.data);
    let Some(task) = Task::find(&data.name, data.length) else {
        return Ok(None);
    };
    let (steps, _) = task.steps();
    let refuse = |key: &str, allowed: String| Err(resolved.error(key, allowed));
    if model.kind != ModelKind::Recurrent {
        return refuse(
            "model.kind",
            "must be \"recurrent\" for a task of long memory".to_owned(),
        );
    }
    if ![0, steps].contains(&model.steps) {
        return refuse(
            "model.steps",
            format!("must be 0 or the task's {steps} steps"),
        );
    }
    for (key, value) in [
        ("data.limit", data.limit),
        ("data.validation", data.validation),
    ] {
        if value > 0 {
            return refuse(
                key,
                "must be 0: data.examples says how many examples are drawn".to_owned(),
            );
        }
    }
    Ok(Some(task))
}

/// The published set that `resolved` names; None for a problem of `UNPUBLISHED`.
fn known_source(resolved: &Resolved) -> Result<Option<&'static catalogue::Source>> {
    let config = &resolved.config;
    let name = config.data.name.as_str();
    let kind = config.model.kind;
    if let Some((_, needed, word)) = UNPUBLISHED.iter().find(|(known, ..)| *known == name) {
        if *needed == kind {
            return Ok(None);
        }
        return Err(resolved.error("data.name", format!("needs model.kind = {word:?}")));
    }
    let takes: Vec<&str> = UNPUBLISHED
        .iter()
        .filter(|(_, needed, _)| *needed == kind)
        .map(|(known, ..)| *known)
        .collect();
    if let [_, ..] = takes[..] {
        let allowed = format!("must be {} for this model.kind", takes.join(" or "));
        return Err(resolved.error("data.name", allowed));
    }
    if !config.data.observations.is_empty() {
        return Err(resolved.error("data.observations", "needs model.kind = \"process\""));
    }
    catalogue::find(name).map(Some).map_err(|_| {
        let known: Vec<&str> = catalogue::SOURCES
            .iter()
            .map(|s| s.name)
            .chain(UNPUBLISHED.map(|(name, ..)| name))
            .chain(["adding", "copying"])
            .collect();
        resolved.error("data.name", format!("must be one of {}", known.join(", ")))
    })
}

/// How training images of data of `shape` are shifted, if they are to be.
fn shifts(resolved: &Resolved, shape: DataShape) -> Result<Option<Shifts>> {
    let config = &resolved.config;
    let most = config.data.augment;
    if most == 0 {
        return Ok(None);
    }
    let image = catalogue::find(&config.data.name).ok().map(|s| s.shape);
    let image = image.filter(|(c, h, w)| c * h * w == shape.features);
    let (image, side) = image
        .map(|image| (image, image.1.min(image.2)))
        .filter(|&(_, side)| side > 1)
        .ok_or_else(|| {
            resolved.error(
                "data.augment",
                "must be 0: the samples of this data are no images",
            )
        })?;
    if most >= side {
        let allowed = format!("must be less than the {side} pixels of an image's side");
        return Err(resolved.error("data.augment", allowed));
    }
    Ok(Some(Shifts {
        seed: config.seed,
        most,
        image,
    }))
}

/// How many values of a series of `n` are predicted one step ahead: all but the first, or data.limit of them.
fn predicted(resolved: &Resolved, n: usize) -> Result<usize> {
    let config = &resolved.config;
    let refuse = |key: &str, allowed: &str| Err(resolved.error(key, allowed));
    if config.model.kind != ModelKind::Recurrent {
        return refuse("model.kind", "must be \"recurrent\" for a series");
    }
    if config.data.shuffle {
        return refuse(
            "data.shuffle",
            "must be false: a series is taken in its order",
        );
    }
    if config.method.kind == MethodKind::MomentumSgd {
        return refuse("method.kind", "must be eki, sgd or ogd for a series");
    }
    if config.data.validation > 0 {
        return refuse(
            "data.validation",
            "must be 0: each value of a series is predicted before it is assimilated",
        );
    }
    if n < 2 || config.data.limit >= n {
        let most = n.saturating_sub(1);
        return refuse(
            "data.limit",
            &format!("must be at most {most}, for a series of {n} values"),
        );
    }
    Ok(match config.data.limit {
        0 => n - 1,
        limit => limit,
    })
}

/// How many of `n` training samples are fitted, and how many of the last are held out to judge on.
fn split(resolved: &Resolved, n: usize) -> Result<(usize, usize)> {
    let data = &resolved.config.data;
    if data.validation >= n {
        return Err(resolved.error(
            "data.validation",
            format!("must be less than the {n} training samples"),
        ));
    }
    let kept = n - data.validation;
    if data.limit > kept {
        return Err(resolved.error("data.limit", format!("must be at most {kept}")));
    }
    let kept = if data.limit > 0 { data.limit } else { kept };
    Ok((kept, data.validation))
}
