//! The predictive check of a simulator's run: the observations against the outputs of its final members, and of the first ensemble.
//!
//! Outputs are those of `steps/` in the run's folder; nothing is simulated. `scores` has the formulas. An observation is covered by the
//! band of 90 % where 0.05 <= F(y) <= 0.95, and by that of 50 % where 0.25 <= F(y) <= 0.75: of a posterior sample about that share is.
//! Members that have no outputs are left out.

mod observations;
pub mod scores;

use std::fmt::Write as _;

use ndarray::ArrayView2;
use serde::Serialize;

use crate::files::numbers::number;
use crate::files::table::quoted;
pub use observations::Observations;
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

/// The check of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predictive {
    /// The steps before this ensemble.
    pub step: u64,
    /// The members that have outputs, some of them at least.
    pub members: usize,
    /// All observations together, then each group, then each set; without observations that were left out.
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
    /// The name of its set, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// True if the run left it out (`data.conflict`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
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
                group: observed.group(k).cloned(),
                set: observed.set(k).cloned(),
                left_out: observed.left_out.binary_search(&k).is_ok(),
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
        let misfits = misfits(observed, outputs, None);
        let group = |((name, places), misfit): ((&str, Vec<usize>), f64)| {
            let checks = places.iter().map(|&k| &observations[k]);
            of_group((name, misfit), &checks.collect::<Vec<_>>())
        };
        let has_outputs = |row: &ndarray::ArrayView1<f64>| row.iter().any(|g| g.is_finite());
        Self {
            step,
            members: outputs.rows().into_iter().filter(has_outputs).count(),
            groups: observed
                .parts()
                .into_iter()
                .zip(misfits)
                .map(group)
                .collect(),
            observations,
            more_observations: 0,
        }
    }

    /// Returns the observations that the run left out.
    pub fn left_out(&self) -> impl Iterator<Item = &ObservationCheck> {
        self.observations.iter().filter(|check| check.left_out)
    }

    /// Returns the observations that the run did not leave out, from that with the largest standardised residual on.
    #[must_use]
    pub fn worst(&self) -> Vec<&ObservationCheck> {
        let counted = self.observations.iter().filter(|check| !check.left_out);
        let mut all: Vec<&ObservationCheck> = counted.collect();
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
        let left_out = match self.left_out().count() {
            0 => String::new(),
            count => format!("; {count} more were left out of the run"),
        };
        format!(
            "{} % of the {} observations lie within the band of 90 %, {} % within that of 50 %{far}{left_out}",
            percent(all.covered_90),
            all.observations,
            percent(all.covered_50)
        )
    }

    /// Returns this with the `most` observations that have the largest standardised residuals, those that the run left out last.
    #[must_use]
    pub fn shortened(mut self, most: usize) -> Self {
        let worst = self.worst().into_iter().chain(self.left_out());
        let worst = worst.take(most).cloned().collect();
        self.more_observations += self.observations.len().saturating_sub(most);
        self.observations = worst;
        self
    }

    /// Returns the table of all observations as CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = "name,group,observed,noise_deviation,mean,spread,residual,probability,crps,q05,q25,q75,q95,left_out\n".to_owned();
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
            let left_out = u8::from(of.left_out);
            let _ = writeln!(text, "{name},{group},{},{left_out}", words.join(","));
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

/// Returns the misfits of all observations together, of each group and of each set, by the `outputs` of members, J x K, which are known
/// for the sets `known` (None: for all): root mean squares in deviations of the noise. Outputs that a member lacks are left out; NaN
/// where none is left, and of observations that are not known all.
#[must_use]
pub fn misfits(
    observed: &Observations,
    outputs: ArrayView2<f64>,
    known: Option<&[String]>,
) -> Vec<f64> {
    let is_known = |k: &usize| {
        known.is_none_or(|known| observed.set(*k).is_some_and(|set| known.contains(set)))
    };
    let of_part = |(_, places): (&str, Vec<usize>)| {
        if !places.iter().all(is_known) {
            return f64::NAN;
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for row in outputs.rows() {
            for &k in places.iter().filter(|&&k| row[k].is_finite()) {
                let residual = (observed.values[k] - row[k]) / observed.deviations[k];
                sum += residual * residual;
                count += 1.0;
            }
        }
        let square: f64 = sum / count;
        square.sqrt()
    };
    observed.parts().into_iter().map(of_part).collect()
}

#[cfg(test)]
mod tests;
