//! Samples in a table: a line for each, with a column for each input and one for the target.

use std::path::Path;

use ndarray::Array2;

use super::{InputShape, RawInputs, RawSamples, RawTargets};
use crate::data::Inputs;
use crate::error::{Error, Result};
use crate::files::bounded;
use crate::files::numbers::number_rows;
use crate::files::table::Table;

/// The longest table that is read, in bytes; longer ones must be .npy files.
const LONGEST: u64 = 1 << 32;
/// The words for a field without a value, in small letters.
const MISSING: [&str; 6] = ["", "na", "n/a", "nan", "null", "none"];

/// Reads the samples in `path`, whose targets are the column `target`.
pub(super) fn read(path: &Path, target: &str) -> Result<RawSamples> {
    let text = bounded::text(path, LONGEST)?;
    let refused = |why: String| Error::data(path, why);
    let table = checked(&text).map_err(refused)?;
    if target.is_empty() {
        let why = format!(
            "data.target must name one of its columns: {}",
            table.names.join(", ")
        );
        return Err(refused(why));
    }
    let place = place(&table, target).map_err(refused)?;
    let places: Vec<usize> = (0..table.names.len()).filter(|&i| i != place).collect();
    if places.is_empty() {
        return Err(refused(
            "has no column but the target: there are no inputs".to_owned(),
        ));
    }
    Ok(RawSamples {
        inputs: numbers(&table, &places).map_err(refused)?,
        targets: targets(&table, place).map_err(refused)?,
        lines: table.rows.iter().map(|(line, _)| *line).collect(),
    })
}

/// Reads the columns `names` of the table in `path`, in their order; all columns where no names are given.
pub(super) fn inputs(path: &Path, names: &[String]) -> Result<RawInputs> {
    let text = bounded::text(path, LONGEST)?;
    let refused = |why: String| Error::data(path, why);
    let table = checked(&text).map_err(refused)?;
    let places = match names {
        [] => Ok((0..table.names.len()).collect()),
        names => names.iter().map(|name| place(&table, name)).collect(),
    };
    let places: Vec<usize> = places.map_err(refused)?;
    numbers(&table, &places).map_err(refused)
}

/// Reads the targets in the column `name` of the table in `path`, and the number of each one's line; None where there is no such column.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, or a target that is missing.
pub fn table_targets(path: &Path, name: &str) -> Result<Option<(RawTargets, Vec<usize>)>> {
    let text = bounded::text(path, LONGEST)?;
    let refused = |why: String| Error::data(path, why);
    let table = checked(&text).map_err(refused)?;
    let Some(place) = table.column(name).map_err(refused)? else {
        return Ok(None);
    };
    let lines = table.rows.iter().map(|(line, _)| *line).collect();
    Ok(Some((targets(&table, place).map_err(refused)?, lines)))
}

/// Reads the column `name` of the table in `path`, finite numbers, and returns it with its name; an empty `name` stands for the only
/// column or the second of two.
///
/// # Errors
/// `Error::Data` for a file that is missing or damaged, a column that it lacks, or a field that is no finite number.
pub fn column(path: &Path, name: &str) -> Result<(String, Vec<f64>)> {
    let text = bounded::text(path, LONGEST)?;
    let refused = |why: String| Error::data(path, why);
    let table = Table::read(&text).and_then(separated).map_err(refused)?;
    let place = match (name, table.names.len()) {
        ("", 1) => 0,
        ("", 2) => 1,
        ("", _) => {
            let why = format!(
                "data.target must name one of its columns: {}",
                table.names.join(", ")
            );
            return Err(refused(why));
        }
        _ => place(&table, name).map_err(refused)?,
    };
    let column = numbers(&table, &[place]).map_err(refused)?;
    let Inputs::Reals(numbers) = column.numbers else {
        unreachable!("a table holds real numbers")
    };
    Ok((
        table.names[place].to_owned(),
        numbers.into_raw_vec_and_offset().0,
    ))
}

/// Reads the table in `text`, and refuses one without rows, without names, or with columns that are not divided by commas.
fn checked(text: &str) -> std::result::Result<Table<'_>, String> {
    let table = separated(Table::read(text)?)?;
    let firsts: Vec<f64> = table
        .rows
        .iter()
        .filter_map(|(_, row)| row[0].parse().ok())
        .collect();
    if table.names[0].is_empty() && firsts.len() == table.rows.len() && number_rows(&firsts) {
        return Err("has a first column without a name that counts its rows: remove it (index=False in pandas)".to_owned());
    }
    let unnamed = table.names.iter().position(|name| name.is_empty());
    match unnamed {
        Some(place) => Err(format!("line 1: column {} has no name", place + 1)),
        None => Ok(table),
    }
}

/// Refuses a table without rows, or whose first line names no columns that are divided by commas.
fn separated(table: Table<'_>) -> std::result::Result<Table<'_>, String> {
    let names = &table.names;
    if names.len() == 1 && names[0].contains([';', '\t']) {
        return Err("line 1: divide fields by commas, not by semicolons or tabs".to_owned());
    }
    if !names.is_empty() && names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err("line 1: the names of the columns expected, numbers found".to_owned());
    }
    match table.rows.is_empty() {
        true => Err("holds no rows below the names of its columns".to_owned()),
        false => Ok(table),
    }
}

/// Returns the place of the column `name`.
fn place(table: &Table, name: &str) -> std::result::Result<usize, String> {
    let found = table.column(name)?;
    found.ok_or_else(|| {
        format!(
            "has no column {name:?}: its columns are {}",
            table.names.join(", ")
        )
    })
}

/// Returns the columns at `places`, finite numbers.
fn numbers(table: &Table, places: &[usize]) -> std::result::Result<RawInputs, String> {
    let mut numbers = Vec::with_capacity(table.rows.len() * places.len());
    for (line, row) in &table.rows {
        for &place in places {
            numbers
                .push(number(row[place]).map_err(|what| field(table, (*line, place), row, what))?);
        }
    }
    let shape = InputShape {
        samples: table.rows.len(),
        features: places.len(),
        image: None,
        columns: places.iter().map(|&i| table.names[i].to_owned()).collect(),
    };
    let numbers = Array2::from_shape_vec((shape.samples, shape.features), numbers);
    Ok(RawInputs {
        numbers: Inputs::Reals(numbers.expect("whole rows")),
        shape,
    })
}

/// Returns the finite number that `text` spells, or what is wrong with it.
fn number(text: &str) -> std::result::Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        Ok(x) if x.is_infinite() => Err("which is not finite"),
        _ if is_missing(text) => Err("where a number is missing"),
        _ => Err("which is not a number"),
    }
}

/// Returns true if `text` stands for no value.
fn is_missing(text: &str) -> bool {
    MISSING.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns the message that a field is not as it must be.
fn field(table: &Table, (line, place): (usize, usize), row: &[&str], what: &str) -> String {
    let shown: String = row[place].chars().take(40).collect();
    format!(
        "line {line}: column {:?} holds {shown:?}, {what}",
        table.names[place]
    )
}

/// Returns the targets in the column at `place`: whole numbers, real numbers, or texts, where most fields are no numbers.
fn targets(table: &Table, place: usize) -> std::result::Result<RawTargets, String> {
    let texts: Vec<&str> = table.rows.iter().map(|(_, row)| row[place]).collect();
    let wrong = |at: usize, what: &str| {
        let (line, row) = &table.rows[at];
        field(table, (*line, place), row, what)
    };
    if let Some(at) = texts.iter().position(|text| is_missing(text)) {
        return Err(wrong(at, "where a target is missing"));
    }
    if let Ok(numbers) = texts.iter().map(|text| text.parse()).collect() {
        return Ok(RawTargets::Integers(numbers));
    }
    let numbers: Vec<_> = texts.iter().map(|text| number(text)).collect();
    let sound = numbers.iter().filter(|number| number.is_ok()).count();
    if 2 * sound <= texts.len() {
        return Ok(RawTargets::Texts(
            texts.iter().map(|text| (*text).to_owned()).collect(),
        ));
    }
    let values = numbers
        .into_iter()
        .enumerate()
        .map(|(at, number)| number.map_err(|what| wrong(at, what)));
    let values: Vec<f64> = values.collect::<std::result::Result<_, _>>()?;
    let values = Array2::from_shape_vec((texts.len(), 1), values);
    Ok(RawTargets::Values(values.expect("one each")))
}
