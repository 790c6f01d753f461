//! The matrix of `model.prior_correlation` or `model.prior_covariance`: a table whose columns and rows have the parameters' names, or
//! numbers alone, in text or an .npy array, over all free parameters in their order.

use ndarray::{Array2, ArrayView2};

use super::correlation::Correlation;
use super::{JointPrior, Marginal, Value};
use crate::files::numbers;
use crate::files::table::Table;
use crate::io::{matrix, npy};

/// The most parameters that a matrix correlates.
const MOST: usize = 5000;
/// The relative tolerance between a variance and that of its law: files are often rounded.
const TOLERANCE: f64 = 1e-5;

impl JointPrior {
    /// This prior with the coordinates of its free parameters correlated by the matrix `r`, P x P in their order: a Gaussian copula.
    ///
    /// # Errors
    /// What is wrong with the matrix, in words that follow "must".
    pub fn correlated(self, r: ArrayView2<f64>) -> Result<Self, String> {
        let all = self.free_single().collect();
        self.with_matrix(all, r, false)
    }

    /// This prior with the matrix in a file's `bytes`, an .npy array or else a table: a covariance, or else a correlation.
    ///
    /// # Errors
    /// What is wrong with the file, in words that follow "must".
    pub(super) fn with_matrix_of(
        self,
        bytes: &[u8],
        is_array: bool,
        is_covariance: bool,
    ) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let numbers_alone = match is_array {
            true => Some(npy::matrix(bytes)),
            false => begins_with_numbers(&text).then(|| matrix::in_text(&text)),
        };
        let (named, matrix) = match numbers_alone {
            Some(read) => (
                self.free_single().collect(),
                read.map_err(|why| format!("name a matrix that can be read: {why}"))?,
            ),
            None => self.table(&text)?,
        };
        self.with_matrix(named, matrix.view(), is_covariance)
    }

    /// This prior with the matrix `a` over the parameters `named`.
    fn with_matrix(
        mut self,
        mut named: Vec<usize>,
        a: ArrayView2<f64>,
        is_covariance: bool,
    ) -> Result<Self, String> {
        let count = named.len();
        if a.dim() != (count, count) {
            let (rows, columns) = a.dim();
            return Err(format!(
                "be a matrix of {count} x {count}, a row and a column for each free parameter of model.prior, not of {rows} x {columns}"
            ));
        }
        if count > MOST {
            return Err(format!("correlate at most {MOST} parameters, not {count}"));
        }
        // In the prior's order, whatever that of the file: the same prior has the same members.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&place| named[place]);
        named.sort_unstable();
        let a = Array2::from_shape_fn(a.dim(), |(i, j)| a[[order[i], order[j]]]);
        let r = match is_covariance {
            true => self.scaled(&named, a.view())?,
            false => a,
        };
        let names = named.iter().map(|&i| self.parameters[i].name.as_str());
        let names: Vec<&str> = names.collect();
        let free: Vec<usize> = self.free_single().collect();
        let coordinate = |i: &usize| free.binary_search(i).expect("a free parameter");
        let coordinates = named.iter().map(coordinate).collect();
        self.correlation = Some(Correlation::new(coordinates, &names, r.view())?);
        Ok(self)
    }

    /// The correlations of the covariance `a` of the parameters `named`.
    fn scaled(&self, named: &[usize], a: ArrayView2<f64>) -> Result<Array2<f64>, String> {
        let deviation = |(place, &i): (usize, &usize)| {
            let (name, variance) = (&self.parameters[i].name, a[[place, place]]);
            let law = match self.parameters[i].value {
                Value::Free(Marginal::Normal { deviation, .. }) => Some(deviation),
                Value::Free(Marginal::Lognormal { sigma, .. }) => Some(sigma),
                _ => None,
            };
            let deviation = law.ok_or_else(|| {
                format!("name only parameters with a normal or lognormal prior, not {name}: give model.prior_correlation")
            })?;
            let own = deviation * deviation;
            match (variance - own).abs() <= TOLERANCE * own {
                true => Ok(deviation),
                false => Err(format!(
                    "have the variance of model.prior for {name}, {own:?} (of the logarithm for a lognormal prior), not {variance:?}"
                )),
            }
        };
        let deviations = named.iter().enumerate().map(deviation);
        let deviations: Vec<f64> = deviations.collect::<Result<_, String>>()?;
        Ok(Array2::from_shape_fn(a.dim(), |(i, j)| match i == j {
            true => 1.0,
            false => a[[i, j]] / (deviations[i] * deviations[j]),
        }))
    }

    /// The parameters that the table in `text` names in its first line, and its matrix in their order. Rows stand in the order of the
    /// columns, or have names in a first column called `name`.
    fn table(&self, text: &str) -> Result<(Vec<usize>, Array2<f64>), String> {
        let wrong = |why: String| format!("name a table that can be read: {why}");
        let table = Table::read(text).map_err(wrong)?;
        let skipped = usize::from(
            table
                .names
                .first()
                .is_some_and(|n| matches!(*n, "name" | "")),
        );
        let names = &table.names[skipped..];
        let mut named = Vec::with_capacity(names.len());
        for name in names {
            let own = self
                .free_single()
                .find(|&i| self.parameters[i].name == *name);
            let own =
                own.ok_or_else(|| format!("name free parameters of model.prior, not {name:?}"))?;
            if named.contains(&own) {
                return Err(format!("name each parameter once, not {name:?} twice"));
            }
            named.push(own);
        }
        let (count, rows) = (named.len(), table.rows.len());
        if count == 0 {
            return Err("name parameters in its first line".to_owned());
        }
        if rows != count {
            return Err(format!(
                "have a row for each of its {count} columns, not {rows} rows"
            ));
        }
        let mut matrix = Array2::from_elem((count, count), f64::NAN);
        for (place, (line, fields)) in table.rows.iter().enumerate() {
            let row = match skipped {
                0 => Some(place),
                _ => names.iter().position(|name| *name == fields[0]),
            };
            let row = row
                .filter(|&row| matrix[[row, 0]].is_nan())
                .ok_or_else(|| {
                    format!(
                        "have one row for each of its columns; line {line} is of {:?}",
                        fields[0]
                    )
                })?;
            for (column, field) in fields[skipped..].iter().enumerate() {
                let number = field.parse::<f64>().ok().filter(|x| x.is_finite());
                matrix[[row, column]] = number
                    .ok_or_else(|| format!("hold finite numbers; line {line} holds {field:?}"))?;
            }
        }
        Ok((named, matrix))
    }
}

/// Returns true if the first line of `text` that is no comment holds numbers, not names.
fn begins_with_numbers(text: &str) -> bool {
    let first = numbers::lines(text).next();
    first.is_some_and(|(_, line)| numbers::fields(line, None).is_ok())
}
