//! Findings about a finished network, for the page: which classes it confuses, the samples it is most wrong about, its first layer as
//! pictures, and the forecasts of a series.

use std::path::Path;

use ndarray::{Array2, ArrayView1};
use rayon::ThreadPool;

use super::predictions::forecasts::{Forecasts, series_values};
use super::predictions::{Batches, CHUNK, TrainedNetwork, outputs_at};
use crate::data::form::SampleForm;
use crate::data::{Inputs, Targets, catalogue};
use crate::error::Result;
use crate::forward::evaluator::Evaluator;
use crate::forward::layers::Layer;
use crate::forward::load::LoadedProblem;
use crate::forward::network::{Body, Network};
use crate::forward::problem::Problem;
use crate::kernels::real::Real;
use crate::report::finished::Finished;

/// The largest number of samples, and of units, that are shown.
const WORST: usize = 24;
const UNITS: usize = 32;

/// Findings about a trained network: its confusions, its worst samples, its first layer.
#[derive(Clone, Debug, Default)]
pub struct Trained {
    /// The test samples by class, where targets are classes.
    pub classified: Option<Classified>,
    /// The weights of the first layer, where inputs are images.
    pub weights: Vec<Picture>,
    /// The forecasts of a series, its name, and how many of its values, from the first on, the network was fitted to.
    pub forecasts: Option<(String, Forecasts, usize)>,
}

/// The test samples by class, as the network at the mean classifies them.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The names of the classes.
    pub names: Vec<String>,
    /// The number of samples of each class (row) that are classified as each (column).
    pub counts: Array2<usize>,
    /// The misclassified samples, the worst first: those whose wrong class has most more than the right one.
    pub worst: Vec<Misclassified>,
}

/// A misclassified sample.
#[derive(Clone, Debug)]
pub struct Misclassified {
    /// Its number among the test samples, from 0.
    pub sample: usize,
    /// Its class and the output for it.
    pub target: (usize, f64),
    /// The class that it is taken for and the output for that.
    pub taken_for: (usize, f64),
    /// The sample, where it is an image.
    pub picture: Option<Picture>,
}

/// A picture of bytes, from black to white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row, and rows.
    pub size: (usize, usize),
    /// Bytes of a pixel: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// The bytes, row by row, pixel by pixel.
    pub bytes: Vec<u8>,
}

impl Trained {
    /// Evaluates the network of `finished` on its test samples, from `data_dir` where they are known by name; or a series's forecasts.
    ///
    /// # Errors
    /// A run that has not ended, or data that are missing.
    pub fn of<T: Real>(pool: &ThreadPool, finished: &Finished, data_dir: &Path) -> Result<Self> {
        let resolved = &finished.resolved;
        if catalogue::is_series(&resolved.config.data.name) {
            let network = TrainedNetwork::<T>::of(finished, data_dir)?;
            let values = series_values(finished, &network.form, (None, data_dir))?;
            let name = network.form.output_name(0);
            let fitted = match resolved.config.data.limit {
                0 => values.len(),
                limit => limit + 1,
            };
            let given = (values, finished.has_ensemble());
            let forecasts = network.forecast(pool, finished, given)?;
            return Ok(Self {
                forecasts: Some((name, forecasts, fitted)),
                ..Self::default()
            });
        }
        let problem = LoadedProblem::load(resolved, data_dir)?.problem::<T>(resolved)?;
        let (Some(form), Some(network)) = (&problem.form, problem.map.network()) else {
            return Ok(Self::default());
        };
        let point = finished.mean::<T>(problem.map.parameters())?;
        Ok(Self {
            classified: classified(pool, (&problem, form), &point),
            weights: first_layer((&network, form), &point),
            forecasts: None,
        })
    }
}

/// Returns the test samples by class at `point`; None where targets are values.
fn classified<T: Real>(
    pool: &ThreadPool,
    (problem, form): (&Problem<T>, &SampleForm),
    point: &[T],
) -> Option<Classified> {
    let test = &problem.dataset.test;
    let Targets::Classes { labels, classes } = &test.targets else {
        return None;
    };
    let evaluator = Evaluator::new(problem.map.as_ref(), pool, CHUNK);
    let batches = Batches {
        samples: test,
        scaling: problem.scaling,
        height: CHUNK,
    };
    let outputs = outputs_at(pool, &evaluator, (&batches, point));
    let mut counts = Array2::zeros((*classes, *classes));
    let mut wrong = Vec::new();
    for (i, (z, &label)) in outputs.rows().into_iter().zip(labels).enumerate() {
        let (target, taken) = (usize::from(label), largest(z));
        counts[[target, taken]] += 1;
        if taken != target {
            wrong.push((i, (target, z[target]), (taken, z[taken])));
        }
    }
    let margin = |of: &(usize, (usize, f64), (usize, f64))| of.2.1 - of.1.1;
    wrong.sort_by(|a, b| margin(b).total_cmp(&margin(a)));
    let worst = wrong.into_iter().take(WORST);
    let worst = worst.map(|(sample, target, taken_for)| Misclassified {
        sample,
        target,
        taken_for,
        picture: picture_of(&test.inputs, sample, form),
    });
    Some(Classified {
        names: form.classes.clone(),
        counts,
        worst: worst.collect(),
    })
}

/// Returns the place of the largest output, the first of several.
fn largest(z: ArrayView1<f64>) -> usize {
    (0..z.len()).fold(0, |best, c| if z[c] > z[best] { c } else { best })
}

/// Returns sample `i` as a picture, from its least number, black, to its largest; None where it is no image.
fn picture_of(inputs: &Inputs, i: usize, form: &SampleForm) -> Option<Picture> {
    let (channels, height, width) = form.image?;
    if height < 2 || width < 2 {
        return None;
    }
    let numbers: Vec<f64> = match inputs {
        Inputs::Bytes(bytes) => bytes.row(i).iter().map(|&x| f64::from(x)).collect(),
        Inputs::Reals(numbers) => numbers.row(i).to_vec(),
    };
    let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
    let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = if high > low { high - low } else { 1.0 };
    let byte = |x: f64| (255.0 * (x - low) / range).round() as u8;
    let pixels = height * width;
    // Of other numbers of channels the first is shown.
    let shown = if channels == 3 { 3 } else { 1 };
    let bytes = (0..pixels).flat_map(|p| (0..shown).map(move |c| c * pixels + p));
    Some(Picture {
        size: (width, height),
        channels: shown,
        bytes: bytes.map(|k| byte(numbers[k])).collect(),
    })
}

/// Returns the place of a unit's weight k among the parameters.
type Place = Box<dyn Fn(usize, usize) -> usize>;

/// Returns the weights of the first layer's units as pictures, the means over channels: 0 is grey, the largest of all is white and its
/// negative black. Of many units those of the largest weights; none where inputs are no images.
fn first_layer<T: Real>((network, form): (&Network, &SampleForm), point: &[T]) -> Vec<Picture> {
    let (shape, units, at): (_, usize, Place) = match (&network.body, form.image) {
        (Body::Inputs, Some(shape)) if shape.1 > 1 && shape.2 > 1 => {
            let units = network.dense[1];
            (shape, units, Box::new(move |unit, k| k * units + unit))
        }
        (Body::Images { from, layers }, _) => match layers[..] {
            [Layer::Convolution { outputs, kernel }, ..] if kernel > 1 => {
                let shape = (from.channels, kernel, kernel);
                let size = from.channels * kernel * kernel;
                (shape, outputs, Box::new(move |unit, k| unit * size + k))
            }
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let (channels, height, width) = shape;
    let pixels = height * width;
    let weights = |unit: usize| -> Vec<f64> {
        let mean = |p: usize| {
            let all = (0..channels).map(|c| point[at(unit, c * pixels + p)].as_f64());
            all.sum::<f64>() / channels as f64
        };
        (0..pixels).map(mean).collect()
    };
    let norm = |weights: &[f64]| weights.iter().map(|w| w * w).sum::<f64>();
    let mut all: Vec<Vec<f64>> = (0..units).map(weights).collect();
    all.sort_by(|a, b| norm(b).total_cmp(&norm(a)));
    all.truncate(UNITS);
    let largest = all
        .iter()
        .flatten()
        .fold(0.0, |most: f64, w| most.max(w.abs()));
    let byte = |w: f64| (127.5 + 127.5 * w / largest.max(f64::MIN_POSITIVE)).round() as u8;
    let picture = |weights: Vec<f64>| Picture {
        size: (width, height),
        channels: 1,
        bytes: weights.into_iter().map(byte).collect(),
    };
    all.into_iter().map(picture).collect()
}
