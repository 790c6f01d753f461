//! Notes which compiler built the program, for a run's environment.json, and lists the presets by the files in their folder.

use std::path::Path;
use std::process::Command;

const PRESETS: &str = "src/config/presets";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PRESETS}");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    if let Ok(version) = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    {
        println!("cargo::rustc-env=EKI_RUSTC={}", version.trim());
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo gives a build script its folder");
    std::fs::write(Path::new(&out).join("presets.rs"), presets())
        .expect("the folder can be written");
}

/// Returns the list of presets as Rust: each file's name and text, in the order of the alphabet.
fn presets() -> String {
    let folder = std::path::absolute(PRESETS).expect("the package's folder");
    let files = std::fs::read_dir(&folder).expect("the presets' folder");
    let mut files: Vec<_> = files.map(|file| file.expect("a preset").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let mut list = "/// All presets.\npub const PRESETS: &[Preset] = &[\n".to_owned();
    for path in files {
        let name = path.file_stem().expect("a file's name").display();
        list += &format!("    Preset {{ name: \"{name}\", text: include_str!({path:?}) }},\n");
    }
    list + "];\n"
}
