//! Fits the three parameters of a curve to twenty measurements with errors of one hundredth, by a map of one's own.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use eki_mpi::prelude::*;

/// The curve at the times 0, 0.25, ..., 4.75.
fn curve(u: &[f64]) -> Vec<f64> {
    let times = (0..20).map(|i| 0.25 * f64::from(i));
    times.map(|t| u[0] * (-u[1] * t).exp() + u[2]).collect()
}

fn main() -> Result<()> {
    let mpi = Mpi::start()?;
    let errors = [0.01, -0.01, -0.01, 0.01, 0.0].into_iter().cycle();
    let truth = curve(&[2.0, 0.8, 0.5]).into_iter();
    let measured: Vec<f64> = truth.zip(errors).map(|(y, e)| y + e).collect();
    let fit = Calibration::new(FnMap::new(3, 20, curve))
        .prior([
            "height lognormal 1 1",
            "rate uniform 0 3",
            "base normal 0 1",
        ])
        .observations(measured)
        .noise(1e-4)
        .method(Method::KalmanByMisfit)
        .run(&mpi.ranks())?;
    for (name, value) in fit.names().iter().zip(fit.mean()) {
        println!("{name} {value:.3}");
    }
    Ok(())
}
