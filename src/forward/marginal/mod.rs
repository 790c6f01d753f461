//! The prior of one parameter in its own unit, as a map from a standard normal coordinate.
//!
//! ```text
//! normal MEAN DEVIATION                      u = m + s xi
//! lognormal MEAN DEVIATION                   u = exp(mu + sigma xi) ,  sigma^2 = ln(1 + s^2/m^2) ,  mu = ln m - sigma^2/2
//! lognormal of log MEAN DEVIATION            u = exp(m + s xi)
//! uniform LOWER UPPER                        u = a + (b - a) Phi(xi) ,  Phi the normal distribution function
//! loguniform LOWER UPPER                     ln u = ln a + (ln b - ln a) Phi(xi)
//! truncnormal MEAN DEVIATION LOWER UPPER     Phi(x) = Phi(alpha) + (Phi(beta) - Phi(alpha)) Phi(xi) ,  u = m + s x ,
//!                                            alpha = (a - m)/s ,  beta = (b - m)/s ;  m and s before the cut
//! triangular LOWER MODE UPPER                F(u) = Phi(xi) ,  F(u) = (u - a)^2 / ((b - a)(c - a)) up to the mode c
//! bounded MEAN DEVIATION LOWER UPPER         m and s those of u itself, by the bounds that are finite:
//!     LOWER inf                              u = a + exp(mu + sigma xi)
//!     -inf UPPER                             u = b - exp(mu - sigma xi)
//!     LOWER UPPER                            u = a + (b - a) / (1 + exp(-(mu + sigma xi)))    (`logit_normal`)
//! ```
//!
//! The ensemble moves in the coordinates xi ~ N(0, I), which have no bounds; the forward map receives u, which never leaves its
//! bounds. The constrained priors of EnsembleKalmanProcesses.jl do the same. Functions are `libm`'s: identical results on every
//! machine.

mod logit_normal;
mod making;
mod normal;

use logit_normal::logistic;
pub use normal::below as standard_normal;
pub use normal::quantile_of as standard_normal_quantile;

/// The logit of a bounded parameter that stands for a bound.
const FARTHEST_LOGIT: f64 = 40.0;

/// The law of a parameter that is free to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Marginal {
    /// Normal.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        deviation: f64,
    },
    /// Its logarithm is normal.
    Lognormal {
        /// The mean of the logarithm.
        mu: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// Uniform.
    Uniform {
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// Its logarithm is uniform.
    Loguniform {
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// Normal before it is cut off at the bounds.
    Truncated {
        /// The mean before the cut.
        mean: f64,
        /// The standard deviation before the cut.
        deviation: f64,
        /// Its lower bound, or minus infinity.
        lower: f64,
        /// Its upper bound, or infinity.
        upper: f64,
    },
    /// Its density rises linearly from the lower bound to the mode, and falls from there to the upper bound.
    Triangular {
        /// Its lower bound.
        lower: f64,
        /// The place of the largest density.
        mode: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// The logarithm of its distance from a lower bound is normal.
    Above {
        /// Its lower bound.
        lower: f64,
        /// The mean of the logarithm.
        mu: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// The logarithm of its distance from an upper bound is normal.
    Below {
        /// Its upper bound.
        upper: f64,
        /// The mean of the logarithm.
        mu: f64,
        /// The standard deviation of the logarithm.
        sigma: f64,
    },
    /// The logit of its place between its bounds is normal.
    Between {
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
        /// The mean of the logit.
        mu: f64,
        /// The standard deviation of the logit.
        sigma: f64,
    },
}

impl Marginal {
    /// The parameter, in its own unit, at the coordinate `xi`.
    #[must_use]
    pub fn at(&self, xi: f64) -> f64 {
        match *self {
            Self::Normal { mean, deviation } => mean + deviation * xi,
            Self::Lognormal { mu, sigma } => libm::exp(mu + sigma * xi),
            Self::Uniform { lower, upper } => {
                let share = normal::below(xi);
                // Rounding must not lead beyond a bound.
                (lower + (upper - lower) * share).clamp(lower, upper)
            }
            Self::Loguniform { lower, upper } => {
                let (from, to) = (libm::log(lower), libm::log(upper));
                libm::exp(from + (to - from) * normal::below(xi)).clamp(lower, upper)
            }
            Self::Truncated {
                mean,
                deviation,
                lower,
                upper,
            } => {
                let (alpha, beta) = ((lower - mean) / deviation, (upper - mean) / deviation);
                let (below, above) = (normal::below(xi), normal::above(xi));
                // Sums of positive terms: no digits are lost in either tail.
                let less = normal::below(alpha) * above + normal::below(beta) * below;
                let more = normal::above(alpha) * above + normal::above(beta) * below;
                (mean + deviation * normal::far_quantile(less, more)).clamp(lower, upper)
            }
            Self::Triangular { lower, mode, upper } => {
                let (width, below) = (upper - lower, normal::below(xi));
                if below * width <= mode - lower {
                    lower + (below * width * (mode - lower)).sqrt()
                } else {
                    upper - (normal::above(xi) * width * (upper - mode)).sqrt()
                }
            }
            Self::Above { lower, mu, sigma } => lower + libm::exp(mu + sigma * xi),
            Self::Below { upper, mu, sigma } => upper - libm::exp(mu - sigma * xi),
            Self::Between {
                lower,
                upper,
                mu,
                sigma,
            } => {
                let (logit, width) = (mu + sigma * xi, upper - lower);
                let near = width * logistic(-logit.abs());
                let u = if logit < 0.0 {
                    lower + near
                } else {
                    upper - near
                };
                u.clamp(lower, upper)
            }
        }
    }

    /// The coordinate at which the parameter is `u`, in its own unit; none where the prior excludes `u`. At a bound, which
    /// members come as near to as numbers allow, the coordinate is finite.
    #[must_use]
    pub fn coordinate(&self, u: f64) -> Option<f64> {
        if !u.is_finite() {
            return None;
        }
        match *self {
            Self::Normal { mean, deviation } => Some((u - mean) / deviation),
            Self::Lognormal { mu, sigma } => (u > 0.0).then(|| (libm::log(u) - mu) / sigma),
            Self::Above { lower, mu, sigma } => Some((distance(u, lower)? - mu) / sigma),
            Self::Below { upper, mu, sigma } => Some((mu - distance(-u, -upper)?) / sigma),
            Self::Uniform { lower, upper } => within(u, lower, upper, || {
                let (below, above) = ((u - lower) / (upper - lower), (upper - u) / (upper - lower));
                normal::coordinate(below, above)
            }),
            Self::Loguniform { lower, upper } => within(u, lower, upper, || {
                let [from, at, to] = [lower, u, upper].map(libm::log);
                normal::coordinate((at - from) / (to - from), (to - at) / (to - from))
            }),
            Self::Truncated {
                mean,
                deviation,
                lower,
                upper,
            } => within(u, lower, upper, || {
                let [alpha, x, beta] = [lower, u, upper].map(|u| (u - mean) / deviation);
                let whole = normal::between(alpha, beta);
                normal::coordinate(
                    normal::between(alpha, x) / whole,
                    normal::between(x, beta) / whole,
                )
            }),
            Self::Triangular { lower, mode, upper } => within(u, lower, upper, || {
                let width = upper - lower;
                // The share beyond u, on the side of u that has no mode.
                let share = |apart: f64, whole: f64| apart / width * (apart / whole);
                if u < mode {
                    let below = share(u - lower, mode - lower);
                    normal::coordinate(below, 1.0 - below)
                } else if u > mode {
                    let above = share(upper - u, upper - mode);
                    normal::coordinate(1.0 - above, above)
                } else {
                    normal::coordinate((mode - lower) / width, (upper - mode) / width)
                }
            }),
            Self::Between {
                lower,
                upper,
                mu,
                sigma,
            } => within(u, lower, upper, || {
                let logit = libm::log(u - lower) - libm::log(upper - u);
                (logit.clamp(-FARTHEST_LOGIT, FARTHEST_LOGIT) - mu) / sigma
            }),
        }
    }

    /// Returns whether the prior's values have a bound below, and above.
    #[must_use]
    pub fn has_bounds(&self) -> [bool; 2] {
        match *self {
            Self::Normal { .. } => [false, false],
            Self::Lognormal { .. } | Self::Above { .. } => [true, false],
            Self::Below { .. } => [false, true],
            Self::Truncated { lower, upper, .. } => [lower, upper].map(f64::is_finite),
            Self::Uniform { .. }
            | Self::Loguniform { .. }
            | Self::Triangular { .. }
            | Self::Between { .. } => [true, true],
        }
    }

    /// The values that the prior allows, in words.
    #[must_use]
    pub fn support(&self) -> String {
        match *self {
            Self::Normal { .. } => "a finite number".to_owned(),
            Self::Lognormal { .. } => "greater than 0".to_owned(),
            Self::Above { lower, .. } => format!("greater than {lower:?}"),
            Self::Below { upper, .. } => format!("less than {upper:?}"),
            Self::Uniform { lower, upper }
            | Self::Loguniform { lower, upper }
            | Self::Truncated { lower, upper, .. }
            | Self::Triangular { lower, upper, .. }
            | Self::Between { lower, upper, .. } => format!("between {lower:?} and {upper:?}"),
        }
    }
}

/// The logarithm of how far `u` lies above `lower`; at the bound itself, which rounding may lead to, of half the distance to the next
/// number. None below it.
fn distance(u: f64, lower: f64) -> Option<f64> {
    let apart = (u - lower).max(0.25 * f64::EPSILON * lower.abs());
    (u >= lower && apart > 0.0).then(|| libm::log(apart))
}

/// The coordinate that `found` gives, where `u` is not outside its bounds.
fn within(u: f64, lower: f64, upper: f64, found: impl Fn() -> f64) -> Option<f64> {
    (lower..=upper).contains(&u).then(found)
}

#[cfg(test)]
mod tests;
