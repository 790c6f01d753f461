//! Targets as classes or values: which they are, and the names of the classes.

use std::collections::BTreeSet;
use std::path::Path;

use ndarray::Array2;

use super::RawTargets;
use crate::config::TargetKind;
use crate::data::Targets;
use crate::error::{Error, Result};

/// The most classes: a label is a byte.
const MOST_CLASSES: usize = 256;

/// The kind of the targets of training samples: the names of their classes in order, or none where they are values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetNames {
    /// The names of the classes; empty for values.
    pub classes: Vec<String>,
    /// The number c of outputs of a network for them.
    pub outputs: usize,
}

/// Targets and where they were found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The targets.
    pub targets: &'a RawTargets,
    /// The file in which they stand.
    pub path: &'a Path,
    /// The number of each one's line in a table; empty for arrays.
    pub lines: &'a [usize],
}

impl Found<'_> {
    /// Returns the error about the target of sample `at`.
    fn wrong(&self, at: usize, why: &str) -> Error {
        let place = match self.lines.get(at) {
            Some(line) => format!("line {line}"),
            None => format!("sample {at}"),
        };
        Error::data(self.path, format!("{place}: {why}"))
    }

    /// Returns the texts of classes.
    fn texts(&self) -> Option<Vec<String>> {
        match self.targets {
            RawTargets::Integers(numbers) => Some(numbers.iter().map(i64::to_string).collect()),
            RawTargets::Texts(texts) => Some(texts.clone()),
            RawTargets::Values(_) => None,
        }
    }

    /// Returns the targets as real numbers.
    fn values(&self) -> Result<Array2<f64>> {
        match self.targets {
            RawTargets::Values(values) => Ok(values.clone()),
            RawTargets::Integers(numbers) => {
                let numbers = numbers.iter().map(|&n| n as f64).collect();
                Ok(Array2::from_shape_vec((self.targets.len(), 1), numbers).expect("one each"))
            }
            RawTargets::Texts(texts) => {
                let at = texts.iter().position(|text| text.parse::<f64>().is_err());
                let at = at.unwrap_or_default();
                Err(self.wrong(at, &format!("the target {:?} is not a number", texts[at])))
            }
        }
    }
}

impl TargetNames {
    /// Returns what the targets of training samples are, by `kind`.
    ///
    /// # Errors
    /// `Error::Data` for classes whose numbers skip, or too many or too few of them; values that are texts.
    pub fn of(found: Found, kind: TargetKind) -> Result<Self> {
        let classes = match (kind, found.targets) {
            (TargetKind::Values, _) => None,
            (TargetKind::Auto, RawTargets::Values(_)) => None,
            (TargetKind::Auto, RawTargets::Integers(numbers)) => {
                Some(counted(found.path, numbers)?)
            }
            (TargetKind::Auto | TargetKind::Classes, RawTargets::Texts(texts)) => {
                Some(sorted(texts))
            }
            (TargetKind::Classes, RawTargets::Integers(numbers)) => {
                let numbers: BTreeSet<i64> = numbers.iter().copied().collect();
                Some(numbers.iter().map(i64::to_string).collect())
            }
            (TargetKind::Classes, RawTargets::Values(_)) => {
                let why = "holds real numbers, and data.targets = \"classes\" needs whole numbers or text";
                return Err(Error::data(found.path, why));
            }
        };
        let Some(classes) = classes else {
            let outputs = found.values()?.ncols();
            return Ok(Self {
                classes: Vec::new(),
                outputs,
            });
        };
        let count = classes.len();
        if !(2..=MOST_CLASSES).contains(&count) {
            let why = format!("holds {count} classes, and 2 to {MOST_CLASSES} are allowed");
            return Err(Error::data(found.path, why));
        }
        Ok(Self {
            classes,
            outputs: count,
        })
    }

    /// Returns the targets of samples, of the kind and with the classes of the training samples.
    ///
    /// # Errors
    /// `Error::Data` for a class that is not among them, another number of values, or values that are texts.
    pub fn targets(&self, found: Found) -> Result<Targets> {
        if self.classes.is_empty() {
            let values = found.values()?;
            let (given, outputs) = (values.ncols(), self.outputs);
            return match given == outputs {
                true => Ok(Targets::Values(values)),
                false => Err(Error::data(
                    found.path,
                    format!(
                        "holds {given} values for each sample, and the training samples have {outputs}"
                    ),
                )),
            };
        }
        let texts = found.texts().ok_or_else(|| {
            let why = "holds real numbers, and the training samples have classes";
            Error::data(found.path, why)
        })?;
        let label = |(at, text): (usize, &String)| {
            let place = self.classes.iter().position(|class| class == text);
            let unknown = || {
                let known = shown(&self.classes);
                let why =
                    format!("class {text:?} is not among those of the training samples: {known}");
                found.wrong(at, &why)
            };
            Ok(place.ok_or_else(unknown)? as u8)
        };
        Ok(Targets::Classes {
            labels: texts.iter().enumerate().map(label).collect::<Result<_>>()?,
            classes: self.classes.len(),
        })
    }
}

/// Returns the names, at most some of them, for a message.
fn shown(classes: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = classes[..classes.len().min(SHOWN)].join(", ");
    if classes.len() > SHOWN {
        text += ", ...";
    }
    text
}

/// Returns the classes 0, 1, ..., of which each must be among `numbers`, and no other.
fn counted(path: &Path, numbers: &[i64]) -> Result<Vec<String>> {
    let found: BTreeSet<i64> = numbers.iter().copied().collect();
    let skipped = found
        .iter()
        .zip(0..)
        .find(|(number, place)| **number != *place);
    if let Some((number, place)) = skipped {
        let why = format!(
            "holds whole numbers without {place} but with {number}: number classes from 0 without a gap, or say data.targets = \
             \"classes\" (each number is one) or \"values\""
        );
        return Err(Error::data(path, why));
    }
    Ok(found.iter().map(i64::to_string).collect())
}

/// Returns the different `texts` in alphabetical order.
fn sorted(texts: &[String]) -> Vec<String> {
    let names: BTreeSet<&String> = texts.iter().collect();
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(targets: &RawTargets) -> Found<'_> {
        Found {
            targets,
            path: Path::new("y"),
            lines: &[],
        }
    }

    fn classes(targets: &RawTargets, kind: TargetKind) -> std::result::Result<Vec<String>, String> {
        let names = TargetNames::of(found(targets), kind).map_err(|e| e.to_string())?;
        Ok(names.classes)
    }

    #[test]
    fn classes_follow_from_whole_numbers_and_texts() {
        use TargetKind::{Auto, Classes, Values};
        let texts = |all: &[&str]| RawTargets::Texts(all.iter().map(|t| (*t).to_owned()).collect());
        let named = |all: &[&str]| Ok(all.iter().map(|t| (*t).to_owned()).collect());
        let species = texts(&["virginica", "setosa", "virginica"]);
        assert_eq!(classes(&species, Auto), named(&["setosa", "virginica"]));
        let digits = RawTargets::Integers(vec![2, 0, 1, 1]);
        assert_eq!(classes(&digits, Auto), named(&["0", "1", "2"]));
        assert_eq!(classes(&digits, Values), named(&[]));
        let skip = RawTargets::Integers(vec![10, 2, 2]);
        assert!(
            classes(&skip, Auto)
                .unwrap_err()
                .contains("without 0 but with 2")
        );
        assert_eq!(classes(&skip, Classes), named(&["2", "10"]));
        let real = RawTargets::Values(ndarray::array![[0.5], [1.0]]);
        assert_eq!(classes(&real, Auto), named(&[]));
        assert!(
            classes(&real, Classes)
                .unwrap_err()
                .contains("real numbers")
        );
        assert!(classes(&species, Values).unwrap_err().contains("sample 0"));
        let one = texts(&["a", "a"]);
        assert!(classes(&one, Auto).unwrap_err().contains("holds 1 classes"));
    }

    #[test]
    fn test_samples_have_the_classes_of_the_training_samples() {
        let train = RawTargets::Integers(vec![0, 1, 2]);
        let names = TargetNames::of(found(&train), TargetKind::Auto).unwrap();
        let test = RawTargets::Integers(vec![2, 2, 0]);
        let labels = Targets::Classes {
            labels: vec![2, 2, 0],
            classes: 3,
        };
        assert_eq!(names.targets(found(&test)).unwrap(), labels);
        let unknown = RawTargets::Integers(vec![1, 3]);
        let lines = Found {
            lines: &[2, 7],
            ..found(&unknown)
        };
        let line = names.targets(lines).unwrap_err().to_string();
        assert_eq!(
            line,
            "y: line 7: class \"3\" is not among those of the training samples: 0, 1, 2"
        );
    }
}
