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

/// The largest number of groups of the jackknife.
const GROUPS: usize = 20;

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

/// Returns the standard errors of mean and deviation of `values` by the jackknife; None where too few are left without a group.
#[must_use]
pub fn errors(values: &[f64]) -> [Option<f64>; 2] {
    let groups = jackknife_groups(values.len());
    let (mut means, mut deviations) = (Vec::with_capacity(groups), Vec::with_capacity(groups));
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
    }
    [means, deviations].map(|without| {
        let centre = mean(&without);
        let squares: f64 = without.iter().map(|t| (t - centre) * (t - centre)).sum();
        (groups > 1 && without.len() == groups)
            .then(|| (squares * (groups - 1) as f64 / groups as f64).sqrt())
    })
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
            let [of_mean, of_deviation] = errors(values);
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
            errors(&values)[0].unwrap(),
            deviation(&values).unwrap() / 5.0_f64.sqrt(),
        );
        assert_eq!(errors(&values[..1]), [None, None]);
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
}
