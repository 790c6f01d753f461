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

use std::collections::HashMap;

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
    let known = Names::of(&names);
    let mut informed_by: Vec<Option<Vec<usize>>> = vec![None; names.len()];
    let mut informs = vec![false; table.groups.len()];
    for (line, text) in numbers::lines(text) {
        let told = |why: String| format!("line {line}: {why}");
        let cells = fields(text, ',');
        let parameters = known.find(cells[0]).map_err(told)?;
        let mut groups = Vec::new();
        for &name in cells[1..].iter().filter(|name| !name.is_empty()) {
            let group = table.groups.iter().position(|group| group == name);
            groups.push(group.ok_or_else(|| {
                let known = table.groups.join(", ");
                told(format!("{name:?} is no group of the observations: {known}"))
            })?);
        }
        groups.iter().for_each(|&group| informs[group] = true);
        for p in parameters {
            let known = informed_by[p].get_or_insert_default();
            known.extend_from_slice(&groups);
            known.sort_unstable();
            known.dedup();
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

/// The names of parameters, and those of entries NAME[COUNT], with the places of their parameters.
struct Names<'a> {
    count: usize,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// The number of each parameter of an entry, ascending, and its place.
    by_entry: HashMap<&'a str, Vec<(usize, usize)>>,
}

impl<'a> Names<'a> {
    fn of(names: &'a [String]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut by_entry: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            by_name.entry(name).or_default().push(place);
            if let Some((entry, number)) = indexed(name)
                && let Ok(number) = number.parse()
            {
                by_entry.entry(entry).or_default().push((number, place));
            }
        }
        by_entry.values_mut().for_each(|own| own.sort_unstable());
        Self {
            count: names.len(),
            by_name,
            by_entry,
        }
    }

    /// Returns the places of the parameters that `text` names, or what is wrong with it.
    fn find(&self, text: &str) -> Result<Vec<usize>, String> {
        if text == "*" {
            return Ok((0..self.count).collect());
        }
        if let Some((first, last, entry)) = range(text)? {
            let all = self.by_entry.get(entry).map_or(&[][..], Vec::as_slice);
            let within =
                all.partition_point(|own| own.0 < first)..all.partition_point(|own| own.0 <= last);
            if within.len() != last - first + 1 {
                return Err(format!(
                    "not all of {text:?} are free parameters of model.prior"
                ));
            }
            return Ok(all[within].iter().map(|own| own.1).collect());
        }
        let entry = self.by_entry.get(text).into_iter().flatten();
        let named = self.by_name.get(text).into_iter().flatten().copied();
        let found: Vec<usize> = named.chain(entry.map(|own| own.1)).collect();
        match found.is_empty() {
            true => Err(format!("{text:?} is no free parameter of model.prior")),
            false => Ok(found),
        }
    }
}

/// Returns the parts of `NAME[INDEX]`.
fn indexed(text: &str) -> Option<(&str, &str)> {
    text.strip_suffix(']')?.split_once('[')
}

/// Returns the parts of `NAME[FIRST..LAST]`, the name last, if `text` is such a range.
fn range(text: &str) -> Result<Option<(usize, usize, &str)>, String> {
    let Some((entry, (first, last))) =
        indexed(text).and_then(|(entry, index)| Some((entry, index.split_once("..")?)))
    else {
        return Ok(None);
    };
    let numbers = (first.trim().parse().ok()).zip(last.trim().parse().ok());
    match numbers.filter(|(first, last)| (1..=*last).contains(first)) {
        Some((first, last)) => Ok(Some((first, last, entry))),
        None => Err(format!(
            "{text:?} must be a range NAME[FIRST..LAST], FIRST from 1 and at most LAST"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_one_parameter_some_of_an_entry_or_all() {
        let names = ["k[1]", "k[2]", "k[3]", "kl", "f", "f"].map(str::to_owned);
        let names = Names::of(&names);
        for (text, places) in [
            ("*", &[0, 1, 2, 3, 4, 5][..]),
            ("k", &[0, 1, 2]),
            ("k[2]", &[1]),
            ("k[2..3]", &[1, 2]),
            ("kl", &[3]),
            ("f", &[4, 5]),
        ] {
            assert_eq!(names.find(text).as_deref(), Ok(places), "{text}");
        }
        for (text, told) in [
            ("k[0..3]", "FIRST from 1"),
            ("k[3..2]", "FIRST from 1"),
            ("k[2..x]", "FIRST from 1"),
            ("k[2..4]", "not all of"),
            ("k[4]", "no free parameter"),
            ("", "no free parameter"),
        ] {
            let wrong = names.find(text).unwrap_err();
            assert!(wrong.contains(told), "{text}: {wrong}");
        }
    }
}
