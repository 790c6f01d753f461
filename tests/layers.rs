//! The source stands in rooms, and no file of it imports from a room that comes after its own.
//!
//! The rooms and their order are the `pub mod` lines of `src/lib.rs`. main.rs and its `cli` come after all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most lines a file may have, its tests left out.
const MOST_LINES: usize = 415;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every .rs file under src: its path within src, and its text without the tests at its end.
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

/// Each room of the library with its place in the order that lib.rs gives.
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

/// The modules of the library that a file's code names: `crate::m`, `use crate::{m, ...}`, or `eki_mpi::m`.
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

/// The module a file of the library belongs to; None for lib.rs, main.rs and the program's own modules.
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

/// Within a layer, too, no two modules import each other, directly or around a circle.
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
    // Take away modules that use none of those left, until none can be taken.
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

/// Every folder or file of src is in the list of layers, or is the program's own, which stands after the library and
/// which the library cannot name.
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

#[test]
fn files_are_short() {
    let long: Vec<String> = files()
        .iter()
        .map(|(path, code)| (path, code.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(
        long.is_empty(),
        "over {MOST_LINES} lines:\n{}",
        long.join("\n")
    );
}

/// The compiler denies unsafe code (Cargo.toml) but where it is allowed by name: in the products of f32 or f64 and in
/// those of bfloat16 (two places), where memory is asked for ahead of a product, where tensors are told their threads, between fork and exec of a simulator, and where
/// memory is shared with other processes, each with its reason.
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
