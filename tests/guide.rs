//! README and guide: every command runs, every key exists, every link leads somewhere, and what they show is in the source.
//!
//! In a document a block of `sh` is run, in a folder with the files of `tests/examples/growth`; one of `console` is not (it needs a cluster, a
//! network, or hours). A block after a line that ends with a file's name, as in "`wide.toml`:", is that file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eki_mpi::config::find;
use eki_mpi::guide::CHAPTERS;

mod start;

/// The project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of the file `path` in the project's folder.
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The files in `folder` and below it whose names end with `ending`, by their paths in the project's folder.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(ending) => {
                    let path = path.strip_prefix(root()).expect("within the project");
                    found.push(path.to_string_lossy().into_owned());
                }
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// A fenced block of a document.
struct Block {
    language: String,
    /// The file's name in the line before it, if that ends with one.
    file: Option<String>,
    text: String,
}

/// The fenced blocks of the document `text`.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut before, mut inside) = ("", false);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            if !inside {
                let named = before.strip_suffix("`:").and_then(|l| l.rsplit('`').next());
                blocks.push(Block {
                    language: language.to_owned(),
                    file: named.map(str::to_owned),
                    text: String::new(),
                });
            }
            inside = !inside;
        } else if inside {
            let block = blocks.last_mut().expect("it was opened");
            block.text += line;
            block.text += "\n";
        }
        if !line.trim().is_empty() {
            before = line.trim_end();
        }
    }
    assert!(!inside, "a block is not closed");
    blocks
}

/// `text` without its fenced blocks and without what stands between backticks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if !inside {
            let outside = line.split('`').step_by(2);
            prose += &outside.collect::<Vec<_>>().join("");
            prose += "\n";
        }
    }
    prose
}

/// Runs the blocks of `sh` in the document at `path`.
fn follow(path: &str) {
    let document = text(path);
    let room = tempfile::tempdir().expect("a folder");
    for file in ["model.py", "mine.toml", "observed.csv"] {
        let from = root().join("tests/examples/growth").join(file);
        fs::copy(from, room.path().join(file)).expect(file);
    }
    let mut script = String::new();
    for block in blocks(&document) {
        match (&block.file, &*block.language) {
            (Some(name), _) => fs::write(room.path().join(name), &block.text).expect(name),
            (None, "sh") => script += &block.text,
            (None, _) => {}
        }
    }
    assert!(!script.is_empty(), "{path} has no commands");
    let few = script.replace("mpirun -n 16", "mpirun -n 4");
    let few = few.replace("mpirun -n", &format!("{} -n", start::launcher()));
    let program = start::program();
    let folder = program.parent().expect("a folder").display();
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-c", &few]).current_dir(room.path());
    let known = std::env::var("PATH").expect("PATH");
    let Some(known) = (match document.contains("import eki_mpi") {
        true => start::path_with_numpy(),
        false => Some(known),
    }) else {
        return;
    };
    shell.env("PATH", format!("{folder}:{known}"));
    shell.env("PYTHONPATH", start::python_package());
    start::allow_for_launchers(&mut shell);
    let ended = start::end(&mut shell);
    let said = format!("{path}: {}\n{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, 0, "{said}");
    // An error of a command within a pipe would not end the shell.
    assert_eq!(ended.stderr.matches("eki-mpi: ").count(), 0, "{said}");
}

/// A test for each document with commands.
macro_rules! documents {
    ($($name:ident $path:literal;)*) => {
        const FOLLOWED: &[&str] = &[$($path),*];
        $(#[test] fn $name() { follow($path); })*
    };
}

documents! {
    commands_of_the_readme "README.md";
    commands_of_answers "src/guide/answers.md";
    commands_of_files "src/guide/files.md";
    commands_of_history "src/guide/history.md";
    commands_of_numbers "src/guide/numbers.md";
    commands_of_own_data "src/guide/own-data.md";
    commands_of_python "src/guide/python.md";
    commands_of_running "src/guide/running.md";
    commands_of_sweeps "src/guide/sweeps.md";
    commands_of_the_first_calibration "src/guide/tutorial-calibrate.md";
    commands_of_the_first_network "src/guide/tutorial-network.md";
}

#[test]
fn every_document_with_commands_is_followed() {
    for path in documents() {
        let has_commands = blocks(&text(&path))
            .iter()
            .any(|block| block.language == "sh");
        assert_eq!(has_commands, FOLLOWED.contains(&&*path), "{path}");
    }
}

/// README and the guide's chapters.
fn documents() -> Vec<String> {
    let mut documents = files("src/guide", ".md");
    documents.push("README.md".to_owned());
    documents
}

#[test]
fn all_chapters_are_listed() {
    let listed: BTreeSet<String> = CHAPTERS
        .iter()
        .map(|chapter| format!("src/guide/{}.md", chapter.name))
        .collect();
    let there: BTreeSet<String> = files("src/guide", ".md").into_iter().collect();
    assert_eq!(listed, there);
    for chapter in CHAPTERS {
        assert!(chapter.text.starts_with("# "), "{}", chapter.name);
    }
}

#[test]
fn the_readme_is_short_and_shows_the_files_of_its_example() {
    let readme = text("README.md");
    let words = readme.split_whitespace().count();
    assert!(words <= 900, "{words} words");
    let blocks = blocks(&readme);
    for file in ["model.py", "mine.toml", "observed.csv"] {
        let shown = blocks
            .iter()
            .find(|block| block.file.as_deref() == Some(file));
        let shown = &shown.unwrap_or_else(|| panic!("{file} is not shown")).text;
        assert_eq!(*shown, text(&format!("tests/examples/growth/{file}")));
    }
}

#[test]
fn links_lead_somewhere() {
    let mut documents = documents();
    for folder in ["benches", "cluster", "tests"] {
        documents.extend(files(folder, ".md"));
    }
    for path in documents {
        let document = text(&path);
        let prose = prose(&document);
        let folder = root().join(&path);
        let folder = folder.parent().expect("a folder");
        let there = |target: &str| {
            let file = target.split('#').next().expect("a part");
            target.contains("://") || target.starts_with('#') || folder.join(file).exists()
        };
        for link in prose.split("](").skip(1) {
            let target = link.split(')').next().expect("a part");
            assert!(there(target), "{path}: {target}");
        }
        for line in prose.lines() {
            let Some((name, target)) = line.strip_prefix('[').and_then(|l| l.split_once("]: "))
            else {
                continue;
            };
            assert!(there(target), "{path}: {target}");
            let uses = prose.matches(&format!("[{name}]")).count();
            assert!(uses > 1, "{path}: [{name}] is defined and not used");
        }
        for chapter in CHAPTERS {
            let used = prose.contains(&format!("[{}]", chapter.name));
            let defined = document.contains(&format!("\n[{}]: ", chapter.name));
            assert!(defined || !used, "{path}: [{}] leads nowhere", chapter.name);
        }
    }
}

#[test]
fn every_key_that_a_document_sets_exists() {
    for path in documents() {
        if path.ends_with("sweeps.md") {
            continue; // its sections hold keys of a sweep
        }
        for block in blocks(&text(&path)) {
            if block.language != "toml" {
                continue;
            }
            let table: toml::Table = block
                .text
                .parse()
                .unwrap_or_else(|e| panic!("{path}: {e}\n{}", block.text));
            for (section, value) in table {
                let names: Vec<String> = match value {
                    toml::Value::Table(keys) => {
                        keys.keys().map(|key| format!("{section}.{key}")).collect()
                    }
                    _ if section == "preset" => Vec::new(),
                    _ => vec![section],
                };
                for name in names {
                    assert!(find(&name).is_some(), "{path}: {name}");
                }
            }
        }
    }
}

#[test]
fn messages_and_variables_are_those_of_the_source() {
    let source: String = files("src", ".rs").iter().map(|path| text(path)).collect();
    // Texts that go on over a line's end have a backslash there.
    let source = source.split("\\\n").map(str::trim_start);
    let source = source.collect::<Vec<_>>().join("");
    for line in text("src/guide/errors.md").lines() {
        let Some(cell) = line.strip_prefix("| `") else {
            continue;
        };
        let message = cell.split('`').next().expect("a part");
        assert!(source.contains(message), "no error says {message:?}");
    }
    let known = text("src/guide/environment.md");
    let mut read: Vec<PathBuf> = files("src", ".rs").into_iter().map(PathBuf::from).collect();
    for folder in ["launch", "cluster"] {
        read.extend(files(folder, "").into_iter().map(PathBuf::from));
    }
    for path in read {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        for name in text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            // Set by the build, or by the scripts for each other.
            let ours = ["EKI_RUSTC", "EKI_ASK", "EKI_SCRIPT"].contains(&name);
            if name.starts_with("EKI_") && name.len() > 4 && !ours {
                let listed = known.contains(&format!("`{name}`"));
                assert!(listed, "{}: {name} is not in the guide", path.display());
            }
        }
    }
}

#[test]
fn the_terminal_shows_chapters() {
    let shown = |arguments: &[&str]| start::end(start::alone().arg("guide").args(arguments));
    let list = shown(&[]);
    for chapter in CHAPTERS {
        assert!(list.stdout.contains(chapter.name), "{}", list.stdout);
    }
    let glossary = shown(&["Gloss"]).stdout;
    assert!(glossary.starts_with("# Glossary"), "{glossary}");
    let theory = shown(&["theory"]).stdout;
    assert!(!theory.contains("]: "), "{theory}");
    let refused = shown(&["nothing"]);
    assert_eq!((refused.code, refused.complaints().len()), (2, 1));
    assert!(refused.stderr.contains("there are tutorial-calibrate, "));
    assert_eq!(shown(&["tutorial"]).code, 2);
}
