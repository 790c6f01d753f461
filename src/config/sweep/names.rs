//! Names of runs, made from the settings that vary and safe as names of folders.

use std::collections::BTreeSet;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use toml::Value;

use super::BASE;
use crate::config::refusal::written;
use crate::files::numbers::hexadecimal;

/// The longest name that is made, in bytes.
const LONGEST: usize = 120;

/// Returns for each of `keys` the shortest name that tells it from the others: its last part, or the whole.
pub(super) fn short_keys<'a>(keys: &BTreeSet<&'a str>) -> impl Fn(&str) -> String + use<'a> {
    let keys: Vec<&str> = keys.iter().copied().collect();
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    move |key| {
        let name = last(key);
        match keys.iter().filter(|other| last(other) == name).count() {
            0 | 1 => name,
            _ => key.to_owned(),
        }
    }
}

/// Returns the part of a name that stands for one setting, as in "h=0.5"; of a base its name alone.
pub(super) fn part(short: &str, key: &str, value: &Value) -> String {
    match (key, value.as_str()) {
        (BASE, Some(base)) => {
            let stem = Path::new(base).file_stem().unwrap_or_default();
            safe(&stem.to_string_lossy())
        }
        _ => format!("{short}={}", safe(&text(value))),
    }
}

/// Returns `value` as a table shows it: text without quotes.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(text).collect();
            items.join(" ")
        }
        other => written(other),
    }
}

/// Returns the name made of `parts`; one that is too long ends with the beginning of its digest.
pub(super) fn joined(parts: &[String]) -> String {
    let name = parts.join(",");
    if name.len() <= LONGEST {
        return name;
    }
    let end = hexadecimal(&Sha256::digest(&name)[..4]);
    format!("{}-{end}", &name[..LONGEST - 9])
}

/// Returns true if `name` can be a folder's name everywhere, and no option or hidden file.
pub(super) fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| is_plain(c) || c == '=' || c == ',')
}

/// Returns `text` with "-" for what is not plain.
fn safe(text: &str) -> String {
    let plain = |c| if is_plain(c) { c } else { '-' };
    text.chars().map(plain).collect()
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._+-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        let mut table: toml::Table = format!("v = {text}").parse().unwrap();
        table.remove("v").unwrap()
    }

    #[test]
    fn a_setting_is_named_by_its_last_part_unless_another_ends_alike() {
        let keys = BTreeSet::from(["method.h", "run.steps", "model.steps"]);
        let short = short_keys(&keys);
        assert_eq!(short("method.h"), "h");
        assert_eq!(short("run.steps"), "run.steps");
    }

    #[test]
    fn parts_are_safe_as_names_of_files() {
        for (key, given, named) in [
            ("method.h", "0.5", "x=0.5"),
            ("method.h", "1e-7", "x=1e-7"),
            ("model.layers", "[64, 10]", "x=64-10"),
            (
                "model.network",
                "[\"conv 8\", \"../etc\"]",
                "x=conv-8-..-etc",
            ),
            (BASE, "\"../cases/mine.toml\"", "mine"),
            ("data.shuffle", "true", "x=true"),
        ] {
            let part = part("x", key, &value(given));
            assert_eq!(part, named);
            assert!(is_safe(&part));
        }
        for unsafe_name in ["", ".git", "-rf", "a/b", "a b", "ä", &"a".repeat(200)] {
            assert!(!is_safe(unsafe_name), "{unsafe_name}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        let [a, b] = ["a", "b"].map(|end| joined(&["x".repeat(300), end.to_owned()]));
        assert!(is_safe(&a) && is_safe(&b));
        assert_ne!(a, b);
        assert_eq!(
            joined(&["h=1".to_owned(), "seed=2".to_owned()]),
            "h=1,seed=2"
        );
    }
}
