//! Quantiles of the chi-square law.
//!
//! ```text
//! P(a, x) = x^a e^-x / Gamma(a + 1)  (1 + x/(a+1) + x^2/((a+1)(a+2)) + ...)       a = k/2 , x = q/2
//! ```
//!
//! The series is Abramowitz & Stegun (1964), 6.5.29: all its terms are positive, so that no digits are lost. Functions are `libm`'s:
//! identical results on every machine.

/// Returns the probability that a chi-square variable with `k` degrees of freedom, at least 1, is less than `q`.
fn below(k: f64, q: f64) -> f64 {
    let (a, x) = (0.5 * k, 0.5 * q);
    if x <= 0.0 {
        return 0.0;
    }
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= x / (a + n);
        sum += term;
        n += 1.0;
    }
    // Sums that overflow belong to an x far beyond any quantile.
    let logarithm = a * libm::log(x) - x - libm::lgamma(a + 1.0) + libm::log(sum);
    libm::exp(logarithm).min(1.0)
}

/// Returns the number that a chi-square variable with `k` degrees of freedom, at least 1, is below with probability `share`, which lies
/// between 0 and 1.
#[must_use]
pub fn quantile(k: usize, share: f64) -> f64 {
    let k = k as f64;
    // Both tails of at least 1e-4 lie within.
    let (mut low, mut high) = (0.0, k + 10.0 * (2.0 * k).sqrt() + 20.0);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        match below(k, middle) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers in `tests/reference/answers.txt`, which the script beside it took from SciPy.
    #[test]
    fn quantiles_are_scipys() {
        let text = include_str!("../../tests/reference/answers.txt");
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("chi-square|"));
        let mut count = 0;
        for line in lines {
            let (k, wanted) = line.split_once('|').unwrap();
            for (share, wanted) in [0.025, 0.5, 0.975].iter().zip(wanted.split(' ')) {
                let (found, wanted): (f64, f64) = (
                    quantile(k.parse().unwrap(), *share),
                    wanted.parse().unwrap(),
                );
                assert!((found / wanted - 1.0).abs() < 1e-9, "{k} {found} {wanted}");
                count += 1;
            }
        }
        assert_eq!(count, 21);
    }
}
