//! The form of a network's samples: what inputs must be like, how their numbers are scaled, and what outputs stand for. It is kept
//! with a run's final network, so that the network can be given new inputs.

use ndarray::ArrayViewMut2;
use serde::{Deserialize, Serialize};

use super::{Inputs, Samples, Scaling, Targets};

/// The form of a network's samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleForm {
    /// The number d of a sample's inputs.
    pub features: usize,
    /// The (channels, height, width) of a sample, flattened in that order, where it has rows and columns.
    pub image: Option<(usize, usize, usize)>,
    /// The names of the inputs where samples are a table, in order; empty for arrays.
    pub columns: Vec<String>,
    /// The name of the column that is predicted; empty for arrays.
    pub target: String,
    /// The number c of the network's outputs.
    pub outputs: usize,
    /// The names of the classes in order; empty where outputs are values.
    pub classes: Vec<String>,
    /// The scaling of the inputs: one for all of them, or one for each.
    pub inputs: Vec<Scaling>,
    /// The scaling of each target value; empty for classes, and for values that are taken as they are.
    pub targets: Vec<Scaling>,
    /// The latest values that a network of a series is given at each time step; 0 where samples are no series.
    pub lags: usize,
}

impl SampleForm {
    /// Returns the form of `samples` as they stand, with all inputs scaled by `scaling`; the classes are named by their numbers.
    #[must_use]
    pub fn of(samples: &Samples, scaling: Scaling) -> Self {
        let classes = match &samples.targets {
            Targets::Classes { classes, .. } => (0..*classes).map(|i| i.to_string()).collect(),
            Targets::Values(_) => Vec::new(),
        };
        Self {
            features: samples.features(),
            image: None,
            columns: Vec::new(),
            target: String::new(),
            outputs: samples.outputs(),
            classes,
            inputs: vec![scaling],
            targets: Vec::new(),
            lags: 0,
        }
    }

    /// Returns the name of output `i`: its class, or the column that is predicted.
    #[must_use]
    pub fn output_name(&self, i: usize) -> String {
        match self.classes.get(i) {
            Some(class) => class.clone(),
            None if self.outputs == 1 && !self.target.is_empty() => self.target.clone(),
            None => format!("y{i}"),
        }
    }

    /// Scales `inputs`, n x d, number by number.
    pub fn scale(&self, mut inputs: ArrayViewMut2<f64>) {
        scale_columns(&mut inputs, &self.inputs);
    }

    /// Scales the real inputs and the target values of `samples`. Bytes stay as they are until a batch needs them.
    pub fn scale_samples(&self, samples: &mut Samples) {
        if let Inputs::Reals(inputs) = &mut samples.inputs {
            self.scale(inputs.view_mut());
        }
        if let (Targets::Values(values), true) = (&mut samples.targets, !self.targets.is_empty()) {
            scale_columns(&mut values.view_mut(), &self.targets);
        }
    }

    /// Returns the value in its own units for which output `i` of the network stands.
    #[must_use]
    pub fn value(&self, i: usize, output: f64) -> f64 {
        self.targets
            .get(i)
            .map_or(output, |scaling| scaling.undo(output))
    }
}

/// Scales each column of `numbers` by its scaling, or all by the only one.
fn scale_columns(numbers: &mut ArrayViewMut2<f64>, scalings: &[Scaling]) {
    for mut row in numbers.rows_mut() {
        let scalings = scalings.iter().cycle();
        row.iter_mut()
            .zip(scalings)
            .for_each(|(x, scaling)| *x = scaling.apply(*x));
    }
}
