//! The predictive check of a simulator's run: the observations against the outputs of its final members, and of the first ensemble.
//!
//! Outputs are those of `steps/` in the run's folder; nothing is simulated. `scores` has the formulas. An observation is covered by the
//! band of 90 % where 0.05 <= F(y) <= 0.95, and by that of 50 % where 0.25 <= F(y) <= 0.75: of a posterior sample about that share is.
//! Members that have no outputs are left out.

pub mod scores;

use std::fmt::Write as _;

use ndarray::ArrayView2;
use serde::Serialize;

use crate::data::noise::Noise;
use crate::data::observed::ObservationTable;
use crate::files::numbers::number;
use crate::files::table::quoted;
use scores::Forecast;

/// The shares of the quantiles that bound the bands of 90 % and of 50 %.
const BANDS: [f64; 4] = [0.05, 0.25, 0.75, 0.95];
/// The largest number of outputs of all members for which the bands of all observations are found.
const NUMBERS: usize = 1 << 21;
/// The standardised residual above which an observation is named, and the largest number of those.
const FAR: f64 = 3.0;
const NAMED: usize = 4;
/// The name of all observations together.
pub const ALL: &str = "all";

/// The observations of a run, K each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// The names.
    pub names: Vec<String>,
    /// The values.
    pub values: Vec<f64>,
    /// The deviations of the noise.
    pub deviations: Vec<f64>,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// The group of each; none without groups.
    pub group_of: Vec<usize>,
}

impl Observations {
    /// Returns the observed `values` with their `noise` and what a `table` says of them.
    #[must_use]
    pub fn new(values: &[f64], noise: &Noise, table: &ObservationTable) -> Self {
        let deviations = noise.variances(values.len());
        Self {
            names: (0..values.len()).map(|k| table.name(k)).collect(),
            values: values.to_vec(),
            deviations: deviations.into_iter().map(f64::sqrt).collect(),
            groups: table.groups.clone(),
            group_of: table.group_of.clone(),
        }
    }
}

/// The check of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predictive {
    /// The steps before this ensemble.
    pub step: u64,
    /// The members that have outputs, some of them at least.
    pub members: usize,
    /// All observations together, and then each group.
    pub groups: Vec<GroupCheck>,
    /// Each observation.
    pub observations: Vec<ObservationCheck>,
    /// The number of further observations that are left out here.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_observations: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The check of some observations together; numbers that are not known are NaN.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupCheck {
    /// The name.
    pub group: String,
    /// The number of observations.
    pub observations: usize,
    /// The misfit of the members: root mean square of (y - g) / sigma over members and observations.
    pub misfit: f64,
    /// The mean of the standardised residuals z; 0 where the outputs are not off to one side.
    pub residual_mean: f64,
    /// The root mean square of z; 1 where noise and spread together are as large as the residuals.
    pub residual_rms: f64,
    /// The share of observations within the band of 50 %.
    pub covered_50: f64,
    /// The share of observations within the band of 90 %.
    pub covered_90: f64,
    /// The mean of CRPS / sigma.
    pub crps: f64,
}

/// The check of one observation; numbers that are not known are NaN.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObservationCheck {
    /// The name.
    pub name: String,
    /// The name of its group, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The observed value y.
    pub observed: f64,
    /// The deviation sigma of the noise.
    pub noise: f64,
    /// The mean of the members' outputs.
    pub mean: f64,
    /// Their standard deviation.
    pub spread: f64,
    /// The standardised residual z.
    pub residual: f64,
    /// The probability F(y) of a smaller value.
    pub probability: f64,
    /// The CRPS, in the unit of the output.
    pub crps: f64,
    /// The quantiles 5, 25, 75 and 95 % of outputs with noise; None where they would take too long.
    pub bands: Option<[f64; 4]>,
}

impl Predictive {
    /// Returns the check of the `outputs` of the members after `step` steps, J x K, against `observed`.
    ///
    /// # Panics
    /// If there are other numbers of outputs and observations.
    #[must_use]
    pub fn new(observed: &Observations, step: u64, outputs: ArrayView2<f64>) -> Self {
        assert_eq!(
            outputs.ncols(),
            observed.values.len(),
            "an output for each observation"
        );
        let bands = outputs.len() <= NUMBERS;
        let check = |k: usize| {
            let (y, noise) = (observed.values[k], observed.deviations[k]);
            let forecast = Forecast::new(outputs.column(k).iter().copied(), noise);
            ObservationCheck {
                name: observed.names[k].clone(),
                group: observed
                    .group_of
                    .get(k)
                    .map(|&g| observed.groups[g].clone()),
                observed: y,
                noise,
                mean: forecast.mean(),
                spread: forecast.spread(),
                residual: forecast.residual(y),
                probability: forecast.probability(y),
                crps: forecast.crps(y),
                bands: bands.then(|| BANDS.map(|share| forecast.quantile(share))),
            }
        };
        let observations: Vec<ObservationCheck> = (0..observed.values.len()).map(check).collect();
        let misfits = misfits(observed, outputs);
        let group = |(g, misfit): (usize, f64)| {
            let of = |k: &usize| g == 0 || observed.group_of.get(*k) == Some(&(g - 1));
            let places: Vec<usize> = (0..observations.len()).filter(of).collect();
            let checks = places.iter().map(|&k| &observations[k]);
            let name = if g == 0 { ALL } else { &observed.groups[g - 1] };
            of_group((name, misfit), &checks.collect::<Vec<_>>())
        };
        let has_outputs = |row: &ndarray::ArrayView1<f64>| row.iter().any(|g| g.is_finite());
        Self {
            step,
            members: outputs.rows().into_iter().filter(has_outputs).count(),
            groups: misfits.into_iter().enumerate().map(group).collect(),
            observations,
            more_observations: 0,
        }
    }

    /// Returns the observations from that with the largest standardised residual on.
    #[must_use]
    pub fn worst(&self) -> Vec<&ObservationCheck> {
        let mut all: Vec<&ObservationCheck> = self.observations.iter().collect();
        // NaN counts as the largest of all.
        all.sort_by(|a, b| b.residual.abs().total_cmp(&a.residual.abs()));
        all
    }

    /// Returns in words how many observations are covered, and which lie worst.
    #[must_use]
    pub fn words(&self) -> String {
        let all = &self.groups[0];
        let percent = |share: f64| number((100.0 * share).round(), 3);
        let name = |of: &&ObservationCheck| format!("{} (z {})", of.name, number(of.residual, 2));
        let worst = self
            .worst()
            .into_iter()
            .filter(|of| of.residual.abs() > FAR);
        let worst: Vec<String> = worst.take(NAMED).map(|of| name(&of)).collect();
        let far = match worst.is_empty() {
            true => String::new(),
            false => format!("; far off: {}", worst.join(", ")),
        };
        format!(
            "{} % of the {} observations lie within the band of 90 %, {} % within that of 50 %{far}",
            percent(all.covered_90),
            all.observations,
            percent(all.covered_50)
        )
    }

    /// Returns this with the `most` observations that have the largest standardised residuals.
    #[must_use]
    pub fn shortened(mut self, most: usize) -> Self {
        let worst = self.worst().into_iter().take(most).cloned().collect();
        self.more_observations += self.observations.len().saturating_sub(most);
        self.observations = worst;
        self
    }

    /// Returns the table of all observations as CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = "name,group,observed,noise_deviation,mean,spread,residual,probability,crps,q05,q25,q75,q95\n".to_owned();
        for of in &self.observations {
            let numbers = [
                of.observed,
                of.noise,
                of.mean,
                of.spread,
                of.residual,
                of.probability,
                of.crps,
            ];
            let bands = of.bands.unwrap_or([f64::NAN; 4]);
            let words: Vec<String> = numbers.iter().chain(&bands).map(|x| field(*x)).collect();
            let (name, group) = (quoted(&of.name), quoted(of.group.as_deref().unwrap_or("")));
            let _ = writeln!(text, "{name},{group},{}", words.join(","));
        }
        text
    }
}

/// Returns a number as a field of a table; empty where it is not known.
fn field(x: f64) -> String {
    if x.is_nan() {
        String::new()
    } else {
        format!("{x:?}")
    }
}

/// Returns the check of a group of this name and misfit by the `checks` of its observations.
fn of_group((name, misfit): (&str, f64), checks: &[&ObservationCheck]) -> GroupCheck {
    let count = checks.len() as f64;
    let mean =
        |of: &dyn Fn(&ObservationCheck) -> f64| checks.iter().map(|c| of(c)).sum::<f64>() / count;
    let covered = |from: f64, to: f64| {
        mean(&|c| match c.probability.is_nan() {
            true => f64::NAN,
            false => f64::from(u8::from((from..=to).contains(&c.probability))),
        })
    };
    GroupCheck {
        group: name.to_owned(),
        observations: checks.len(),
        misfit,
        residual_mean: mean(&|c| c.residual),
        residual_rms: mean(&|c| c.residual * c.residual).sqrt(),
        covered_50: covered(BANDS[1], BANDS[2]),
        covered_90: covered(BANDS[0], BANDS[3]),
        crps: mean(&|c| c.crps / c.noise),
    }
}

/// Returns the misfits of all observations together and of each group, by the `outputs` of members, J x K: root mean squares in deviations
/// of the noise. Outputs that a member lacks are left out; NaN where none is left.
#[must_use]
pub fn misfits(observed: &Observations, outputs: ArrayView2<f64>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); observed.groups.len() + 1];
    for row in outputs.rows() {
        for (k, g) in row.iter().enumerate().filter(|(_, g)| g.is_finite()) {
            let residual = (observed.values[k] - g) / observed.deviations[k];
            let group = observed.group_of.get(k).map(|g| g + 1);
            for place in std::iter::once(0).chain(group) {
                sums[place].0 += residual * residual;
                sums[place].1 += 1.0;
            }
        }
    }
    sums.into_iter()
        .map(|(sum, count): (f64, f64)| (sum / count).sqrt())
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn two_groups() -> Observations {
        Observations {
            names: ["a", "b,c", "d"].map(str::to_owned).to_vec(),
            values: vec![1.0, 2.0, 10.0],
            deviations: vec![1.0, 0.5, 2.0],
            groups: ["near", "far"].map(str::to_owned).to_vec(),
            group_of: vec![0, 0, 1],
        }
    }

    /// Members at y - 1, y and y + 1 of each of two observations, and far below the third: by hand.
    #[test]
    fn groups_are_checked_apart_and_together() {
        let outputs = array![
            [0.0, 1.0, 1.0],
            [1.0, 2.0, 2.0],
            [2.0, 3.0, 3.0],
            [f64::NAN; 3]
        ];
        let check = Predictive::new(&two_groups(), 4, outputs.view());
        assert_eq!((check.members, check.groups.len()), (3, 3));
        let [all, near, far] = &check.groups[..] else {
            panic!()
        };
        // Squares 1, 0, 1 of the first, 4, 0, 4 of the second, and (9^2 + 8^2 + 7^2)/4 of the third.
        assert!((near.misfit - (10.0_f64 / 6.0).sqrt()).abs() < 1e-15);
        assert!((far.misfit - (194.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert!((all.misfit - ((10.0 + 48.5) / 9.0_f64).sqrt()).abs() < 1e-15);
        assert_eq!(
            (near.residual_mean, near.covered_50, near.covered_90),
            (0.0, 1.0, 1.0)
        );
        assert_eq!(
            (far.covered_50, far.covered_90, far.observations),
            (0.0, 0.0, 1)
        );
        // (10 - 2) / sqrt(4 + 1)
        assert!((far.residual_rms - 8.0 / 5.0_f64.sqrt()).abs() < 1e-15);
        assert_eq!(check.worst()[0].name, "d");
        let bands = check.observations[0].bands.unwrap();
        assert!(
            bands.windows(2).all(|pair| pair[0] < pair[1])
                && (bands[0] + bands[3] - 2.0).abs() < 1e-9
        );
        let table = check.csv();
        assert!(table.contains("\n\"b,c\",near,2.0,0.5,2.0,1.0,"), "{table}");
    }

    #[test]
    fn members_without_outputs_leave_nothing_known() {
        let check = Predictive::new(&two_groups(), 0, Array2::from_elem((2, 3), f64::NAN).view());
        assert_eq!(check.members, 0);
        assert!(
            check
                .groups
                .iter()
                .all(|g| g.misfit.is_nan() && g.covered_90.is_nan() && g.crps.is_nan())
        );
        assert!(check.csv().lines().nth(1).unwrap().ends_with(",,,,,,,,,"));
    }

    #[test]
    fn of_thousands_the_worst_are_kept_and_the_others_counted() {
        let count = 5000;
        let observed = Observations {
            names: (0..count).map(|k| k.to_string()).collect(),
            values: (0..count).map(f64::from).collect(),
            deviations: vec![1.0; count as usize],
            ..Observations::default()
        };
        let check = Predictive::new(&observed, 1, Array2::zeros((2, count as usize)).view());
        let short = check.shortened(10);
        assert_eq!(
            (short.observations.len(), short.more_observations),
            (10, 4990)
        );
        assert_eq!(
            (short.observations[0].name.as_str(), short.groups.len()),
            ("4999", 1)
        );
    }
}
