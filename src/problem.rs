//! From a configuration to what is inverted: the data, loaded by rank 0 and sent to all, and the forward map.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Config, ModelKind, Resolved, Scale};
use crate::data::{Dataset, Samples, Scaling, Targets, catalogue};
use crate::error::Result;
use crate::forward::ForwardMap;
use crate::forward::elliptic;
use crate::forward::linear::Linear;
use crate::plan::DataShape;
use crate::real::Real;
use crate::run::Problem;

/// The data of a run, and the operator of a synthetic problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    dataset: Dataset,
    largest: f64,
    /// The linear operator and prior deviation, where the data is synthetic.
    operator: Option<ndarray::Array2<f64>>,
}

/// Names of the synthetic problems.
const SYNTHETIC: [&str; 2] = ["elliptic", "random"];

impl Given {
    /// Loads or draws what `resolved` asks for.
    ///
    /// # Errors
    /// A data set that is unknown, missing or damaged; a key that does not fit it.
    pub fn load(resolved: &Resolved, data_dir: &Path) -> Result<Self> {
        let config = &resolved.config;
        let name = config.data.name.as_str();
        let synthetic = SYNTHETIC.contains(&name);
        if synthetic != (config.model.kind == ModelKind::Linear) {
            let allowed = if synthetic {
                "needs model.kind = \"linear\""
            } else {
                "must be elliptic or random for a linear model"
            };
            return Err(resolved.error("data.name", allowed));
        }
        if synthetic {
            return Ok(Self::synthetic(config));
        }
        if catalogue::find(name).is_err() {
            let known: Vec<&str> = catalogue::SOURCES
                .iter()
                .map(|s| s.name)
                .chain(SYNTHETIC)
                .collect();
            return Err(resolved.error("data.name", format!("must be one of {}", known.join(", "))));
        }
        let loaded = catalogue::load(name, data_dir)?;
        let mut dataset = loaded.dataset;
        let n = dataset.train.len();
        let held_out = config.data.validation;
        if held_out >= n {
            return Err(resolved.error(
                "data.validation",
                format!("must be less than the {n} training samples"),
            ));
        }
        if held_out > 0 {
            dataset.test = dataset.train.select(&(n - held_out..n).collect::<Vec<_>>());
            dataset.train = dataset.train.select(&(0..n - held_out).collect::<Vec<_>>());
        }
        if config.data.limit > dataset.train.len() {
            return Err(resolved.error(
                "data.limit",
                format!("must be at most {}", dataset.train.len()),
            ));
        }
        if config.data.limit > 0 {
            dataset.train = dataset
                .train
                .select(&(0..config.data.limit).collect::<Vec<_>>());
        }
        Ok(Self {
            dataset,
            largest: loaded.largest,
            operator: None,
        })
    }

    fn synthetic(config: &Config) -> Self {
        let problem = match config.data.name.as_str() {
            "elliptic" => elliptic::elliptic(config.seed, config.method.noise[0]),
            _ => elliptic::random(config.seed, config.method.noise[0]),
        };
        let k = problem.observations.len();
        let one = Samples {
            inputs: crate::data::Inputs::Reals(ndarray::Array2::zeros((1, 0))),
            targets: Targets::Values(
                problem
                    .observations
                    .into_shape_with_order((1, k))
                    .expect("one row"),
            ),
        };
        Self {
            dataset: Dataset {
                train: one.clone(),
                test: one,
            },
            largest: 1.0,
            operator: Some(problem.matrix),
        }
    }

    /// What the plan must know of the data.
    #[must_use]
    pub fn shape(&self) -> DataShape {
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
        crate::model::network(resolved, self.shape())
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
            dataset: self.dataset,
            scaling,
        })
    }
}
