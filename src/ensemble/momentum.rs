//! Nesterov's momentum on a block of columns.

use ndarray::{ArrayRef2, Zip};

use crate::kernels::real::Real;

/// Nesterov's momentum on one block, in place: on entry `u` holds u_{n+1} and `previous` u_n; on return `u` holds
/// v_{n+1} = u_{n+1} + coefficient (u_{n+1} - u_n) and `previous` u_{n+1}.
pub fn extrapolate<T: Real>(u: &mut ArrayRef2<T>, previous: &mut ArrayRef2<T>, coefficient: f64) {
    let coefficient = T::from_f64(coefficient);
    Zip::from(u).and(previous).for_each(|u, previous| {
        let next = *u;
        *u = next + coefficient * (next - *previous);
        *previous = next;
    });
}
