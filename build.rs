//! Notes which compiler built the program, for a run's environment.json, lists the presets by the files in their folder, and hands on
//! where MPI's compiler says that its libraries are looked for when a program starts.

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
    println!("cargo::rerun-if-env-changed=MPICC");
    for folder in run_paths() {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{folder}");
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo gives a build script its folder");
    std::fs::write(Path::new(&out).join("presets.rs"), presets())
        .expect("the folder can be written");
}

/// Returns the folders that MPI's compiler has programs search for libraries: Fedora's and openSUSE's MPI lies in none that the system
/// searches. The bindings take the other options of that compiler, and not this one.
fn run_paths() -> Vec<String> {
    let compiler = std::env::var("MPICC").unwrap_or_else(|_| "mpicc".to_owned());
    let shown = Command::new(compiler).arg("-show").output();
    let shown = shown.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let options = shown.split_whitespace();
    let linked: Vec<&str> = options
        .filter_map(|option| option.strip_prefix("-Wl,"))
        .flat_map(|option| option.split([',', '=']))
        .collect();
    let mut folders: Vec<String> = Vec::new();
    for pair in linked.windows(2) {
        if matches!(pair[0], "-rpath" | "--rpath") && pair[1].starts_with('/') {
            folders.push(pair[1].to_owned());
        }
    }
    folders
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
