//! Keys and values written out: as config.toml, as the list of all keys, and as the guide's chapter.

use toml::{Table, Value};

use super::key::Key;
use super::keys::{Config, keys};
use super::value::Kind;

/// Returns `config` as TOML: the keys that apply to its model, method and data, and those that differ from their defaults.
pub(super) fn toml(config: &Config) -> String {
    let (mut text, mut current) = (String::new(), "");
    for (key, value) in values(config) {
        let (section, name) = key.section_and_name();
        if !applies(key, config) && value == key.value() {
            continue;
        }
        if section != current {
            text += &format!("\n[{section}]\n");
            current = section;
        }
        text += &format!("{name} = {value}\n");
    }
    text
}

/// Returns the keys that do not apply to the model, method and data of `config`, and differ from their defaults.
pub(super) fn without_effect(config: &Config) -> Vec<&'static Key> {
    let idle = values(config)
        .into_iter()
        .filter(|(key, value)| !applies(key, config) && *value != key.value());
    idle.map(|(key, _)| key).collect()
}

/// Returns true if `key` applies to the model, method and data of `config`.
fn applies(key: &Key, config: &Config) -> bool {
    let scope = &key.scope;
    scope.holds(config.model.kind, config.method.kind, &config.data.name)
}

/// Returns every key with its value in `config`.
fn values(config: &Config) -> Vec<(&'static Key, Value)> {
    let table = Table::try_from(config).expect("a configuration is a table");
    let value = |key: &'static Key| {
        let (section, name) = key.section_and_name();
        let found = match section {
            "" => table.get(name),
            section => table.get(section).and_then(|inner| inner.get(name)),
        };
        let value = found.expect("every key is a field of the configuration");
        (key, value.clone())
    };
    keys().map(value).collect()
}

/// Returns every key with its default, meaning and values, under headings that say where it applies.
#[must_use]
pub fn key_list() -> String {
    let mut text = String::new();
    for (heading, keys) in groups() {
        text += &format!("{heading}\n\n");
        for key in keys {
            text += &format!("  {} = {}\n", key.path, key.value());
            text += &format!("      {}\n", key.about.replace('`', ""));
            match key.kind {
                Kind::Choice(words) => {
                    for word in words {
                        text += &format!("        {:?}: {}\n", word.name, word.about);
                    }
                }
                other => text += &format!("      Allowed: {}.\n", other.allowed()),
            }
            text += "\n";
        }
    }
    text
}

/// Returns the same list as Markdown, for the guide.
#[must_use]
pub fn key_chapter() -> String {
    let mut text = String::new();
    for (heading, keys) in groups() {
        text += &format!(
            "\n## {heading}\n\n| key | default | what it sets | allowed |\n|---|---|---|---|\n"
        );
        for key in keys {
            let allowed = match key.kind {
                Kind::Choice(words) => {
                    let each = words.iter();
                    let each = each.map(|word| format!("`{:?}`: {}", word.name, word.about));
                    each.collect::<Vec<_>>().join("<br>")
                }
                // Rustdoc takes brackets for links.
                other => other.allowed().replace('[', "\\["),
            };
            let cells = [
                format!("`{}`", key.path),
                format!("`{}`", key.value()),
                key.about.to_owned(),
                allowed,
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            text += &format!("| {} |\n", cells.join(" | "));
        }
    }
    text
}

/// Returns all keys in groups that apply alike, each with its heading: first those of all runs.
fn groups() -> Vec<(String, Vec<&'static Key>)> {
    let mut groups: Vec<(String, Vec<&Key>)> = Vec::new();
    for key in keys() {
        let heading = key.scope.words();
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, group)) => group.push(key),
            None => groups.push((heading, vec![key])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::*;
    use crate::config::Resolved;

    fn text(sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        Resolved::new("digits", &sets).unwrap().toml()
    }

    /// The rows declare the fields of all sections; the key in none has its row and its field apart.
    #[test]
    fn rows_and_fields_of_the_configuration_agree() {
        let config = Resolved::new("digits", &[]).unwrap().config;
        let table = Table::try_from(&config).unwrap();
        let fields = table.iter().flat_map(|(section, value)| match value {
            Value::Table(inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        });
        let (mut fields, mut rows): (Vec<_>, Vec<_>) = (
            fields.collect(),
            keys().map(|key| key.path.to_owned()).collect(),
        );
        fields.sort();
        rows.sort();
        assert_eq!(fields, rows);
        for key in keys() {
            assert_eq!(
                key.kind.accept(key.value()),
                Ok(key.value()),
                "{}",
                key.path
            );
            assert!(
                key.about.ends_with('.') && !key.about.contains("  "),
                "{}",
                key.path
            );
        }
    }

    #[test]
    fn what_applies_is_written_and_what_differs_from_its_default() {
        let plain = text(&[]);
        for absent in ["network", "units", "command", "lags", "rate", "perturb"] {
            assert!(
                !plain.contains(&format!("\n{absent} =")),
                "{absent}: {plain}"
            );
        }
        for there in ["layers = [64", "affine = 0.0", "h = 2.0", "members"] {
            assert!(plain.contains(&format!("\n{there}")), "{there}: {plain}");
        }
        assert!(text(&["model.units=[7]"]).contains("\nunits = [7]\n"));
        assert!(text(&["method.kind=kalman"]).contains("\nperturb = false\n"));
    }

    /// Run with UPDATE=1 to write the chapter anew after a key has changed.
    #[test]
    fn the_guides_chapter_lists_every_key_as_it_is() {
        const START: &str = "<!-- The rest is generated from src/config/keys: UPDATE=1 cargo test --lib the_guides_chapter -->\n";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/settings.md");
        let chapter = std::fs::read_to_string(path).unwrap();
        let (page, list) = chapter
            .split_once(START)
            .expect("the line that the list follows");
        if std::env::var_os("UPDATE").is_some() {
            return std::fs::write(path, format!("{page}{START}{}", key_chapter())).unwrap();
        }
        assert!(
            list == key_chapter(),
            "a key has changed: run UPDATE=1 cargo test --lib the_guides_chapter"
        );
        for key in keys() {
            assert_eq!(
                chapter.matches(&format!("\n| `{}` |", key.path)).count(),
                1,
                "{}",
                key.path
            );
        }
    }
}
