//! The folder of data files: `--data-dir`, else `EKI_DATA_DIR`, else the user's cache folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the folder that holds one subfolder per data set.
#[must_use]
pub fn data_dir(explicit: Option<&Path>) -> PathBuf {
    choose(explicit, |name| std::env::var_os(name))
}

/// Chooses the data folder with environment variables from `env`, so that tests need not change their environment.
fn choose(explicit: Option<&Path>, env: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    if let Some(explicit) = explicit {
        return explicit.to_path_buf();
    }
    let set = |name| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = set("EKI_DATA_DIR") {
        return folder;
    }
    let in_home = if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    };
    // The base directory specification ignores relative values.
    set("XDG_CACHE_HOME")
        .filter(|cache| cache.is_absolute() && !cfg!(target_os = "macos"))
        .or_else(|| set("HOME").map(|home| home.join(in_home)))
        // Without a home directory, as in some containers, only the current folder is known to be the user's.
        .unwrap_or_else(|| PathBuf::from("."))
        .join("eki-mpi")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(explicit: Option<&str>, set: &[(&str, &str)]) -> PathBuf {
        choose(explicit.map(Path::new), |name| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_argument_goes_before_the_environment_and_that_before_the_cache() {
        let all = [("EKI_DATA_DIR", "/e"), ("HOME", "/h")];
        assert_eq!(chosen(Some("a"), &all), Path::new("a"));
        assert_eq!(chosen(None, &all), Path::new("/e"));
        assert_eq!(chosen(None, &[]), Path::new("./eki-mpi"));
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn the_cache_is_the_desktop_standards() {
        let home = ("HOME", "/h");
        assert_eq!(chosen(None, &[home]), Path::new("/h/.cache/eki-mpi"));
        assert_eq!(
            chosen(None, &[home, ("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/eki-mpi")
        );
        assert_eq!(
            chosen(None, &[home, ("XDG_CACHE_HOME", "x"), ("EKI_DATA_DIR", "")]),
            Path::new("/h/.cache/eki-mpi")
        );
    }
}
