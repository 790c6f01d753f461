//! The laws of `model.prior` with the numbers that each takes, and the files of a prior: the table that stands for a list of entries,
//! and the matrix that correlates parameters.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::prior_matrix::PriorMatrix;
use super::resolved::Resolved;
use crate::error::{Error, Result};
use crate::files::table::Table;
use crate::files::{self, bounded};

/// The laws of `model.prior`: the word or words that name a law, and what is to follow it. In a table the same words name the
/// columns.
pub const LAWS: [(&str, &[&str]); 12] = [
    ("normal", &["mean", "deviation"]),
    ("lognormal", &["mean", "deviation"]),
    ("lognormal of log", &["mean", "deviation"]),
    ("uniform", &["lower", "upper"]),
    ("loguniform", &["lower", "upper"]),
    ("truncnormal", &["mean", "deviation", "lower", "upper"]),
    ("triangular", &["lower", "mode", "upper"]),
    ("bounded", &["mean", "deviation", "lower", "upper"]),
    ("fixed", &["value"]),
    ("tied", &["other", "factor"]),
    ("matern", &["nu", "length", "mean", "deviation"]),
    ("matern of log", &["nu", "length", "mean", "deviation"]),
];

/// The word before the number of modes, which may end the law of a random field (`modes N`); in a table of priors, the column's name.
const MODES: &str = "modes";

/// The columns of a table of priors, in the order in which a message lists them.
const COLUMNS: [&str; 13] = [
    "name",
    "law",
    "mean",
    "deviation",
    "lower",
    "mode",
    "upper",
    "value",
    "other",
    "factor",
    "nu",
    "length",
    MODES,
];

/// The most bytes of a table that are read.
const LONGEST: u64 = 1 << 26;
/// The most bytes of a matrix that are read.
const LONGEST_MATRIX: u64 = 1 << 30;

/// Returns the path of the table that the `entries` of `model.prior` name: one text alone that ends in .csv.
fn table_of(entries: &[String]) -> Option<&str> {
    let [path] = entries else { return None };
    files::ends_in(Path::new(path), "csv").then_some(path)
}

impl Resolved {
    /// Puts the entries of the table that `model.prior` names in its place, so that the configuration holds all of the prior.
    ///
    /// # Errors
    /// A table that cannot be read, with the line and what is wrong.
    pub(super) fn read_prior(&mut self) -> Result<()> {
        let model = &self.config.model;
        // For another model the key has no effect, as a warning says.
        let Some(path) = table_of(&model.prior).filter(|_| model.kind.simulates()) else {
            return Ok(());
        };
        let path = self.file("model.prior", path)?;
        let text = bounded::text(&path, LONGEST)?;
        self.config.model.prior = entries(&text).map_err(|why| Error::data(&path, why))?;
        Ok(())
    }

    /// Returns the digest of what a run is given: `data`, that of its data, and with it the matrix, if one is given. A state of
    /// another is not resumed.
    #[must_use]
    pub fn digest_with_prior(&self, data: [u8; 32]) -> [u8; 32] {
        let Some(matrix) = &self.prior_matrix else {
            return data;
        };
        let with = Sha256::new().chain_update(data).chain_update(&matrix.bytes);
        with.finalize().into()
    }

    /// Reads the matrix that `model.prior_correlation` or `model.prior_covariance` names.
    ///
    /// # Errors
    /// Both are given, or a file that cannot be read.
    pub(super) fn read_prior_matrix(&mut self) -> Result<()> {
        let model = &self.config.model;
        // For another model the keys have no effect, as a warning says.
        if !model.kind.simulates() {
            return Ok(());
        }
        let given = [
            ("model.prior_correlation", &model.prior_correlation),
            ("model.prior_covariance", &model.prior_covariance),
        ];
        let mut given = given.into_iter().filter(|(_, path)| !path.is_empty());
        let (first, second) = (given.next(), given.next());
        let Some((key, path)) = first else {
            return Ok(());
        };
        if let Some((key, _)) = second {
            return Err(self.error(key, "must be \"\" where model.prior_correlation is given"));
        }
        let path = self.prior_matrix_path(key, path)?;
        let bytes = bounded::whole(&path, LONGEST_MATRIX)?;
        self.prior_matrix = Some(PriorMatrix {
            key: key.to_owned(),
            path,
            bytes,
        });
        Ok(())
    }
}

/// Returns the entries of `model.prior` that the table in `text` stands for, a line each.
fn entries(text: &str) -> std::result::Result<Vec<String>, String> {
    let table = Table::read(text)?;
    let known = || COLUMNS.join(", ");
    if let Some(name) = table.names.iter().find(|name| !COLUMNS.contains(name)) {
        let why = format!(
            "its first line names a column {name:?}, and must name some of {}",
            known()
        );
        return Err(why);
    }
    let column = |name: &str| {
        let missing = || {
            format!(
                "its first line must name a column {name:?}; all are {}",
                known()
            )
        };
        table.column(name)?.ok_or_else(missing)
    };
    let (name, law) = (column("name")?, column("law")?);
    // For each column that holds numbers: its name and its place.
    let mut numbers = Vec::new();
    for &what in &COLUMNS[2..] {
        numbers.extend(table.column(what)?.map(|place| (what, place)));
    }
    let mut all = Vec::new();
    for (line, row) in &table.rows {
        let entry = entry((row[name], row[law]), |what| {
            let found = numbers.iter().find(|(column, _)| *column == what);
            found.map_or("", |&(_, place)| row[place])
        });
        all.push(entry.map_err(|why| format!("line {line}: {why}"))?);
    }
    Ok(all)
}

/// Returns the entry of the parameter `name` with `law`; `field` gives what stands in a column, "" for nothing.
fn entry<'a>(
    (name, law): (&str, &str),
    field: impl Fn(&str) -> &'a str,
) -> std::result::Result<String, String> {
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!(
            "{name:?} is no name: it must be one word without blanks"
        ));
    }
    let Some((_, needed)) = LAWS.iter().find(|(known, _)| *known == law) else {
        let laws = LAWS.map(|(law, _)| law).join(", ");
        return Err(format!("{name}: the law {law:?} must be one of {laws}"));
    };
    let has_modes = law.starts_with("matern") && !field(MODES).is_empty();
    let unused = |what: &&str| {
        let known = needed.contains(what) || *what == MODES && has_modes;
        !known && !field(what).is_empty()
    };
    if let Some(what) = COLUMNS[2..].iter().copied().find(unused) {
        let needed = needed.join(", ");
        return Err(format!(
            "{name}: {law} takes {needed}, and the column {what} must be empty"
        ));
    }
    let mut words = vec![name, law];
    for what in *needed {
        let open = matches!(law, "truncnormal" | "bounded");
        words.push(match (field(what), *what) {
            ("", "lower") if open => "-inf",
            ("", "upper") if open => "inf",
            ("", _) => return Err(format!("{name}: {law} needs a number in the column {what}")),
            (word, _) => word,
        });
    }
    if has_modes {
        words.extend([MODES, field(MODES)]);
    }
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stands_for_entries() {
        let text = "law, name, lower, upper, mean, deviation, value, other, factor\n\
                    normal,a,,,1,2,,,\n\
                    \"lognormal of log\",b[3],,,0,0.5,,,\n\
                    bounded,c,0,,1,.5,,,\n\
                    truncnormal,d,,3,1,.5,,,\n\
                    fixed,e,,,,,7,,\n\
                    tied,f,,,,,,a,1/3\n";
        let fields = "name,law,nu,length,mean,deviation,modes\n\
                      \"k[8,9]\",matern of log,1.5,\"3,2\",0,1,20\nl[5],matern,1.5,3,0,1,\n";
        assert_eq!(
            entries(fields).unwrap(),
            [
                "k[8,9] matern of log 1.5 3,2 0 1 modes 20",
                "l[5] matern 1.5 3 0 1"
            ]
        );
        let all = [
            "a normal 1 2",
            "b[3] lognormal of log 0 0.5",
            "c bounded 1 .5 0 inf",
            "d truncnormal 1 .5 -inf 3",
            "e fixed 7",
            "f tied a 1/3",
        ];
        assert_eq!(entries(text).unwrap(), all);
    }

    #[test]
    fn a_table_that_is_wrong_is_refused_with_its_line() {
        for (text, words) in [
            ("name,mean\na,1\n", "must name a column \"law\""),
            ("name,law,men\na,fixed,1\n", "a column \"men\""),
            ("name,law,mean,mean\n", "\"mean\" twice"),
            ("name,law,value\na,fixed\n", "line 2: has 2 fields"),
            (
                "name,law,value\na,fixt,1\n",
                "line 2: a: the law \"fixt\" must be one of normal, ",
            ),
            (
                "name,law,value\na b,fixed,1\n",
                "line 2: \"a b\" is no name",
            ),
            (
                "name,law,value,mean\n\na,fixed,1,2\n",
                "line 3: a: fixed takes value, and the column mean",
            ),
            (
                "name,law,mean\na,normal,1\n",
                "normal needs a number in the column deviation",
            ),
            (
                "name,law,lower\na,uniform,1\n",
                "uniform needs a number in the column upper",
            ),
        ] {
            let told = entries(text).unwrap_err();
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn the_configuration_holds_what_the_table_beside_its_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(
            folder.path().join("mine.csv"),
            "name,law,value\na,fixed,2\n",
        )
        .unwrap();
        let read = |prior: &str| {
            let text = format!("preset = \"process\"\n[model]\nprior = {prior}\n");
            std::fs::write(&file, text).unwrap();
            Resolved::new(file.to_str().unwrap(), &[])
        };
        for prior in ["\"mine.csv\"", "[\"mine.csv\"]"] {
            assert_eq!(read(prior).unwrap().config.model.prior, ["a fixed 2"]);
        }
        let missing = read("\"other.csv\"").unwrap_err();
        assert_eq!(missing.exit_code(), 2);
        let missing = missing.to_string();
        assert!(
            missing.contains("mine.toml: model.prior = ") && missing.contains("no such file"),
            "{missing}"
        );
        std::fs::write(folder.path().join("mine.csv"), "name,law,value\na,b,2\n").unwrap();
        let wrong = read("\"mine.csv\"").unwrap_err().to_string();
        assert!(
            wrong.contains("mine.csv") && wrong.contains("line 2: a: the law"),
            "{wrong}"
        );
    }
}
