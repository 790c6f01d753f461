//! Matérn's correlation function, and the modified Bessel function of the second kind in it.
//!
//! ```text
//! rho(r) = 2^(1 - nu) / Gamma(nu) x^nu K_nu(x) ,  x = sqrt(2 nu) r / l          (Rasmussen & Williams 2006, eq. 4.14)
//! nu = 1/2, 3/2, 5/2 ...   e^-x times a polynomial in x                          (eq. 4.16)
//! any other nu             K_nu(x) = int_0^inf e^(-x cosh t) cosh(nu t) dt       (Abramowitz & Stegun 9.6.24)
//! ```
//!
//! The trapezoidal rule takes the integral: its integrand is analytic and falls doubly exponentially, so the error falls
//! exponentially with the number of points. Functions are `libm`'s: identical results on every machine.

/// The largest nu; fields of larger ones look alike.
pub const LARGEST_NU: f64 = 50.0;
/// The least nu.
pub const LEAST_NU: f64 = 0.05;
/// The largest half-integer nu of which the polynomial is used: its coefficients stay small.
const LARGEST_CLOSED: f64 = 10.5;
/// The logarithm of a part of the integral that no longer counts, relative to the largest.
const NEGLIGIBLE: f64 = 42.0;

/// Returns Matérn's correlation of two points whose distance is `r`, in units of the correlation length.
#[must_use]
pub fn correlation(nu: f64, r: f64) -> f64 {
    let x = (2.0 * nu).sqrt() * r;
    if x == 0.0 {
        return 1.0;
    }
    if nu <= LARGEST_CLOSED && (nu - 0.5).fract() == 0.0 {
        return closed((nu - 0.5) as u32, x);
    }
    integral(nu, x)
}

/// Returns the correlation of nu = p + 1/2 at `x`: e^-x p!/(2p)! sum_i (p + i)! / (i! (p - i)!) (2 x)^(p - i).
fn closed(p: u32, x: f64) -> f64 {
    let p = f64::from(p);
    // The coefficient of the highest power, 2^p p! / (2p)!, and from it one after the other.
    let (mut coefficient, mut i) = (1.0, 0.0);
    while i < p {
        coefficient *= 2.0 / (p + i + 1.0);
        i += 1.0;
    }
    let mut sum = 0.0;
    let mut i = 0.0;
    while i <= p {
        sum += coefficient * libm::pow(x, p - i);
        coefficient *= (p + i + 1.0) * (p - i) / ((i + 1.0) * 2.0);
        i += 1.0;
    }
    libm::exp(-x) * sum
}

/// Returns the correlation at `x` by the trapezoidal rule.
fn integral(nu: f64, x: f64) -> f64 {
    // The integrand's peak is 1 / sqrt(sqrt(x^2 + nu^2)) wide.
    let step = (0.6 / libm::hypot(x, nu).sqrt()).min(0.15);
    let factor = (1.0 - nu) * std::f64::consts::LN_2 - libm::lgamma(nu) + nu * libm::log(x);
    // ln cosh(nu t), without overflow.
    let rise = |t: f64| nu * t + libm::log1p(libm::exp(-2.0 * nu * t)) - std::f64::consts::LN_2;
    let exponent = |t: f64| factor + rise(t) - x * libm::cosh(t);
    let (mut sum, mut largest, mut n) = (0.5 * libm::exp(exponent(0.0)), exponent(0.0), 1.0);
    loop {
        let here = exponent(n * step);
        if here < largest - NEGLIGIBLE {
            return (step * sum).min(1.0);
        }
        largest = largest.max(here);
        sum += libm::exp(here);
        n += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden numbers: tests/reference/matern.py.
    #[test]
    fn the_correlation_is_scipys() {
        let mut lines = 0;
        for line in include_str!("../../../tests/reference/matern.txt").lines() {
            let numbers: Vec<f64> = line
                .split_whitespace()
                .map_while(|n| n.parse().ok())
                .collect();
            let &[nu, r, expected] = &numbers[..] else {
                continue;
            };
            lines += 1;
            for found in [correlation(nu, r), integral(nu, (2.0 * nu).sqrt() * r)] {
                let apart = (found / expected - 1.0).abs();
                assert!(apart < 1e-10, "nu {nu}, r {r}: {found} {expected}");
            }
        }
        assert!(lines > 100, "{lines}");
    }

    #[test]
    fn the_exponential_is_the_case_of_one_half() {
        for r in [1e-9, 0.3, 1.0, 20.0] {
            assert!((correlation(0.5, r) - (-r).exp()).abs() < 1e-15);
            let three = 3.0_f64.sqrt() * r;
            assert!((correlation(1.5, r) - (1.0 + three) * (-three).exp()).abs() < 1e-15);
        }
        assert_eq!(correlation(0.7, 0.0), 1.0);
    }
}
