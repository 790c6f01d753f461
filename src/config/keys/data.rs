//! Keys of the data: `data.*`.

use serde::{Deserialize, Serialize};

use super::{LONGEST, MOST, NETWORKS, SIMULATORS};
use crate::config::key::{Key, Resume, section};
use crate::config::kinds::{DataKind, ModelKind};
use crate::config::scope::{EVERYWHERE, Scope};
use crate::config::value::Kind::{AtLeast, Between, Bool, Choice, Entries, Text, Within};
use crate::config::value::words;

/// The scope of keys of generated tasks of long memory (adding, copying).
const TASKS: Scope = EVERYWHERE.data(&[DataKind::Task]);
/// The scope of keys that move or deform training images.
const IMAGES: Scope = NETWORKS.data(&[DataKind::Images, DataKind::Files]);
/// The scope of keys of samples in the user's own files.
const FILES: Scope = EVERYWHERE
    .models(&[ModelKind::Dense, ModelKind::Conv, ModelKind::Recurrent])
    .data(&[DataKind::Files]);
/// The scope of keys of series.
const SERIES: Scope = EVERYWHERE.data(&[DataKind::Series]);

section! {
    /// Settings of the data to which the forward map is fitted.
    Data in "data" {
        /// Data set or series (`eki-mpi data list` shows them), a generated problem (elliptic, random, cart-pole), a generated
        /// task of long memory (adding, copying), or observations, which data.observations names.
        name: String = "'digits'", Text, EVERYWHERE, Fixed;
        /// Your own training samples, in place of data.name: two .npy arrays (inputs N x features, N x rows x columns or N x rows x
        /// columns x channels, and targets: whole numbers for classes, real numbers N or N x outputs for values), a .csv table whose
        /// first line names its columns, two IDX files of images and labels, or a folder of IDX files named as MNIST's are.
        train: Vec<String> = "[]", Entries("[\"x.npy\", \"y.npy\"]"), FILES, Fixed;
        /// Your own test samples, in files like those of data.train. Without them, and with data.validation = 0, a fifth of
        /// data.train, drawn by a shuffle that is always the same, is the test set.
        test: Vec<String> = "[]", Entries("[\"x_test.npy\", \"y_test.npy\"]"), FILES, Fixed;
        /// Column of the table of data.train that is to be predicted from the others, or of data.series that is the series.
        target: String = "''", Text, EVERYWHERE.data(&[DataKind::Files, DataKind::Series]), Fixed;
        /// Kind of the targets of data.train.
        targets: TargetKind = "'auto'", Choice(TargetKind::WORDS), FILES, Fixed;
        /// Your own series, in place of data.name: a .csv table whose first line names its columns, and whose other lines are in the
        /// order of time. The column data.target is the series; where that is empty, the only column or the second of two.
        series: String = "''", Text, SERIES, Fixed;
        /// File of the observations y to which a simulator is fitted: .npy, text with numbers between blanks, commas or line
        /// ends, or a table whose header names the columns name and value, and any of deviation or variance, group, set, and weight
        /// (which multiplies 1 / deviation). An output whose value is blank or NaN is not observed. A simulator is asked for each set
        /// by its name, and steps take data.batch sets.
        observations: String = "''", Text, SIMULATORS, Fixed;
        /// Observations that lie further than 3 deviations, of the noise and the members together, from every member of the first
        /// ensemble.
        conflict: Conflict = "'warn'", Choice(Conflict::WORDS), SIMULATORS, Fixed;
        /// Batch size m: samples assimilated at one step. For a simulator whose observations stand in sets: sets at one step,
        /// a divisor of their number.
        batch: usize = "600", Between(1, MOST), EVERYWHERE, Fixed;
        /// Shuffle the samples, or the sets of observations, anew in each epoch; otherwise they keep the order of the file.
        shuffle: bool = "true", Bool, EVERYWHERE, Fixed;
        /// Scaling of a network's inputs, and of target values of data.train, taken from the training samples. Tables and N x features
        /// arrays are scaled column by column, images and sequences by one scaling for all their numbers, and each target value by its
        /// own.
        scale: Scale = "'unit'", Choice(Scale::WORDS), NETWORKS, Fixed;
        /// Number of training samples that are used, from the first on; 0 uses all.
        limit: usize = "0", Between(0, MOST), NETWORKS, Fixed;
        /// Time steps T that a generated task of long memory spans.
        length: usize = "100", Between(2, MOST), TASKS, Fixed;
        /// Training examples that are generated of a task of long memory.
        examples: usize = "10000", Between(1, MOST), TASKS, Fixed;
        /// Latest values of a series that the network is given at each time step, the newest first.
        lags: usize = "1", Between(1, MOST), SERIES, Fixed;
        /// Number of training samples, the last ones, that are held out and take the place of the test set; 0 evaluates on the
        /// test set.
        validation: usize = "0", Between(0, MOST), NETWORKS, Fixed;
        /// Largest shift of a training image, in pixels: each is moved by up to this up or down and left or right, anew in each
        /// epoch; 0 is off.
        augment: usize = "0", Between(0, MOST), IMAGES, Fixed;
        /// Bound of a random affine deformation of each training image, drawn anew in each epoch: a 2 x 2 matrix about the
        /// image's centre whose entries differ from the identity's by less than this; 0 is off.
        affine: f64 = "0.0", Within(0.0, 1.0), IMAGES, Fixed;
        /// Bound, in pixels, of a random elastic deformation of each training image, drawn anew in each epoch: a smooth field of
        /// displacements, cubic B-splines with a coefficient of at most this at every sixth pixel; 0 is off.
        elastic: f64 = "0.0", AtLeast(0.0), IMAGES, Fixed;
        /// Number of epochs, from the first on, in which data.affine and data.elastic apply; 0 stands for all.
        deformation_epochs: u64 = "0", Between(0, LONGEST), IMAGES, Fixed;
    }
}

words! {
    /// The treatment of observations that lie far from all members of the prior.
    Conflict {
        /// They are named, and count as all others.
        Warn = "warn",
        /// They are named, and left out of the run.
        Drop = "drop",
    }
}

words! {
    /// Scalings of a network's inputs.
    Scale {
        /// To the range from 0 to 1.
        Unit = "unit",
        /// To mean 0 and standard deviation 1.
        Standard = "standard",
        /// None: numbers are taken as they are.
        None = "none",
    }
}

words! {
    /// Kinds of targets of the user's own samples.
    TargetKind {
        /// Classes where targets are text or whole numbers, values where they are real numbers.
        Auto = "auto",
        /// Classes: whole numbers and texts are names of classes.
        Classes = "classes",
        /// Values.
        Values = "values",
    }
}
