//! Sums whose bits do not depend on their order: pre-rounded summation.
//!
//! Each term is rounded to a multiple of one power of two, the quantum: small compared with the largest term, but large
//! enough that every partial sum of the n terms fits the 53 bits of a double. Such sums are exact, hence associative
//! (Demmel & Nguyen, Fast Reproducible Floating-Point Summation, ARITH 21 (2013)). The quantum must be computed from
//! numbers that do not depend on the order themselves: a largest magnitude and a count.
//!
//! Written here because crates for exact sums keep a long accumulator of dozens of words for each sum; these sums are plain
//! doubles, J x J of them, which MPI adds.

/// The power of two to whose multiples the terms of a sum are rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantum {
    /// Adding and subtracting this rounds a double to a multiple of the quantum (round to nearest, ties to even).
    shift: f64,
}

impl Quantum {
    /// Returns the quantum for sums of at most `terms` terms, none larger in magnitude than `largest`.
    ///
    /// Each term loses at most `largest * terms * 2^-50`.
    #[must_use]
    pub fn new(largest: f64, terms: usize) -> Self {
        // 2^e bounds every partial sum; the sum of shift and term stays within one binade, [2^(e+1), 2^(e+2)).
        let bound = (largest * terms.max(1) as f64).max(f64::MIN_POSITIVE);
        let exponent = binary_exponent(bound).clamp(-900, 900) + 2;
        Self {
            shift: 1.5 * 2_f64.powi(exponent + 1),
        }
    }

    /// Returns the multiple of the quantum nearest to `term`.
    #[must_use]
    #[inline(always)]
    pub fn round(self, term: f64) -> f64 {
        (term + self.shift) - self.shift
    }
}

/// Returns floor(log2 x) of a normal x > 0, from its bits: a library's logarithm may differ between hosts.
fn binary_exponent(x: f64) -> i32 {
    (x.to_bits() >> 52) as i32 - 1023
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any order of the same terms gives the same bits, close to the plain sum.
        #[test]
        fn order_does_not_matter(
            mut terms in prop::collection::vec(-1e3_f64..1e3, 1..200),
            cut in 0_usize..200,
            scale in -200_i32..200,
        ) {
            for t in &mut terms { *t *= 2_f64.powi(scale); }
            let largest = terms.iter().fold(0.0_f64, |m, t| m.max(t.abs()));
            let quantum = Quantum::new(largest, terms.len());
            let sum = |terms: &[f64]| terms.iter().map(|&t| quantum.round(t)).sum::<f64>();
            let whole = sum(&terms);
            let cut = cut.min(terms.len());
            prop_assert_eq!(whole.to_bits(), (sum(&terms[..cut]) + sum(&terms[cut..])).to_bits());
            let mut backwards = terms.clone();
            backwards.reverse();
            prop_assert_eq!(whole.to_bits(), sum(&backwards).to_bits());
            let plain: f64 = terms.iter().sum();
            prop_assert!((whole - plain).abs() <= largest * (terms.len() as f64).powi(2) * 2_f64.powi(-49));
        }
    }

    #[test]
    fn zeros_and_tiny_terms_are_harmless() {
        assert_eq!(Quantum::new(0.0, 3).round(0.0), 0.0);
        assert!(Quantum::new(1e-300, 3).round(1e-300).is_finite());
    }
}
