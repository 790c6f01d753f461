//! Quasi-random draws of settings: randomised Halton points over the ranges of several keys.
//!
//! ```text
//! i = sum_k a_k b^k ,   x_i = sum_k pi_k(a_k) b^(-k-1)          b: the j-th prime for key j
//! ```
//!
//! The sequence: Halton, Numerische Mathematik 2 (1960) 84-90. A random permutation pi_k of the digits 0..b-1 for each key and
//! each digit k, those of leading zeros among them: Owen, "A randomized Halton algorithm in R" (2017), arXiv:1706.02808. Point i
//! does not depend on how many are drawn, so that a longer sweep keeps its first draws.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use toml::Value;

/// The digits of a point go on until they add less than this.
const SMALLEST: f64 = 1e-17;

/// The digits of a drawn number that are kept, so that it can be read and typed.
const DIGITS: usize = 4;

/// The law of a key's drawn values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Range {
    /// A number, uniformly between the two.
    Uniform(f64, f64),
    /// A number whose logarithm is drawn uniformly between those of the two.
    Log(f64, f64),
    /// An integer from the first to the second.
    Integer(i64, i64),
}

impl Range {
    /// Returns the value at `x`, from 0 to 1, of the way through this range.
    fn at(self, x: f64) -> Value {
        match self {
            Self::Uniform(low, high) => Value::Float(rounded(low + x * (high - low), (low, high))),
            Self::Log(low, high) => {
                let power = low.ln() + x * (high.ln() - low.ln());
                Value::Float(rounded(power.exp(), (low, high)))
            }
            Self::Integer(low, high) => {
                let count = high as f64 - low as f64 + 1.0;
                Value::Integer((low + (x * count) as i64).min(high))
            }
        }
    }
}

/// Returns `x` with few digits, within its range.
fn rounded(x: f64, (low, high): (f64, f64)) -> f64 {
    let text = format!("{x:.*e}", DIGITS - 1);
    text.parse::<f64>()
        .expect("a number was written")
        .clamp(low, high)
}

/// Returns draw number `i` of each of `ranges`.
pub(super) fn draw(ranges: &[Range], seed: u64, i: u64) -> Vec<Value> {
    let primes = primes(ranges.len());
    let keys = ranges.iter().zip(primes).enumerate();
    keys.map(|(key, (range, base))| range.at(halton(base, (seed, key as u64), i)))
        .collect()
}

/// Returns point `i` of the sequence of base `base`, its digits permuted by the stream (seed, key).
fn halton(base: u64, (seed, key): (u64, u64), i: u64) -> f64 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(key);
    let (mut x, mut rest, mut weight) = (0.0, i, 1.0 / base as f64);
    while weight > SMALLEST {
        let digits = permutation(base, &mut random);
        x += digits[(rest % base) as usize] as f64 * weight;
        (rest, weight) = (rest / base, weight / base as f64);
    }
    // The sum of all largest digits rounds to 1.
    x.min(1.0 - f64::EPSILON)
}

/// Returns a random permutation of 0..n (Fisher and Yates). Written here because its values must stay the same from one
/// release of a crate to the next.
fn permutation(n: u64, random: &mut ChaCha8Rng) -> Vec<u64> {
    let mut all: Vec<u64> = (0..n).collect();
    for last in (1..n).rev() {
        all.swap(last as usize, (random.next_u64() % (last + 1)) as usize);
    }
    all
}

/// Returns the first `count` primes.
fn primes(count: usize) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    let candidates = 2..;
    for n in candidates {
        if found.len() == count {
            break;
        }
        if found.iter().all(|prime| n % prime != 0) {
            found.push(n);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_the_first_primes() {
        assert_eq!(primes(6), [2, 3, 5, 7, 11, 13]);
        assert!(primes(0).is_empty());
    }

    /// The sequence's defining property: of each b^m points in a row from a multiple of b^m on, one lies in each of the b^m
    /// equal parts of [0, 1), whatever the permutations.
    #[test]
    fn each_part_of_the_range_is_met_once() {
        for (key, base) in [(0, 2_u64), (1, 3), (4, 11)] {
            for seed in 0..3 {
                let parts = base.pow(2);
                for begin in [0, parts, 5 * parts] {
                    let points = begin..begin + parts;
                    let part = |i| (halton(base, (seed, key), i) * parts as f64) as u64;
                    let mut met: Vec<u64> = points.map(part).collect();
                    met.sort_unstable();
                    assert_eq!(met, (0..parts).collect::<Vec<_>>());
                }
            }
        }
    }

    /// By hand: where each permutation leaves its digits as they are, points of base 2 begin 0, 1/2, 1/4, 3/4; a permutation
    /// of one digit moves all of them alike, so distances between points stay.
    #[test]
    fn points_differ_as_those_of_the_plain_sequence() {
        let x = |i| halton(2, (7, 0), i);
        assert!(((x(0) - x(1)).abs() - 0.5).abs() < 1e-12);
        assert!(((x(2) - x(3)).abs() - 0.5).abs() < 1e-12);
        assert!(((x(0) - x(2)).abs() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn draws_stay_in_their_ranges_and_follow_from_the_seed() {
        let ranges = [
            Range::Uniform(-1.0, 0.12345),
            Range::Log(1e-3, 10.0),
            Range::Integer(2, 4),
        ];
        let mut integers = [0; 3];
        let mut small = 0;
        for i in 0..300 {
            let values = draw(&ranges, 3, i);
            let [x, y] = [&values[0], &values[1]].map(|v| v.as_float().unwrap());
            let n = values[2].as_integer().unwrap();
            assert!((-1.0..=0.12345).contains(&x) && (1e-3..=10.0).contains(&y));
            integers[usize::try_from(n - 2).unwrap()] += 1;
            small += usize::from(y < 0.1);
            assert_eq!(values, draw(&ranges, 3, i));
        }
        assert_ne!(draw(&ranges, 3, 0), draw(&ranges, 4, 0));
        // Half of the decades lie below 0.1.
        assert!((140..=160).contains(&small), "{small}");
        assert!(
            integers.iter().all(|n| (95..=105).contains(n)),
            "{integers:?}"
        );
    }
}
