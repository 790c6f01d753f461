//! `eki-mpi completions SHELL` and `eki-mpi man`: what shells and `man` are told of the program.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;

use crate::cli::Cli;

/// The shells for which completions are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    /// For ~/.local/share/bash-completion/completions/eki-mpi
    Bash,
    /// For _eki-mpi in a folder of $fpath
    Zsh,
    /// For ~/.config/fish/completions/eki-mpi.fish
    Fish,
}

/// Which pages, and where they go.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The command whose page is printed [default: the program's own page]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub command: Option<String>,
    /// Write the pages of all commands to this folder, as eki-mpi.1, eki-mpi-run.1, ...
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out: Option<PathBuf>,
}

/// Returns the script that completes commands, options and files in `shell`.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    let (mut command, name) = (Cli::command(), "eki-mpi");
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    clap_complete::generate(shell, &mut command, name, &mut text);
    String::from_utf8(text).expect("completions are text")
}

/// Answers `eki-mpi man`: a page as roff, or where the pages were written.
pub fn man(arguments: &ManArguments) -> Result<String> {
    let mut program = Cli::command();
    program.build();
    let Some(folder) = &arguments.out else {
        let page = match &arguments.command {
            None => &program,
            Some(name) => program.find_subcommand(name).ok_or_else(|| {
                let names = program.get_subcommands().map(Command::get_name);
                let names: Vec<&str> = names.collect();
                let names = names.join(", ");
                Error::Usage(format!("{name}: no such command; there are {names}"))
            })?,
        };
        return Ok(roff(page));
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
    let (files, mut told) = (Files::default(), String::new());
    let of_commands = program
        .get_subcommands()
        .filter(|command| command.get_name() != "help");
    for command in std::iter::once(&program).chain(of_commands) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = folder.join(format!("{name}.1"));
        files.write_whole(&path, roff(command).as_bytes())?;
        told += &format!("{}\n", path.display());
    }
    Ok(told)
}

/// Returns the page of `command`.
fn roff(command: &Command) -> String {
    let page = command.clone().version(env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    let written = clap_mangen::Man::new(page).render(&mut text);
    written.expect("memory takes all");
    String::from_utf8(text).expect("a page is text")
}
