//! The program under test, started as a user starts it: alone, or on ranks by mpirun (EKI_MPIRUN names another).

use std::path::Path;
use std::process::Output;

#[path = "../start/mod.rs"]
pub mod start;

/// `eki-mpi` with `arguments`, alone.
pub fn alone(arguments: &[&str]) -> Output {
    start::output(start::alone().args(arguments))
}

/// `eki-mpi` with `arguments` on `ranks` ranks of one thread, oversubscribed where need be.
#[allow(dead_code)] // Each test file is a crate of its own, and not all start ranks.
pub fn on_ranks(ranks: usize, arguments: &[&str]) -> Output {
    start::output(start::on_ranks(ranks, &start::program()).args(arguments))
}

/// As `on_ranks`, of ranks that read each other's memory where it lies, or that send all they have to say.
#[allow(dead_code)]
pub fn on_ranks_sharing(shared: bool, ranks: usize, arguments: &[&str]) -> Output {
    let mut command = start::on_ranks(ranks, &start::program());
    if !shared {
        start::apart(&mut command);
    }
    start::output(command.args(arguments))
}

/// What a command that must succeed printed.
pub fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one line of a command that must be refused with exit code 2.
#[allow(dead_code)]
pub fn refused(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
    errors
}

/// A JSON file, or what a command printed.
#[allow(dead_code)]
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect(text)
}

/// The JSON in `folder/name`.
#[allow(dead_code)]
pub fn json_file(folder: &Path, name: &str) -> serde_json::Value {
    json(&std::fs::read_to_string(folder.join(name)).expect(name))
}
