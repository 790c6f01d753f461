//! The observations that a simulator should reproduce, from the file of `data.observations`.

use crate::config::{Precision, Resolved};
use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::files::numbers::number;
use crate::io::observation_table;

/// Reads the values of the observations, and what a table says of them.
///
/// # Errors
/// A file that is not named, missing or damaged; noise that is not given, or given twice; a value that the precision cannot hold.
pub(super) fn read(resolved: &Resolved) -> Result<(Vec<f64>, ObservationTable)> {
    if resolved.config.data.observations.is_empty() {
        let allowed =
            "must be the file of the numbers your simulator should give, as in \"observed.txt\"";
        return Err(resolved.error("data.observations", allowed));
    }
    let path = resolved.observations()?;
    let (values, table) = observation_table::read(&path)?;
    let table = table.with_missing(resolved.config.model.missing);
    let given = resolved.origins.contains_key("method.noise");
    // The configuration in a run's folder names every key, also one that has its default.
    let noise = &resolved.config.method.noise;
    let by_default = resolved.is_of_run() && noise.variances() == Some(&[1.0]);
    if given && !by_default && !table.variances.is_empty() {
        let allowed =
            "must not be given beside data.observations with a column of deviations or variances";
        return Err(resolved.error("method.noise", allowed));
    }
    if !given && table.variances.is_empty() {
        let allowed = "must be given: the variance of the observations' errors, one number or one for each \
                       observation, or their covariance (without it, runs of earlier versions took 1.0)";
        return Err(resolved.error("method.noise", allowed));
    }
    let beyond = |y: &f64| y.abs() > f64::from(f32::MAX);
    let single = resolved.config.run.precision != Precision::Double;
    if let Some(place) = values.iter().position(beyond).filter(|_| single) {
        let why = format!(
            "holds {} as number {}, more than single precision: run.precision = \"double\" holds it",
            number(values[place], 4),
            place + 1
        );
        return Err(Error::data(path, why));
    }
    Ok((values, table))
}
