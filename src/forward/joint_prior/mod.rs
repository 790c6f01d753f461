//! The prior of all parameters in their own units, as a map from standard normal coordinates to the numbers that a forward map
//! receives.
//!
//! ```text
//! xi ~ N(0, I), P coordinates  ->  u, N parameters:  free      its law at its coordinate (`marginal`), in order
//!                                                    fixed     a constant
//!                                                    tied      a factor times another parameter
//!                                                    a field   its cells at all of its coordinates (`random_field`)
//! ```
//!
//! Where some are correlated their laws are at z = L xi in place of xi (`correlation`).
//!
//! Fixed and tied parameters have no coordinate. Parameters stand in the order of the entries. Of coordinates, those of free parameters
//! come first, in order, and after them those of one field after the other. Cells of fields have no name in memory: it is made where
//! it is asked for. Simulators (`process`, `ask_tell`) have such a prior; `with_prior` gives one to any other map.

mod configured;
mod correlation;
mod entries;
mod matrix;
mod moves;
mod sizes;

use std::borrow::Cow;

pub use configured::{field_descriptions, field_names};
use sha2::{Digest as _, Sha256};
pub use sizes::PriorSizes;

use self::correlation::Correlation;
use super::marginal::Marginal;
use super::random_field::RandomField;
use crate::kernels::real::Real;

/// A parameter: its name, and where its value comes from.
#[derive(Clone, Debug, PartialEq)]
struct Parameter {
    name: String,
    value: Value,
}

/// The source of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    /// Its own coordinate.
    Free(Marginal),
    /// A constant.
    Fixed(f64),
    /// `factor` times the parameter number `to`, which is free or fixed.
    Tied { to: usize, factor: f64 },
}

/// A field, and how many single parameters stand before it.
#[derive(Clone, Debug, PartialEq)]
struct PlacedField {
    before: usize,
    field: RandomField,
}

/// The kind of a parameter.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The single parameter of this number among those.
    Single(usize),
    /// The cell of this number of a field.
    Cell(&'a RandomField, usize),
}

/// The prior of N parameters: single ones, and the cells of fields.
#[derive(Clone, Debug, PartialEq)]
pub struct JointPrior {
    /// The single parameters, in order.
    parameters: Vec<Parameter>,
    /// The fields, in order.
    fields: Vec<PlacedField>,
    /// The correlation; None: all coordinates are independent.
    correlation: Option<Correlation>,
}

/// The relative tolerance between a fixed or tied parameter's value in a file and its own: files are often rounded.
const TOLERANCE: f64 = 1e-6;

impl JointPrior {
    /// The prior that `entries` describe: `NAME LAW NUMBERS`, or `NAME[COUNT] LAW NUMBERS` for many alike, or `NAME[SIDES] matern
    /// NUMBERS` for a field; the laws are those of `config::LAWS`.
    ///
    /// # Errors
    /// What is wrong with an entry, in words that follow "must".
    pub fn new(entries: &[String]) -> Result<Self, String> {
        let (parameters, fields) = entries::parameters(entries)?;
        Ok(Self {
            parameters,
            fields,
            correlation: None,
        })
    }

    /// The number of parameters N.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.named() + self.fields().map(RandomField::cells).sum::<usize>()
    }

    /// The number of single parameters, whose names are in memory.
    #[must_use]
    pub fn named(&self) -> usize {
        self.parameters.len()
    }

    /// The number of coordinates P: one for each free parameter, and those of the fields.
    #[must_use]
    pub fn coordinates(&self) -> usize {
        self.free_single().count() + self.fields().map(RandomField::coordinates).sum::<usize>()
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &RandomField> {
        self.fields.iter().map(|placed| &placed.field)
    }

    /// The fields with the number of the first cell of each among all parameters, in order.
    pub fn placed_fields(&self) -> impl Iterator<Item = (usize, &RandomField)> {
        let mut cells = 0;
        self.fields
            .iter()
            .map(move |PlacedField { before, field }| {
                let first = before + cells;
                cells += field.cells();
                (first, field)
            })
    }

    /// The single parameters that are free, by their numbers among all, in the order of their coordinates.
    pub fn free(&self) -> impl Iterator<Item = usize> {
        self.free_single().map(|i| self.number(i))
    }

    /// The single parameters that are free, of numbers below `named`, in the order of their coordinates.
    fn free_single(&self) -> impl Iterator<Item = usize> {
        let is_free = |&i: &usize| matches!(self.parameters[i].value, Value::Free(_));
        (0..self.named()).filter(is_free)
    }

    /// Returns the kind of parameter number `i`.
    fn place(&self, i: usize) -> Place<'_> {
        let mut cells = 0;
        for (first, field) in self.placed_fields().take_while(|(first, _)| *first <= i) {
            if i < first + field.cells() {
                return Place::Cell(field, i - first);
            }
            cells += field.cells();
        }
        Place::Single(i - cells)
    }

    /// The number among all parameters of the single one number `i`.
    fn number(&self, i: usize) -> usize {
        let before = self.fields.iter().take_while(|placed| placed.before <= i);
        i + before.map(|placed| placed.field.cells()).sum::<usize>()
    }

    /// The names of all parameters.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.parameters()).map(|i| self.name(i))
    }

    /// The names of what the coordinates are of, P of them: of a free parameter its own, of a field's coordinates the field's.
    pub fn coordinate_names(&self) -> impl Iterator<Item = String> {
        let single = self.free().map(|i| self.name(i).into_owned());
        let of_field =
            |field: &RandomField| std::iter::repeat_n(field.name().to_owned(), field.coordinates());
        single.chain(self.fields().flat_map(of_field).collect::<Vec<_>>())
    }

    /// The name of the parameter number `i`; of a field's cell it is made here.
    #[must_use]
    pub fn name(&self, i: usize) -> Cow<'_, str> {
        match self.place(i) {
            Place::Single(i) => Cow::Borrowed(&self.parameters[i].name),
            Place::Cell(field, cell) => Cow::Owned(field.cell_name(cell)),
        }
    }

    /// Returns true if the parameter number `i` is a cell of a field.
    #[must_use]
    pub fn is_cell(&self, i: usize) -> bool {
        matches!(self.place(i), Place::Cell(..))
    }

    /// Returns true if the parameter number `i` is free to move: it is neither fixed nor tied.
    #[must_use]
    pub fn is_free(&self, i: usize) -> bool {
        match self.place(i) {
            Place::Single(i) => matches!(self.parameters[i].value, Value::Free(_)),
            Place::Cell(..) => true,
        }
    }

    /// The parameters, N numbers in their own units, at the coordinates `xi`, P numbers.
    #[must_use]
    pub fn at<T: Real>(&self, xi: &[T]) -> Vec<f64> {
        let (own, mut rest) = xi.split_at(self.free_single().count());
        let own = own.iter().map(|xi| xi.as_f64());
        let single = match &self.correlation {
            None => self.at_standard(own),
            Some(correlation) => {
                let mut z: Vec<f64> = own.collect();
                correlation.correlate(&mut z);
                self.at_standard(z.into_iter())
            }
        };
        self.with_fields(single, |field, out| {
            let (own, after) = rest.split_at(field.coordinates());
            field.values(own.iter().map(|xi| xi.as_f64()), out);
            rest = after;
        })
    }

    /// All parameters: the `single` ones, and between them the fields, whose values `append` adds.
    fn with_fields(
        &self,
        single: Vec<f64>,
        mut append: impl FnMut(&RandomField, &mut Vec<f64>),
    ) -> Vec<f64> {
        if self.fields.is_empty() {
            return single;
        }
        let (mut u, mut done) = (Vec::with_capacity(self.parameters()), 0);
        for PlacedField { before, field } in &self.fields {
            u.extend_from_slice(&single[done..*before]);
            append(field, &mut u);
            done = *before;
        }
        u.extend_from_slice(&single[done..]);
        u
    }

    /// The single parameters where the laws of the free ones are at the standard normal `z`.
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

    /// The parameter number `i` where its own law, or that of the parameter it is tied to, is at the standard normal `xi`.
    #[must_use]
    pub fn parameter_at(&self, i: usize, xi: f64) -> f64 {
        match self.place(i) {
            Place::Single(i) => self.single_at(i, xi),
            Place::Cell(field, _) => field.value(xi),
        }
    }

    fn single_at(&self, i: usize, xi: f64) -> f64 {
        match self.parameters[i].value {
            Value::Free(law) => law.at(xi),
            Value::Fixed(value) => value,
            Value::Tied { to, factor } => factor * self.single_at(to, xi),
        }
    }

    /// The range of the parameter number `i` from `deviations` standard deviations below its median to as many above, in terms of
    /// its standard normal coordinate.
    #[must_use]
    pub fn range(&self, i: usize, deviations: f64) -> (f64, f64) {
        let [a, b] = [-deviations, deviations].map(|xi| self.parameter_at(i, xi));
        (a.min(b), a.max(b))
    }

    /// The name of a field whose coordinates do not follow from its values, if there is one.
    #[must_use]
    pub fn field_without_modes(&self) -> Option<&str> {
        let field = self.fields().find(|field| !field.has_modes());
        field.map(RandomField::name)
    }

    /// The coordinates, P numbers, at which the parameters are those of `u`, N numbers in their own units; of a field as near as its
    /// modes come to it.
    ///
    /// # Errors
    /// The number of a parameter whose value its prior excludes.
    ///
    /// # Panics
    /// With a field without modes.
    pub fn coordinates_of(&self, u: &[f64]) -> Result<Vec<f64>, usize> {
        let single = (0..self.named()).map(|i| (i, u[self.number(i)]));
        let free = single.filter_map(|(i, u)| match self.parameters[i].value {
            Value::Free(law) => Some(law.coordinate(u).ok_or_else(|| self.number(i))),
            Value::Fixed(_) | Value::Tied { .. } => None,
        });
        let mut xi: Vec<f64> = free.collect::<Result<_, usize>>()?;
        if let Some(correlation) = &self.correlation {
            correlation.decorrelate(&mut xi);
        }
        for (first, field) in self.placed_fields() {
            let own = &u[first..first + field.cells()];
            if let Some(cell) = own.iter().position(|u| !field.admits(*u)) {
                return Err(first + cell);
            }
            field.project(own, &mut xi);
        }
        Ok(xi)
    }

    /// Returns true if the prior excludes none of the values `u`, N numbers in their own units.
    #[must_use]
    pub fn admits(&self, u: &[f64]) -> bool {
        u.iter().enumerate().all(|(i, &u)| match self.place(i) {
            Place::Single(i) => match self.parameters[i].value {
                Value::Free(law) => law.coordinate(u).is_some(),
                Value::Fixed(_) | Value::Tied { .. } => u.is_finite(),
            },
            Place::Cell(field, _) => field.admits(u),
        })
    }

    /// The number of a fixed or tied parameter whose value in `u`, N numbers in their own units, is another than its prior gives;
    /// NaN stands for a value that is not known.
    #[must_use]
    pub fn misplaced(&self, u: &[f64]) -> Option<usize> {
        let misplaced = |&i: &usize| {
            let own = match self.parameters[i].value {
                Value::Free(_) => return false,
                Value::Fixed(value) => value,
                Value::Tied { to, factor } => factor * u[self.number(to)],
            };
            (u[self.number(i)] - own).abs() > TOLERANCE * own.abs()
        };
        let found = (0..self.named()).find(misplaced);
        found.map(|i| self.number(i))
    }

    /// The standard normal coordinate at which the law of the free parameter number `i` has the value `u`; None where it is not free, or
    /// its law excludes `u`.
    #[must_use]
    pub fn own_coordinate(&self, i: usize, u: f64) -> Option<f64> {
        match self.place(i) {
            Place::Cell(field, _) => field.admits(u).then(|| field.standard(u)),
            Place::Single(i) => match self.parameters[i].value {
                Value::Free(law) => law.coordinate(u),
                Value::Fixed(_) | Value::Tied { .. } => None,
            },
        }
    }

    /// Returns whether the prior of parameter number `i` has a bound below, and above; false for fixed and tied ones.
    #[must_use]
    pub fn has_bounds(&self, i: usize) -> [bool; 2] {
        match self.place(i) {
            Place::Cell(field, _) => [field.is_positive(), false],
            Place::Single(i) => match self.parameters[i].value {
                Value::Free(law) => law.has_bounds(),
                Value::Fixed(_) | Value::Tied { .. } => [false; 2],
            },
        }
    }

    /// The values that the prior allows for the parameter number `i`, in words.
    #[must_use]
    pub fn support(&self, i: usize) -> String {
        match self.place(i) {
            Place::Cell(field, _) => field.support().to_owned(),
            Place::Single(i) => match self.parameters[i].value {
                Value::Free(law) => law.support(),
                Value::Fixed(value) => format!("{value:?}"),
                Value::Tied { to, factor } => {
                    format!("{factor:?} times {}", self.parameters[to].name)
                }
            },
        }
    }
}

/// A fingerprint of parameters, which differs for any others: the SHA-256 of their bytes.
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
    fn fields_stand_in_the_order_of_the_entries_and_their_coordinates_last() {
        let prior = prior(&[
            "k[2,3] matern 1.5 2 5 0.5 modes 4",
            "a normal 1 2",
            "b tied a 3",
            "l[3] matern of log 0.5 2 0 1 modes 3",
            "c uniform 0 1",
        ]);
        assert_eq!(
            (prior.parameters(), prior.coordinates(), prior.named()),
            (12, 9, 3)
        );
        let names: Vec<_> = prior.names().collect();
        let all = "k[1,1] k[1,2] k[1,3] k[2,1] k[2,2] k[2,3] a b l[1] l[2] l[3] c";
        assert_eq!(names.join(" "), all);
        let centre = prior.at(&[0.0; 9]);
        assert_eq!(
            centre,
            [5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 1.0, 3.0, 1.0, 1.0, 1.0, 0.5]
        );
        let xi = [0.5, -1.0, 0.3, 0.2, 0.1, -0.4, 1.0, -2.0, 0.7];
        let u = prior.at(&xi);
        assert_eq!((u[6], u[7], prior.misplaced(&u)), (2.0, 6.0, None));
        assert!(u[8..11].iter().all(|u| *u > 0.0) && prior.admits(&u));
        let back = prior.coordinates_of(&u).unwrap();
        let apart = back.iter().zip(xi).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-10, "{back:?}");
        let mut wrong = u.clone();
        wrong[9] = 0.0;
        assert_eq!(
            (prior.coordinates_of(&wrong), prior.admits(&wrong)),
            (Err(9), false)
        );
        wrong[7] = 0.0;
        assert_eq!(prior.misplaced(&wrong), Some(7));
        // A move of a field moves all of its cells by a deviation.
        assert_eq!(prior.moves(), 4);
        let moved = prior.at_centre_but(2);
        assert_eq!(
            (moved[0], moved[5], moved[6], moved[8]),
            (5.5, 5.5, 1.0, 1.0)
        );
        assert_eq!(prior.moved(2), ("k (all cells)".to_owned(), (4.5, 5.5)));
        assert_eq!(prior.moved(1).0, "c");
        assert_eq!(prior.support(9), "greater than 0");
        for (entries, words) in [
            (
                ["k[2,2] matern 1.5 2 0 1", "k[3] normal 0 1"],
                "not \"k\" twice",
            ),
            (
                ["k[2,2] matern 1.5 2 0 1", "a tied k[1,1] 2"],
                "not to \"k[1,1]\"",
            ),
            (
                ["k matern 1.5 2 0 1", "a normal 0 1"],
                "as in \"kappa[64,64]\"; not \"k\"",
            ),
            (
                ["k[2,2] matern 1.5 2 0", "a normal 0 1"],
                "have NU LENGTH MEAN DEVIATION",
            ),
        ] {
            let told = JointPrior::new(&entries.map(str::to_owned)).unwrap_err();
            assert!(told.contains(words), "{told}");
        }
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
        let alone = of("1, 0, 0.6\n0, 1, 0\n6e-1, 0, 1\n", false).unwrap();
        assert_eq!(alone, all);
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
            (
                "a,b\n1,1\n1,1\n",
                false,
                "be positive definite: b is determined by a,",
            ),
            (
                "a,b\n1,1.5\n1.5,1\n",
                false,
                "between -1 and 1, not 1.5 for b and a",
            ),
            ("1 0\n0 1\n", false, "be a matrix of 3 x 3"),
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
