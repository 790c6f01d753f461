//! The logit-normal law on (0, 1) of a given mean and deviation.
//!
//! ```text
//! t = 1 / (1 + exp(-(mu + sigma xi))) ,  xi ~ N(0, 1) ;  find mu, sigma with E t = m , E (t - m)^2 = s^2
//! ```
//!
//! The two moments have no closed form (Atchison & Shen, Biometrika 67 (1980) 261). They are integrated by the trapezoidal rule over
//! xi, which converges exponentially for analytic functions: t has its poles at the distance pi / sigma from the real axis, so that
//! the steps below leave an error under 1e-16 (Trefethen & Weideman, SIAM Review 56 (2014) 385). For each sigma there is one mu
//! with the mean m, and the deviation then grows with sigma from 0 to that of two points, sqrt(m (1 - m)).

/// The half width of the range of xi: what lies beyond it weighs less than 1e-17.
const RANGE: f64 = 8.75;
/// The longest step of the trapezoidal rule, and the longest in units of 1 / sigma.
const STEPS: (f64, f64) = (0.25, 0.5);
/// The range of sigma that is searched.
const SIGMA: (f64, f64) = (1e-12, 100.0);

/// The law of mu + sigma xi.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Logit {
    pub mu: f64,
    pub sigma: f64,
}

/// t at the logit `x`.
pub(super) fn logistic(x: f64) -> f64 {
    let small = libm::exp(-x.abs());
    let far = small / (1.0 + small);
    if x < 0.0 { far } else { 1.0 - far }
}

/// Weights and points of the trapezoidal rule for the mean of a function of xi that varies over 1 / `sigma`.
fn rule(sigma: f64) -> Vec<(f64, f64)> {
    let step = STEPS.0.min(STEPS.1 / sigma);
    let half = (RANGE / step).ceil() as i64;
    let points = (-half..=half).map(|i| {
        let xi = i as f64 * step;
        (libm::exp(-0.5 * xi * xi), xi)
    });
    let points: Vec<_> = points.collect();
    let total: f64 = points.iter().map(|(weight, _)| weight).sum();
    points.into_iter().map(|(w, xi)| (w / total, xi)).collect()
}

/// Returns the mu at which the mean is `mean` for this `sigma`, and the variance there; `near` is a first guess.
fn at_mean(mean: f64, sigma: f64, near: f64) -> (f64, f64) {
    let rule = rule(sigma);
    let (mut low, mut high) = (-800.0 - 10.0 * sigma, 800.0 + 10.0 * sigma);
    let mut mu = near;
    for _ in 0..100 {
        let (mut excess, mut slope) = (0.0, 0.0);
        for (weight, xi) in &rule {
            let t = logistic(mu + sigma * xi);
            excess += weight * (t - mean);
            slope += weight * t * (1.0 - t);
        }
        if excess > 0.0 {
            high = mu;
        } else {
            low = mu;
        }
        let newton = mu - excess / slope;
        let next = match newton > low && newton < high {
            true => newton,
            false => 0.5 * (low + high),
        };
        let moved = (next - mu).abs();
        mu = next;
        if moved <= 1e-15 * (1.0 + mu.abs()) {
            break;
        }
    }
    let square = |(weight, xi): &(f64, f64)| {
        let apart = logistic(mu + sigma * xi) - mean;
        weight * apart * apart
    };
    (mu, rule.iter().map(square).sum())
}

/// Returns the law whose mean is `mean`, between 0 and 1, and whose deviation is `deviation`.
///
/// # Errors
/// The largest deviation that is possible, where it is less.
pub(super) fn solve(mean: f64, deviation: f64) -> Result<Logit, f64> {
    let wanted = libm::log(deviation * deviation);
    let first = libm::log(mean / (1.0 - mean));
    // The logarithm of the variance less the wanted one, which grows with that of sigma; and mu.
    let excess = |x: f64, near: f64| {
        let (mu, variance) = at_mean(mean, libm::exp(x), near);
        (libm::log(variance) - wanted, mu)
    };
    let (mut low, mut high) = (libm::log(SIGMA.0), libm::log(SIGMA.1));
    let (most, mut mu) = excess(high, first);
    if most < 0.0 {
        return Err(deviation * libm::exp(0.5 * most));
    }
    // Where t is nearly linear in xi, its deviation is m (1 - m) sigma.
    let mut x = libm::log(deviation / (mean * (1.0 - mean)));
    let (mut at_low, mut at_high, mut was_below) = (f64::NAN, most, None);
    for _ in 0..100 {
        if !(x > low && x < high) {
            x = 0.5 * (low + high);
        }
        let (found, centre) = excess(x, mu);
        mu = centre;
        if found.abs() <= 1e-15 {
            break;
        }
        // Regula falsi after Illinois: the value at an end that stays twice is halved.
        let is_below = found < 0.0;
        let stays = if was_below == Some(is_below) {
            0.5
        } else {
            1.0
        };
        if is_below {
            (low, at_low, at_high) = (x, found, stays * at_high);
        } else {
            (high, at_high, at_low) = (x, found, stays * at_low);
        }
        was_below = Some(is_below);
        let next = (low * at_high - high * at_low) / (at_high - at_low);
        if (next - x).abs() <= 1e-15 * (1.0 + x.abs()) {
            break;
        }
        x = next;
    }
    let sigma = libm::exp(x);
    let (mu, _) = at_mean(mean, sigma, mu);
    Ok(Logit { mu, sigma })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_are_those_asked_for() {
        for (mean, deviation) in [
            (0.5, 0.1),
            (0.3, 0.2),
            (1e-4, 1e-4),
            (0.999, 1e-3),
            (0.2, 0.39),
            (0.5, 1e-9),
        ] {
            let law = solve(mean, deviation).unwrap();
            // A finer rule.
            let n = 200_000;
            let (mut weight, mut sum, mut square) = (0.0, 0.0, 0.0);
            for i in -n..=n {
                let xi = f64::from(i) * 9.0 / f64::from(n);
                let (w, t) = ((-0.5 * xi * xi).exp(), logistic(law.mu + law.sigma * xi));
                weight += w;
                sum += w * (t - mean);
                square += w * (t - mean) * (t - mean);
            }
            assert!(
                (sum / weight).abs() < 1e-13 * mean.max(deviation),
                "{mean} {deviation} {law:?}"
            );
            let found = (square / weight).sqrt();
            assert!(
                (found / deviation - 1.0).abs() < 1e-8,
                "{mean} {deviation} {found} {law:?}"
            );
        }
    }

    #[test]
    fn a_deviation_that_no_law_has_is_refused_with_the_largest() {
        let most = solve(0.2, 0.4).unwrap_err();
        assert!((0.39..0.4).contains(&most), "{most}");
        assert!(solve(0.2, 0.99 * most).is_ok());
    }
}
