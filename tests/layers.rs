//! The layout of the source: no file imports from a room after its own, no circles, short files and functions.
//!
//! The rooms and their order are the `pub mod` lines of `src/lib.rs`. main.rs and its `cli` come after all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The largest number of lines of a file, without its tests.
const MOST_LINES: usize = 400;

/// The largest number of lines of a function, from `fn` to its closing brace.
const MOST_FUNCTION_LINES: usize = 80;

/// The folder `src`.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns every .rs file under src: its path within src, and its text without the tests at its end.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let code = text.split("#[cfg(test)]\nmod ").next().expect("a part");
                let within = path.strip_prefix(source()).expect("in src");
                found.push((
                    within.display().to_string().replace('\\', "/"),
                    code.to_owned(),
                ));
            }
        }
    }
    found.sort();
    assert!(found.len() > 30, "{} files", found.len());
    found
}

/// Returns each room of the library with its position in the order of lib.rs.
fn layers() -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    let rooms = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    rooms
        .enumerate()
        .map(|(place, room)| (room.to_owned(), place))
        .collect()
}

/// Returns the modules that `code` names after `root`, which is `crate::` or `eki_mpi::`.
fn imports<'a>(code: &'a str, root: &'a str) -> Vec<&'a str> {
    let word = |text: &'a str| {
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        &text[..end]
    };
    let mut found = Vec::new();
    for line in code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
    {
        for (at, _) in line.match_indices(root) {
            let rest = &line[at + root.len()..];
            assert!(!rest.starts_with('{'), "one module a line: {line}");
            found.push(word(rest));
        }
    }
    found
}

/// Returns the room that a file belongs to; None for lib.rs, main.rs and the program's own modules.
fn module(path: &str, layers: &BTreeMap<String, usize>) -> Option<String> {
    let first = path
        .split('/')
        .next()
        .expect("a part")
        .trim_end_matches(".rs")
        .to_owned();
    layers.contains_key(&first).then_some(first)
}

#[test]
fn no_file_imports_from_a_later_layer() {
    let layers = layers();
    assert!((10..=14).contains(&layers.len()), "{layers:?}");
    let mut wrong = Vec::new();
    for (path, code) in files() {
        let Some(own) = module(&path, &layers) else {
            continue;
        };
        for import in imports(&code, "crate::") {
            let Some(theirs) = layers.get(import) else {
                continue; // an item of lib.rs itself
            };
            if *theirs > layers[&own] {
                wrong.push(format!(
                    "{path} imports {import}, which comes after its room"
                ));
            }
        }
        if !imports(&code, "eki_mpi::").is_empty() {
            wrong.push(format!("{path} names the library from outside"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// No two rooms import each other, directly or around a circle.
#[test]
fn modules_do_not_import_each_other_in_circles() {
    let layers = layers();
    let mut uses: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, code) in files() {
        if let Some(own) = module(&path, &layers) {
            let others = imports(&code, "crate::").into_iter();
            let others = others.filter(|other| *other != own && layers.contains_key(*other));
            uses.entry(own.clone())
                .or_default()
                .extend(others.map(str::to_owned));
        }
    }
    // Remove rooms that import none of those left, until none can be removed.
    while let Some(free) = uses
        .iter()
        .find(|(_, others)| others.is_empty())
        .map(|(m, _)| m.clone())
    {
        uses.remove(&free);
        for others in uses.values_mut() {
            others.retain(|other| *other != free);
        }
    }
    assert!(uses.is_empty(), "circles among {uses:#?}");
}

/// Every folder or file of src belongs to a room, or to the program, which comes after the library and which the library
/// cannot name.
#[test]
fn every_file_has_its_layer_or_is_the_programs() {
    let layers = layers();
    let main = std::fs::read_to_string(source().join("main.rs")).expect("main.rs");
    for (path, _) in files() {
        if path == "lib.rs" || path == "main.rs" || module(&path, &layers).is_some() {
            continue;
        }
        let first = path
            .split('/')
            .next()
            .expect("a part")
            .trim_end_matches(".rs");
        assert!(
            main.contains(&format!("mod {first};")),
            "{path} is in neither"
        );
    }
}

/// The program's own unit tests are not compiled (Cargo.toml): what is worth one stands in the library.
#[test]
fn the_program_has_no_unit_tests() {
    let layers = layers();
    for (path, _) in files() {
        if path != "lib.rs" && module(&path, &layers).is_none() {
            let text = std::fs::read_to_string(source().join(&path)).expect("text");
            assert!(
                !text.contains("#[test]"),
                "{path} has a test that is never run"
            );
        }
    }
}

/// Checks that nothing is longer than `most` lines.
fn check_lengths(found: &[(String, usize)], most: usize) {
    let long: Vec<String> = found
        .iter()
        .filter(|(_, lines)| *lines > most)
        .map(|(name, lines)| format!("{name}: {lines} lines, at most {most} allowed"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn files_are_short() {
    let lines: Vec<(String, usize)> = files()
        .into_iter()
        .map(|(path, code)| (path, code.lines().count()))
        .collect();
    check_lengths(&lines, MOST_LINES);
}

/// Returns the name of the function whose first line is `line`.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.trim_start();
    loop {
        let (word, rest) = words.split_once(' ')?;
        if word == "fn" {
            return rest.split(['(', '<']).next();
        }
        if !["pub", "pub(crate)", "pub(super)", "const", "unsafe"].contains(&word) {
            return None;
        }
        words = rest;
    }
}

/// Returns all functions of `code`, with their lines from `fn` to the closing brace at the same indentation.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let body = lines[start..].iter().position(|line| *line == end);
        // A declaration without a body, or a body on the same line, ends at its first line.
        let alone = line.ends_with(';') || line.ends_with('}');
        found.push((name, if alone { 1 } else { 1 + body.unwrap_or(0) }));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut lengths = Vec::new();
    for (path, code) in files() {
        if !path.ends_with("tests.rs") {
            let found = functions(&code).into_iter();
            lengths.extend(found.map(|(name, lines)| (format!("{path}::{name}"), lines)));
        }
    }
    assert!(lengths.len() > 1000, "{} functions", lengths.len());
    check_lengths(&lengths, MOST_FUNCTION_LINES);
}

#[test]
fn lengths_of_functions_are_counted() {
    let code = "impl A {\n    pub fn short(&self) {}\n    fn four<T>(\n        x: T,\n    ) {\n    }\n}\nfn two() {\n}\n";
    assert_eq!(functions(code), [("short", 1), ("four", 4), ("two", 2)]);
}

/// Returns the modules directly in `room` that `code` names, as `crate::room::m`, or by `super` from a
/// file that is `depth` modules below the room.
fn siblings(code: &str, room: &str, depth: usize) -> Vec<String> {
    let code: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = code.join(" ");
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for root in [format!("crate::{room}::"), up] {
        for (at, _) in code.match_indices(&root) {
            // Fewer or more levels up lead elsewhere.
            if root.starts_with("super") && code[..at].ends_with("super::") {
                continue;
            }
            let rest = &code[at + root.len()..];
            let list = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => rest
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
                    .unwrap_or_default(),
            };
            let words = list
                .split(',')
                .map(|word| word.trim().split("::").next().unwrap_or_default());
            found.extend(words.map(str::to_owned));
        }
    }
    found
}

/// Within a room no two modules import each other, directly or around a circle. The room's own file, mod.rs, is left out:
/// it declares the modules and what they share.
#[test]
fn modules_of_a_room_do_not_import_each_other_in_circles() {
    let mut circles: Vec<String> = Vec::new();
    for room in layers().into_keys() {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (path, code) in files() {
            let Some(within) = path.strip_prefix(&format!("{room}/")) else {
                continue;
            };
            let parts: Vec<&str> = within.trim_end_matches(".rs").split('/').collect();
            let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
            if depth == 0 || parts.last() == Some(&"tests") {
                continue;
            }
            let others = siblings(&code, &room, depth).into_iter();
            let others = others.filter(|other| other != parts[0]);
            uses.entry(parts[0].to_owned()).or_default().extend(others);
        }
        circles.extend(
            circles_of(&uses)
                .into_iter()
                .map(|c| format!("{room}: {c}")),
        );
    }
    assert!(circles.is_empty(), "circles of modules: {circles:?}");
}

/// Returns the circles among modules, each as its modules' names in order.
fn circles_of(uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let reached = |from: &String| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for other in uses.get(module).into_iter().flatten() {
                if reached.insert(other.clone()) {
                    next.push(other);
                }
            }
        }
        reached
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        uses.keys().map(|m| (m, reached(m))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in &reached {
        let back = |other: &&String| reached.get(other).is_some_and(|r| r.contains(*module));
        let circle: Vec<&str> = others.iter().filter(back).map(String::as_str).collect();
        if !circle.is_empty() {
            circles.insert(circle.join(" "));
        }
    }
    circles
}

/// The compiler denies unsafe code (Cargo.toml) except where it is allowed by name and with a reason: in the products of
/// f32 or f64 and of bfloat16 (two files), in prefetching, where the number of threads of tensors is set, between fork and
/// exec of a simulator, and where memory is shared with other processes.
#[test]
fn unsafe_code_stands_in_seven_places_with_its_reasons() {
    let mut allowed = Vec::new();
    for (path, code) in files() {
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for (i, line) in lines.iter().enumerate() {
            if line.contains("unsafe_code") && !line.contains("forbid") {
                allowed.push(path.clone());
            }
            if line.starts_with("unsafe ") || line.contains(" unsafe ") && !line.starts_with("//") {
                let above = lines[..i].iter().rev();
                let reason: Vec<_> = above.take_while(|line| line.starts_with("//")).collect();
                assert!(
                    reason.iter().any(|line| line.starts_with("// SAFETY: ")),
                    "{path}: {line}"
                );
            }
        }
    }
    assert_eq!(
        allowed,
        [
            "forward/process/child.rs",
            "kernels/amx.rs",
            "kernels/bfloat/mod.rs",
            "kernels/real.rs",
            "kernels/simd.rs",
            "main.rs",
            "parallel/shared_memory.rs"
        ]
    );
}
