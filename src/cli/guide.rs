//! `eki-mpi guide`: lists the chapters of the guide, or shows one.

use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use clap::Args;
use eki_mpi::error::{Error, Result};
use eki_mpi::guide::{CHAPTERS, Chapter};

use crate::cli::print;

/// Which chapter to show.
#[derive(Debug, Args)]
pub struct GuideArguments {
    /// The chapter, or a part of its name [without it: list all]
    #[arg(value_name = "CHAPTER")]
    pub chapter: Option<String>,
}

/// Lists the chapters, or shows one: page by page where the output is a terminal.
pub fn show(arguments: &GuideArguments) -> Result<()> {
    let text = match &arguments.chapter {
        None => listed(),
        Some(name) => without_definitions(find(name)?.text),
    };
    if !(std::io::stdout().is_terminal() && arguments.chapter.is_some() && paged(&text)) {
        print(&text);
    }
    Ok(())
}

/// Returns a line for each chapter.
fn listed() -> String {
    let lines: String = CHAPTERS
        .iter()
        .map(|chapter| format!("{:<24} {}\n", chapter.name, chapter.about))
        .collect();
    lines + "\neki-mpi guide CHAPTER shows one\n"
}

/// Returns the chapter of this name, else the only one whose name has `name` in it.
fn find(name: &str) -> Result<&'static Chapter> {
    let wanted = name.to_lowercase();
    if let Some(chapter) = CHAPTERS.iter().find(|chapter| chapter.name == wanted) {
        return Ok(chapter);
    }
    let matching = CHAPTERS
        .iter()
        .filter(|chapter| chapter.name.contains(&wanted));
    let matching: Vec<&Chapter> = matching.collect();
    let names = |chapters: &[&Chapter]| {
        let names: Vec<&str> = chapters.iter().map(|chapter| chapter.name).collect();
        names.join(", ")
    };
    match matching[..] {
        [chapter] => Ok(chapter),
        [] => {
            let all: Vec<&Chapter> = CHAPTERS.iter().collect();
            let all = names(&all);
            Err(Error::Usage(format!(
                "{name}: no such chapter; there are {all}"
            )))
        }
        _ => {
            let some = names(&matching);
            Err(Error::Usage(format!(
                "{name}: more than one chapter has this in its name: {some}"
            )))
        }
    }
}

/// Returns `text` without the lines that say where links go: a terminal shows their names.
fn without_definitions(text: &str) -> String {
    let defines = |line: &&str| line.starts_with('[') && line.contains("]: ");
    let lines: Vec<&str> = text.lines().filter(|line| !defines(line)).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// Shows `text` in $PAGER, else in less; returns false if it cannot be started.
fn paged(text: &str) -> bool {
    let pager = std::env::var("PAGER").ok();
    let pager = pager.filter(|pager| !pager.trim().is_empty());
    let pager = pager.unwrap_or_else(|| "less -FRX".to_owned());
    let mut words = pager.split_whitespace();
    let Some(program) = words.next() else {
        return false;
    };
    let started = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return false;
    };
    if let Some(mut input) = child.stdin.take() {
        // A reader that leaves early closes its end.
        let _ = input.write_all(text.as_bytes());
    }
    child.wait().is_ok()
}
