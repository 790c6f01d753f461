//! Members whose outputs lie so far from the observations that they count as failed (`method.outlier_ratio`).
//!
//! With least squares the distance of outputs z from the observations y is their root mean square difference in
//! deviations of the noise, the unit of the misfit. A member fails beyond
//!
//! ```text
//! outlier_ratio  max(the members' median distance, the observations' own distance from 0, 1)
//! ```
//!
//! so that none fails that is nearer to the observations than the median, and none for what is small beside them or the noise.

/// Returns the largest distance that is no failure; `distances` are the members', those that are not finite left out, `size` is the
/// observations' own distance from 0.
#[must_use]
pub fn limit(distances: impl Iterator<Item = f64>, size: f64, outlier_ratio: f64) -> f64 {
    outlier_ratio * median(distances).max(size).max(1.0)
}

/// Returns the median (of an even number the larger) of those `values` that are finite; 0 where none is.
#[must_use]
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    finite.get(finite.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_whatever_is_farthest_from_the_observations() {
        let of = |distances: &[f64], size| limit(distances.iter().copied(), size, 10.0);
        assert_eq!(of(&[1.0, 5.0, 200.0], 0.0), 50.0);
        assert_eq!(of(&[1.0, 5.0, 200.0], 8.0), 80.0);
        assert_eq!(of(&[0.0, 0.0, 3.0], 0.0), 10.0);
        assert_eq!(of(&[f64::NAN, f64::INFINITY], 0.0), 10.0);
    }
}
