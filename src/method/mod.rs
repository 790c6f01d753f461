//! One method a file: from all members' outputs to how the ensemble moves.
//!
//! `eki` is the publication's step, `kalman` the same with the Kalman gain, `mean` moves the mean alone. Beside them stands
//! what serves them: the outputs that ranks bring together, anomalies, D as a matrix, the gain, the norm, the loss and the
//! step size. A method knows no clock, no file and no log; it may import `ensemble` and every room above it.
//!
//! To add a method: its file here, a line below, its arm in `of`, its keys in `config/keys.rs`.

pub mod anomalies;
pub mod eki;
pub mod gain;
#[cfg(feature = "gradients")]
pub mod gradient;
pub(crate) mod interaction_matrix;
pub(crate) mod kalman;
pub mod loss;
pub mod mean;
pub mod norm;
pub mod outputs;
pub mod step_size;

use crate::ensemble::transform::{Form, Transform};
use crate::error::Result;
use crate::kernels::real::Real;
use crate::method::outputs::Outputs;
use crate::parallel::ranks::Ranks;

/// A method: from all members' outputs to how the ensemble moves in one step.
pub trait Method<T: Real>: Send + Sync {
    /// Its name in configurations and reports.
    fn name(&self) -> &'static str;

    /// The move of one step and ||D||_F, the same bits on all ranks for any number of ranks and threads. Called by all
    /// ranks.
    ///
    /// # Errors
    /// On all ranks alike: outputs too large to be solved with.
    fn transform(&self, outputs: &Outputs<T>, ranks: Ranks) -> Result<(Transform<T>, f64)>;
}

/// The method that updates in `form`, with the Kalman gain or without.
#[must_use]
pub fn of<T: Real>(form: Form, gain: bool) -> Box<dyn Method<T>> {
    match (form, gain) {
        (Form::Mean, _) => Box::new(mean::Mean),
        (Form::Explicit, false) => Box::new(eki::Eki::Explicit),
        (Form::Factored, false) => Box::new(eki::Eki::Factored),
        (Form::Explicit, true) => Box::new(kalman::Kalman::Explicit),
        (Form::Factored, true) => Box::new(kalman::Kalman::Factored),
    }
}
