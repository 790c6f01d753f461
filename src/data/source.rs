//! The description of a data set known by name: its format, its published files and their digests.

/// A known data set.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// A title of a few words.
    pub title: &'static str,
    /// The storage format.
    pub format: Format,
    /// The subfolder of the data folder that holds its files.
    pub folder: &'static str,
    /// The files: training images and labels, then those of the test set; or as the format requires.
    pub files: &'static [File],
    /// The published numbers of samples, (training, test); for a series, (values, 0).
    pub samples: (usize, usize),
    /// The (channels, height, width) of a sample; inputs are flattened in that order. (1, 1, 1) for a series.
    pub shape: (usize, usize, usize),
    /// The number of classes, 0 for a series.
    pub classes: usize,
    /// The largest value an input can have.
    pub largest: f64,
    /// The addresses under which the files are published, each ending in a slash; tried in this order.
    pub mirrors: &'static [&'static str],
    /// The owner and the terms of use.
    pub licence: &'static str,
}

/// The storage format of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Embedded in the program.
    Embedded,
    /// Four IDX files.
    Idx,
    /// Four IDX files of 28x28 pixels, loaded as three equal channels of 32x32.
    IdxPadded,
    /// Two MATLAB files.
    Svhn,
    /// One table of dates and values.
    Series,
}

/// A published file.
#[derive(Clone, Debug)]
pub struct File {
    /// The name in the data set's folder.
    pub name: &'static str,
    /// The name at the mirrors.
    pub published: &'static str,
    /// The published size in bytes.
    pub bytes: u64,
    /// The accepted SHA-256 digests, in hexadecimal; the first is that of the published file.
    pub sha256: &'static [&'static str],
    /// The content of a gzip file; a file packed differently, or not packed, with the same content is accepted.
    pub content: Option<Content>,
}

/// The unpacked content of a gzip file.
#[derive(Clone, Debug)]
pub struct Content {
    /// The size in bytes.
    pub bytes: u64,
    /// The SHA-256 in hexadecimal.
    pub sha256: &'static str,
}
