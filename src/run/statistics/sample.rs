//! Statistics of one sample of numbers, and their sampling errors.
//!
//! ```text
//! mean       m = (1/J) sum_j u_j
//! deviation  s = sqrt(sum_j (u_j - m)^2 / (J - 1))
//! quantile   at place (J - 1) q of the sorted numbers, linear between neighbours: definition 7 of Hyndman & Fan,
//!            The American Statistician 50 (1996) 361, which is NumPy's
//! error      sqrt((G - 1)/G sum_g (t_g - tbar)^2) ,  t_g: the statistic without group g
//! ```
//!
//! The error is the delete-a-group jackknife's (Kott, Journal of Official Statistics 17 (2001) 521), with the number j in group j mod G.
//! For quantiles it is right only where groups are large beside sqrt(J) / 20 (Shao & Wu, Annals of Statistics 17 (1989) 1176): with 100 normal
//! numbers it is on average a fifth too large, with 1000 a tenth, and with groups of fewer than five none is given.

/// The largest number of groups of the jackknife.
const GROUPS: usize = 20;
/// The least number of numbers in a group with which quantiles have an error.
const IN_GROUP: usize = 5;

/// Returns the number of groups into which the jackknife divides `count` numbers.
#[must_use]
pub fn jackknife_groups(count: usize) -> usize {
    count.min(GROUPS)
}

/// Returns the mean of `values`; NaN of none.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    // Divided first, so that no sum of finite numbers overflows.
    let count = values.len() as f64;
    match values.is_empty() {
        true => f64::NAN,
        false => values.iter().map(|u| u / count).sum(),
    }
}

/// Returns the standard deviation of `values`; None of fewer than two.
#[must_use]
pub fn deviation(values: &[f64]) -> Option<f64> {
    // The mean of equal numbers may lie a rounding apart from them.
    let are_alike = values.windows(2).all(|pair| pair[0] == pair[1]);
    let centre = if are_alike {
        values.first().copied().unwrap_or(f64::NAN)
    } else {
        mean(values)
    };
    let squares: f64 = values.iter().map(|u| (u - centre) * (u - centre)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Returns the quantile `share` of `sorted` numbers; NaN of none.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    let part = place - below as f64;
    sorted[below] + part * (sorted[above] - sorted[below])
}

/// Standard errors of statistics of one sample by the jackknife.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Errors<const Q: usize> {
    /// That of the mean; None of one number.
    pub mean: Option<f64>,
    /// That of the deviation; None of fewer than three numbers.
    pub deviation: Option<f64>,
    /// Those of the quantiles; None where groups are small.
    pub quantiles: Option<[f64; Q]>,
}

/// Returns the standard errors of mean, deviation and the quantiles `shares` of `values`.
#[must_use]
pub fn errors<const Q: usize>(values: &[f64], shares: [f64; Q]) -> Errors<Q> {
    let groups = jackknife_groups(values.len());
    let (mut means, mut deviations) = (Vec::with_capacity(groups), Vec::with_capacity(groups));
    let mut quantiles = [(); Q].map(|()| Vec::with_capacity(groups));
    let mut rest = Vec::with_capacity(values.len());
    for group in 0..groups {
        rest.clear();
        let others = values
            .iter()
            .enumerate()
            .filter(|(j, _)| j % groups != group);
        rest.extend(others.map(|(_, u)| u));
        means.extend((!rest.is_empty()).then(|| mean(&rest)));
        deviations.extend(deviation(&rest));
        rest.sort_by(f64::total_cmp);
        for (found, share) in quantiles.iter_mut().zip(shares) {
            found.push(quantile(&rest, share));
        }
    }
    let spread = |without: &[f64]| {
        let centre = mean(without);
        let squares: f64 = without.iter().map(|t| (t - centre) * (t - centre)).sum();
        (squares * (groups - 1) as f64 / groups as f64).sqrt()
    };
    let [mean, deviation] = [means, deviations]
        .map(|without| (groups > 1 && without.len() == groups).then(|| spread(&without)));
    let large = values.len() >= GROUPS * IN_GROUP;
    Errors {
        mean,
        deviation,
        quantiles: large.then(|| quantiles.map(|without| spread(&without))),
    }
}

/// Replaces `values` by their distances from their mean in units of their root sum of squares; None where they do not differ.
#[must_use]
pub fn standardised(values: &[f64]) -> Option<Vec<f64>> {
    let centre = mean(values);
    let largest = values
        .iter()
        .fold(0.0_f64, |most, u| most.max((u - centre).abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let mut scaled: Vec<f64> = values.iter().map(|u| (u - centre) / largest).collect();
    let length = scaled.iter().map(|x| x * x).sum::<f64>().sqrt();
    scaled.iter_mut().for_each(|x| *x /= length);
    Some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!(
            (found - wanted).abs() <= 1e-12 * wanted.abs(),
            "{found} {wanted}"
        );
    }

    /// The numbers in `tests/reference/answers.txt`, which the script beside it took from NumPy and SciPy.
    #[test]
    fn statistics_are_numpys() {
        let text = include_str!("../../../tests/reference/answers.txt");
        let numbers = |words: &str| -> Vec<f64> {
            words
                .split_whitespace()
                .map(|x| x.parse().unwrap())
                .collect()
        };
        let lines = text.lines().filter_map(|line| line.strip_prefix("sample|"));
        let mut count = 0;
        for line in lines {
            let parts: Vec<Vec<f64>> = line.split('|').map(numbers).collect();
            let [values, wanted] = [&parts[0], &parts[1]];
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            close(mean(values), wanted[0]);
            close(deviation(values).unwrap(), wanted[1]);
            for (share, wanted) in [0.05, 0.16, 0.5, 0.84, 0.95].iter().zip(&wanted[2..7]) {
                close(quantile(&sorted, *share), *wanted);
            }
            let found = errors(values, []);
            let (of_mean, of_deviation) = (found.mean, found.deviation);
            close(of_mean.unwrap(), wanted[7]);
            assert_eq!(of_deviation.is_some(), values.len() > 2);
            of_deviation
                .into_iter()
                .for_each(|found| close(found, wanted[8]));
            count += 1;
        }
        assert_eq!(count, 5);
    }

    /// Without groups larger than one number the error of the mean is s / sqrt(J).
    #[test]
    fn the_jackknife_of_single_numbers_is_the_textbooks_error_of_the_mean() {
        let values = [1.0, 4.0, 2.5, -3.0, 7.25];
        close(
            errors(&values, []).mean.unwrap(),
            deviation(&values).unwrap() / 5.0_f64.sqrt(),
        );
        assert_eq!(errors(&values[..1], [0.5]), Errors::default());
        assert_eq!(deviation(&values[..1]), None);
        assert!(quantile(&[], 0.5).is_nan() && mean(&[]).is_nan());
    }

    #[test]
    fn numbers_that_are_all_alike_cannot_be_standardised() {
        assert_eq!(standardised(&[2.0, 2.0]), None);
        assert_eq!(standardised(&[f64::INFINITY, 2.0]), None);
        let scaled = standardised(&[1e200, -1e200, 0.0]).unwrap();
        close(scaled.iter().map(|x| x * x).sum(), 1.0);
    }

    /// Of 0, 1, .., 99 five are left out at a time: the median of the rest is 50 without one of 0 to 9, else 49.
    #[test]
    fn the_error_of_a_median_is_that_of_a_case_worked_by_hand() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        close(
            errors(&values, [0.5]).quantiles.unwrap()[0],
            4.75_f64.sqrt(),
        );
        assert_eq!(errors(&values[1..], [0.5]).quantiles, None);
    }

    /// The asymptotic error of a quantile q of normal numbers is sqrt(q (1 - q) / J) / phi(x_q): 1.2533 and 2.1132 over sqrt(J).
    #[test]
    fn the_errors_of_quantiles_are_on_average_at_most_a_third_too_large() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut squares = [0.0; 2];
        for _ in 0..200 {
            let values: Vec<f64> = (0..400)
                .map(|_| rng.sample(rand_distr::StandardNormal))
                .collect();
            let found = errors(&values, [0.5, 0.95]).quantiles.unwrap();
            squares = std::array::from_fn(|q| squares[q] + found[q] * found[q] / 200.0);
        }
        for (square, wanted) in squares.into_iter().zip([1.2533, 2.1132]) {
            let ratio = square.sqrt() / (wanted / 20.0);
            assert!((0.9..1.33).contains(&ratio), "{ratio}");
        }
    }
}
