//! The parameters of a calibrated simulator in physical units: final/parameters.csv and final/ensemble.csv.
//!
//! `low` and `high` bound the central two thirds of the members at the end of the run. They are not error bars, unless
//! observations are perturbed (`method.perturb`): members contract as they fit, whatever the noise (Schillings & Stuart,
//! SIAM J. Numer. Anal. 55 (2017) 1264).

use std::fmt::Write as _;

use crate::cost::MOST_AS_TEXT;
use crate::error::Result;
use crate::files::Files;
use crate::files::numbers::number;
use crate::forward::joint_prior::JointPrior;
use crate::kernels::real::Real;
use crate::report::finished::Finished;

/// The fraction of members below `low`, and above `high`.
const TAIL: f64 = 0.16;
/// The largest number of parameters in the table at the end of a run.
const SHOWN: usize = 16;

/// The parameters of a finished run, in physical units.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// The names of the parameters.
    pub names: Vec<String>,
    /// The mean of the members.
    pub mean: Vec<f64>,
    /// The parameters of the best member, if it was determined.
    pub best: Option<Vec<f64>>,
    /// The members, a row of all parameters each, if they were kept and are not too many.
    pub members: Option<Vec<Vec<f64>>>,
}

impl Calibrated {
    /// Reads the parameters of `finished`, whose prior is `prior`. Runs of earlier versions left coordinates of type
    /// T in their arrays, which are mapped to physical units.
    ///
    /// # Errors
    /// A run that has not ended, or damaged arrays.
    pub fn of<T: Real>(finished: &Finished, prior: &JointPrior) -> Result<Self> {
        if finished.is_in_own_units() {
            return Self::read(finished, prior, <[f64]>::to_vec);
        }
        let own = |xi: &[T]| prior.at(xi);
        let mut found = Self::read(finished, prior, own)?;
        // The stored mean is that of the coordinates; the mean of the members in physical units is wanted.
        if let Some(members) = &found.members {
            let share = 1.0 / members.len() as f64;
            let mean = |p: usize| members.iter().map(|u| share * u[p]).sum();
            found.mean = (0..prior.parameters()).map(mean).collect();
        }
        Ok(found)
    }

    /// Reads the arrays of `finished`, of type N, and maps each row to physical units by `own`.
    fn read<N: Real>(
        finished: &Finished,
        prior: &JointPrior,
        own: impl Fn(&[N]) -> Vec<f64>,
    ) -> Result<Self> {
        let parameters = prior.parameters();
        let members = match finished.ensemble::<N>(parameters)? {
            Some(mut rows) if rows.rows() * parameters <= MOST_AS_TEXT => {
                // Members that went to infinity are results too.
                let all = rows.read_any(rows.rows())?;
                Some(all.chunks_exact(parameters).map(&own).collect())
            }
            _ => None,
        };
        Ok(Self {
            names: prior.names().map(str::to_owned).collect(),
            mean: own(&finished.mean::<N>(parameters)?),
            best: finished.best::<N>(parameters)?.as_deref().map(own),
            members,
        })
    }

    /// Returns the values of parameter `p` below, and above, which a fraction `TAIL` of the members lies.
    #[must_use]
    pub fn range(&self, p: usize) -> Option<(f64, f64)> {
        let members = self.members.as_ref()?;
        let mut values: Vec<f64> = members.iter().map(|u| u[p]).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
        (!values.is_empty()).then(|| (at(TAIL), at(1.0 - TAIL)))
    }

    /// Writes final/parameters.csv, and final/ensemble.csv if members were kept, to the run's folder. Called by rank 0.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, files: &Files, finished: &Finished) -> Result<()> {
        let folder = finished.folder.join("final");
        let number = |x: Option<f64>| x.map_or(String::new(), |x| format!("{x:?}"));
        let mut text = "name,mean,low,high,best\n".to_owned();
        for (p, name) in self.names.iter().enumerate() {
            let (low, high) = self.range(p).unzip();
            let best = self.best.as_ref().map(|best| best[p]);
            let rest = [Some(self.mean[p]), low, high, best].map(number);
            let _ = writeln!(text, "{name},{}", rest.join(","));
        }
        files.write_whole(&folder.join("parameters.csv"), text.as_bytes())?;
        let Some(members) = &self.members else {
            return Ok(());
        };
        let mut text = self.names.join(",") + "\n";
        for member in members {
            let words: Vec<String> = member.iter().map(|x| format!("{x:?}")).collect();
            text += &words.join(",");
            text.push('\n');
        }
        files.write_whole(&folder.join("ensemble.csv"), text.as_bytes())
    }

    /// Lines for the table at a run's end: a parameter each, with the range of most members.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (p, name) in self.names.iter().enumerate().take(SHOWN) {
            let range = self.range(p);
            let range = range.map_or(String::new(), |(a, b)| {
                format!("  members {} .. {}", number(a, 5), number(b, 5))
            });
            let _ = writeln!(text, "  {name:<28} {}{range}", number(self.mean[p], 5));
        }
        let rest = self.names.len().saturating_sub(SHOWN);
        if rest > 0 {
            let _ = writeln!(text, "  and {rest} more in final/parameters.csv");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_significant_digits_at_any_size() {
        let calibrated = Calibrated {
            names: ["permeability", "large", "plain"]
                .map(str::to_owned)
                .to_vec(),
            mean: vec![3.194_91e-16, 1e300, 0.8],
            best: None,
            members: Some(vec![
                vec![3.151_39e-16, 1e299, 0.790_001],
                vec![3.237_29e-16, 2e300, 0.81],
            ]),
        };
        let table = calibrated.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(
            lines[0].ends_with(" 3.1949e-16  members 3.1514e-16 .. 3.2373e-16"),
            "{table}"
        );
        assert!(
            lines[1].ends_with(" 1e300  members 1e299 .. 2e300"),
            "{table}"
        );
        assert!(lines[2].ends_with(" 0.8  members 0.79 .. 0.81"), "{table}");
    }
}
