//! The prior of one parameter in its own unit, as a map from a standard normal coordinate: normal, lognormal or uniform.
//!
//! ```text
//! normal MEAN DEVIATION        u = m + s xi
//! lognormal MEAN DEVIATION     u = exp(mu + sigma xi) ,  sigma^2 = ln(1 + s^2/m^2) ,  mu = ln m - sigma^2/2
//! uniform LOWER UPPER          u = a + (b - a) Phi(xi) ,  Phi the normal distribution function
//! ```
//!
//! The ensemble moves in the coordinates xi ~ N(0, I), which have no bounds; the forward map receives u, which never leaves its
//! bounds. The constrained priors of EnsembleKalmanProcesses.jl do the same. Simulators (`process`, `ask_tell`) have such priors
//! of their own; `with_prior` gives them to any other map. Functions are `libm`'s: identical results on every machine.

use sha2::{Digest as _, Sha256};

use crate::kernels::real::Real;

/// A parameter: its name and its prior.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal {
    /// Its name, as the results are labelled.
    pub name: String,
    law: Law,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Normal { mean: f64, deviation: f64 },
    Lognormal { mu: f64, sigma: f64 },
    Uniform { lower: f64, upper: f64 },
}

/// The most parameters one entry may stand for.
const MOST: usize = 1_000_000;

impl Marginal {
    /// The parameter, in its own unit, at the coordinate `xi`.
    #[must_use]
    pub fn at(&self, xi: f64) -> f64 {
        match self.law {
            Law::Normal { mean, deviation } => mean + deviation * xi,
            Law::Lognormal { mu, sigma } => libm::exp(mu + sigma * xi),
            Law::Uniform { lower, upper } => {
                let share = 0.5 * libm::erfc(-xi * std::f64::consts::FRAC_1_SQRT_2);
                // Rounding must not lead beyond a bound.
                (lower + (upper - lower) * share).clamp(lower, upper)
            }
        }
    }
}

impl Marginal {
    /// The coordinate at which the parameter is `u`, in its own unit; none where the prior excludes `u`. At a bound of a
    /// uniform prior, which members come as near to as numbers allow: `FARTHEST` deviations from the centre.
    #[must_use]
    pub fn coordinate(&self, u: f64) -> Option<f64> {
        match self.law {
            Law::Normal { mean, deviation } => u.is_finite().then(|| (u - mean) / deviation),
            Law::Lognormal { mu, sigma } => {
                (u > 0.0 && u.is_finite()).then(|| (libm::log(u) - mu) / sigma)
            }
            Law::Uniform { lower, upper } => {
                let (below, above) = ((u - lower) / (upper - lower), (upper - u) / (upper - lower));
                (lower..=upper).contains(&u).then(|| {
                    if below <= above {
                        -upper_quantile(below)
                    } else {
                        upper_quantile(above)
                    }
                })
            }
        }
    }

    /// The values that the prior allows, in words.
    #[must_use]
    pub fn support(&self) -> String {
        match self.law {
            Law::Normal { .. } => "a finite number".to_owned(),
            Law::Lognormal { .. } => "greater than 0".to_owned(),
            Law::Uniform { lower, upper } => format!("between {lower:?} and {upper:?}"),
        }
    }
}

/// The coordinate that stands for a bound.
const FARTHEST: f64 = 9.0;

/// The x >= 0 that a standard normal variable exceeds with probability `share`, at most 1/2; at most `FARTHEST`.
fn upper_quantile(share: f64) -> f64 {
    let exceeded = |x: f64| 0.5 * libm::erfc(x * std::f64::consts::FRAC_1_SQRT_2);
    if share <= exceeded(FARTHEST) {
        return FARTHEST;
    }
    // Abramowitz & Stegun (1964), 26.2.23: right to 4.5e-4, improved by Newton's iteration on the logarithm.
    let t = (-2.0 * libm::log(share)).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = t - above / below;
    for _ in 0..4 {
        let density = libm::exp(-0.5 * x * x) / (2.0 * std::f64::consts::PI).sqrt();
        let tail = exceeded(x);
        x += tail / density * libm::log(tail / share);
    }
    x.clamp(0.0, FARTHEST)
}

/// The parameters of `marginals` in their own units at the coordinates `xi`, P numbers each.
#[must_use]
pub fn parameters_at<T: Real>(marginals: &[Marginal], xi: &[T]) -> Vec<f64> {
    let pairs = marginals.iter().zip(xi);
    pairs
        .map(|(marginal, xi)| marginal.at(xi.as_f64()))
        .collect()
}

/// What tells the parameters `u` from all others, to the bit, in little memory: the SHA-256 of their bytes.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of the parameters `u`.
pub(crate) fn fingerprint(u: &[f64]) -> Fingerprint {
    let mut digest = Sha256::new();
    u.iter().for_each(|x| digest.update(x.to_le_bytes()));
    digest.finalize().into()
}

/// The parameters that `entries` stand for, in order: "NAME LAW NUMBER NUMBER", or `NAME[COUNT] ...` for many alike.
///
/// # Errors
/// What is wrong with an entry, in words that follow "must".
pub fn marginals(entries: &[String]) -> Result<Vec<Marginal>, String> {
    let mut all: Vec<Marginal> = Vec::new();
    for entry in entries {
        let (name, count, law) = parse(entry)?;
        if all.len() + count.unwrap_or(1) > MOST {
            return Err(format!("name at most {MOST} parameters"));
        }
        match count {
            None => all.push(Marginal { name, law }),
            Some(count) => all.extend((1..=count).map(|i| Marginal {
                name: format!("{name}[{i}]"),
                law,
            })),
        }
    }
    let mut names: Vec<&str> = all.iter().map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("name each parameter once, not {:?} twice", pair[0])),
        None => Ok(all),
    }
}

fn parse(entry: &str) -> Result<(String, Option<usize>, Law), String> {
    let form = "hold entries like \"growth lognormal 1.0 0.5\": a name, normal MEAN DEVIATION, lognormal MEAN DEVIATION \
                or uniform LOWER UPPER";
    let words: Vec<&str> = entry.split_whitespace().collect();
    let &[name, law, first, second] = &words[..] else {
        return Err(format!("{form}; not {entry:?}"));
    };
    let number = |word: &str| word.parse::<f64>().ok().filter(|x| x.is_finite());
    let (Some(a), Some(b)) = (number(first), number(second)) else {
        return Err(format!("{form}; {entry:?} does not end with two numbers"));
    };
    let (name, count) = counted(name).ok_or_else(|| {
        format!("name parameters without commas, quotes and brackets, but for a count as in \"k[10]\"; not {name:?}")
    })?;
    let unmet = |what: &str| Err(format!("have {what} in {entry:?}"));
    let law = match law {
        "normal" | "lognormal" if b <= 0.0 => return unmet("a deviation greater than 0"),
        "normal" => Law::Normal {
            mean: a,
            deviation: b,
        },
        "lognormal" if a <= 0.0 => return unmet("a mean greater than 0"),
        "lognormal" => {
            let square = libm::log1p((b / a) * (b / a));
            Law::Lognormal {
                mu: libm::log(a) - 0.5 * square,
                sigma: square.sqrt(),
            }
        }
        "uniform" if a >= b => return unmet("a lower bound below the upper"),
        "uniform" if !(b - a).is_finite() => return unmet("bounds less far apart"),
        "uniform" => Law::Uniform { lower: a, upper: b },
        _ => return Err(format!("{form}; not {law:?}")),
    };
    Ok((name.to_owned(), count, law))
}

/// "k[10]" as k and 10; "k" as k alone; None for a name that would not be one.
fn counted(word: &str) -> Option<(&str, Option<usize>)> {
    let (name, count) = match word.split_once('[') {
        None => (word, None),
        Some((name, rest)) => {
            let count: usize = rest.strip_suffix(']')?.parse().ok()?;
            (name, Some(count).filter(|c| (1..=MOST).contains(c)))
        }
    };
    let counted = count.is_some() == word.contains('[');
    let sound = !name.is_empty() && !name.contains([',', '"', '\'', ']', ';']);
    (counted && sound).then_some((name, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(entry: &str) -> Marginal {
        let mut all = marginals(&[entry.to_owned()]).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// The mean and deviation of the parameter, by the trapezoidal rule over xi.
    fn moments(marginal: &Marginal) -> (f64, f64) {
        let (mut weight, mut sum, mut square) = (0.0, 0.0, 0.0);
        for i in -8_000..=8_000 {
            let xi = f64::from(i) * 1e-3;
            let (w, u) = ((-0.5 * xi * xi).exp(), marginal.at(xi));
            (weight, sum, square) = (weight + w, sum + w * u, square + w * u * u);
        }
        let mean = sum / weight;
        (mean, (square / weight - mean * mean).sqrt())
    }

    #[test]
    fn each_law_has_the_mean_and_deviation_it_states() {
        for (entry, mean, deviation) in [
            ("a normal -3 2", -3.0, 2.0),
            ("b lognormal 2.0 0.5", 2.0, 0.5),
            ("c lognormal 0.01 0.02", 0.01, 0.02),
            ("d uniform -1 5", 2.0, 6.0 / 12_f64.sqrt()),
        ] {
            let found = moments(&one(entry));
            assert!(
                (found.0 - mean).abs() < 1e-4 * mean.abs(),
                "{entry} {found:?}"
            );
            assert!(
                (found.1 - deviation).abs() < 1e-3 * deviation,
                "{entry} {found:?}"
            );
        }
    }

    #[test]
    fn bounds_hold_at_any_coordinate() {
        let (uniform, lognormal) = (one("c uniform 0.1 0.3"), one("r lognormal 1 1"));
        for xi in [-1e3, -40.0, -9.0, 0.0, 8.3, 40.0, 1e3] {
            assert!((0.1..=0.3).contains(&uniform.at(xi)), "{}", uniform.at(xi));
            assert!(lognormal.at(xi) >= 0.0);
        }
        assert_eq!(uniform.at(0.0), 0.2);
        assert!(uniform.at(-1.0) < uniform.at(1.0));
    }

    #[test]
    fn coordinates_are_those_of_the_values() {
        for (entry, xi) in [
            ("a normal -3 2", vec![-7.0, 0.0, 0.3, 30.0]),
            ("b lognormal 2.0 0.5", vec![-7.0, 0.0, 0.3, 30.0]),
            ("c lognormal 1e-9 1e-10", vec![-2.0, 0.5]),
            (
                "d uniform -1 5",
                vec![-5.0, -1.0, -1e-9, 0.0, 0.7, 3.0, 5.0],
            ),
            ("e uniform 0 1e-6", vec![-8.9, -3.0, 0.1, 2.0]),
        ] {
            let marginal = one(entry);
            for xi in xi {
                let found = marginal.coordinate(marginal.at(xi)).unwrap();
                assert!((found - xi).abs() < 1e-8, "{entry} {xi} {found}");
            }
        }
        let uniform = one("d uniform -1 5");
        for (bound, xi) in [(-1.0, -9.0), (5.0, 9.0)] {
            let found = uniform.coordinate(bound).unwrap();
            assert_eq!((found, uniform.at(found)), (xi, bound));
        }
    }

    #[test]
    fn values_that_the_prior_excludes_have_no_coordinate() {
        for (entry, values) in [
            ("a normal -3 2", &[f64::NAN, f64::INFINITY][..]),
            ("b lognormal 2.0 0.5", &[0.0, -1.0, f64::NAN]),
            ("d uniform -1 5", &[-1.0 - 1e-15, 5.1, f64::NAN]),
        ] {
            let all = values.iter().map(|u| one(entry).coordinate(*u));
            assert!(all.into_iter().all(|xi| xi.is_none()), "{entry}");
        }
    }

    #[test]
    fn a_count_names_many_alike() {
        let all = marginals(&["k[3] normal 0 1".to_owned(), "c uniform 0 1".to_owned()]).unwrap();
        let names: Vec<&str> = all.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["k[1]", "k[2]", "k[3]", "c"]);
    }

    #[test]
    fn wrong_entries_are_told_in_words() {
        for (entry, words) in [
            ("", "a name, normal MEAN DEVIATION"),
            ("growth", "not \"growth\""),
            ("growth normal 1", "not \"growth normal 1\""),
            ("growth normal 1 x", "two numbers"),
            ("growth normal 1 inf", "two numbers"),
            ("growth gamma 1 2", "not \"gamma\""),
            ("growth normal 1 0", "a deviation greater than 0"),
            ("growth lognormal -1 1", "a mean greater than 0"),
            ("growth uniform 2 2", "a lower bound below"),
            ("growth uniform -1e308 1e308", "less far apart"),
            ("k[0] normal 0 1", "not \"k[0]\""),
            ("k[x] normal 0 1", "not \"k[x]\""),
            ("a,b normal 0 1", "without commas"),
            ("k[1000001] normal 0 1", "not \"k[1000001]\""),
        ] {
            let told = marginals(&[entry.to_owned()]).unwrap_err();
            assert!(told.contains(words), "{entry}: {told}");
        }
        let twice = ["a normal 0 1".to_owned(), "a normal 0 2".to_owned()];
        assert!(marginals(&twice).unwrap_err().contains("\"a\" twice"));
    }
}
