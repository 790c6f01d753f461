//! The standard normal distribution function and its inverse, with all digits in both tails.

use std::f64::consts::FRAC_1_SQRT_2;

/// The farthest coordinate that stands for a bound.
pub(super) const FARTHEST: f64 = 9.0;
/// The farthest number of deviations at which a tail's share is still a normal double.
const FARTHEST_TAIL: f64 = 37.0;

/// The probability Phi(x) that a standard normal variable is less than `x`.
#[must_use]
pub fn below(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// The probability 1 - Phi(x) that a standard normal variable exceeds `x`.
pub(super) fn above(x: f64) -> f64 {
    0.5 * libm::erfc(x * FRAC_1_SQRT_2)
}

/// The probability that a standard normal variable lies between `a` and `b`, a < b: from the tail that both lie in, where they do.
pub(super) fn between(a: f64, b: f64) -> f64 {
    match a > 0.0 {
        true => above(a) - above(b),
        false => below(b) - below(a),
    }
}

/// The coordinate at which the share `below` of a law lies below, and the share `above` above; at most `FARTHEST` from 0.
pub(super) fn coordinate(below: f64, above: f64) -> f64 {
    quantile(below, above, FARTHEST)
}

/// The quantile of the standard normal law below which the share `share` of it lies; at most 37 from 0.
#[must_use]
pub fn quantile_of(share: f64) -> f64 {
    far_quantile(share, 1.0 - share)
}

/// The quantile of the standard normal law whose probabilities are `below` and `above`, at most 37 from 0.
pub(super) fn far_quantile(below: f64, above: f64) -> f64 {
    quantile(below, above, FARTHEST_TAIL)
}

/// From the smaller of both shares, which has the more digits.
fn quantile(below: f64, above: f64, farthest: f64) -> f64 {
    if below <= above {
        -upper_quantile(below, farthest)
    } else {
        upper_quantile(above, farthest)
    }
}

/// The x >= 0 that a standard normal variable exceeds with probability `share`, at most 1/2; at most `farthest`.
fn upper_quantile(share: f64, farthest: f64) -> f64 {
    if share <= above(farthest) {
        return farthest;
    }
    // Abramowitz & Stegun (1964), 26.2.23: right to 4.5e-4, improved by Newton's iteration on the logarithm.
    let t = (-2.0 * libm::log(share)).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = t - numerator / denominator;
    for _ in 0..4 {
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        let tail = above(x);
        x += tail / density * libm::log(tail / share);
    }
    x.clamp(0.0, farthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_invert_the_distribution_far_into_both_tails() {
        for x in [-36.0, -20.0, -9.5, -3.0, -1e-9, 0.0, 0.4, 8.0, 30.0] {
            let found = far_quantile(below(x), above(x));
            assert!((found - x).abs() < 1e-12 * (1.0 + x.abs()), "{x} {found}");
        }
        assert_eq!(coordinate(0.0, 1.0), -FARTHEST);
        assert_eq!(coordinate(1.0, 0.0), FARTHEST);
        assert!((between(6.0, 7.0) - between(-7.0, -6.0)).abs() < 1e-24);
    }
}
