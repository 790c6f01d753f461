//! Notes which compiler built the program, for a run's environment.json.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    if let Ok(version) = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    {
        println!("cargo::rustc-env=EKI_RUSTC={}", version.trim());
    }
}
