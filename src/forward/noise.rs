//! The observations' noise, from `method.noise` and the files that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, Axis};

use crate::config::{Diagonal, NoiseEstimate, NoiseSource, Resolved};
use crate::data::noise::covariance::Covariance;
use crate::data::noise::{ControlRuns, Gamma, Kept, KeptFile, Noise};
use crate::data::observed::ObservationTable;
use crate::error::{Error, Result};
use crate::files::numbers::number;
use crate::io::{matrix, observations};

/// The key that all of this file is about.
const KEY: &str = "method.noise";
/// The name of the copy of the noise's file in a run's folder: of variances, a covariance or control runs.
const STEM: &str = "noise";
/// The name of the copy of a diagonal's file.
const DIAGONAL: &str = "noise-diagonal";
/// The name of the copy of the factors' file.
const FACTORS: &str = "noise-factors";

/// Reads the noise of the observations of `table`: of the simulator's outputs those that are observed, with each deviation divided
/// by the observation's weight. For one process.
///
/// # Errors
/// One line on what is wrong: a file that is missing or damaged, another size, numbers that make no covariance, or correlated
/// noise of a model without observations of its own.
pub fn load(resolved: &Resolved, table: &ObservationTable) -> Result<Noise> {
    let source = &resolved.config.method.noise;
    let mut reader = Reader {
        resolved,
        table,
        scales: table.scales(),
        files: Vec::new(),
    };
    if !table.variances.is_empty() {
        return Ok(Gamma::Diagonal(reader.weighted(table.variances.clone())).into());
    }
    // Of other data than a table's the plan checks how many there are.
    let plain = table.outputs == table.outputs.count().into() && table.weights.is_empty();
    if let (Some(variances), true) = (source.variances(), plain) {
        return Ok(Gamma::Diagonal(variances.to_vec()).into());
    }
    let mut estimated = None;
    let gamma = match source {
        NoiseSource::Diagonal(diagonal) => Gamma::Diagonal(reader.diagonal(diagonal, STEM)?),
        NoiseSource::Covariance(path) => {
            let (path, mut gamma) = reader.matrix(path, STEM)?;
            let side = if gamma.is_square() { gamma.nrows() } else { 0 };
            reader.check(&path, (gamma.dim(), side), "a covariance is K x K")?;
            gamma = reader.observed(gamma, Axis(0));
            gamma = reader.observed(gamma, Axis(1));
            correlated(&path, Covariance::full(gamma))?
        }
        NoiseSource::Factors { diagonal, factors } => {
            let variances = reader.diagonal(diagonal, DIAGONAL)?;
            let (path, u) = reader.matrix(factors, FACTORS)?;
            reader.check(&path, (u.dim(), u.nrows()), "factors are K x r")?;
            let u = reader.observed(u, Axis(0));
            correlated(&path, Covariance::low_rank(&variances, u))?
        }
        NoiseSource::Samples { runs, estimate } => {
            let (path, runs) = reader.matrix(runs, STEM)?;
            reader.check(&path, (runs.dim(), runs.ncols()), "control runs are N x K")?;
            let count = runs.nrows();
            let modes = ControlRuns(reader.observed(runs, Axis(1))).covariance(*estimate);
            let modes = modes.map_err(|why| Error::data(&path, why))?;
            estimated = Some(words(count, modes.factors.ncols(), (*estimate, modes.kept)));
            match modes.factors.ncols() {
                0 => Gamma::Diagonal(modes.diagonal),
                _ => correlated(&path, Covariance::low_rank(&modes.diagonal, modes.factors))?,
            }
        }
    };
    Ok(Noise {
        gamma,
        estimated,
        files: reader.files,
    })
}

/// Returns what is said of an `estimate` from `runs` control runs, which `kept` this of their correlations.
fn words(runs: usize, modes: usize, (estimate, kept): (NoiseEstimate, Kept)) -> String {
    let from = format!("{KEY}: from {runs} control runs");
    let (share, unlike) = match kept {
        Kept::Leading { share, unlike } => (number(100.0 * share, 3), unlike),
        Kept::Shrunk(0.0) => return format!("{from}: their sample covariance"),
        Kept::Shrunk(part) => {
            let part = number(100.0 * part, 3);
            return format!(
                "{from}: their sample covariance, its correlations shrunk by {part} % towards independent noise"
            );
        }
    };
    let stands_out = estimate == NoiseEstimate::Outstanding;
    let (stand, rest) = (
        "of the outputs' correlations",
        "the rest is taken as independent",
    );
    let kept = match (modes, stands_out) {
        (0, true) => {
            format!("no mode {stand} stands out from sampling noise: all are taken as independent")
        }
        (0, false) => format!("no mode {stand} is kept: all are taken as independent"),
        (1, true) => format!(
            "1 mode {stand} stands out from sampling noise and holds {share} % of their variance; {rest}"
        ),
        (1, false) => {
            format!("1 mode {stand} is kept and holds {share} % of their variance; {rest}")
        }
        (_, true) => format!(
            "{modes} modes {stand} stand out from sampling noise and hold {share} % of their variance; {rest}"
        ),
        (_, false) => {
            format!("{modes} modes {stand} are kept and hold {share} % of their variance; {rest}")
        }
    };
    let warning = unlike.map_or_else(String::new, |[least, largest]| {
        format!(
            ", though its modes differ by more than sampling noise (variances from {} to {} of standardised outputs): what hardly \
             varies is lost, and {{ samples = FILE, shrinkage = 0 }} keeps it",
            number(least, 2),
            number(largest, 2)
        )
    });
    format!("{from}: {kept}{warning}")
}

/// Returns the noise of a `covariance` that was read from `path`.
fn correlated(path: &Path, covariance: std::result::Result<Covariance, String>) -> Result<Gamma> {
    let covariance = covariance.map_err(|why| Error::data(path, why))?;
    Ok(Gamma::Correlated(Arc::new(covariance)))
}

/// Reads files that hold the noise of the outputs of `table`, and keeps account of them.
struct Reader<'a> {
    resolved: &'a Resolved,
    table: &'a ObservationTable,
    /// The factor of each observation's deviation; none: 1.
    scales: Vec<f64>,
    files: Vec<KeptFile>,
}

impl Reader<'_> {
    /// Returns the path of the file `named` in the configuration, whose copy in a run's folder is called `stem`.
    fn file(&mut self, named: &str, stem: &str) -> Result<PathBuf> {
        let path = self.resolved.kept_file(KEY, named, stem)?;
        self.files.push(KeptFile::of(stem, &path)?);
        Ok(path)
    }

    /// Reads the matrix in the file `named`.
    fn matrix(&mut self, named: &str, stem: &str) -> Result<(PathBuf, Array2<f64>)> {
        let path = self.file(named, stem)?;
        let matrix = matrix::read(&path)?;
        Ok((path, matrix))
    }

    /// Returns those of the rows or columns of `matrix`, one for each output, whose outputs are observed, weighted.
    fn observed(&self, matrix: Array2<f64>, axis: Axis) -> Array2<f64> {
        let outputs = &self.table.outputs;
        let mut kept = match outputs.count() < outputs.total() {
            true => matrix.select(axis, &outputs.places().collect::<Vec<_>>()),
            false => matrix,
        };
        for (mut lane, scale) in kept.axis_iter_mut(axis).zip(&self.scales) {
            lane *= *scale;
        }
        kept
    }

    /// Returns the `variances`, of one observation or all, weighted.
    fn weighted(&self, variances: Vec<f64>) -> Vec<f64> {
        if self.scales.is_empty() {
            return variances;
        }
        let scaled = variances.iter().cycle().zip(&self.scales);
        scaled.map(|(v, scale)| v * scale * scale).collect()
    }

    /// Returns the variances that `diagonal` gives or names: one, or one for each observation.
    fn diagonal(&mut self, diagonal: &Diagonal, stem: &str) -> Result<Vec<f64>> {
        let total = self.table.outputs.total();
        let variances = match diagonal {
            Diagonal::Variances(variances) => variances.clone(),
            Diagonal::File(named) => {
                let path = self.file(named, stem)?;
                let variances = observations::read(&path)?;
                let refused = |why: String| Err(Error::data(&path, why));
                if let Some(k) = variances.iter().position(|v| *v <= 0.0) {
                    let (v, place) = (variances[k], k + 1);
                    return refused(format!(
                        "holds {v} as number {place}, and variances must be greater than 0"
                    ));
                }
                if ![1, total].contains(&variances.len()) {
                    let given = variances.len();
                    return refused(format!(
                        "holds {given} variances, and there are {total} observations"
                    ));
                }
                variances
            }
        };
        if variances.len() == 1 {
            return Ok(self.weighted(variances));
        }
        if variances.len() != total {
            let allowed = format!("must be one number or {total}, one for each output");
            return Err(self.resolved.error(KEY, allowed));
        }
        Ok(self.weighted(self.table.outputs.select(variances)))
    }

    /// Refuses a file whose matrix of `shape` does not have `side` = K, where `wanted` says what is.
    fn check(
        &self,
        path: &Path,
        (shape, side): ((usize, usize), usize),
        wanted: &str,
    ) -> Result<()> {
        let k = self.table.outputs.total();
        if side == k {
            return Ok(());
        }
        let (rows, columns) = shape;
        let why = format!(
            "has shape {rows} x {columns}, but {wanted}, and there are K = {k} observations"
        );
        Err(Error::data(path, why))
    }
}
