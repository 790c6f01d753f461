//! The file of groups that `method.localise` names: which groups of observations inform which parameters.
//!
//! ```text
//! # parameters, groups of observations
//! conductivity[1..400], wells
//! conductivity[401..800], wells, tracer
//! porosity, tracer
//! ```
//!
//! A line names one parameter of `model.prior`, all of an entry NAME[COUNT] (or a field) by its name, some of them by NAME[FIRST..LAST],
//! or all parameters by *; after it stand the groups of the observations' table that inform these. Of several lines all count.

use crate::data::groups::Groups;
use crate::data::observed::ObservationTable;
use crate::files::numbers;
use crate::files::table::fields;
use crate::forward::joint_prior::JointPrior;

/// Returns the groups that `text` describes, of the coordinates of `prior` and the observations of `table`.
///
/// # Errors
/// What is wrong, in words that follow the file's name.
pub(super) fn read(
    text: &str,
    prior: &JointPrior,
    table: &ObservationTable,
) -> Result<Groups, String> {
    if table.groups.is_empty() {
        return Err("needs observations with a column `group` (data.observations)".to_owned());
    }
    let names: Vec<String> = prior.coordinate_names().collect();
    let mut informed_by: Vec<Option<Vec<usize>>> = vec![None; names.len()];
    let mut informs = vec![false; table.groups.len()];
    for (line, text) in numbers::lines(text) {
        let told = |why: String| format!("line {line}: {why}");
        let cells = fields(text, ',');
        let pattern = Pattern::of(cells[0]).ok_or_else(|| {
            told(format!(
                "{:?} must be *, a parameter, or one with a range NAME[FIRST..LAST]",
                cells[0]
            ))
        })?;
        let mut groups = Vec::new();
        for &name in cells[1..].iter().filter(|name| !name.is_empty()) {
            let group = table.groups.iter().position(|group| group == name);
            groups.push(group.ok_or_else(|| {
                let known = table.groups.join(", ");
                told(format!("{name:?} is no group of the observations: {known}"))
            })?);
        }
        groups.iter().for_each(|&group| informs[group] = true);
        let mut found = false;
        let own = names.iter().zip(&mut informed_by);
        for (_, informed_by) in own.filter(|(name, _)| pattern.fits(name)) {
            found = true;
            let known = informed_by.get_or_insert_default();
            known.extend_from_slice(&groups);
            known.sort_unstable();
            known.dedup();
        }
        if !found {
            let why = format!("{:?} is no parameter of model.prior that is free", cells[0]);
            return Err(told(why));
        }
    }
    if let Some(p) = informed_by.iter().position(Option::is_none) {
        return Err(format!(
            "has no line for the parameter {}: a line without groups keeps it from all observations",
            names[p]
        ));
    }
    if let Some(group) = informs.iter().position(|informs| !informs) {
        let group = &table.groups[group];
        return Err(format!(
            "has no line with the group {group:?} of the observations"
        ));
    }
    let informed_by: Vec<Vec<usize>> = informed_by.into_iter().flatten().collect();
    Ok(Groups::new(&informed_by, &table.group_of))
}

/// The parameters that a line is of.
enum Pattern<'a> {
    All,
    /// One, or all of an entry.
    Named(&'a str),
    /// Those of an entry of these numbers, from 1.
    Range(&'a str, usize, usize),
}

impl<'a> Pattern<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let range = text.strip_suffix(']').and_then(|text| {
            let (name, range) = text.split_once('[')?;
            let (first, last) = range.split_once("..")?;
            Some((name, first, last))
        });
        match (text, range) {
            ("", _) => None,
            ("*", _) => Some(Self::All),
            (_, None) => Some(Self::Named(text)),
            (_, Some((name, first, last))) => {
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                (1..=last).contains(&first).then_some(())?;
                Some(Self::Range(name, first, last))
            }
        }
    }

    fn fits(&self, name: &str) -> bool {
        let (entry, number) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((entry, number)) => (entry, number.parse().ok()),
            None => (name, None),
        };
        match self {
            Self::All => true,
            Self::Named(own) => *own == name || *own == entry,
            Self::Range(own, first, last) => {
                *own == entry && number.is_some_and(|n: usize| (*first..=*last).contains(&n))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_one_parameter_some_of_an_entry_or_all() {
        let fits = |pattern: &str, name: &str| Pattern::of(pattern).map(|p| p.fits(name));
        for (pattern, name, expected) in [
            ("*", "k[3]", Some(true)),
            ("k", "k[3]", Some(true)),
            ("k", "kl", Some(false)),
            ("k[3]", "k[3]", Some(true)),
            ("k[3]", "k[33]", Some(false)),
            ("k[2..3]", "k[3]", Some(true)),
            ("k[2..3]", "k[4]", Some(false)),
            ("k[2..3]", "l[3]", Some(false)),
            ("k[0..3]", "k[1]", None),
            ("k[3..2]", "k[3]", None),
            ("", "k", None),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
