//! Any forward map with a prior in its parameters' own units, at fixed inputs.
//!
//! ```text
//! xi ~ N(0, I)  ->  u, in the parameters' own units (`joint_prior`)  ->  G(u, x) at all samples x, as one sample's outputs
//! ```

use ndarray::{Array2, ArrayView2, ArrayViewMut2, ArrayViewMut3};

use super::joint_prior::JointPrior;
use super::{ForwardMap, MapShape, evaluate_alone};
use crate::kernels::real::Real;

/// A forward map whose parameters have priors in their own units, at inputs that stay the same in all steps.
///
/// The map receives values in the parameters' own units; the ensemble moves in standard normal coordinates. Its K = c m outputs
/// on m samples are those of one sample: output 1 of all samples first, then output 2.
pub struct WithPrior<M, T> {
    map: M,
    prior: JointPrior,
    inputs: Array2<T>, // d x m
}

impl<T: Real, M: ForwardMap<T>> WithPrior<M, T> {
    /// `map` with `prior`, which names each of its parameters, on `inputs`, d x m; for a map without inputs 0 x 1.
    ///
    /// # Errors
    /// Other numbers of parameters or inputs than the map has.
    pub fn new(map: M, prior: JointPrior, inputs: Array2<T>) -> Result<Self, String> {
        let shape = map.shape();
        let (named, parameters) = (prior.parameters(), shape.parameters);
        if named != parameters {
            return Err(format!(
                "the prior has {named} parameters, and the forward map takes {parameters}"
            ));
        }
        let (given, features) = (inputs.nrows(), shape.features);
        if given != features {
            return Err(format!(
                "a sample has {given} inputs, and the forward map takes {features}"
            ));
        }
        Ok(Self { map, prior, inputs })
    }
}

impl<T: Real, M: ForwardMap<T>> ForwardMap<T> for WithPrior<M, T> {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.prior.coordinates(),
            features: 0,
            outputs: self.map.outputs() * self.inputs.ncols(),
        }
    }

    fn own_units(&self) -> Option<&JointPrior> {
        Some(&self.prior)
    }

    fn outputs_in_own_units(&self, u: &[f64]) -> Option<Array2<T>> {
        let u: Vec<T> = u.iter().map(|u| T::from_f64(*u)).collect();
        let outputs = evaluate_alone(&self.map, &u, self.inputs.view());
        let column: Vec<T> = outputs.iter().copied().collect();
        Some(Array2::from_shape_vec((column.len(), 1), column).expect("as many numbers"))
    }

    fn group(&self) -> usize {
        self.map.group()
    }

    fn flops(&self, _m: usize) -> f64 {
        self.map.flops(self.inputs.ncols())
    }

    fn scratch(&self, _m: usize) -> usize {
        self.group() * self.prior.parameters() + self.map.scratch(self.inputs.ncols())
    }

    fn evaluate(
        &self,
        members: ArrayView2<T>,
        _inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let size = (members.nrows(), self.prior.parameters());
        let (own, scratch) = scratch.split_at_mut(size.0 * size.1);
        let mut own = ArrayViewMut2::from_shape(size, own).expect("as many numbers");
        for (xi, mut u) in members.rows().into_iter().zip(own.rows_mut()) {
            let values = self.prior.at(xi.to_slice().expect("row-major"));
            u.iter_mut()
                .zip(values)
                .for_each(|(u, value)| *u = T::from_f64(value));
        }
        let shape = (members.nrows(), self.map.outputs(), self.inputs.ncols());
        let outputs = outputs.into_shape_with_order(shape).expect("row-major");
        self.map
            .evaluate(own.view(), self.inputs.view(), outputs, scratch);
    }

    fn try_member(&self, u: &[T]) -> Result<(), String> {
        let values = self.prior.at(u);
        let values: Vec<T> = values.into_iter().map(T::from_f64).collect();
        self.map.try_member(&values)
    }
}
