//! `eki-mpi data [list | fetch NAME]`: which sets there are, where they are looked for, and bringing one.

use std::path::Path;

use clap::Subcommand;
use eki_mpi::data::{catalogue, fetch};
use eki_mpi::error::Result;

/// Subcommands of `eki-mpi data`.
#[derive(Clone, Debug, Subcommand)]
pub enum DataCommand {
    /// Show each known set, whether it is there, and where it is looked for (the default)
    List,
    /// Bring a set's files from their public mirrors, verified (EKI_MIRROR names another server)
    Fetch {
        /// The set's name
        name: String,
    },
}

/// Answers `eki-mpi data`.
pub fn answer(command: &DataCommand, data_dir: &Path) -> Result<String> {
    match command {
        DataCommand::List => {
            let lines = fetch::list(data_dir);
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            Ok(format!("data folder: {}\n{lines}", data_dir.display()))
        }
        DataCommand::Fetch { name } => {
            let source = catalogue::find(name)?;
            if source.files.is_empty() {
                return Ok(format!("{name} is in the program: nothing to fetch\n"));
            }
            let placed = fetch::fetch(source, data_dir, fetch::mirror_from_env().as_deref())?;
            let lines = placed.iter().map(|file| {
                let state = if file.fetched { "fetched" } else { "was there" };
                format!("{state:<10} {}\n", file.path.display())
            });
            Ok(lines.collect::<String>() + &format!("licence    {}\n", source.licence))
        }
    }
}
