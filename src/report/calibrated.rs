//! The parameters of a calibrated simulator in physical units: final/parameters.csv, final/posterior.csv or final/members.csv.
//!
//! The statistics are those of `run::statistics`. `low` and `high` are the quantiles 16 and 84 %: they hold the central two thirds of the
//! members. Whether these are a sample of the posterior the file's name says: otherwise members contract as they fit, whatever the noise
//! (Schillings & Stuart, SIAM J. Numer. Anal. 55 (2017) 1264).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use ndarray::Array2;

use crate::config::PriorSource;
use crate::cost::MOST_AS_TEXT;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::error::Result;
use crate::files::Files;
use crate::files::numbers::number;
use crate::files::table::quoted;
use crate::forward::joint_prior::JointPrior;
use crate::io::run_folder::history::History;
use crate::kernels::real::Real;
use crate::report::finished::Finished;
use crate::report::text_table::CellAlignment::{Left, Right};
use crate::report::text_table::text_table;
use crate::run::statistics::normal_law::{MembersOf, NormalLaw};
use crate::run::statistics::{
    Correlated, FinalMembers, MembersAre, ParameterStatistics, PriorSpread,
};

/// The largest number of parameters in the table at the end of a run.
const SHOWN: usize = 16;
/// The largest number of cells of a field there.
const INFORMED: usize = 3;
/// The largest number of correlated pairs, and of parameters at an end of their prior, there.
const NOTED: usize = 4;

/// The parameters of a finished run, in physical units.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// The statistics of the members.
    pub found: FinalMembers,
    /// The random fields among the parameters: their names, and the numbers of their cells.
    pub fields: Vec<(String, Range<usize>)>,
    /// The parameters of the best member, if it was determined.
    pub best: Option<Vec<f64>>,
    /// The members, a row of all parameters each, if they were kept and are not too many.
    pub members: Option<Array2<f64>>,
    /// Draws of the normal law that members stand for, where they are its sigma points.
    pub draws: Option<Array2<f64>>,
}

impl Calibrated {
    /// Reads the parameters of `finished`, whose prior is `prior` and whose members stand for what `are` says. Runs of earlier versions
    /// left coordinates of type T in their arrays, which are mapped to physical units.
    ///
    /// # Errors
    /// A run that has not ended, or damaged arrays.
    pub fn of<T: Real>(finished: &Finished, prior: &JointPrior, are: MembersAre) -> Result<Self> {
        match finished.is_in_own_units() {
            true => Self::read(finished, prior, are, <[f64]>::to_vec),
            false => Self::read(finished, prior, are, |xi: &[T]| prior.at(xi)),
        }
    }

    /// Reads the arrays of `finished`, of type N, and maps each row to physical units by `own`.
    fn read<N: Real>(
        finished: &Finished,
        prior: &JointPrior,
        are: MembersAre,
        own: impl Fn(&[N]) -> Vec<f64>,
    ) -> Result<Self> {
        let parameters = prior.parameters();
        let mut mean = own(&finished.mean::<N>(parameters)?);
        let members = match finished.ensemble::<N>(parameters)? {
            Some(mut rows) if rows.rows() * parameters <= MOST_AS_TEXT => {
                // Members that went to infinity are results too.
                let all = rows.read_any(rows.rows())?;
                let all: Vec<f64> = all.chunks_exact(parameters).flat_map(&own).collect();
                let shape = (all.len() / parameters, parameters);
                Some(Array2::from_shape_vec(shape, all).expect("whole rows"))
            }
            _ => None,
        };
        if let Some(members) = members.as_ref().filter(|_| !finished.is_in_own_units()) {
            // The stored mean is that of the coordinates; the mean of the members in physical units is wanted.
            let share = 1.0 / members.nrows() as f64;
            let of = |p: usize| members.column(p).iter().map(|u| share * u).sum();
            mean = (0..parameters).map(of).collect();
        }
        let first = first_members(finished, prior);
        let config = &finished.resolved.config;
        let of = MembersOf {
            are,
            before: match &first {
                Some(first) => PriorSpread::Sample(first.view()),
                None if config.ensemble.begins_as_drawn() => PriorSpread::Laws,
                None => PriorSpread::Unknown,
            },
            points: SigmaPoints::of(&config.method, prior.coordinates()),
        };
        let none = Array2::zeros((0, parameters));
        let rows = members.as_ref().unwrap_or(&none).view();
        let law = of
            .points
            .and_then(|points| NormalLaw::of(points, prior, rows));
        Ok(Self {
            found: FinalMembers::new(of, prior, &mean, rows),
            fields: prior
                .placed_fields()
                .map(|(first, field)| (field.name().to_owned(), first..first + field.cells()))
                .collect(),
            best: finished.best::<N>(parameters)?.as_deref().map(own),
            draws: law.map(|law| law.draws(rows, config.seed)),
            members,
        })
    }

    /// Returns the rows that show what parameters may be: the draws of the normal law where members are its sigma points, else the members.
    #[must_use]
    pub fn shown(&self) -> Option<&Array2<f64>> {
        self.draws.as_ref().or(self.members.as_ref())
    }

    /// Returns the mean of the members, all parameters in their order.
    #[must_use]
    pub fn mean(&self) -> Vec<f64> {
        self.found.parameters.iter().map(|of| of.mean).collect()
    }

    /// Writes final/parameters.csv, and the table of members if they were kept, to the run's folder. Called by rank 0.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, files: &Files, finished: &Finished) -> Result<()> {
        let folder = finished.folder.join("final");
        let mut text = "name,mean,low,high,best,mean_error,deviation,deviation_error,q05,q16,q50,q84,q95,contraction,\
                        at_low_end,at_high_end,q05_error,q16_error,q50_error,q84_error,q95_error\n"
            .to_owned();
        for (p, of) in self.found.parameters.iter().enumerate() {
            let best = self.best.as_ref().map(|best| best[p]);
            let _ = writeln!(text, "{},{}", quoted(&of.name), numbers(of, best).join(","));
        }
        files.write_whole(&folder.join("parameters.csv"), text.as_bytes())?;
        // What an earlier start or version of the program left must not be taken for the new.
        for name in ["posterior.csv", "members.csv", "ensemble.csv"] {
            files.remove(&folder.join(name))?;
        }
        let Some(members) = &self.members else {
            return Ok(());
        };
        let text = self.csv(members);
        // The second is its name in earlier versions, by which scripts may read it.
        for name in [self.found.are.table_name(), "ensemble.csv"] {
            files.write_whole(&folder.join(name), text.as_bytes())?;
        }
        match &self.draws {
            Some(draws) if self.found.are == MembersAre::SigmaPoints => {
                let path = folder.join(MembersAre::PosteriorSample.table_name());
                files.write_whole(&path, self.csv(draws).as_bytes())
            }
            _ => Ok(()),
        }
    }

    /// Returns `rows` of all parameters as a table with their names.
    fn csv(&self, rows: &Array2<f64>) -> String {
        let names = self.found.parameters.iter().map(|of| quoted(&of.name));
        let names: Vec<Cow<str>> = names.collect();
        let mut text = names.join(",") + "\n";
        for row in rows.rows() {
            let words: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
            text += &words.join(",");
            text.push('\n');
        }
        text
    }

    /// Returns the lines on parameters for the table at a run's end: a few numbers of each, and what is remarkable.
    #[must_use]
    pub fn table(&self) -> String {
        let heading = [
            "parameter",
            "mean",
            "deviation",
            "5 %",
            "50 %",
            "95 %",
            "contraction",
        ];
        let all = &self.found.parameters;
        let is_single = |p: &usize| !self.fields.iter().any(|(_, cells)| cells.contains(p));
        let single: Vec<usize> = (0..all.len()).filter(is_single).collect();
        let shown = single.iter().take(SHOWN).map(|&p| Cow::Borrowed(&all[p]));
        let fields = self.fields.iter().flat_map(|(name, cells)| {
            let cells = &all[cells.clone()];
            let most = most_informed(cells).into_iter().map(Cow::Borrowed);
            std::iter::once(Cow::Owned(over_cells(name, cells))).chain(most)
        });
        let rows = shown.chain(fields).map(|of| {
            let [low, _, middle, _, high] = each(of.quantiles);
            let [mean, low, middle, high] = [Some(of.mean), low, middle, high].map(|x| cell(x, 5));
            let deviation = cell(of.deviation, 3);
            let contraction = cell(of.contraction, 3);
            [
                of.name.clone(),
                mean,
                deviation,
                low,
                middle,
                high,
                contraction,
            ]
        });
        let rows = std::iter::once(heading.map(str::to_owned)).chain(rows);
        let mut text = format!(
            "  {:<28} {}\n",
            "the final members are",
            self.found.are.words()
        );
        text += &text_table([Left, Right, Right, Right, Right, Right, Right], rows);
        let rest = single.len().saturating_sub(SHOWN);
        if rest > 0 {
            let _ = writeln!(text, "  and {rest} more in final/parameters.csv");
        }
        if !self.fields.is_empty() {
            text += "  of fields: the mean over cells, the root mean square deviation, and the most informed cells; all are in \
                     final/parameters.csv\n";
        }
        for (what, which) in self.notes() {
            let _ = writeln!(text, "  {what:<28} {which}");
        }
        text
    }

    /// Returns what is remarkable about the parameters, and which: those that are correlated, and those at an end of their prior.
    #[must_use]
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let found = &self.found;
        let pairs = found.correlations.as_deref().unwrap_or_default();
        let pair = |pair: &Correlated| {
            let [a, b] = &pair.between;
            format!("{a} and {b} {}", number(pair.correlation, 2))
        };
        let pairs: Vec<String> = pairs.iter().map(pair).collect();
        let ends = found.parameters.iter();
        let ends: Vec<String> = ends.filter_map(ParameterStatistics::end_in_words).collect();
        let notes = [
            ("correlated", pairs, found.more_correlations),
            ("at an end of the prior", ends, 0),
        ];
        let notes = notes.into_iter().filter(|(_, all, _)| !all.is_empty());
        notes
            .map(|(what, all, more)| (what, some(&all, more)))
            .collect()
    }
}

/// Returns the first members of `finished`, a row of all parameters each, where they are the prior and the run's history has them.
fn first_members(finished: &Finished, prior: &JointPrior) -> Option<Array2<f64>> {
    let ensemble = &finished.resolved.config.ensemble;
    let is_prior = ensemble.initial != "prior" && ensemble.prior == PriorSource::Sample;
    if !is_prior || ensemble.members.saturating_mul(prior.parameters()) > MOST_AS_TEXT {
        return None;
    }
    let history = History::open(&finished.folder).ok().flatten()?;
    let first = history.parameters(0).ok()?;
    (first.ncols() == prior.parameters()).then_some(first)
}

/// Returns the summary of a field called `name` over its `cells`: means over them, and the root mean square of the deviations.
fn over_cells(name: &str, cells: &[ParameterStatistics]) -> ParameterStatistics {
    let share = 1.0 / cells.len() as f64;
    let over = |of: &dyn Fn(&ParameterStatistics) -> Option<f64>| -> Option<f64> {
        cells.iter().map(|cell| Some(share * of(cell)?)).sum()
    };
    ParameterStatistics {
        name: format!("{name}, {} cells", cells.len()),
        mean: over(&|cell| Some(cell.mean)).unwrap_or(f64::NAN),
        deviation: over(&|cell| cell.deviation.map(|s| s * s)).map(f64::sqrt),
        contraction: over(&|cell| cell.contraction),
        ..ParameterStatistics::default()
    }
}

/// Returns the cells that have contracted most from the prior, at most `INFORMED` of them, the most informed first.
fn most_informed(cells: &[ParameterStatistics]) -> Vec<&ParameterStatistics> {
    let contraction = |cell: &ParameterStatistics| cell.contraction.unwrap_or(f64::NEG_INFINITY);
    let mut known: Vec<_> = cells.iter().filter(|c| c.contraction.is_some()).collect();
    known.sort_by(|a, b| contraction(b).total_cmp(&contraction(a)));
    known.truncate(INFORMED);
    known
}

/// Returns the first of `all` in words, and how many more there are, with so many `more` that are not in it.
fn some(all: &[String], more: usize) -> String {
    let named = &all[..all.len().min(NOTED)];
    let rest = match all.len() - named.len() + more {
        0 => String::new(),
        rest => format!("; and {rest} more"),
    };
    named.join("; ") + &rest
}

/// Returns each of the numbers, None where there are none.
fn each(numbers: Option<[f64; 5]>) -> [Option<f64>; 5] {
    numbers.map_or([None; 5], |numbers| numbers.map(Some))
}

/// Returns `x` with so many significant digits, or a dash where it is unknown.
fn cell(x: Option<f64>, digits: usize) -> String {
    x.map_or("-".to_owned(), |x| number(x, digits))
}

/// Returns the fields of a parameter's line in final/parameters.csv after its name.
fn numbers(of: &ParameterStatistics, best: Option<f64>) -> Vec<String> {
    let [q05, q16, q50, q84, q95] = each(of.quantiles);
    let ends = of.ends.map_or([None; 2], |ends| ends.map(Some));
    let first = [
        Some(of.mean),
        q16,
        q84,
        best,
        of.mean_error,
        of.deviation,
        of.deviation_error,
    ];
    let rest = [q05, q16, q50, q84, q95, of.contraction];
    let errors = each(of.quantile_errors);
    let all = first.into_iter().chain(rest).chain(ends).chain(errors);
    all.map(|x| x.map_or(String::new(), |x| format!("{x:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cells of a field and a parameter behind them: this first, then the field's means, (1 + 3)/2 and sqrt((4 + 16)/2), and its cells.
    #[test]
    fn the_table_has_single_parameters_before_fields() {
        let of = |name: &str, mean, deviation, contraction| ParameterStatistics {
            name: name.to_owned(),
            mean,
            deviation: Some(deviation),
            contraction: Some(contraction),
            ..ParameterStatistics::default()
        };
        let calibrated = Calibrated {
            found: FinalMembers {
                parameters: vec![
                    of("kappa[1]", 1.0, 2.0, 0.2),
                    of("kappa[2]", 3.0, 4.0, 0.6),
                    of("offset", 7.0, 1.0, 0.9),
                ],
                ..FinalMembers::default()
            },
            fields: vec![("kappa".to_owned(), 0..2)],
            best: None,
            draws: None,
            members: None,
        };
        let table = calibrated.table();
        let lines: Vec<&str> = table.lines().skip(2).map(str::trim_start).collect();
        for (line, begins) in lines
            .iter()
            .zip(["offset", "kappa, 2 cells", "kappa[2]", "kappa[1]"])
        {
            assert!(line.starts_with(begins), "{table}");
        }
        let field: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(field[3..], ["2", "3.16", "-", "-", "-", "0.4"], "{table}");
    }

    #[test]
    fn the_table_shows_significant_digits_at_any_size() {
        let entries = [
            "permeability normal 0 1",
            "large normal 0 1",
            "plain normal 0 1",
        ];
        let prior = JointPrior::new(&entries.map(str::to_owned)).unwrap();
        let members = ndarray::array![
            [3.151_39e-16, 1e299, 0.790_001],
            [3.237_29e-16, 2e300, 0.81]
        ];
        let mean = [3.194_91e-16, 1e300, 0.8];
        let of = MembersOf {
            are: MembersAre::Fit,
            before: PriorSpread::Laws,
            points: None,
        };
        let found = FinalMembers::new(of, &prior, &mean, members.view());
        let calibrated = Calibrated {
            found,
            fields: Vec::new(),
            best: None,
            members: None,
            draws: None,
        };
        let table = calibrated.table();
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert!(
            table.starts_with(
                "  the final members are        a fit: their spread is no error bar\n"
            ),
            "{table}"
        );
        assert_eq!(
            lines[2],
            [
                "permeability",
                "3.1949e-16",
                "6.07e-18",
                "3.1557e-16",
                "3.1943e-16",
                "3.233e-16",
                "1"
            ],
            "{table}"
        );
        assert_eq!(lines[3][..2], ["large", "1e300"], "{table}");
        assert_eq!(
            lines[4][..4],
            ["plain", "0.8", "0.0141", "0.791"],
            "{table}"
        );
    }
}
