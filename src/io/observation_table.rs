//! A table of observations: a header that names its columns, and a line for each output of the simulator.
//!
//! | column | holds |
//! |---|---|
//! | `name` | the output's name; each once |
//! | `value` | what was observed; blank or NaN: not observed |
//! | `deviation` or `variance` | of the error, greater than 0; in place of `method.noise` |
//! | `group` | the group whose misfit is shown together |
//! | `set` | the set for which the simulator is asked by this name; names of outputs are each once in a set |
//! | `weight` | multiplies the reciprocal of the deviation, 1 where it is blank; greater than 0 |

use std::collections::BTreeSet;
use std::path::Path;

use crate::data::observed::{ObservationTable, ObservedOutputs, ObservedSet};
use crate::error::{Error, Result};
use crate::files::table::fields;
use crate::files::{self, bounded, numbers};
use crate::io::observations;

/// The columns that a table may have.
const COLUMNS: [&str; 7] = [
    "name",
    "value",
    "deviation",
    "variance",
    "group",
    "set",
    "weight",
];

/// The name of the group of observations without one.
const NO_GROUP: &str = "(none)";

/// Reads the observations in `path`: a table, if its first line names a column `value`, else plain numbers. Returns the values of
/// those outputs that are observed, and what the table says of them.
///
/// # Errors
/// As `observations::read`; or a table with another column, or a line that does not fit.
pub fn read(path: &Path) -> Result<(Vec<f64>, ObservationTable)> {
    if !files::ends_in(path, "npy") {
        let text = bounded::text(path, observations::LONGEST)?;
        let header = numbers::lines(&text).next().map(|(_, line)| line);
        let header = header.map(|line| {
            let line = line.to_ascii_lowercase();
            let columns = fields(&line, separator(&line)).into_iter();
            (
                separator(&line),
                columns.map(str::to_owned).collect::<Vec<_>>(),
            )
        });
        if let Some((separator, columns)) = header.filter(|(_, columns)| is_header(columns)) {
            return in_text(&text, separator, &columns).map_err(|why| Error::data(path, why));
        }
    }
    let values = observations::read(path)?;
    let table = values.len().into();
    Ok((values, table))
}

/// Returns true if `columns` are those of a table's header.
fn is_header(columns: &[String]) -> bool {
    columns.iter().any(|column| column == "value")
}

/// Returns what separates the cells of a table with this header.
fn separator(header: &str) -> char {
    let known = [',', ';', '\t'];
    known
        .into_iter()
        .find(|c| header.contains(*c))
        .unwrap_or(' ')
}

/// Returns the number in `cell`; None where it is blank.
fn number(cell: &str) -> std::result::Result<Option<f64>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    match numbers::fields(cell, None).as_deref() {
        Ok([Some(number)]) => Ok(Some(*number)),
        _ => Err(format!("holds {cell:?}, which is not a number")),
    }
}

/// The table's lines as far as they are read: a number for each output that is observed.
#[derive(Default)]
struct Lines {
    values: Vec<f64>,
    places: Vec<usize>,
    names: Vec<String>,
    groups: Vec<String>,
    group_of: Vec<usize>,
    variances: Vec<f64>,
    weights: Vec<f64>,
    sets: Vec<Set>,
}

/// A set as far as it is read.
#[derive(Default)]
struct Set {
    name: String,
    /// The number of its outputs.
    total: usize,
    /// The places among them of those observed, and the places of these among all observed ones.
    observed: Vec<(usize, usize)>,
}

/// Returns the observations of the table `text`, or what is wrong with it.
fn in_text(
    text: &str,
    separator: char,
    columns: &[String],
) -> std::result::Result<(Vec<f64>, ObservationTable), String> {
    check_columns(columns)?;
    let (mut lines, mut seen, mut total) = (Lines::default(), BTreeSet::new(), 0);
    for (place, line) in numbers::lines(text).skip(1) {
        let cells = fields(line, separator);
        let told = |why: String| format!("line {place} {why}");
        if cells.len() != columns.len() {
            let (given, needed) = (cells.len(), columns.len());
            return Err(told(format!(
                "has {given} cells, and the header names {needed} columns"
            )));
        }
        let cell = |name: &str| {
            let column = columns.iter().position(|column| column == name)?;
            Some(cells[column])
        };
        let name = cell("name").unwrap_or_default();
        if name.is_empty() {
            return Err(told("has no name".to_owned()));
        }
        let set = cell("set").unwrap_or_default();
        if !seen.insert((set.to_owned(), name.to_owned())) {
            return Err(told(format!("names {name:?} again")));
        }
        lines.add(total, cell).map_err(told)?;
        total += 1;
    }
    if lines.values.is_empty() {
        return Err("holds no observed value".to_owned());
    }
    if let Some(set) = lines.sets.iter().find(|set| set.observed.is_empty()) {
        return Err(format!("holds no observed value of the set {:?}", set.name));
    }
    Ok((
        lines.values,
        ObservationTable {
            outputs: ObservedOutputs::new(total, lines.places),
            names: lines.names,
            groups: lines.groups,
            group_of: lines.group_of,
            variances: lines.variances,
            weights: lines.weights,
            sets: lines.sets.into_iter().map(observed_set).collect(),
        },
    ))
}

fn observed_set(set: Set) -> ObservedSet {
    let (own, places): (Vec<usize>, Vec<usize>) = set.observed.into_iter().unzip();
    ObservedSet {
        name: set.name,
        outputs: ObservedOutputs::new(set.total, own),
        places,
    }
}

/// Refuses a header without a column that is needed, with an unknown one, or with one twice.
fn check_columns(columns: &[String]) -> std::result::Result<(), String> {
    let allowed = "name, value, deviation or variance, group, set, weight";
    if let Some(column) = columns.iter().find(|c| !COLUMNS.contains(&c.as_str())) {
        return Err(format!(
            "has a column {column:?}, and columns are {allowed}"
        ));
    }
    let count = |name: &str| columns.iter().filter(|column| *column == name).count();
    if count("name") == 0 {
        return Err(format!("has no column \"name\"; columns are {allowed}"));
    }
    if let Some(twice) = columns.iter().find(|column| count(column) > 1) {
        return Err(format!("has two columns {twice:?}"));
    }
    match count("deviation") + count("variance") {
        2 => Err("has both a deviation and a variance: give one of them".to_owned()),
        _ => Ok(()),
    }
}

impl Lines {
    /// Returns the number of the set that the cell `name` names, if there is such a column.
    fn set(&mut self, name: Option<&str>) -> std::result::Result<Option<usize>, String> {
        let Some(name) = name else { return Ok(None) };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!(
                "has set {name:?}, which must be a name without blanks"
            ));
        }
        let known = self.sets.iter().position(|set| set.name == name);
        Ok(Some(known.unwrap_or_else(|| {
            self.sets.push(Set {
                name: name.to_owned(),
                ..Set::default()
            });
            self.sets.len() - 1
        })))
    }

    /// Adds the line of the simulator's output `place`, from 0, whose columns `cell` returns; nothing where it is not observed.
    fn add<'a>(
        &mut self,
        place: usize,
        cell: impl Fn(&str) -> Option<&'a str>,
    ) -> std::result::Result<(), String> {
        let positive = |column: &str, text: &str| match number(text)? {
            Some(x) if x.is_finite() && x > 0.0 => Ok(x),
            _ => Err(format!(
                "has {column} {text:?}, which must be a number greater than 0"
            )),
        };
        let set = self.set(cell("set"))?;
        if let Some(set) = set {
            self.sets[set].total += 1;
        }
        let value = number(cell("value").unwrap_or_default())?;
        let Some(value) = value.filter(|value| !value.is_nan()) else {
            return Ok(());
        };
        if value.is_infinite() {
            return Err(format!("holds {value} as value"));
        }
        let name = cell("name").unwrap_or_default();
        let name = match set.map(|set| &mut self.sets[set]) {
            None => name.to_owned(),
            Some(set) => {
                set.observed.push((set.total - 1, self.values.len()));
                format!("{}/{name}", set.name)
            }
        };
        self.names.push(name);
        self.values.push(value);
        self.places.push(place);
        if let Some(group) = cell("group") {
            let group = if group.is_empty() { NO_GROUP } else { group };
            let known = self.groups.iter().position(|known| known == group);
            self.group_of.push(known.unwrap_or(self.groups.len()));
            if known.is_none() {
                self.groups.push(group.to_owned());
            }
        }
        if let Some(text) = cell("variance") {
            self.variances.push(positive("variance", text)?);
        }
        if let Some(text) = cell("deviation") {
            self.variances.push(positive("deviation", text)?.powi(2));
        }
        if let Some(text) = cell("weight") {
            let text = if text.is_empty() { "1" } else { text };
            self.weights.push(positive("weight", text)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> std::result::Result<(Vec<f64>, ObservationTable), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("observed.csv");
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    #[test]
    fn a_table_is_read_by_its_header_and_unobserved_outputs_are_left_out() {
        let text = "# of May\nname; value; group; deviation; weight\n\"lake; north\"; 1.5; lakes; 0.5;\nriver; ; ; ;\n\
                    lake south; NA; lakes; 1; 1\nsea; 2D0; seas; 2; 3\nbay; -1; lakes; 1; 1\n";
        let (values, table) = of(text).unwrap();
        assert_eq!(values, [1.5, 2.0, -1.0]);
        assert_eq!(table.names, ["lake; north", "sea", "bay"]);
        assert_eq!(table.outputs, ObservedOutputs::new(5, vec![0, 3, 4]));
        assert_eq!(
            (table.groups, table.group_of),
            (vec!["lakes".to_owned(), "seas".to_owned()], vec![0, 1, 0])
        );
        assert_eq!(
            (table.variances, table.weights),
            (vec![0.25, 4.0, 1.0], vec![1.0, 3.0, 1.0])
        );
        assert_eq!(table.outputs.select(vec![1, 2, 3, 4, 5]), [1, 4, 5]);
        // Plain numbers are as before; a table in which all is observed has their digest, and any other its own.
        let (plain, none) = of("1\n2\n").unwrap();
        assert_eq!((plain, none.outputs.total()), (vec![1.0, 2.0], 2));
        let digest = |text: &str| of(text).unwrap().1.digest([0; 32]);
        assert_eq!(of("name  Value\na 1\n b   2\n").unwrap().0, [1.0, 2.0]);
        assert_eq!(digest("name,value\na,1\nb,2\n"), [0; 32]);
        assert_ne!(
            digest("name,value\na,1\nb,\n"),
            digest("name,value\na,\nb,1\n")
        );
        assert_ne!(
            digest("name,value,weight\na,1,1\n"),
            digest("name,value,weight\na,1,2\n")
        );
    }

    #[test]
    fn sets_have_their_own_outputs_in_the_tables_order() {
        let text = "name,value,set\nx,1,may\nx,2,june\ny,,may\nz,3,may\n";
        let (values, table) = of(text).unwrap();
        assert_eq!((values, table.outputs.total()), (vec![1.0, 2.0, 3.0], 4));
        assert_eq!(table.names, ["may/x", "june/x", "may/z"]);
        let sets: Vec<_> = table
            .sets
            .iter()
            .map(|set| (set.name.as_str(), set.outputs.clone(), set.places.clone()))
            .collect();
        let may = ObservedOutputs::new(3, vec![0, 2]);
        assert_eq!(
            sets,
            [("may", may, vec![0, 2]), ("june", 1.into(), vec![1])]
        );
        assert_ne!(
            table.digest([0; 32]),
            of("name,value\na,1\nb,2\nc,\nd,3\n")
                .unwrap()
                .1
                .digest([0; 32])
        );
        for (text, words) in [
            ("name,value,set\na,1,\n", "line 2 has set \"\""),
            ("name,value,set\na,1,b c\n", "line 2 has set \"b c\""),
            (
                "name,value,set\na,1,x\na,,y\n",
                "no observed value of the set \"y\"",
            ),
            ("name,value,set\na,1,x\na,2,x\n", "line 3 names \"a\" again"),
        ] {
            let line = of(text).unwrap_err();
            assert!(line.contains(words), "{text:?}: {line}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told_with_its_line() {
        for (text, words) in [
            (
                "name,value,color\na,1,2\n",
                "a column \"color\", and columns are name, value",
            ),
            ("value\n1\n", "no column \"name\""),
            ("name,value,value\na,1,1\n", "two columns \"value\""),
            (
                "name,value,deviation,variance\na,1,1,1\n",
                "both a deviation and a variance",
            ),
            ("name,value\na,1\na,2\n", "line 3 names \"a\" again"),
            ("name,value\n,1\n", "line 2 has no name"),
            ("name,value\na,1,2\n", "line 2 has 3 cells"),
            (
                "name,value\na,x\n",
                "line 2 holds \"x\", which is not a number",
            ),
            ("name,value\na,inf\n", "line 2 holds inf as value"),
            (
                "name,value,deviation\na,1,0\n",
                "line 2 has deviation \"0\"",
            ),
            ("name,value,variance\na,1,\n", "line 2 has variance \"\""),
            ("name,value,weight\na,1,-1\n", "line 2 has weight \"-1\""),
            ("name,value\na,\n", "holds no observed value"),
        ] {
            let line = of(text).unwrap_err();
            assert!(line.contains(words), "{text:?}: {line}");
        }
    }
}
