//! The prior of all parameters in their own units, as a map from standard normal coordinates to the numbers that a forward map
//! receives.
//!
//! ```text
//! xi ~ N(0, I), P coordinates  ->  u, N parameters:  free      its law at its coordinate (`marginal`), in order
//!                                                    fixed     a constant
//!                                                    tied      a factor times another parameter
//! ```
//!
//! Where some are correlated their laws are at z = L xi in place of xi (`correlation`).
//!
//! Fixed and tied parameters have no coordinate: N is the number of entries, P that of the free ones. Simulators (`process`,
//! `ask_tell`) have such a prior; `with_prior` gives one to any other map.

mod configured;
mod correlation;
mod entries;
mod matrix;

use sha2::{Digest as _, Sha256};

use self::correlation::Correlation;
use super::marginal::Marginal;
use crate::kernels::real::Real;

/// A parameter: its name, and where its value comes from.
#[derive(Clone, Debug, PartialEq)]
struct Parameter {
    name: String,
    value: Value,
}

/// Where the value of a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// Its own coordinate.
    Free(Marginal),
    /// A constant.
    Fixed(f64),
    /// `factor` times the parameter number `to`, which is free or fixed.
    Tied { to: usize, factor: f64 },
}

/// The prior of N parameters, of which P are free.
#[derive(Clone, Debug, PartialEq)]
pub struct JointPrior {
    parameters: Vec<Parameter>,
    /// None: all coordinates are independent.
    correlation: Option<Correlation>,
}

/// How far a value of a fixed or tied parameter in a file may lie from its own, in units of its size: files are often rounded.
const TOLERANCE: f64 = 1e-6;

impl JointPrior {
    /// The prior that `entries` describe: `NAME LAW NUMBERS`, or `NAME[COUNT] LAW NUMBERS` for many alike; the laws are those of
    /// `config::LAWS`.
    ///
    /// # Errors
    /// What is wrong with an entry, in words that follow "must".
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let parameters = entries::parameters(entries)?;
        Ok(Self {
            parameters,
            correlation: None,
        })
    }

    /// The number of parameters N.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters.len()
    }

    /// The number of free parameters P, which have a coordinate each.
    #[must_use]
    pub fn coordinates(&self) -> usize {
        self.free().count()
    }

    /// The free parameters, of numbers below N, in the order of their coordinates.
    pub fn free(&self) -> impl Iterator<Item = usize> {
        (0..self.parameters.len()).filter(|&i| self.is_free(i))
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|p| p.name.as_str())
    }

    /// The name of the parameter number `i`.
    #[must_use]
    pub fn name(&self, i: usize) -> &str {
        &self.parameters[i].name
    }

    /// Returns true if the parameter number `i` is free: it has a coordinate of its own.
    #[must_use]
    pub fn is_free(&self, i: usize) -> bool {
        matches!(self.parameters[i].value, Value::Free(_))
    }

    /// The parameters, N numbers in their own units, at the coordinates `xi`, P numbers.
    #[must_use]
    pub fn at<T: Real>(&self, xi: &[T]) -> Vec<f64> {
        let xi = xi.iter().map(|xi| xi.as_f64());
        match &self.correlation {
            None => self.at_standard(xi),
            Some(correlation) => {
                let mut z: Vec<f64> = xi.collect();
                correlation.correlate(&mut z);
                self.at_standard(z.into_iter())
            }
        }
    }

    /// The parameters where the laws of the free ones are at the standard normal `z`, P numbers.
    fn at_standard(&self, mut z: impl Iterator<Item = f64>) -> Vec<f64> {
        let own = |parameter: &Parameter| match parameter.value {
            Value::Free(law) => law.at(z.next().expect("P numbers")),
            Value::Fixed(value) => value,
            Value::Tied { .. } => f64::NAN,
        };
        let mut u: Vec<f64> = self.parameters.iter().map(own).collect();
        for (i, parameter) in self.parameters.iter().enumerate() {
            if let Value::Tied { to, factor } = parameter.value {
                u[i] = factor * u[to];
            }
        }
        u
    }

    /// The parameters at the centre of the prior, but the free one whose coordinate is number `moved` one standard deviation up, with
    /// what is tied to it.
    #[must_use]
    pub fn at_centre_but(&self, moved: usize) -> Vec<f64> {
        let count = self.coordinates();
        self.at_standard((0..count).map(|i| if i == moved { 1.0 } else { 0.0 }))
    }

    /// The parameter number `i` where its own law, or that of the parameter it is tied to, is at the standard normal `xi`.
    #[must_use]
    pub fn parameter_at(&self, i: usize, xi: f64) -> f64 {
        match self.parameters[i].value {
            Value::Free(law) => law.at(xi),
            Value::Fixed(value) => value,
            Value::Tied { to, factor } => factor * self.parameter_at(to, xi),
        }
    }

    /// The range of the parameter number `i` from `deviations` standard deviations below its median to as many above, in terms of
    /// its standard normal coordinate.
    #[must_use]
    pub fn range(&self, i: usize, deviations: f64) -> (f64, f64) {
        let [a, b] = [-deviations, deviations].map(|xi| self.parameter_at(i, xi));
        (a.min(b), a.max(b))
    }

    /// The coordinates, P numbers, at which the free parameters are those of `u`, N numbers in their own units.
    ///
    /// # Errors
    /// The number of a parameter whose value its prior excludes.
    pub fn coordinates_of(&self, u: &[f64]) -> Result<Vec<f64>, usize> {
        let pairs = self.parameters.iter().zip(u).enumerate();
        let free = pairs.filter_map(|(i, (parameter, &u))| match parameter.value {
            Value::Free(law) => Some(law.coordinate(u).ok_or(i)),
            Value::Fixed(_) | Value::Tied { .. } => None,
        });
        let mut xi: Vec<f64> = free.collect::<Result<_, usize>>()?;
        if let Some(correlation) = &self.correlation {
            correlation.decorrelate(&mut xi);
        }
        Ok(xi)
    }

    /// The bytes of the factor by which coordinates are correlated; 0 where they are not.
    #[must_use]
    pub fn correlation_bytes(&self) -> usize {
        let count = self.correlation.as_ref().map_or(0, Correlation::size);
        size_of::<f64>() * count
    }

    /// The number of a fixed or tied parameter whose value in `u`, N numbers in their own units, is another than its prior gives;
    /// NaN stands for a value that is not known.
    #[must_use]
    pub fn misplaced(&self, u: &[f64]) -> Option<usize> {
        (0..u.len()).find(|&i| {
            let own = match self.parameters[i].value {
                Value::Free(_) => return false,
                Value::Fixed(value) => value,
                Value::Tied { to, factor } => factor * u[to],
            };
            (u[i] - own).abs() > TOLERANCE * own.abs()
        })
    }

    /// The standard normal coordinate at which the law of the free parameter number `i` has the value `u`; None where it is not free, or
    /// its law excludes `u`.
    #[must_use]
    pub fn own_coordinate(&self, i: usize, u: f64) -> Option<f64> {
        match self.parameters[i].value {
            Value::Free(law) => law.coordinate(u),
            Value::Fixed(_) | Value::Tied { .. } => None,
        }
    }

    /// Whether the prior of the parameter number `i` has a bound below and above; false for fixed and tied ones.
    #[must_use]
    pub fn has_bounds(&self, i: usize) -> [bool; 2] {
        match self.parameters[i].value {
            Value::Free(law) => law.has_bounds(),
            Value::Fixed(_) | Value::Tied { .. } => [false; 2],
        }
    }

    /// The values that the prior allows for the parameter number `i`, in words.
    #[must_use]
    pub fn support(&self, i: usize) -> String {
        match self.parameters[i].value {
            Value::Free(law) => law.support(),
            Value::Fixed(value) => format!("{value:?}"),
            Value::Tied { to, factor } => {
                format!("{factor:?} times {}", self.parameters[to].name)
            }
        }
    }
}

/// What tells the parameters `u` from all others, to the bit, in little memory: the SHA-256 of their bytes.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of the parameters `u`.
pub(crate) fn fingerprint(u: &[f64]) -> Fingerprint {
    let mut digest = Sha256::new();
    u.iter().for_each(|x| digest.update(x.to_le_bytes()));
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prior(entries: &[&str]) -> JointPrior {
        let entries: Vec<String> = entries.iter().map(|e| (*e).to_owned()).collect();
        JointPrior::new(&entries).unwrap()
    }

    #[test]
    fn fixed_and_tied_parameters_follow_without_a_coordinate() {
        let prior = prior(&[
            "c tied b -2",
            "a normal 1 2",
            "k fixed 7",
            "b normal 0 1",
            "d tied c 1/4",
        ]);
        assert_eq!((prior.parameters(), prior.coordinates()), (5, 2));
        assert_eq!(prior.free().collect::<Vec<_>>(), [1, 3]);
        let u = prior.at(&[0.5, 3.0]);
        assert_eq!(u, [-6.0, 2.0, 7.0, 3.0, -1.5]);
        assert_eq!(prior.coordinates_of(&u).unwrap(), [0.5, 3.0]);
        assert_eq!(prior.misplaced(&u), None);
        assert_eq!(prior.misplaced(&[f64::NAN, 2.0, 7.0, 3.0, -1.5]), None);
        assert_eq!(prior.misplaced(&[-6.0, 2.0, 7.1, 3.0, -1.5]), Some(2));
        assert_eq!(prior.misplaced(&[-6.0, 2.0, 7.0, 3.0, -1.4]), Some(4));
        assert_eq!(prior.range(0, 1.0), (-2.0, 2.0));
        assert_eq!(prior.support(4), "-0.5 times b");
    }

    #[test]
    fn tables_and_arrays_correlate_the_parameters_they_name() {
        let entries = [
            "a normal 1 2",
            "b lognormal of log 0 0.5",
            "c fixed 3",
            "d uniform 0 1",
        ];
        let of = |text: &str, is_covariance: bool| {
            prior(&entries).with_matrix_of(text.as_bytes(), false, is_covariance)
        };
        let table = of("name,d,a\na,0.6,1\nd,1,0.6\n", false).unwrap();
        // The first of the prior leads, whatever the table's order, and d follows it.
        let u = table.at(&[0.5, 1.0, 2.0]);
        assert_eq!(u[0], 2.0);
        let d = table.parameter_at(3, 0.6 * 0.5 + 0.8 * 2.0);
        assert!((u[3] - d).abs() < 1e-14, "{u:?}");
        let back = table.coordinates_of(&u).unwrap();
        let apart = back.iter().zip([0.5, 1.0, 2.0]).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-12, "{back:?}");
        let r = ndarray::array![[1.0, 0.0, 0.6], [0.0, 1.0, 0.0], [0.6, 0.0, 1.0]];
        let all = prior(&entries).correlated(r.view()).unwrap();
        assert_eq!(all.at(&[0.5, 1.0, 2.0]), u);
        let covariance = of("a,b\n4,-0.5\n-0.5,0.25\n", true).unwrap();
        let correlation = of("a,b\n1,-0.5\n-0.5,1\n", false).unwrap();
        assert_eq!(covariance, correlation);
        for (text, is_covariance, words) in [
            (
                "a,c\n1,0\n0,1\n",
                false,
                "name free parameters of model.prior, not \"c\"",
            ),
            ("a,a\n1,0\n0,1\n", false, "not \"a\" twice"),
            (
                "a,b\n1,0\n",
                false,
                "a row for each of its 2 columns, not 1 rows",
            ),
            ("a,b\n1,0\n0,x\n", false, "line 3 holds \"x\""),
            ("name,a,b\na,1,0\na,0,1\n", false, "line 3 is of \"a\""),
            ("a,b\n1,0.5\n0.4,1\n", false, "be symmetric"),
            ("a,b\n1,1\n1,1\n", false, "be positive definite: b"),
            ("", false, "name parameters in its first line"),
            (
                "a,b\n4,0\n0,0.5\n",
                true,
                "have the variance of model.prior for b, 0.25",
            ),
            ("a,d\n4,0\n0,1\n", true, "normal or lognormal prior, not d"),
        ] {
            let told = of(text, is_covariance).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }
}
