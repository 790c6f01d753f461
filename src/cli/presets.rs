//! `eki-mpi presets`: lists the presets, prints one, or explains every key.

use clap::CommandFactory as _;
use eki_mpi::config::{PRESETS, Preset, Resolved, key_list};
use eki_mpi::error::{Error, Result};

use crate::cli::Cli;

/// Groups of presets, and the data of those in each (`data.name`).
const GROUPS: [(&str, &[&str]); 6] = [
    ("Begin here: the data come with the program", &["digits"]),
    ("A simulator of your own", &["observations"]),
    ("MNIST", &["mnist"]),
    ("Fashion-MNIST and SVHN", &["fashion-mnist", "svhn"]),
    (
        "Series and long memory",
        &["sunspots", "melbourne", "adding", "copying"],
    ),
    ("Other problems", &["cart-pole", "elliptic"]),
];

/// Answers `eki-mpi presets [NAME] [--keys]`.
pub fn answer(name: Option<&str>, keys: bool) -> Result<String> {
    match name {
        _ if keys => Ok(wrapped(key_list())),
        None => listed(),
        Some(name) => {
            let near = Preset::suggestion(name);
            let preset = Preset::find(name).ok_or_else(|| {
                Error::Usage(format!(
                    "{name}: no such preset{near} (eki-mpi presets lists all)"
                ))
            })?;
            full(preset)
        }
    }
}

/// Returns a line for each preset, group by group.
fn listed() -> Result<String> {
    let mut all: Vec<(&Preset, String)> = Vec::new();
    for preset in PRESETS {
        let config = Resolved::new(preset.name, &[])?.config;
        all.push((preset, config.data.name));
    }
    all.sort_by_key(|(preset, _)| preset.name);
    let mut text = String::new();
    for (title, data) in GROUPS {
        text += title;
        text += "\n";
        let of_group = all.iter().filter(|(_, name)| data.contains(&&**name));
        for (preset, _) in of_group {
            text += &format!("  {:<18} {}\n", preset.name, preset.title());
        }
        text += "\n";
    }
    Ok(text + "eki-mpi presets NAME prints one with every setting\n")
}

/// Returns the preset's own comments, then the value of every key that applies to it.
fn full(preset: &Preset) -> Result<String> {
    let comments: String = preset
        .text
        .lines()
        .take_while(|l| l.starts_with('#'))
        .map(|l| format!("{l}\n"))
        .collect();
    Ok(comments + &Resolved::new(preset.name, &[])?.toml())
}

/// Returns `text` wrapped to the terminal's width as clap wraps help, each line keeping its indentation.
fn wrapped(text: String) -> String {
    let page = Cli::command()
        .help_template("{after-help}")
        .after_help(text);
    page.disable_help_subcommand(true).render_help().to_string()
}
