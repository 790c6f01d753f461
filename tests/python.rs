//! The Python package in `launch/python`: its tests, started against the built program. Skipped, with a line, where no python3 has NumPy.

use std::process::Command;

mod start;

/// `python3` with `arguments` in the folder of the package's tests, which finds the package and the program; None without NumPy.
fn python(arguments: &[&str]) -> Option<Command> {
    let path = start::path_with_numpy()?;
    let package = start::python_package();
    // By `env`, since the PATH of the new process is to count.
    let mut command = Command::new("env");
    command.arg("python3").args(arguments);
    command.current_dir(package.join("tests"));
    command.env("PATH", path).env("PYTHONPATH", &package);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("EKI_MPI", start::program());
    start::allow_for_launchers(&mut command);
    Some(command)
}

#[test]
fn its_tests_pass_with_the_built_program() {
    let Some(mut command) = python(&["-m", "unittest", "-v"]) else {
        return;
    };
    let ended = start::end(&mut command);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stderr.contains("Ran 0 tests"), "{}", ended.stderr);
}

#[test]
fn its_types_are_checked_where_mypy_is_there() {
    let Some(mut command) = python(&["-m", "mypy", "--version"]) else {
        return;
    };
    if start::end(&mut command).code != 0 {
        eprintln!("skipped: no mypy");
        return;
    }
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = python(&["-m", "mypy", "--cache-dir"]).expect("NumPy, as above");
    command.arg(cache.path());
    command.current_dir(start::python_package());
    let ended = start::end(&mut command);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}
