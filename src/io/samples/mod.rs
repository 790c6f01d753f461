//! Samples that a user brings: arrays, a table, or IDX files.
//!
//! ```text
//! ["x.npy", "y.npy"]   inputs N x d, N x rows x columns or N x rows x columns x channels; targets N or N x c
//! "train.csv"          a line for each sample, one column of which is the target
//! ["images", "labels"] IDX files
//! ```
//!
//! Inputs are held as n x d, those with channels channel by channel.

mod classes;
mod table;

use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD, Axis};

use crate::data::{Inputs, idx};
use crate::error::{Error, Result};
use crate::files::ends_in;
use crate::io::array::{self, Numbers};

pub use classes::{Found, TargetNames};
pub use table::{column, table_targets};

/// The files of training samples, or of test samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleFiles {
    /// Two .npy files.
    Arrays {
        /// The inputs.
        inputs: PathBuf,
        /// The targets.
        targets: PathBuf,
    },
    /// A table with the column of the targets.
    Table {
        /// The file.
        path: PathBuf,
        /// The name of the column.
        target: String,
    },
    /// Two IDX files.
    Idx {
        /// The images.
        images: PathBuf,
        /// Their labels.
        labels: PathBuf,
    },
}

/// The targets as they stand in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum RawTargets {
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Texts, and what may be either: numbers in a table.
    Texts(Vec<String>),
    /// Real numbers, n x c.
    Values(Array2<f64>),
}

impl RawTargets {
    /// Returns the number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Integers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
            Self::Values(values) => values.nrows(),
        }
    }

    /// Returns true if there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The inputs of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct RawInputs {
    /// The numbers, n x d.
    pub numbers: Inputs,
    /// Their sizes and names.
    pub shape: InputShape,
}

/// The sizes of the inputs of samples, and the names of their columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputShape {
    /// The number n of samples.
    pub samples: usize,
    /// The number d of inputs of one sample.
    pub features: usize,
    /// The (channels, height, width) of a sample that has rows and columns.
    pub image: Option<(usize, usize, usize)>,
    /// The names of the columns of a table; empty for arrays.
    pub columns: Vec<String>,
}

/// Samples as they stand in files.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSamples {
    /// The inputs.
    pub inputs: RawInputs,
    /// The targets.
    pub targets: RawTargets,
    /// The number of each sample's line in a table; empty for arrays.
    pub lines: Vec<usize>,
}

impl SampleFiles {
    /// Returns the files that `paths` are, for the column `target` where they are a table.
    ///
    /// # Errors
    /// What they must be, in words that follow the value of a key.
    pub fn of(paths: &[PathBuf], target: &str) -> std::result::Result<Self, String> {
        match paths {
            [path] if ends_in(path, "csv") => Ok(Self::Table {
                path: path.clone(),
                target: target.to_owned(),
            }),
            [inputs, targets] if [inputs, targets].iter().all(|path| ends_in(path, "npy")) => {
                Ok(Self::Arrays {
                    inputs: inputs.clone(),
                    targets: targets.clone(),
                })
            }
            [images, labels] if ![images, labels].iter().any(|path| is_other(path)) => {
                Ok(Self::Idx {
                    images: images.clone(),
                    labels: labels.clone(),
                })
            }
            _ => Err("must be two .npy files, inputs and targets, or one .csv file, or two IDX files, images and labels, or a \
                      folder of IDX files"
                .to_owned()),
        }
    }

    /// Returns the training and test files in a folder of IDX files, named as MNIST's are; the latter may be absent.
    ///
    /// # Errors
    /// `Error::Data` for a folder without training images or labels, or with one of the test files alone.
    pub fn in_folder(folder: &Path) -> Result<(Self, Option<Self>)> {
        let [train, test] = [["train", "train"], ["t10k", "test"]].map(|parts| {
            ["images-idx3", "labels-idx1"].map(|kind| {
                let names = parts
                    .iter()
                    .flat_map(|part| [".gz", ""].map(|end| format!("{part}-{kind}-ubyte{end}")));
                let mut paths = names.map(|name| folder.join(name));
                paths.find(|path| path.is_file())
            })
        });
        let idx = |images, labels| Self::Idx { images, labels };
        let lacks = |what: &str| Error::data(folder, format!("lacks {what} (.gz or not)"));
        let train = match train {
            [Some(images), Some(labels)] => idx(images, labels),
            _ => return Err(lacks("train-images-idx3-ubyte or train-labels-idx1-ubyte")),
        };
        match test {
            [Some(images), Some(labels)] => Ok((train, Some(idx(images, labels)))),
            [None, None] => Ok((train, None)),
            _ => Err(lacks("t10k-images-idx3-ubyte or t10k-labels-idx1-ubyte")),
        }
    }

    /// Returns the file that messages about the targets name.
    #[must_use]
    pub fn target_file(&self) -> &Path {
        match self {
            Self::Arrays { targets, .. } => targets,
            Self::Table { path, .. } => path,
            Self::Idx { labels, .. } => labels,
        }
    }

    /// Returns the file that messages about the inputs name.
    #[must_use]
    pub fn input_file(&self) -> &Path {
        match self {
            Self::Arrays { inputs, .. } => inputs,
            Self::Table { path, .. } => path,
            Self::Idx { images, .. } => images,
        }
    }

    /// Reads the sizes of the inputs, and the targets: of arrays and images no more than the header.
    ///
    /// # Errors
    /// `Error::Data` for a file that is missing or damaged, or that does not fit the other one.
    pub fn outline(&self) -> Result<(InputShape, RawTargets, Vec<usize>)> {
        let (shape, targets) = match self {
            Self::Arrays { inputs, targets } => (
                shape_of(inputs, &array::shape(inputs)?)?,
                array_targets(targets)?,
            ),
            Self::Idx { images, labels } => {
                (shape_of(images, &idx::shape(images)?)?, idx_labels(labels)?)
            }
            Self::Table { path, target } => {
                let samples = table::read(path, target)?;
                return Ok((samples.inputs.shape, samples.targets, samples.lines));
            }
        };
        self.agreeing(shape.samples, targets.len())?;
        Ok((shape, targets, Vec::new()))
    }

    /// Reads the samples.
    ///
    /// # Errors
    /// As `outline`, or numbers that are not finite.
    pub fn read(&self) -> Result<RawSamples> {
        let (inputs, targets) = match self {
            Self::Arrays { inputs, targets } => (read_inputs(inputs)?, array_targets(targets)?),
            Self::Idx { images, labels } => (read_inputs(images)?, idx_labels(labels)?),
            Self::Table { path, target } => return table::read(path, target),
        };
        self.agreeing(inputs.shape.samples, targets.len())?;
        Ok(RawSamples {
            inputs,
            targets,
            lines: Vec::new(),
        })
    }

    /// Refuses numbers of inputs and targets that differ.
    fn agreeing(&self, inputs: usize, targets: usize) -> Result<()> {
        match inputs == targets {
            true => Ok(()),
            false => Err(Error::data(
                self.target_file(),
                format!(
                    "holds {targets} targets, but {} holds {inputs} samples",
                    self.input_file().display()
                ),
            )),
        }
    }
}

/// Returns true for a file that is none of IDX.
fn is_other(path: &Path) -> bool {
    ["npy", "csv"].iter().any(|ending| ends_in(path, ending)) || path.is_dir()
}

/// Reads inputs without targets: an .npy array, or an IDX file of images.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, or numbers that are not finite.
pub fn read_inputs(path: &Path) -> Result<RawInputs> {
    if !ends_in(path, "npy") {
        let images = idx::read(path)?;
        let shape = shape_of(path, &images.shape)?;
        let numbers =
            ArrayD::from_shape_vec(images.shape, images.values).expect("as its sizes say");
        return Ok(RawInputs {
            numbers: Inputs::Bytes(in_rows(numbers, &shape)),
            shape,
        });
    }
    let numbers = array::read(path)?;
    let sizes = match &numbers {
        Numbers::Bytes(array) => array.shape(),
        Numbers::Integers(array) => array.shape(),
        Numbers::Reals(array) => array.shape(),
    };
    let shape = shape_of(path, sizes)?;
    let numbers = match numbers {
        Numbers::Bytes(array) => Inputs::Bytes(in_rows(array, &shape)),
        Numbers::Integers(array) => Inputs::Reals(in_rows(array, &shape).mapv(|n| n as f64)),
        Numbers::Reals(array) => Inputs::Reals(in_rows(array, &shape)),
    };
    Ok(RawInputs { numbers, shape })
}

/// Reads inputs without targets from a table with the columns `names` in any order; others are ignored. Without names all columns are read.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, a column that it lacks, or fields that are not finite numbers.
pub fn read_table_inputs(path: &Path, names: &[String]) -> Result<RawInputs> {
    table::inputs(path, names)
}

/// Returns what the sizes of the array in `path` mean for its samples.
fn shape_of(path: &Path, sizes: &[usize]) -> Result<InputShape> {
    let image = match *sizes {
        [_, _] => None,
        [_, height, width] => Some((1, height, width)),
        [_, height, width, channels] => Some((channels, height, width)),
        _ => {
            let why = format!(
                "has shape {sizes:?}, but inputs are N x features, N x rows x columns, or N x rows x columns x channels"
            );
            return Err(Error::data(path, why));
        }
    };
    Ok(InputShape {
        samples: sizes[0],
        features: sizes[1..].iter().product(),
        image,
        columns: Vec::new(),
    })
}

/// Returns `array` as n x d, with its channels, the last dimension, one after the other.
fn in_rows<N: Clone>(array: ArrayD<N>, shape: &InputShape) -> Array2<N> {
    let array = match array.ndim() {
        4 => array.permuted_axes(vec![0, 3, 1, 2]),
        _ => array,
    };
    let rows = array.as_standard_layout().into_owned();
    rows.into_shape_with_order((shape.samples, shape.features))
        .expect("the same numbers")
}

/// Reads the targets in an .npy file.
fn array_targets(path: &Path) -> Result<RawTargets> {
    let numbers = array::read(path)?;
    let refused = |sizes: &[usize]| {
        let why = format!("has shape {sizes:?}, but targets are N, or N x outputs for values");
        Error::data(path, why)
    };
    let integers = |array: ArrayD<i64>| match *array.shape() {
        [_] | [_, 1] => Ok(RawTargets::Integers(array.into_iter().collect())),
        [_, _] => values(array.mapv(|n| n as f64), &refused),
        ref sizes => Err(refused(sizes)),
    };
    match numbers {
        Numbers::Bytes(array) => integers(array.mapv(i64::from)),
        Numbers::Integers(array) => integers(array),
        Numbers::Reals(array) => values(array, &refused),
    }
}

/// Returns the real targets in `array`, n x c.
fn values(array: ArrayD<f64>, refused: &dyn Fn(&[usize]) -> Error) -> Result<RawTargets> {
    let array = match array.ndim() {
        1 => array.insert_axis(Axis(1)),
        _ => array,
    };
    let sizes = array.shape().to_vec();
    let array = array.into_dimensionality().map_err(|_| refused(&sizes))?;
    Ok(RawTargets::Values(array))
}

/// Reads the labels in an IDX file.
fn idx_labels(path: &Path) -> Result<RawTargets> {
    let labels = idx::read(path)?;
    match labels.shape[..] {
        [_] => Ok(RawTargets::Integers(
            labels.values.into_iter().map(i64::from).collect(),
        )),
        _ => Err(Error::data(
            path,
            format!("labels of rank 1 expected, sizes {:?} found", labels.shape),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_that_stand_last_are_taken_one_after_the_other() {
        // One sample of 2 rows, 2 columns and 3 channels: number 100 c + 10 row + column.
        let pixel = |index: ndarray::IxDyn| (100 * index[3] + 10 * index[1] + index[2]) as f64;
        let array = ArrayD::from_shape_fn(vec![1, 2, 2, 3], pixel);
        let shape = shape_of(Path::new("x"), &[1, 2, 2, 3]).unwrap();
        assert_eq!((shape.features, shape.image), (12, Some((3, 2, 2))));
        let rows = in_rows(array, &shape);
        let wanted = [0, 1, 10, 11, 100, 101, 110, 111, 200, 201, 210, 211].map(f64::from);
        assert_eq!(rows.row(0).to_vec(), wanted);
        let wrong = shape_of(Path::new("x"), &[3]).unwrap_err().to_string();
        assert!(wrong.contains("N x features"), "{wrong}");
    }

    #[test]
    fn a_folder_of_idx_files_is_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, sizes: &[u8], values: &[u8]| {
            let mut bytes = vec![0, 0, 8, sizes.len() as u8];
            sizes.iter().for_each(|&size| bytes.extend([0, 0, 0, size]));
            bytes.extend(values);
            std::fs::write(folder.path().join(name), bytes).unwrap();
        };
        let lacks = SampleFiles::in_folder(folder.path()).unwrap_err();
        assert!(lacks.to_string().contains("lacks train-images"), "{lacks}");
        write("train-images-idx3-ubyte", &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        write("train-labels-idx1-ubyte", &[2], &[1, 0]);
        let (train, test) = SampleFiles::in_folder(folder.path()).unwrap();
        assert_eq!(test, None);
        let samples = train.read().unwrap();
        assert_eq!(samples.targets, RawTargets::Integers(vec![1, 0]));
        assert_eq!(samples.inputs.shape.image, Some((1, 1, 3)));
        assert_eq!(train.outline().unwrap().0, samples.inputs.shape);
        write("test-images-idx3-ubyte", &[1, 1, 3], &[1, 2, 3]);
        let lacks = SampleFiles::in_folder(folder.path()).unwrap_err();
        assert!(lacks.to_string().contains("lacks t10k-images"), "{lacks}");
        write("test-labels-idx1-ubyte", &[1], &[1]);
        assert!(SampleFiles::in_folder(folder.path()).unwrap().1.is_some());
    }
}
