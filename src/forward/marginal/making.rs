//! Laws made from the numbers of an entry, with what these must be.

use super::Marginal;
use super::logit_normal::{self, Logit};
use crate::files::numbers::number;

/// The most deviations that both bounds of a truncated normal law may lie on one side of its mean.
const FARTHEST_CUT: f64 = 30.0;
/// The least deviation of a bounded parameter, and the least distance of its mean from a bound, in units of the distance between both
/// bounds.
const LEAST_SHARE: f64 = 1e-9;
/// The least number of deviations between the bounds of a truncated normal law.
const NARROWEST_CUT: f64 = 1e-3;

impl Marginal {
    /// The law named `law` with these `numbers`, as many as it takes (`config::LAWS`).
    ///
    /// # Errors
    /// What the numbers must have, as in "a deviation greater than 0".
    pub(in crate::forward) fn new(law: &str, numbers: &[f64]) -> Result<Self, String> {
        let at = |i: usize| numbers[i];
        let may_be_open = matches!(law, "truncnormal" | "bounded");
        let sound = |(i, x): (usize, &f64)| x.is_finite() || may_be_open && i >= 2 && !x.is_nan();
        if !numbers.iter().enumerate().all(sound) {
            return Err("finite numbers".to_owned());
        }
        let unmet = |what: &str| Err(what.to_owned());
        let deviates = matches!(
            law,
            "normal" | "lognormal" | "lognormal of log" | "truncnormal" | "bounded"
        );
        if deviates && at(1) <= 0.0 {
            return unmet("a deviation greater than 0");
        }
        Ok(match law {
            "normal" => Self::Normal {
                mean: at(0),
                deviation: at(1),
            },
            "lognormal" if at(0) <= 0.0 => return unmet("a mean greater than 0"),
            "lognormal" => {
                let (mu, sigma) = of_logarithm(at(0), at(1));
                Self::Lognormal { mu, sigma }
            }
            "lognormal of log" => Self::Lognormal {
                mu: at(0),
                sigma: at(1),
            },
            "uniform" | "loguniform" => return Self::of_bounds(law, at(0), at(1)),
            "truncnormal" => return Self::truncated((at(0), at(1)), (at(2), at(3))),
            "triangular" => return Self::triangular(at(0), at(1), at(2)),
            "bounded" => return Self::bounded((at(0), at(1)), (at(2), at(3))),
            _ => unreachable!("laws without a coordinate are no marginals"),
        })
    }

    fn of_bounds(law: &str, lower: f64, upper: f64) -> Result<Self, String> {
        check_bounds(lower, upper)?;
        match law {
            "uniform" => Ok(Self::Uniform { lower, upper }),
            _ if lower <= 0.0 => Err("bounds greater than 0".to_owned()),
            _ => Ok(Self::Loguniform { lower, upper }),
        }
    }

    fn truncated(
        (mean, deviation): (f64, f64),
        (lower, upper): (f64, f64),
    ) -> Result<Self, String> {
        check_order(lower, upper)?;
        let (alpha, beta) = ((lower - mean) / deviation, (upper - mean) / deviation);
        if alpha > FARTHEST_CUT || beta < -FARTHEST_CUT {
            return Err(format!(
                "a mean at most {FARTHEST_CUT} deviations from the bounds"
            ));
        }
        if beta - alpha < NARROWEST_CUT {
            return Err(format!(
                "bounds at least {NARROWEST_CUT} deviations apart (take uniform)"
            ));
        }
        Ok(Self::Truncated {
            mean,
            deviation,
            lower,
            upper,
        })
    }

    fn triangular(lower: f64, mode: f64, upper: f64) -> Result<Self, String> {
        check_bounds(lower, upper)?;
        match (lower..=upper).contains(&mode) {
            true => Ok(Self::Triangular { lower, mode, upper }),
            false => Err("a mode between the bounds".to_owned()),
        }
    }

    /// The law between bounds of which at least one is finite, with the `mean` and `deviation` of the parameter itself.
    fn bounded((mean, deviation): (f64, f64), (lower, upper): (f64, f64)) -> Result<Self, String> {
        check_order(lower, upper)?;
        if mean <= lower || mean >= upper {
            return Err("a mean between the bounds".to_owned());
        }
        if lower.is_finite() && upper.is_finite() {
            check_bounds(lower, upper)?;
            let width = upper - lower;
            let (share, spread) = ((mean - lower) / width, deviation / width);
            if share.min(1.0 - share).min(spread) < LEAST_SHARE {
                return Err(format!(
                    "a deviation, and a distance of the mean from either bound, of at least {LEAST_SHARE} times that between the bounds"
                ));
            }
            let law = logit_normal::solve(share, spread);
            let Logit { mu, sigma } = law.map_err(|most| {
                let most = number(width * most, 4);
                format!("a deviation of less than {most}, which no law with this mean between these bounds has")
            })?;
            return Ok(Self::Between {
                lower,
                upper,
                mu,
                sigma,
            });
        }
        if lower.is_finite() {
            let (mu, sigma) = of_logarithm(mean - lower, deviation);
            return Ok(Self::Above { lower, mu, sigma });
        }
        if upper.is_finite() {
            let (mu, sigma) = of_logarithm(upper - mean, deviation);
            return Ok(Self::Below { upper, mu, sigma });
        }
        Err("a finite bound (else take normal)".to_owned())
    }
}

/// The mean and deviation of the logarithm of a lognormal variable with this `mean` and `deviation`.
fn of_logarithm(mean: f64, deviation: f64) -> (f64, f64) {
    let square = libm::log1p((deviation / mean) * (deviation / mean));
    (libm::log(mean) - 0.5 * square, square.sqrt())
}

fn check_order(lower: f64, upper: f64) -> Result<(), String> {
    match lower < upper {
        true => Ok(()),
        false => Err("a lower bound below the upper".to_owned()),
    }
}

fn check_bounds(lower: f64, upper: f64) -> Result<(), String> {
    check_order(lower, upper)?;
    match (upper - lower).is_finite() {
        true => Ok(()),
        false => Err("bounds less far apart".to_owned()),
    }
}
