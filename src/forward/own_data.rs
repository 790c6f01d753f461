//! Samples and series in the user's own files: read, split, scaled by the training samples, and described by their form.

use std::path::PathBuf;

use crate::config::{Resolved, Scale};
use crate::data::form::SampleForm;
use crate::data::shape::DataShape;
use crate::data::{Dataset, Inputs, Samples, Scaling, Targets, series};
use crate::error::{Error, Result};
use crate::forward::sources::{cut, split};
use crate::io::samples::{
    Found, InputShape, RawSamples, RawTargets, SampleFiles, TargetNames, column,
};
use crate::kernels::rng::{Key, Purpose};

/// Training and test files.
struct OwnFiles {
    train: SampleFiles,
    test: Option<SampleFiles>,
}

/// Returns the files that `resolved` names.
fn files(resolved: &Resolved) -> Result<OwnFiles> {
    let data = &resolved.config.data;
    let paths = |key: &str, names: &[String]| -> Result<Vec<PathBuf>> {
        names.iter().map(|name| resolved.file(key, name)).collect()
    };
    let of = |key: &str, paths: &[PathBuf]| {
        SampleFiles::of(paths, &data.target).map_err(|allowed| resolved.error(key, allowed))
    };
    let train = paths("data.train", &data.train)?;
    if let ([folder], true) = (&train[..], train[0].is_dir()) {
        let (train, test) = SampleFiles::in_folder(folder)?;
        return match data.test.is_empty() {
            true => Ok(OwnFiles { train, test }),
            false => Err(resolved.error("data.test", "must be [] beside a folder of IDX files")),
        };
    }
    let test = match data.test.is_empty() {
        true => None,
        false => Some(of("data.test", &paths("data.test", &data.test)?)?),
    };
    let train = of("data.train", &train)?;
    let is_table = matches!(train, SampleFiles::Table { .. });
    if !is_table && !data.target.is_empty() {
        return Err(resolved.error("data.target", "must be left out but for a table"));
    }
    Ok(OwnFiles { train, test })
}

/// Returns the numbers of training and test samples of `n` in the training files, `given` of which are in test files: as they are
/// split before data.validation and data.limit are taken.
fn parts(resolved: &Resolved, n: usize, given: Option<usize>) -> Result<(usize, usize)> {
    match given {
        Some(test) => Ok((n, test)),
        // The validation samples take the place of the test set.
        None if resolved.config.data.validation > 0 => Ok((n, 0)),
        None if n < 2 => {
            let allowed = "holds one sample: a fifth cannot be held out as the test set";
            Err(resolved.error("data.train", allowed))
        }
        // As the embedded digits are split.
        None => Ok((n * 4 / 5, n - n * 4 / 5)),
    }
}

/// Returns the shape of the data in the files that `resolved` names: of arrays and images no more than headers and targets are read.
pub(super) fn shape(resolved: &Resolved) -> Result<DataShape> {
    let files = files(resolved)?;
    let (inputs, targets, lines) = files.train.outline()?;
    let names = names(resolved, &files.train, (&targets, &lines))?;
    let given = match &files.test {
        Some(test) => Some(test.outline()?.0.samples),
        None => None,
    };
    let (train, test) = parts(resolved, inputs.samples, given)?;
    let (kept, held_out) = split(resolved, train)?;
    Ok(DataShape {
        train: kept,
        test: if held_out > 0 { held_out } else { test },
        features: inputs.features,
        outputs: names.outputs,
        classes: !names.classes.is_empty(),
        image: inputs.image,
    })
}

/// Returns what the targets of the training samples are.
fn names(
    resolved: &Resolved,
    files: &SampleFiles,
    (targets, lines): (&RawTargets, &[usize]),
) -> Result<TargetNames> {
    let path = files.target_file();
    let found = Found {
        targets,
        path,
        lines,
    };
    TargetNames::of(found, resolved.config.data.targets)
}

/// Loads the samples of the files that `resolved` names: those to fit and those to test on, scaled, and their form.
pub(super) fn load(resolved: &Resolved) -> Result<(Dataset, SampleForm)> {
    let files = files(resolved)?;
    let raw = files.train.read()?;
    let names = names(resolved, &files.train, (&raw.targets, &raw.lines))?;
    let (outline, target) = (
        raw.inputs.shape.clone(),
        resolved.config.data.target.clone(),
    );
    let train = samples(&names, raw, &files.train)?;
    let test = match &files.test {
        Some(files) => Some(test_samples(files, (&outline, &names))?),
        None => None,
    };
    let mut dataset = divided(resolved, train, test)?;
    let form = SampleForm {
        image: outline.image,
        columns: outline.columns,
        target,
        classes: names.classes,
        inputs: Vec::new(),
        ..SampleForm::of(&dataset.train, Scaling::NONE)
    };
    let form = scaled(form, &dataset.train, resolved.config.data.scale);
    form.scale_samples(&mut dataset.train);
    form.scale_samples(&mut dataset.test);
    Ok((dataset, form))
}

/// Returns the samples that `raw`, from `files`, holds.
fn samples(names: &TargetNames, raw: RawSamples, files: &SampleFiles) -> Result<Samples> {
    let found = Found {
        targets: &raw.targets,
        path: files.target_file(),
        lines: &raw.lines,
    };
    let targets = names.targets(found)?;
    Ok(Samples {
        inputs: raw.inputs.numbers,
        targets,
    })
}

/// Reads the test samples in `files`, whose inputs must be like those of the training samples.
fn test_samples(
    files: &SampleFiles,
    (train, names): (&InputShape, &TargetNames),
) -> Result<Samples> {
    let mut raw = files.read()?;
    if let SampleFiles::Table { path, .. } = files {
        // Columns may stand in another order.
        raw.inputs = crate::io::samples::read_table_inputs(path, &train.columns)?;
    }
    check_like(&raw.inputs.shape, (train.features, train.image))
        .map_err(|why| Error::data(files.input_file(), why))?;
    samples(names, raw, files)
}

/// Refuses inputs whose samples are not of the sizes of the training samples.
///
/// # Errors
/// What is wrong, in words that follow the file's name.
pub fn check_like(
    found: &InputShape,
    (features, image): (usize, Option<(usize, usize, usize)>),
) -> std::result::Result<(), String> {
    let sizes = |features: usize, image: Option<(usize, usize, usize)>| match image {
        Some((1, height, width)) => format!("{height} x {width}"),
        Some((channels, height, width)) => format!("{height} x {width} x {channels}"),
        None => features.to_string(),
    };
    let alike = found.features == features
        && (image.is_none() || found.image.is_none() || found.image == image);
    match alike {
        true => Ok(()),
        false => Err(format!(
            "has inputs of {} numbers a sample, and the training samples have {}",
            sizes(found.features, found.image),
            sizes(features, image)
        )),
    }
}

/// Returns the samples to fit and those to test on: where the latter are not in files of their own, both are drawn from `train` by a
/// shuffle that is the same for every seed.
fn divided(resolved: &Resolved, train: Samples, test: Option<Samples>) -> Result<Dataset> {
    let validates = resolved.config.data.validation > 0;
    let (count, _) = parts(resolved, train.len(), test.as_ref().map(Samples::len))?;
    let shuffle = Key {
        seed: 0,
        purpose: Purpose::Split,
        step: 0,
        member: 0,
        block: 0,
    };
    let order = shuffle.permutation(train.len());
    let dataset = match test {
        Some(test) if !validates => Dataset { train, test },
        test => {
            let rest = || train.select(&order[count..]);
            Dataset {
                test: test.unwrap_or_else(rest),
                train: train.select(&order[..count]),
            }
        }
    };
    cut(resolved, dataset)
}

/// Returns `form` with the scaling that `scale` takes from the training samples `train`.
fn scaled(form: SampleForm, train: &Samples, scale: Scale) -> SampleForm {
    let columns = |numbers: &ndarray::Array2<f64>| -> Vec<Scaling> {
        let columns = numbers.columns().into_iter().map(|column| match scale {
            Scale::Unit => Scaling::to_range(column.iter().copied()),
            Scale::Standard => Scaling::to_standard(column.iter().copied()),
            Scale::None => Scaling::NONE,
        });
        columns.collect()
    };
    let inputs = match (&train.inputs, form.image, scale) {
        (_, _, Scale::None) => vec![Scaling::NONE],
        (Inputs::Reals(numbers), None, _) => columns(numbers),
        (Inputs::Reals(numbers), _, Scale::Unit) => {
            vec![Scaling::to_range(numbers.iter().copied())]
        }
        (Inputs::Reals(numbers), _, _) => vec![Scaling::to_standard(numbers.iter().copied())],
        (Inputs::Bytes(bytes), _, Scale::Unit) => {
            vec![Scaling::to_range(bytes.iter().map(|&byte| f64::from(byte)))]
        }
        (Inputs::Bytes(bytes), _, _) => {
            vec![Scaling::to_standard(
                bytes.iter().map(|&byte| f64::from(byte)),
            )]
        }
    };
    let targets = match &train.targets {
        Targets::Values(values) if scale != Scale::None => columns(values),
        _ => Vec::new(),
    };
    SampleForm {
        inputs,
        targets,
        ..form
    }
}

/// Returns the values of the series that `resolved` names, in order of time and in their own units, and the name of their column.
///
/// # Errors
/// A file that is missing or damaged.
pub fn own_series(resolved: &Resolved) -> Result<(String, Vec<f64>)> {
    let data = &resolved.config.data;
    let path = resolved.file("data.series", &data.series)?;
    column(&path, &data.target)
}

/// Returns the form of a series of `values` called `name`: one scaling, by which it fills the range from 0 to 1.
pub(super) fn series_form(name: String, lags: usize, values: &[f64]) -> SampleForm {
    let (_, scaling) = series::to_unit(values);
    SampleForm {
        features: lags,
        image: None,
        columns: vec![name.clone()],
        target: name,
        outputs: 1,
        classes: Vec::new(),
        inputs: vec![scaling],
        targets: vec![scaling],
        lags,
    }
}
