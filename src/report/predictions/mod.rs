//! Predictions of a finished run's network for any inputs: at the final mean, and by its members.
//!
//! ```text
//! z_i = G(ubar, x_i)                              at the mean
//! m_i = (1/J) sum_j G(u_j, x_i)                   mean of the members' outputs
//! s_i^2 = (1/J) sum_j (G(u_j, x_i) - m_i)^2       their spread
//! ```

pub mod forecasts;
mod samples;

use std::path::Path;

use ndarray::{Array2, Array3, Axis, s};
use rayon::ThreadPool;

use crate::config::ModelKind;
use crate::data::form::SampleForm;
use crate::data::observed::ObservationTable;
use crate::data::shape::DataShape;
use crate::data::{Batch, Inputs, Samples, Scaling};
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::activation::Output;
use crate::forward::evaluator::Evaluator;
use crate::forward::load::LoadedProblem;
use crate::io::npy::Rows;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::report::finished::Finished;
use crate::run::final_network::description;
pub use samples::{NewSamples, new_samples};

/// The number of samples that are evaluated together.
pub(super) const CHUNK: usize = 512;
/// The largest number of parameters, and of outputs, of the members that are in memory at the same time.
const NUMBERS: usize = 1 << 24;

/// The network of a finished run, and the form of its samples.
pub struct TrainedNetwork<T> {
    /// The forward map.
    pub map: Box<dyn ForwardMap<T>>,
    /// The form of its samples, with their scaling.
    pub form: SampleForm,
    /// True if outputs are probabilities.
    pub is_softmax: bool,
}

/// Outputs of a network for n samples, n x c, as the network gives them: values are scaled.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// The outputs at the final mean.
    pub outputs: Array2<f64>,
    /// The members' outputs, where they were asked for.
    pub members: Option<MemberOutputs>,
}

/// Statistics of the members' outputs, n x c.
#[derive(Clone, Debug)]
pub struct MemberOutputs {
    /// The number J of members.
    pub count: usize,
    /// The mean over members.
    pub mean: Array2<f64>,
    /// The standard deviation over members.
    pub deviation: Array2<f64>,
}

impl<T: Real> TrainedNetwork<T> {
    /// Returns the network of the run `finished`: by the file that the run left, or of a run of an earlier version by its data, in
    /// `data_dir` where they are known by name.
    ///
    /// # Errors
    /// A run whose model is no network or that has not ended; damaged files; data that are needed and missing.
    pub fn of(finished: &Finished, data_dir: &Path) -> Result<Self> {
        let resolved = &finished.resolved;
        let kind = resolved.config.model.kind;
        let networks = [ModelKind::Dense, ModelKind::Conv, ModelKind::Recurrent];
        if !networks.contains(&kind) {
            return Err(Error::Usage(format!(
                "{}: its model is no network: predictions need model.kind = \"dense\", \"conv\" or \"recurrent\"",
                finished.folder.display()
            )));
        }
        if !finished.has_mean() {
            return Err(finished.has_not_ended());
        }
        let (map, form) = match description(&finished.folder)? {
            Some(description) => {
                let form = description.form;
                let shape = DataShape {
                    train: 0,
                    test: 0,
                    features: form.features,
                    outputs: form.outputs,
                    classes: !form.classes.is_empty(),
                    image: form.image,
                };
                let no_observations = ObservationTable::from(0);
                let map = crate::forward::of(resolved, shape, (None, &no_observations))?;
                (map, form)
            }
            None => {
                let problem = LoadedProblem::load(resolved, data_dir)?.problem::<T>(resolved)?;
                (problem.map, problem.form.expect("a network has one"))
            }
        };
        let network = map.network().expect("checked above");
        Ok(Self {
            is_softmax: network.output == Output::Softmax,
            map,
            form,
        })
    }

    /// Returns the network's outputs for `inputs`, n x d, in their own units; also those of the members if `with_members`. The result
    /// does not depend on the number of threads. Consecutive samples of a series are consecutive in time.
    ///
    /// # Errors
    /// Arrays of the run that are missing, damaged or of another shape.
    pub fn predict(
        &self,
        pool: &ThreadPool,
        finished: &Finished,
        (inputs, with_members): (Inputs, bool),
    ) -> Result<Predictions> {
        let (samples, scaling) = self.scaled(inputs);
        let parameters = self.map.parameters();
        let n = samples.len();
        let height = match self.map.carrying() {
            Some(_) => n,
            None => CHUNK,
        };
        let evaluator = Evaluator::new(self.map.as_ref(), pool, height);
        let batches = Batches {
            samples: &samples,
            scaling,
            height,
        };
        let point = finished.mean::<T>(parameters)?;
        let outputs = outputs_at(pool, &evaluator, (&batches, &point));
        let members = match with_members {
            false => None,
            true => {
                let rows = finished.ensemble(parameters)?;
                let rows = rows.ok_or_else(|| not_kept(finished))?;
                Some(over_members(&evaluator, &batches, rows, &outputs)?)
            }
        };
        Ok(Predictions { outputs, members })
    }

    /// Returns `inputs` as samples without targets, and the scaling with which they enter a batch: as in the run, bytes are scaled
    /// then, real numbers before.
    fn scaled(&self, inputs: Inputs) -> (Samples, Scaling) {
        let (inputs, scaling) = match (inputs, &self.form.inputs[..]) {
            (Inputs::Bytes(bytes), &[scaling]) => (Inputs::Bytes(bytes), scaling),
            (inputs, _) => {
                let mut numbers = match inputs {
                    Inputs::Bytes(bytes) => bytes.mapv(f64::from),
                    Inputs::Reals(numbers) => numbers,
                };
                self.form.scale(numbers.view_mut());
                (Inputs::Reals(numbers), Scaling::NONE)
            }
        };
        let n = match &inputs {
            Inputs::Bytes(bytes) => bytes.nrows(),
            Inputs::Reals(numbers) => numbers.nrows(),
        };
        let targets = crate::data::Targets::Values(Array2::zeros((n, 0)));
        (Samples { inputs, targets }, scaling)
    }
}

/// Returns the error for a run without its members.
fn not_kept(finished: &Finished) -> Error {
    Error::Usage(format!(
        "{}: the members were not kept: run with --set output.ensemble=true, or predict without --members",
        finished.folder.display()
    ))
}

/// Returns the outputs, n x c, at the parameters `point`, P numbers.
pub(super) fn outputs_at<T: Real>(
    pool: &ThreadPool,
    evaluator: &Evaluator<T>,
    (batches, point): (&Batches, &[T]),
) -> Array2<f64> {
    let mut outputs = Array2::zeros((batches.samples.len(), evaluator.map().outputs()));
    let places = outputs.axis_chunks_iter_mut(Axis(0), batches.height.max(1));
    for_each(pool, places.enumerate(), |thread, (chunk, mut place)| {
        let batch = batches.get::<T>(chunk);
        evaluator.one(thread, point, batch.inputs.view(), |z| {
            place.assign(&z.t().mapv(Real::as_f64));
        });
    });
    outputs
}

/// Samples in chunks.
pub(super) struct Batches<'a> {
    /// The samples.
    pub(super) samples: &'a Samples,
    /// The scaling with which their inputs enter a batch.
    pub(super) scaling: Scaling,
    /// The number of samples of a chunk.
    pub(super) height: usize,
}

impl Batches<'_> {
    /// Returns the chunk at place `chunk`.
    fn get<T: Real>(&self, chunk: usize) -> Batch<T> {
        let start = chunk * self.height;
        let rows: Vec<usize> = (start..(start + self.height).min(self.samples.len())).collect();
        Batch::gather(self.samples, &rows, self.scaling)
    }
}

/// Returns the statistics of the outputs of all members in `rows`. Reads a few members at a time, so that an ensemble of any size fits;
/// sums are of differences from `centre`, n x c, which lies among the members' outputs.
fn over_members<T: Real>(
    evaluator: &Evaluator<T>,
    batches: &Batches,
    mut rows: Rows<T>,
    centre: &Array2<f64>,
) -> Result<MemberOutputs> {
    let (n, c) = centre.dim();
    let parameters = evaluator.map().parameters();
    let held = parameters.max(batches.height * c);
    let height = (NUMBERS / held).clamp(1, rows.rows());
    let (mut sums, mut squares) = (Array2::<f64>::zeros((n, c)), Array2::<f64>::zeros((n, c)));
    let mut outputs = Array3::<T>::zeros((height, c, batches.height));
    let mut count = 0;
    loop {
        let points = rows.read(height)?;
        let read = points.len() / parameters;
        if read == 0 {
            break;
        }
        count += read;
        for (chunk, start) in (0..n).step_by(batches.height.max(1)).enumerate() {
            let batch = batches.get::<T>(chunk);
            let width = batch.len();
            evaluator.for_members(
                0..read,
                batch.inputs.view(),
                outputs.axis_iter_mut(Axis(0)),
                |member, out| {
                    out.copy_from_slice(&points[member * parameters..(member + 1) * parameters]);
                },
                |_, mut place, outputs| place.slice_mut(s![.., ..width]).assign(&outputs),
            );
            for member in 0..read {
                for i in 0..width {
                    for o in 0..c {
                        let x = outputs[[member, o, i]].as_f64() - centre[[start + i, o]];
                        sums[[start + i, o]] += x;
                        squares[[start + i, o]] += x * x;
                    }
                }
            }
        }
    }
    let about = sums / count as f64;
    let variance = squares / count as f64 - &about * &about;
    Ok(MemberOutputs {
        count,
        mean: centre + &about,
        deviation: variance.mapv(|x| x.max(0.0).sqrt()),
    })
}
