//! How far members have contracted from the prior, and the share of them at its ends.

use ndarray::ArrayView2;

use super::sample::deviation;
use super::{END, ParameterStatistics};
use crate::forward::joint_prior::JointPrior;

/// The spread of the prior, against which members have contracted.
#[derive(Clone, Copy, Debug)]
pub enum PriorSpread<'a> {
    /// That of the prior's laws, from which the first members were drawn.
    Laws,
    /// That of the first members, which are the prior: a row of all parameters each.
    Sample(ArrayView2<'a, f64>),
    /// It is not known.
    Unknown,
}

/// Returns `statistics` of the members' `values` of parameter `p` with what compares them with the prior.
pub(super) fn against_prior(
    statistics: ParameterStatistics,
    (prior, p): (&JointPrior, usize),
    values: &[f64],
    before: PriorSpread,
) -> ParameterStatistics {
    let coordinates = |values: &mut dyn Iterator<Item = f64>| -> Option<Vec<f64>> {
        let z: Option<Vec<f64>> = values.map(|u| prior.own_coordinate(p, u)).collect();
        z.filter(|z| !z.is_empty())
    };
    let Some(z) = coordinates(&mut values.iter().copied()) else {
        return statistics;
    };
    let spread = match before {
        PriorSpread::Laws => Some(1.0),
        PriorSpread::Sample(first) => {
            let first = coordinates(&mut first.column(p).iter().copied());
            first.and_then(|z| deviation(&z)).filter(|s| *s > 0.0)
        }
        PriorSpread::Unknown => None,
    };
    let share =
        |beyond: fn(f64) -> bool| z.iter().filter(|z| beyond(**z)).count() as f64 / z.len() as f64;
    ParameterStatistics {
        contraction: deviation(&z)
            .zip(spread)
            .map(|(s, before)| 1.0 - (s / before).powi(2)),
        ends: Some([share(|z| z < -END), share(|z| z > END)]),
        bounded: prior.has_bounds(p),
        ..statistics
    }
}
