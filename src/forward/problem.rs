//! The problem that is inverted: a forward map and the data it should reproduce.

use std::ops::Range;

use crate::data::augment::Augment;
use crate::data::form::SampleForm;
use crate::data::scores::Measure;
use crate::data::{Batch, Dataset, Scaling, Targets};
use crate::forward::ForwardMap;
use crate::kernels::real::Real;

/// An inverse problem: a forward map and the data it should reproduce.
pub struct Problem<T> {
    /// G.
    pub map: Box<dyn ForwardMap<T>>,
    /// The data.
    pub dataset: Dataset,
    /// The inputs' scaling.
    pub scaling: Scaling,
    /// The form of a network's samples; None for other maps.
    pub form: Option<SampleForm>,
    /// The augmentation of training images, if any.
    pub augment: Option<Augment>,
}

impl<T: Real> Problem<T> {
    /// Returns the test samples of `chunk`, scaled.
    #[must_use]
    pub fn test_batch(&self, chunk: &Range<usize>) -> Batch<T> {
        let rows: Vec<usize> = chunk.clone().collect();
        Batch::gather(&self.dataset.test, &rows, self.scaling)
    }

    /// Returns the measure of parameters on the test set: accuracy, squared error or misfit.
    #[must_use]
    pub fn measure(&self) -> Measure {
        if self.map.own_units().is_some() {
            return Measure::Misfit;
        }
        match (&self.dataset.test.targets, self.map.highest_return()) {
            (_, Some(highest)) => Measure::Return { highest },
            (Targets::Classes { .. }, None) => Measure::Accuracy,
            (Targets::Values(_), None) => Measure::SquaredError,
        }
    }
}
