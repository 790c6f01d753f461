//! Scores of the members' outputs as a forecast of one observation.
//!
//! ```text
//! z            (y - gbar) / sqrt(sigma^2 + s^2) ,  gbar and s^2: mean and variance (J - 1) of the members' outputs
//! probability  F(y) = (1/J) sum_j Phi((y - g_j) / sigma): noise and ensemble together
//! CRPS         (1/J) sum_j |g_j - y| - 1/(2 J (J - 1)) sum_ij |g_i - g_j|
//! ```
//!
//! F is the law of a member's output with noise added. The continuous ranked probability score is the fair one, whose expectation does
//! not depend on J (Ferro, Quarterly Journal of the Royal Meteorological Society 140 (2014) 1917); it is that of the outputs without
//! noise.

use crate::forward::marginal::standard_normal;

/// The largest number of steps towards a quantile.
const STEPS: usize = 100;
/// The deviations of the noise beyond all members where F is 0 or 1.
const BEYOND: f64 = 10.0;

/// The outputs g of the members for one observation, sorted; and the noise's deviation sigma.
#[derive(Clone, Debug)]
pub struct Forecast {
    sorted: Vec<f64>,
    sigma: f64,
    mean: f64,
    variance: f64,
}

impl Forecast {
    /// Returns the forecast by the finite ones of `outputs`, with noise of deviation `sigma`.
    #[must_use]
    pub fn new(outputs: impl Iterator<Item = f64>, sigma: f64) -> Self {
        let mut sorted: Vec<f64> = outputs.filter(|g| g.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let mean = sorted.iter().map(|g| g / count).sum::<f64>();
        let squares: f64 = sorted.iter().map(|g| (g - mean) * (g - mean)).sum();
        Self {
            mean: if sorted.is_empty() { f64::NAN } else { mean },
            variance: match sorted.len() {
                0 => f64::NAN,
                1 => 0.0,
                _ => squares / (count - 1.0),
            },
            sorted,
            sigma,
        }
    }

    /// Returns the number of members that have an output.
    #[must_use]
    pub fn members(&self) -> usize {
        self.sorted.len()
    }

    /// Returns the mean of the outputs; NaN of none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the standard deviation of the outputs, 0 of one; NaN of none.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.variance.sqrt()
    }

    /// Returns the standardised residual of the observation `y`.
    #[must_use]
    pub fn residual(&self, y: f64) -> f64 {
        (y - self.mean) / (self.sigma * self.sigma + self.variance).sqrt()
    }

    /// Returns the probability of a smaller value than `y`; NaN without members.
    #[must_use]
    pub fn probability(&self, y: f64) -> f64 {
        let below = |g: &f64| standard_normal((y - g) / self.sigma);
        self.sorted.iter().map(below).sum::<f64>() / self.sorted.len() as f64
    }

    /// Returns the fair continuous ranked probability score of the observation `y`; NaN without members.
    #[must_use]
    pub fn crps(&self, y: f64) -> f64 {
        let count = self.sorted.len() as f64;
        let near: f64 = self.sorted.iter().map(|g| (g - y).abs()).sum();
        // Sorted, each difference of a pair is counted once.
        let places = (0..self.sorted.len()).map(|i| 2.0 * i as f64 - count + 1.0);
        let apart: f64 = self.sorted.iter().zip(places).map(|(g, n)| n * g).sum();
        let pairs = count * (count - 1.0);
        near / count - if pairs > 0.0 { apart / pairs } else { 0.0 }
    }

    /// Returns the value that is exceeded with probability 1 - `share`: by Newton's steps, halving where these leave the bracket. NaN
    /// without members.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let (Some(first), Some(last)) = (self.sorted.first(), self.sorted.last()) else {
            return f64::NAN;
        };
        let width = BEYOND * self.sigma;
        let (mut low, mut high) = (first - width, last + width);
        let mut x = 0.5 * (low + high);
        let root = (2.0 * std::f64::consts::PI).sqrt();
        for _ in 0..STEPS {
            let off = self.probability(x) - share;
            match off < 0.0 {
                true => low = x,
                false => high = x,
            }
            let density = |g: &f64| {
                let d = (x - g) / self.sigma;
                libm::exp(-0.5 * d * d)
            };
            let slope = self.sorted.iter().map(density).sum::<f64>();
            let slope = slope / (self.sorted.len() as f64 * self.sigma * root);
            let next = x - off / slope;
            let next = if next > low && next < high {
                next
            } else {
                0.5 * (low + high)
            };
            if (next - x).abs() <= 1e-12 * self.sigma {
                return next;
            }
            x = next;
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers in `tests/reference/answers.txt`, which the script beside it took from NumPy and SciPy.
    #[test]
    fn scores_are_numpys_and_scipys() {
        let text = include_str!("../../../tests/reference/answers.txt");
        let numbers =
            |words: &str| -> Vec<f64> { words.split(' ').map(|x| x.parse().unwrap()).collect() };
        let mut count = 0;
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("forecast|"))
        {
            let parts: Vec<Vec<f64>> = line.split('|').map(numbers).collect();
            let (y, wanted) = (parts[0][0], &parts[2]);
            let forecast = Forecast::new(parts[1].iter().copied(), parts[0][1]);
            let found = [
                forecast.probability(y),
                forecast.crps(y),
                f64::NAN,
                forecast.residual(y),
            ];
            let quantiles = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| forecast.quantile(share));
            for (found, wanted) in found.iter().chain(&quantiles).zip(wanted) {
                let near = (found - wanted).abs() < 1e-11 * (1.0 + wanted.abs());
                assert!(near || found.is_nan(), "{line}: {found} {wanted}");
            }
            count += 1;
        }
        assert_eq!(count, 4);
    }

    /// Two members at 1 and 3, an observation at 5: |g - y| is 3 in the mean, and the members lie 2 apart.
    #[test]
    fn the_score_of_two_members_worked_by_hand() {
        let forecast = Forecast::new([3.0, f64::NAN, 1.0].into_iter(), 2.0);
        assert_eq!((forecast.members(), forecast.mean()), (2, 2.0));
        assert_eq!(forecast.crps(5.0), 3.0 - 2.0 / 2.0);
        // (5 - 2) / sqrt(4 + 2)
        assert!((forecast.residual(5.0) - 3.0 / 6.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(Forecast::new([1.0].into_iter(), 1.0).crps(3.0), 2.0);
        let none = Forecast::new(std::iter::empty(), 1.0);
        assert!(
            none.mean().is_nan() && none.probability(0.0).is_nan() && none.quantile(0.5).is_nan()
        );
    }
}
