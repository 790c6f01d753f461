//! Fits amount and share kept of a geometric decay, a function of two parameters, to five observations.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use eki_mpi::prelude::*;

fn main() -> Result<()> {
    let mpi = Mpi::start()?;
    let decay = FnMap::new(2, 5, |u| (0..5).map(|t| u[0] * u[1].powi(t)).collect());
    let fit = Calibration::new(decay)
        .prior(["amount lognormal 1 1", "kept uniform 0 1"])
        .observations([2.0, 1.4, 0.98, 0.69, 0.48])
        .noise(1e-4)
        .run(&mpi.ranks())?;
    println!("{:.3}", fit.mean());
    Ok(())
}
