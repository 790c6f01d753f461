//! Makes runs of rows by `eki-mpi sweep`, and stores each as far as it has come.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eki_mpi::files::Files;
use eki_mpi::run::stop::EXIT_STOPPED;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::Outcome;
use super::order::Lacking;
use super::row::Row;
use super::stored::{Stored, read_all};

/// A sweep over rows.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The folder of rows.toml and the stored runs.
    pub folder: PathBuf,
    /// The sweep's folder; its file is the path with `.toml` added.
    pub out: PathBuf,
    /// The commit that the program was built from.
    pub commit: String,
    /// Seconds between two looks at what the runs have reached.
    pub pause: f64,
}

impl Engine {
    /// Makes `runs` by the command `program`, to which `sweep FILE --out DIR` and `options` are added; stores what they reach while
    /// they go on and at the end. A signal stops the sweep as a file STOP in its folder does. Returns the sweep's exit code.
    pub fn run(&self, runs: &[Lacking], mut program: Command, options: &[String]) -> Outcome<i32> {
        if runs.is_empty() {
            return Ok(0);
        }
        let file = PathBuf::from(format!("{}.toml", self.out.display()));
        Files::default().write_whole(&file, text(runs)?.as_bytes())?;
        let asked = asked_to_stop()?;
        program.arg("sweep").arg(&file).arg("--out").arg(&self.out);
        program.args(options);
        let mut child = program
            // In a group of its own: Ctrl-C meets this process alone, which then asks for a stop that saves.
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|e| format!("{program:?}: {e}"))?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if asked.swap(false, Ordering::Relaxed) {
                fs::write(self.out.join("STOP"), "")?;
            }
            // What is in the midst of being written is read at the next look.
            let _ = self.store_all(runs);
            std::thread::sleep(Duration::from_secs_f64(self.pause));
        };
        self.store_all(runs)?;
        Ok(status.code().unwrap_or(EXIT_STOPPED))
    }

    /// Stores each run that has more epochs than what is stored of it.
    fn store_all(&self, runs: &[Lacking]) -> Outcome<()> {
        for run in runs {
            let folder = self.out.join(run.name());
            if folder.join("metrics.jsonl").exists() && folder.join("environment.json").exists() {
                self.store_longer(&run.row, &folder)?;
            }
        }
        Ok(())
    }

    /// Stores the run in `folder` unless as many epochs are stored; returns the file if it was written.
    pub fn store_longer(&self, row: &Row, folder: &Path) -> Outcome<Option<PathBuf>> {
        let Some(run) = Stored::of_run(row, folder, &self.commit)? else {
            return Ok(None);
        };
        let stored = read_all(&self.folder)?;
        let before = stored.get(&(row.name.clone(), run.seed));
        // A run that has ended says more than one that has reached as many epochs.
        let ends = |before: &Stored| {
            run.epochs == before.epochs && run.digest.is_some() && before.digest.is_none()
        };
        if before.is_some_and(|before| run.epochs <= before.epochs && !ends(before)) {
            return Ok(None);
        }
        let path = run.write(&self.folder)?;
        let score = run
            .score(row.score)
            .map_or_else(String::new, |s| row.score.text(s));
        println!(
            "{}: {:.0} of {} epochs, {score}",
            path.display(),
            run.epochs,
            row.epochs
        );
        Ok(Some(path))
    }
}

/// Returns a flag that the first signal to stop sets; the second ends this process, not the sweep.
fn asked_to_stop() -> Outcome<Arc<AtomicBool>> {
    let (asked, second) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(signal, second.clone())?;
        flag::register(signal, second.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(asked)
}

/// Returns the sweep's file: a `[[run]]` for each run.
fn text(runs: &[Lacking]) -> Outcome<String> {
    let mut list = Vec::new();
    for run in runs {
        let (preset, sets) = run.row.source()?;
        let mut table = toml::Table::new();
        table.insert("name".into(), run.name().into());
        table.insert("base".into(), preset.into());
        table.insert("seed".into(), toml::Value::Integer(run.seed.cast_signed()));
        for set in sets {
            let (key, value) = set.split_once('=').ok_or(format!("{set}: no key=value"))?;
            // As --set does: what is not TOML is text.
            let read = format!("v = {value}").parse::<toml::Table>().ok();
            let read = read.and_then(|mut table| table.remove("v"));
            table.insert(key.into(), read.unwrap_or_else(|| value.into()));
        }
        list.push(toml::Value::Table(table));
    }
    let file = toml::Table::from_iter([("run".to_owned(), toml::Value::Array(list))]);
    let head = "# Written by `cargo bench --bench rows`, the most valuable run first.\n\n";
    Ok(head.to_owned() + &toml::to_string(&file)?)
}
