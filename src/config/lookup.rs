//! Look-up of the files that a configuration names: the observations, the prior, the first members, and the simulator.
//!
//! A relative path is looked for in the folder where the program was started, then beside the configuration file; one given by
//! `--set` in the former alone. For the config.toml in a run's folder follow the run's copy of its observations, and the folders
//! that its environment.json names.

use std::path::{Path, PathBuf};

use super::places::{OBSERVATIONS, PRIOR_MATRICES, copies};
use super::resolved::Resolved;
use crate::error::Result;

impl Resolved {
    /// Returns the configuration of a finished run with its files found where the run found them, from whatever folder this
    /// program was started.
    #[must_use]
    pub fn as_run(mut self) -> Self {
        self.places.as_run = true;
        self
    }

    /// Returns true if the configuration is the config.toml of a run's folder, which may be a stranger's.
    #[must_use]
    pub fn is_of_run(&self) -> bool {
        self.places.is_run
    }

    /// The folders where the files that the configuration names are looked for, as absolute paths: first the one where
    /// simulators are started.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let folders = self.folders_of("").into_iter();
        let mut folders: Vec<PathBuf> = folders.filter_map(absolute).collect();
        let mut seen = std::collections::BTreeSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// The file of the observations.
    ///
    /// # Errors
    /// It is in none of several folders.
    pub fn observations(&self) -> Result<PathBuf> {
        self.kept_file(
            "data.observations",
            &self.config.data.observations,
            OBSERVATIONS,
        )
    }

    /// The file at `path`, which the value of `key` names, or the copy `stem` of it that a run's folder keeps.
    ///
    /// # Errors
    /// It is in none of several folders.
    pub fn kept_file(&self, key: &str, path: &str, stem: &str) -> Result<PathBuf> {
        let places = &self.places;
        let copies = copies(stem).map(|name| places.beside.join(name));
        let copy = copies.into_iter().find(|path| path.is_file());
        let copy = copy.filter(|_| places.is_run && !self.is_set(key));
        match copy {
            Some(copy) if places.as_run => Ok(copy),
            Some(copy) => Ok(self.found(key, path).unwrap_or(copy)),
            None => self.file(key, path),
        }
    }

    /// The file of the matrix at `path`, the value of `key`: a run's own copy, where the configuration is that of a run's folder.
    ///
    /// # Errors
    /// It is in none of several folders.
    pub(super) fn prior_matrix_path(&self, key: &str, path: &str) -> Result<PathBuf> {
        let copies = PRIOR_MATRICES.map(|name| self.places.beside.join(name));
        let copy = copies.into_iter().find(|path| path.is_file());
        match copy.filter(|_| self.places.is_run && !self.is_set(key)) {
            Some(copy) => Ok(copy),
            None => self.file(key, path),
        }
    }

    /// The file at `path`, the value of `key`.
    ///
    /// # Errors
    /// It is in none of several folders.
    pub fn file(&self, key: &str, path: &str) -> Result<PathBuf> {
        if let Some(found) = self.found(key, path) {
            return Ok(found);
        }
        let folders = self.folders_of(key);
        if folders.len() == 1 || Path::new(path).is_absolute() {
            return Ok(PathBuf::from(path));
        }
        let places: Vec<String> = folders
            .into_iter()
            .filter_map(absolute)
            .map(|f| f.display().to_string())
            .collect();
        Err(self.error(key, format!("no such file in {}", places.join(" or in "))))
    }

    fn found(&self, key: &str, path: &str) -> Option<PathBuf> {
        let paths = self.folders_of(key).into_iter();
        paths
            .map(|folder| folder.join(path))
            .find(|path| path.exists())
    }

    /// The words of model.command, and the folder where they are started, where that is another than the program's.
    ///
    /// A word with a slash or a dot that names no file there, but one in another of the folders, becomes that file's path. A
    /// program's name without a slash is looked for in PATH.
    #[must_use]
    pub fn command(&self) -> (Vec<String>, Option<PathBuf>) {
        let places = &self.places;
        let recorded = places.recorded.first().filter(|_| places.as_run);
        let start = recorded.filter(|folder| folder.is_dir()).cloned();
        let folders = self.folders_of("model.command");
        let here = start.clone().unwrap_or_default();
        let found = |(i, word): (usize, &String)| {
            let is_file = |folder: &PathBuf| folder.join(word).is_file();
            // A program goes by PATH, and a plain word (a subcommand) is no file, whatever lies there.
            let plain = !word.contains('/') && (i == 0 || !word.contains('.'));
            if plain || is_file(&here) {
                return word.clone();
            }
            let elsewhere = folders.iter().find(|folder| is_file(folder));
            let path = elsewhere.and_then(|folder| absolute(folder.join(word)));
            let path = path.and_then(|path| path.into_os_string().into_string().ok());
            path.unwrap_or_else(|| word.clone())
        };
        let words = self.config.model.command.iter().enumerate().map(found);
        (words.collect(), start)
    }

    /// Returns the words that ask a user to allow the command of a run's folder: the flag, the command and its folder.
    #[must_use]
    pub fn command_shown(&self) -> String {
        let (words, folder) = self.command();
        let place = folder
            .or_else(|| absolute(PathBuf::new()))
            .unwrap_or_default();
        format!(
            "add --run-command, which starts {words:?} in {}",
            place.display()
        )
    }

    /// The folders where the value of `key` is looked for; the empty path stands for the one where the program was started.
    fn folders_of(&self, key: &str) -> Vec<PathBuf> {
        let here = PathBuf::new();
        let places = &self.places;
        if self.is_set(key) {
            return vec![here];
        }
        let beside = Some(places.beside.clone()).filter(|folder| *folder != here);
        let now = std::iter::once(here).chain(beside);
        match places.as_run {
            true => places.recorded.iter().cloned().chain(now).collect(),
            false => now.chain(places.recorded.iter().cloned()).collect(),
        }
    }

    /// Returns true if `key` was given on the command line.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.origins
            .get(key)
            .is_some_and(|origin| origin == "--set")
    }
}

/// `path` as seen from any folder; the empty path is the folder where the program was started.
fn absolute(path: PathBuf) -> Option<PathBuf> {
    match path.as_os_str().is_empty() {
        true => std::env::current_dir().ok(),
        false => std::path::absolute(path).ok(),
    }
}
