//! The entries of `model.prior`, read: `NAME LAW NUMBERS`, `NAME[COUNT] LAW NUMBERS` for many alike, or `NAME[SIDES] matern NUMBERS` for
//! a random field.

use std::collections::HashMap;

use super::{Marginal, Parameter, PlacedField, RandomField, Value};
use crate::config::LAWS;

/// The most single parameters one prior may have.
const MOST: usize = 1_000_000;

/// A parameter whose tie is not resolved yet.
struct Entry<'a> {
    name: String,
    /// Its number among those that the same text stands for, from 1, where these are counted.
    number: Option<usize>,
    is: Is<'a>,
}

/// The source of a parameter's value: its own law, a constant, or a tie.
#[derive(Clone, Copy)]
enum Is<'a> {
    Free(Marginal),
    Fixed(f64),
    Tied { other: &'a str, factor: f64 },
}

/// The single parameters that `entries` stand for, and the fields, in order.
///
/// # Errors
/// What is wrong with an entry, in words that follow "must".
pub(super) fn parameters(entries: &[String]) -> Result<(Vec<Parameter>, Vec<PlacedField>), String> {
    let mut all: Vec<Entry> = Vec::new();
    let mut fields: Vec<PlacedField> = Vec::new();
    for entry in entries {
        if let Some(field) = field(entry)? {
            let before = all.len();
            fields.push(PlacedField { before, field });
            continue;
        }
        let (name, count, is) = parse(entry)?;
        if all.len() + count.unwrap_or(1) > MOST {
            return Err(format!("name at most {MOST} parameters"));
        }
        match count {
            None => all.push(Entry {
                name: name.to_owned(),
                number: None,
                is,
            }),
            Some(count) => all.extend((1..=count).map(|i| Entry {
                name: format!("{name}[{i}]"),
                number: Some(i),
                is,
            })),
        }
    }
    check_names(&all, &fields)?;
    let mut places = HashMap::with_capacity(all.len());
    for (i, entry) in all.iter().enumerate() {
        if places.insert(entry.name.as_str(), i).is_some() {
            return Err(format!(
                "name each parameter once, not {:?} twice",
                entry.name
            ));
        }
    }
    let values: Result<Vec<Value>, String> =
        (0..all.len()).map(|i| resolved(&all, &places, i)).collect();
    let named = values?.into_iter().zip(all);
    let named = named.map(|(value, entry)| Parameter {
        name: entry.name,
        value,
    });
    Ok((named.collect(), fields))
}

/// Refuses a field whose name another field has, or single parameters before their index.
fn check_names(all: &[Entry], fields: &[PlacedField]) -> Result<(), String> {
    for (i, placed) in fields.iter().enumerate() {
        let name = placed.field.name();
        let base = |entry: &Entry| entry.name.split('[').next() == Some(name);
        let others = fields[..i].iter().any(|other| other.field.name() == name);
        if others || all.iter().any(base) {
            return Err(format!("name each parameter once, not {name:?} twice"));
        }
    }
    Ok(())
}

/// The field that `entry` describes; None where its law is another.
fn field(entry: &str) -> Result<Option<RandomField>, String> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let (name, of_log, numbers) = match &words[..] {
        [name, "matern", "of", "log", numbers @ ..] => (name, true, numbers),
        [name, "matern", numbers @ ..] => (name, false, numbers),
        _ => return Ok(None),
    };
    let grid = name.strip_suffix(']').and_then(|text| {
        let (name, sides) = text.split_once('[')?;
        let sound = !name.is_empty() && !name.contains([',', '"', '\'', ']', ';']);
        RandomField::sides(sides)
            .filter(|_| sound)
            .map(|sides| (name, sides))
    });
    let (name, sides) = grid.ok_or_else(|| {
        format!(
            "name a field with its grid of at most 10^7 cells, as in \"kappa[64,64]\"; not {name:?}"
        )
    })?;
    let made = RandomField::new(name, sides, of_log, numbers);
    made.map(Some)
        .map_err(|what| format!("have {what} in {entry:?}"))
}

/// Returns the source of the value of parameter `i`; a chain of ties leads to the parameter at its end.
fn resolved(all: &[Entry], places: &HashMap<&str, usize>, i: usize) -> Result<Value, String> {
    let (mut at, mut whole) = (i, 1.0);
    let mut chain = vec![all[i].name.as_str()];
    loop {
        let (other, factor) = match all[at].is {
            Is::Free(law) if at == i => return Ok(Value::Free(law)),
            Is::Fixed(value) if at == i => return Ok(Value::Fixed(value)),
            Is::Free(_) | Is::Fixed(_) => {
                return Ok(Value::Tied {
                    to: at,
                    factor: whole,
                });
            }
            Is::Tied { other, factor } => (other, factor),
        };
        // Of parameters that are counted alike, each is tied to the one of its own number.
        let same = all[at]
            .number
            .and_then(|n| places.get(format!("{other}[{n}]").as_str()));
        let found = places.get(other).or(same);
        at = *found.ok_or_else(|| {
            let name = &all[at].name;
            format!("tie {name:?} to the name of another parameter, not to {other:?}")
        })?;
        whole *= factor;
        let name = all[at].name.as_str();
        let closes = chain.contains(&name);
        chain.push(name);
        if closes {
            let circle = chain.join(" -> ");
            return Err(format!("not tie parameters in a circle: {circle}"));
        }
    }
}

/// A parameter's name, how many there are of it, and where its value comes from.
fn parse(entry: &str) -> Result<(&str, Option<usize>, Is<'_>), String> {
    let words: Vec<&str> = entry.split_whitespace().collect();
    let [name, rest @ ..] = &words[..] else {
        return Err(format!("{}; not {entry:?}", form()));
    };
    let (law, needed, rest) = law(rest).ok_or_else(|| match rest.first() {
        Some(law) => format!("{}; not {law:?}", form()),
        None => format!("{}; not {entry:?}", form()),
    })?;
    let (name, count) = counted(name).ok_or_else(|| {
        format!("name parameters without commas, quotes and brackets, but for a count as in \"k[10]\"; not {name:?}")
    })?;
    if rest.len() != needed.len() {
        let needed = needed.join(" ").to_uppercase();
        return Err(format!(
            "have {needed} after {law} and nothing else; not {entry:?}"
        ));
    }
    let number = |word: &str| word.parse::<f64>().ok().filter(|x| !x.is_nan());
    if let ("tied", &[other, factor]) = (law, rest) {
        let ratio = match factor.split_once('/') {
            Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
            None => number(factor),
        };
        let factor = ratio.filter(|x| x.is_finite()).ok_or_else(|| {
            format!("have a finite factor, or a ratio as in 1/3, at the end of {entry:?}")
        })?;
        return Ok((name, count, Is::Tied { other, factor }));
    }
    let numbers: Option<Vec<f64>> = rest.iter().map(|word| number(word)).collect();
    let needed = needed.join(" ").to_uppercase();
    let numbers =
        numbers.ok_or_else(|| format!("have numbers {needed} after {law} in {entry:?}"))?;
    if let ("fixed", &[value]) = (law, &numbers[..]) {
        return match value.is_finite() {
            true => Ok((name, count, Is::Fixed(value))),
            false => Err(format!("have a finite number in {entry:?}")),
        };
    }
    let law = Marginal::new(law, &numbers).map_err(|what| format!("have {what} in {entry:?}"))?;
    Ok((name, count, Is::Free(law)))
}

/// Returns the form of entries, in words that follow "must".
fn form() -> String {
    let laws = LAWS.map(|(law, numbers)| format!("{law} {}", numbers.join(" ").to_uppercase()));
    format!(
        "hold entries like \"growth lognormal 1.0 0.5\": a name, and one of {}",
        laws.join(", ")
    )
}

/// The law that `words` begin with, what it takes, and the words after it.
fn law<'a, 'b>(
    words: &'b [&'a str],
) -> Option<(&'static str, &'static [&'static str], &'b [&'a str])> {
    let begins = |law: &str| {
        let count = law.split(' ').count();
        (words.len() >= count && law.split(' ').eq(words[..count].iter().copied())).then_some(count)
    };
    // The longest, as in "lognormal of log".
    let known = LAWS
        .iter()
        .filter_map(|(law, needed)| Some((begins(law)?, *law, *needed)));
    let (count, law, needed) = known.max_by_key(|(count, ..)| *count)?;
    Some((law, needed, &words[count..]))
}

/// "k[10]" as k and 10; "k" as k alone; None for a name that would not be one.
fn counted(word: &str) -> Option<(&str, Option<usize>)> {
    let (name, count) = match word.split_once('[') {
        None => (word, None),
        Some((name, rest)) => {
            let count: usize = rest.strip_suffix(']')?.parse().ok()?;
            (name, Some(count).filter(|c| (1..=MOST).contains(c)))
        }
    };
    let counted = count.is_some() == word.contains('[');
    let sound = !name.is_empty() && !name.contains([',', '"', '\'', ']', ';']);
    (counted && sound).then_some((name, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(entries: &[&str]) -> String {
        let entries: Vec<String> = entries.iter().map(|e| (*e).to_owned()).collect();
        parameters(&entries).unwrap_err()
    }

    #[test]
    fn a_count_names_many_alike() {
        let entries = ["k[3] normal 0 1", "c uniform 0 1", "l[2] tied k 3"].map(str::to_owned);
        let (all, _) = parameters(&entries).unwrap();
        let names: Vec<&str> = all.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["k[1]", "k[2]", "k[3]", "c", "l[1]", "l[2]"]);
        let to = |i: usize| Value::Tied { to: i, factor: 3.0 };
        assert_eq!([all[4].value, all[5].value], [to(0), to(1)]);
    }

    #[test]
    fn wrong_entries_are_refused_in_words() {
        for (entry, words) in [
            ("", "a name, and one of normal MEAN DEVIATION"),
            ("growth", "not \"growth\""),
            (
                "growth normal 1",
                "have MEAN DEVIATION after normal and nothing else; not \"growth normal 1\"",
            ),
            ("growth normal 1 2 3", "and nothing else"),
            ("growth lognormal of log 1", "after lognormal of log"),
            ("growth normal 1 x", "have numbers MEAN DEVIATION"),
            ("growth normal 1 inf", "finite numbers"),
            ("growth gamma 1 2", "not \"gamma\""),
            ("growth normal 1 0", "a deviation greater than 0"),
            ("growth lognormal -1 1", "a mean greater than 0"),
            ("growth uniform 2 2", "a lower bound below"),
            ("growth uniform -1e308 1e308", "less far apart"),
            ("growth loguniform 0 1", "bounds greater than 0"),
            ("growth triangular 0 3 2", "a mode between the bounds"),
            ("growth truncnormal 0 1 2 1", "a lower bound below"),
            ("growth truncnormal 0 1 31 40", "at most 30 deviations"),
            ("growth truncnormal 0 1 nan 40", "have numbers"),
            ("growth bounded 1 0.5 1 inf", "a mean between the bounds"),
            ("growth bounded 1 0.5 -inf inf", "a finite bound"),
            (
                "growth bounded 0.2 0.4 0 1",
                "a deviation of less than 0.39",
            ),
            ("growth fixed inf", "a finite number"),
            ("growth tied growth 2", "in a circle"),
            ("growth tied death 2", "not to \"death\""),
            ("growth tied death 1/0", "a finite factor"),
            ("k[0] normal 0 1", "not \"k[0]\""),
            ("k[x] normal 0 1", "not \"k[x]\""),
            ("a,b normal 0 1", "without commas"),
            ("k[1000001] normal 0 1", "not \"k[1000001]\""),
        ] {
            let told = told(&[entry]);
            assert!(told.contains(words), "{entry}: {told}");
        }
        assert!(told(&["a normal 0 1", "a normal 0 2"]).contains("\"a\" twice"));
        let circle = ["a tied b 1", "b tied c 1", "c tied b 1"];
        assert!(told(&circle).contains("in a circle: a -> b -> c -> b"));
        let two = ["a tied b 2", "b tied a 2"];
        assert!(told(&two).contains("in a circle: a -> b -> a"));
    }
}
