//! The data sets known by name: finds their files and loads them.

use std::path::{Path, PathBuf};

use ndarray::Array2;

pub use super::folder::data_dir;
pub use super::published::SOURCES;
pub use super::source::{Content, File, Format, Source};
use super::{Dataset, Inputs, Samples, digits, idx, series, svhn};
use crate::config::OWN_SERIES;
use crate::error::{Error, Result};

/// A data set in memory, with facts about its samples.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The samples.
    pub dataset: Dataset,
    /// The (channels, height, width) of a sample.
    pub shape: (usize, usize, usize),
    /// The largest pixel value, by which `unit` scaling divides.
    pub largest: f64,
    /// The title and the numbers of samples, for people.
    pub description: String,
}

impl Source {
    /// Returns the path of `file`, under its own name or that of the unpacked file; None if it is missing.
    #[must_use]
    pub fn locate(&self, file: &File, data_dir: &Path) -> Option<PathBuf> {
        let packed = data_dir.join(self.folder).join(file.name);
        let unpacked = packed.with_file_name(file.name.trim_end_matches(".gz"));
        [packed, unpacked].into_iter().find(|path| path.is_file())
    }

    /// Returns the path of `file`, or an error that says how to get it.
    fn require(&self, file: &File, data_dir: &Path) -> Result<PathBuf> {
        self.locate(file, data_dir).ok_or_else(|| {
            let folder = data_dir.join(self.folder);
            let partial = if folder.join(format!("{}.part", file.name)).is_file() {
                " (a part of it is there, which the command completes)"
            } else {
                ""
            };
            Error::data(
                folder.join(file.name),
                format!(
                    "not found{partial}; type `{}`, or place the file there by hand (other folders: --data-dir, EKI_DATA_DIR)",
                    self.fetch_command(data_dir)
                ),
            )
        })
    }

    /// Returns the command line that fetches this data set into `folder`.
    #[must_use]
    pub fn fetch_command(&self, folder: &Path) -> String {
        let mut command = format!("eki-mpi data fetch {}", self.name);
        if folder != data_dir(None) {
            let text = folder.display().to_string();
            let plain = |c: char| c.is_alphanumeric() || "/._-+,@".contains(c);
            if text.chars().all(plain) && !text.is_empty() {
                command += &format!(" --data-dir {text}");
            } else {
                command += &format!(" --data-dir '{}'", text.replace('\'', r"'\''"));
            }
        }
        command
    }

    /// Loads training and test samples from the files in `data_dir`.
    fn load(&self, data_dir: &Path) -> Result<Dataset> {
        let paths = self
            .files
            .iter()
            .map(|file| self.require(file, data_dir))
            .collect::<Result<Vec<PathBuf>>>()?;
        match (self.format, paths.as_slice()) {
            (Format::Embedded, _) => digits::load(),
            (Format::Idx | Format::IdxPadded, [images, labels, test_images, test_labels]) => {
                Ok(Dataset {
                    train: self.load_idx(images, labels)?,
                    test: self.load_idx(test_images, test_labels)?,
                })
            }
            (Format::Svhn, [train, test]) => Ok(Dataset {
                train: svhn::read(train)?,
                test: svhn::read(test)?,
            }),
            _ => Err(Error::Usage(format!(
                "data set {} is a series, not a set of images; known image sets are {}",
                self.name,
                names(|source| source.format != Format::Series)
            ))),
        }
    }

    /// Loads a pair of IDX files, whose images must have the size of this data set.
    fn load_idx(&self, images: &Path, labels: &Path) -> Result<Samples> {
        let (samples, shape) = idx::read_labelled(images, labels, self.classes)?;
        let (_, height, width) = self.shape;
        let expected = match self.format {
            Format::IdxPadded => [GREY_SIDE, GREY_SIDE],
            _ => [height, width],
        };
        if shape != expected {
            return Err(Error::data(
                images,
                format!("images of sizes {shape:?} found, {expected:?} expected"),
            ));
        }
        Ok(match self.format {
            Format::IdxPadded => pad_to_colour(samples),
            _ => samples,
        })
    }
}

/// The side of MNIST's images in pixels.
const GREY_SIDE: usize = 28;
/// The side of the frame that MNIST's images are padded to.
const COLOUR_SIDE: usize = 32;

/// Pads n x 784 grey pixels to n x 3072: centred in 32x32 zeros, three equal channels, number c*32*32 + row*32 +
/// column.
fn pad_to_colour(samples: Samples) -> Samples {
    let Inputs::Bytes(grey) = &samples.inputs else {
        return samples;
    };
    let (margin, plane) = ((COLOUR_SIDE - GREY_SIDE) / 2, COLOUR_SIDE * COLOUR_SIDE);
    let mut colour = Array2::zeros((grey.nrows(), 3 * plane)); // n x 3072
    for (mut to, from) in colour.rows_mut().into_iter().zip(grey.rows()) {
        for (i, &pixel) in from.iter().enumerate() {
            let (row, column) = (i / GREY_SIDE + margin, i % GREY_SIDE + margin);
            for channel in 0..3 {
                to[channel * plane + row * COLOUR_SIDE + column] = pixel;
            }
        }
    }
    Samples {
        inputs: Inputs::Bytes(colour),
        targets: samples.targets,
    }
}

/// Returns true if the data set called `name` is a series, whose samples are consecutive in time.
#[must_use]
pub fn is_series(name: &str) -> bool {
    name == OWN_SERIES || find(name).is_ok_and(|source| source.format == Format::Series)
}

/// Returns the data set called `name`.
///
/// # Errors
/// `Error::Usage` naming the known data sets, and the most similar name.
pub fn find(name: &str) -> Result<&'static Source> {
    SOURCES.iter().find(|s| s.name == name).ok_or_else(|| {
        let near = SOURCES
            .iter()
            .map(|s| (strsim::damerau_levenshtein(s.name, name), s.name))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, near)| format!(" (did you mean {near}?)"))
            .unwrap_or_default();
        Error::Usage(format!(
            "unknown data set {name}{near}; known are {}",
            names(|_| true)
        ))
    })
}

/// Returns the names of the data sets that fulfil `which`, for messages.
fn names(which: impl Fn(&Source) -> bool) -> String {
    let names: Vec<_> = SOURCES
        .iter()
        .filter(|s| which(s))
        .map(|s| s.name)
        .collect();
    names.join(", ")
}

/// Loads the image data set called `name` from `data_dir` (see [`data_dir`]).
///
/// Files are checked for soundness, not against their published checksums, so that a data set shortened by hand works,
/// too.
///
/// # Errors
/// `Error::Usage` for an unknown name or a series; `Error::Data` for a missing or damaged file.
pub fn load(name: &str, data_dir: &Path) -> Result<Loaded> {
    let source = find(name)?;
    let dataset = source.load(data_dir)?;
    let description = format!(
        "{}: {} training and {} test samples",
        source.title,
        dataset.train.len(),
        dataset.test.len()
    );
    Ok(Loaded {
        dataset,
        shape: source.shape,
        largest: source.largest,
        description,
    })
}

/// Loads the series called `name` from `data_dir`, in order of time and in the published units.
///
/// # Errors
/// `Error::Usage` for an unknown name or an image set; `Error::Data` for a missing or damaged file.
pub fn load_series(name: &str, data_dir: &Path) -> Result<Vec<f64>> {
    let source = find(name)?;
    match (source.format, source.files) {
        (Format::Series, [file]) => series::read(&source.require(file, data_dir)?),
        _ => Err(Error::Usage(format!(
            "data set {name} is not a series; known series are {}",
            names(|source| source.format == Format::Series)
        ))),
    }
}
