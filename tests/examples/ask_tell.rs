//! Calibrates by ask and tell: this program's own loop computes the outputs of the members that each step asks for.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use eki_mpi::prelude::*;

fn main() -> Result<()> {
    let mpi = Mpi::start()?;
    let mut steps = Calibration::ask_tell()
        .prior(["amount lognormal 1 1", "kept uniform 0 1"])
        .observations([2.0, 1.4, 0.98, 0.69, 0.48])
        .noise(1e-4)
        .start(&mpi.ranks())?;
    while let Some(members) = steps.ask()? {
        let mut outputs = ndarray::Array2::zeros((members.nrows(), 5));
        for ((j, t), z) in outputs.indexed_iter_mut() {
            *z = members[[j, 0]] * members[[j, 1]].powi(t as i32);
        }
        steps.tell(outputs.view())?;
    }
    println!("{:.3}", steps.finish()?.mean());
    Ok(())
}
