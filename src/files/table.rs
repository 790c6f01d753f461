//! Tables in text: a line of column names, then one line for each row, its fields divided by commas.

use std::borrow::Cow;

use super::numbers;

/// A table in text. Its fields are without blanks and quotes around them.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<'a> {
    /// The names of the columns, from the first line.
    pub names: Vec<&'a str>,
    /// The number of each row's line, from 1, and the row's fields, as many as there are columns.
    pub rows: Vec<(usize, Vec<&'a str>)>,
}

impl<'a> Table<'a> {
    /// Reads the table in `text`. Empty lines and comments, which begin with #, are skipped.
    ///
    /// # Errors
    /// A line with another number of fields than the first names columns.
    pub fn read(text: &'a str) -> Result<Self, String> {
        let mut lines = numbers::lines(text);
        let names = lines.next();
        let names = names.map_or(Vec::new(), |(_, line)| fields(line, ','));
        let mut rows = Vec::new();
        for (line, text) in lines {
            let row = fields(text, ',');
            if row.len() != names.len() {
                return Err(format!(
                    "line {line}: has {} fields, and the first line names {} columns",
                    row.len(),
                    names.len()
                ));
            }
            rows.push((line, row));
        }
        Ok(Self { names, rows })
    }

    /// Returns the place of the column `name`, if there is one.
    ///
    /// # Errors
    /// Two columns of this name.
    pub fn column(&self, name: &str) -> Result<Option<usize>, String> {
        let mut places = (0..self.names.len()).filter(|&i| self.names[i] == name);
        match (places.next(), places.next()) {
            (_, Some(_)) => Err(format!("names the column {name:?} twice in its first line")),
            (place, None) => Ok(place),
        }
    }
}

/// Returns the fields of `line`, without blanks and quotes around them; a blank as `separator` stands for any number of these. Within
/// quotes a separator is text.
#[must_use]
pub fn fields(line: &str, separator: char) -> Vec<&str> {
    let line = line.trim_start_matches('\u{feff}');
    if separator == ' ' {
        return line.split_whitespace().collect();
    }
    let mut quoted = false;
    let ends = |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    };
    let clean = |field| str::trim(str::trim_matches(str::trim(field), '"'));
    line.split(ends).map(clean).collect()
}

/// Returns `text` as a field of a line: within quotes where it holds a comma, a quote, which is doubled, or a line's end (RFC 4180).
#[must_use]
pub fn quoted(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n']) {
        true => Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_within_quotes_are_text() {
        assert_eq!(fields("\u{feff}\"a, b\";c\t", ';'), ["a, b", "c"]);
        assert_eq!(fields("\"a, b\", ,c", ','), ["a, b", "", "c"]);
        assert_eq!(fields(" 1  2 ", ' '), ["1", "2"]);
        let line = [quoted("k[1,2]"), quoted("a")].join(",");
        assert_eq!(fields(&line, ','), ["k[1,2]", "a"]);
    }

    #[test]
    fn fields_stand_under_their_names() {
        let text = "\n# measured in May\n\"a\", b ,c\r\n1, \"two\" ,\r\n\n 4,5,6 # last\n";
        let table = Table::read(text).unwrap();
        assert_eq!(table.names, ["a", "b", "c"]);
        let rows = [(4, vec!["1", "two", ""]), (6, vec!["4", "5", "6"])];
        assert_eq!(table.rows, rows);
        assert_eq!(table.column("b"), Ok(Some(1)));
        assert_eq!(table.column("d"), Ok(None));
        assert_eq!(Table::read("").unwrap().rows.len(), 0);
        let short = Table::read("a,b\n1,2\n3\n").unwrap_err();
        assert!(short.starts_with("line 3: has 1 fields"), "{short}");
        let twice = Table::read("a,b,a\n").unwrap().column("a").unwrap_err();
        assert!(twice.contains("\"a\" twice"), "{twice}");
    }
}
