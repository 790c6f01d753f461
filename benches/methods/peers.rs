//! Other packages on the same problems and members, by peers.py.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

use ndarray::Array2;

use crate::problems::Problem;
use crate::score::{Row, Scores};

/// The peers' names.
pub const NAMES: [&str; 4] = ["ies-esmda", "ies-distance", "ies-adaptive", "pyesmda"];

/// Runs all peers on `problem` from the members in the file `initial`.
///
/// # Errors
/// A script that fails.
pub fn rows(
    python: &Path,
    problem: &Problem,
    (seed, initial): (u64, &Path),
) -> Result<Vec<Row>, Box<dyn Error>> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let numbers = |rows: &Array2<f64>| {
        let line = |row: ndarray::ArrayView1<f64>| {
            row.iter()
                .map(|x| format!("{x:e}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        rows.rows()
            .into_iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let y: Vec<String> = problem.y.iter().map(|y| format!("{y:e}")).collect();
    std::fs::write(folder.path().join("y.txt"), y.join("\n"))?;
    if let Some(places) = &problem.places {
        std::fs::write(
            folder.path().join("parameters.txt"),
            numbers(&places.parameters),
        )?;
        std::fs::write(
            folder.path().join("observations.txt"),
            numbers(&places.observations),
        )?;
        std::fs::write(folder.path().join("radius.txt"), places.radius.to_string())?;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/methods/peers.py");
    let output = Command::new(python)
        .arg(script)
        .args([folder.path(), initial])
        .arg(seed.to_string())
        .arg(std::env::current_exe()?)
        .args(["--serve", problem.name])
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{script}: {}", output.status).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let row = |line: &str| -> Result<Row, Box<dyn Error>> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, simulations, steps, update, file, settings] = fields[..] else {
            return Err(format!("{script}: {line}").into());
        };
        let file =
            eki_mpi::io::npy::read_either(Path::new(file), count(file)?, problem.parameters)?;
        let members =
            Array2::from_shape_vec((file.len() / problem.parameters, problem.parameters), file)?;
        Ok(Row {
            problem: problem.name.to_owned(),
            method: name.to_owned(),
            seed,
            simulations: simulations.parse()?,
            steps: steps.parse()?,
            scores: Scores::of_members(problem, &members),
            update: update.parse()?,
            settings: settings.to_owned(),
        })
    };
    text.lines().map(row).collect()
}

/// The rows of an array.
fn count(path: &str) -> Result<usize, Box<dyn Error>> {
    Ok(eki_mpi::io::npy::shape(Path::new(path))?[0] as usize)
}
