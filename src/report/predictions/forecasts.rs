//! Forecasts of a series by a finished run's network, one step ahead, with those of persistence and autoregression.

use std::path::Path;

use ndarray::Array2;
use rayon::ThreadPool;

use super::TrainedNetwork;
use crate::config::OWN_SERIES;
use crate::data::baseline::autoregression_forecasts;
use crate::data::form::SampleForm;
use crate::data::{Inputs, catalogue, series};
use crate::error::{Error, Result};
use crate::files::ends_in;
use crate::forward::own_data::own_series;
use crate::io::array::{self, Numbers};
use crate::io::samples::column;
use crate::kernels::real::Real;
use crate::report::finished::Finished;

/// Forecasts of the values 1 to N of a series of N values, in its own units: that of value N lies beyond its end.
#[derive(Clone, Debug)]
pub struct Forecasts {
    /// The series, N values.
    pub values: Vec<f64>,
    /// The network at the final mean, which has gone through the series from its first value on; N numbers.
    pub network: Vec<f64>,
    /// The mean and the deviation over members of what they forecast; N each, where the members were asked for.
    pub members: Option<(Vec<f64>, Vec<f64>)>,
    /// The value before each; N numbers.
    pub persistence: Vec<f64>,
    /// Linear autoregression on the last two and the last twenty values, fitted to the whole series; unknown for the first values, and for
    /// series too short to fit it.
    pub autoregressions: [(usize, Vec<Option<f64>>); 2],
}

impl Forecasts {
    /// Returns the mean squared error of `forecasts` on the values that they are known for; None for none.
    #[must_use]
    pub fn squared_error(&self, forecasts: &[Option<f64>]) -> Option<f64> {
        let pairs = self.values[1..].iter().zip(forecasts);
        let errors: Vec<f64> = pairs
            .filter_map(|(value, forecast)| Some((value - (*forecast)?).powi(2)))
            .collect();
        (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
    }
}

/// Reads the series in `path`, a table's column by the name in `form` or an .npy array of one dimension; without a path that of the run
/// itself.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, or numbers that are not finite.
pub fn series_values(
    finished: &Finished,
    form: &SampleForm,
    (path, data_dir): (Option<&Path>, &Path),
) -> Result<Vec<f64>> {
    let name = &finished.resolved.config.data.name;
    let is_own = name == OWN_SERIES;
    let values = match path {
        None if is_own => own_series(&finished.resolved)?.1,
        None => catalogue::load_series(name, data_dir)?,
        Some(path) if ends_in(path, "npy") => array_values(path)?,
        Some(path) => column(path, if is_own { &form.target } else { "" })?.1,
    };
    match values.len() {
        0 | 1 => Err(Error::data(
            path.unwrap_or(data_dir),
            "holds fewer than two values",
        )),
        _ => Ok(values),
    }
}

/// Reads the values of an array of one dimension, or of one column.
fn array_values(path: &Path) -> Result<Vec<f64>> {
    let numbers = match array::read(path)? {
        Numbers::Bytes(array) => array.mapv(f64::from),
        Numbers::Integers(array) => array.mapv(|n| n as f64),
        Numbers::Reals(array) => array,
    };
    match *numbers.shape() {
        [_] | [_, 1] => Ok(numbers.into_iter().collect()),
        ref sizes => Err(Error::data(
            path,
            format!("has shape {sizes:?}, but a series is N values"),
        )),
    }
}

impl<T: Real> TrainedNetwork<T> {
    /// Returns the forecasts of the series `values`, also those of the members if `with_members`.
    ///
    /// # Errors
    /// Predicts as `predict` does.
    pub fn forecast(
        &self,
        pool: &ThreadPool,
        finished: &Finished,
        (values, with_members): (Vec<f64>, bool),
    ) -> Result<Forecasts> {
        let n = values.len();
        // As `series::lagged` has them; the last sample's target is not known.
        let inputs =
            Array2::from_shape_fn((n, self.form.lags), |(t, k)| values[t.saturating_sub(k)]);
        let found = self.predict(pool, finished, (Inputs::Reals(inputs), with_members))?;
        let own = |outputs: &Array2<f64>| -> Vec<f64> {
            let outputs = outputs.column(0);
            outputs.iter().map(|&z| self.form.value(0, z)).collect()
        };
        let scale = self.form.targets.first().map_or(1.0, |of| of.scale);
        let members = found.members.as_ref().map(|members| {
            let spread = members.deviation.column(0);
            (
                own(&members.mean),
                spread.iter().map(|s| s * scale).collect(),
            )
        });
        let (unit, scaling) = series::to_unit(&values);
        let autoregression = |p: usize| {
            let unknown = || vec![None; n];
            let found = autoregression_forecasts(&unit, p).unwrap_or_else(unknown);
            let own = found.into_iter().map(|x| x.map(|x| scaling.undo(x)));
            (p, own.collect())
        };
        Ok(Forecasts {
            network: own(&found.outputs),
            members,
            persistence: values.clone(),
            autoregressions: [2, 20].map(autoregression),
            values,
        })
    }
}
