//! Inputs that a user brings to a finished run's network, and targets where their table has them.

use std::path::Path;

use crate::data::form::SampleForm;
use crate::data::{Inputs, Targets};
use crate::error::{Error, Result};
use crate::files::ends_in;
use crate::forward::own_data::check_like;
use crate::io::samples::{Found, TargetNames, read_inputs, read_table_inputs, table_targets};

/// Samples to predict.
#[derive(Clone, Debug)]
pub struct NewSamples {
    /// The inputs in their own units, n x d.
    pub inputs: Inputs,
    /// The targets in their own units, where the inputs are a table with the column of the targets.
    pub targets: Option<Targets>,
}

/// Reads the inputs in `path` for a network whose samples have `form`: of a table the columns by their names, where the samples that it
/// was trained on were a table, else all columns in order.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, inputs of other sizes, numbers that are not finite, and classes that the
/// network does not know.
pub fn new_samples(form: &SampleForm, path: &Path) -> Result<NewSamples> {
    let mut targets = None;
    let inputs = if ends_in(path, "csv") {
        if !form.target.is_empty()
            && let Some((found, lines)) = table_targets(path, &form.target)?
        {
            let names = TargetNames {
                classes: form.classes.clone(),
                outputs: form.outputs,
            };
            targets = Some(names.targets(Found {
                targets: &found,
                path,
                lines: &lines,
            })?);
        }
        read_table_inputs(path, &form.columns)?
    } else {
        read_inputs(path)?
    };
    check_like(&inputs.shape, (form.features, form.image)).map_err(|why| Error::data(path, why))?;
    if inputs.shape.samples == 0 {
        return Err(Error::data(path, "holds no samples"));
    }
    Ok(NewSamples {
        inputs: inputs.numbers,
        targets,
    })
}
