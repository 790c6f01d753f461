//! How well parameters would be recovered: each member in turn is the truth, and the others are updated by its outputs with noise.
//!
//! ```text
//! y = z_j + e_j ,   u_m <- u_m + C_uz (C_zz + Gamma)^{-1} (y + e_m - z_m)      m other than j;  e ~ N(0, Gamma)
//! ```
//!
//! This is the ensemble Kalman filter's analysis with perturbed observations (Burgers, van Leeuwen & Evensen, Mon. Wea. Rev. 126
//! (1998) 1719), in the span of the other members: exact where outputs are linear in the coordinates and members many. The rank of the
//! truth among the updated members is then uniform (Hamill, Mon. Wea. Rev. 129 (2001) 550).
//!
//! With Z the whitened anomalies of the others and D their innovations, n x K each, u gains (D Z^T) (Z Z^T + (n - 1) I)^{-1} U: all
//! follows from products of members' rows with each other.

use ndarray::{Array2, ArrayView2};
use rayon::ThreadPool;
use serde::Serialize;

use super::{StoredEnsemble, anomalies, mean_and_deviation};
use crate::data::noise::Noise;
use crate::ensemble::draw::Draw;
use crate::error::{Error, Result};
use crate::forward::joint_prior::JointPrior;
use crate::kernels::cholesky::Cholesky;
use crate::kernels::rng::Purpose;

/// The number of bins of a rank histogram.
pub const BINS: usize = 10;
/// The share of the posterior that an interval is to hold.
const INTERVAL: f64 = 0.9;
/// The step of the noise's draws: no run takes so many, so that they are not those of a step.
const STEP: u64 = u64::MAX;

/// How well the observations would recover all parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// The steps before the ensemble that it is made of.
    pub step: u64,
    /// The members that have outputs, J.
    pub members: usize,
    /// The members that were left out, as they have none.
    pub failed: usize,
    /// The members that were the truth in turn.
    pub truths: usize,
    /// The outputs K.
    pub outputs: usize,
    /// Each free parameter.
    pub parameters: Vec<Recovered>,
}

/// How well the observations would recover one parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recovered {
    /// Its name.
    pub name: String,
    /// The deviation of the members, in its own unit.
    pub deviation_before: f64,
    /// The deviation of the updated members, its mean over truths.
    pub deviation_after: f64,
    /// The root mean square of the distance of the updated members' mean from the truth.
    pub error: f64,
    /// The part of the variance that the observations take away, of its standard normal coordinate.
    pub contraction: f64,
    /// The share of truths within the central 90 % of the updated members.
    pub coverage: f64,
    /// Rank histogram: how often the truth's rank among the updated members fell into each tenth.
    pub ranks: [usize; BINS],
}

/// Sums over truths for one parameter.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    deviation: f64,
    square_error: f64,
    variance: f64,
    covered: usize,
    ranks: [usize; BINS],
}

/// Returns how well the parameters of `prior` would be recovered with `noise`, by `ensemble`, of which at most `most` members are the
/// truth in turn; draws follow from `seed`.
///
/// # Errors
/// Outputs so large that an update cannot be solved for.
pub fn recovery(
    pool: &ThreadPool,
    ensemble: &StoredEnsemble,
    (prior, noise): (&JointPrior, &Noise),
    (seed, most): (u64, usize),
) -> Result<Recovery> {
    let j = ensemble.members();
    let (z, _) = anomalies(noise, ensemble.outputs.clone());
    let products = z.dot(&z.t());
    let with_noise = products_with_noise(&z, seed);
    let truths = most.min(j);
    let mut sums = vec![Sums::default(); prior.coordinates()];
    // Spread over all members, whatever their order.
    for truth in (0..truths).map(|k| k * j / truths) {
        let updated = updated(pool, ensemble, (&products, &with_noise), truth)?;
        add(&mut sums, prior, (ensemble.xi.view(), truth), &updated);
    }
    let own: Vec<Vec<f64>> = ensemble
        .xi
        .rows()
        .into_iter()
        .map(|xi| prior.at(&xi.to_vec()))
        .collect();
    let share = 1.0 / truths as f64;
    let of_parameter = |(coordinate, (i, sums)): (usize, (usize, &Sums))| {
        let xi = ensemble.xi.column(coordinate);
        let before = mean_and_deviation(xi.iter().copied()).1;
        Recovered {
            name: prior.name(i).into_owned(),
            deviation_before: mean_and_deviation(own.iter().map(|u| u[i])).1,
            deviation_after: share * sums.deviation,
            error: (share * sums.square_error).sqrt(),
            contraction: 1.0 - share * sums.variance / (before * before),
            coverage: share * sums.covered as f64,
            ranks: sums.ranks,
        }
    };
    Ok(Recovery {
        step: ensemble.step,
        members: j,
        failed: ensemble.failed,
        truths,
        outputs: z.ncols(),
        parameters: prior
            .free()
            .zip(&sums)
            .enumerate()
            .map(of_parameter)
            .collect(),
    })
}

/// Returns the products of members' whitened anomalies `z`, J x K, with each member's draw of noise, J x J.
fn products_with_noise(z: &Array2<f64>, seed: u64) -> Array2<f64> {
    let draw = Draw {
        seed,
        purpose: Purpose::Perturb,
        step: STEP,
    };
    let mut products = Array2::zeros((z.nrows(), z.nrows()));
    let mut noise = ndarray::Array1::zeros(z.ncols());
    for (member, mut column) in products.columns_mut().into_iter().enumerate() {
        let key = draw.key(member, 0);
        key.fill_normal_f64(0, noise.as_slice_mut().expect("contiguous"));
        column.assign(&z.dot(&noise));
    }
    products
}

/// Returns the coordinates of all members but `truth`, n x P, updated by the truth's outputs with noise. `products` are those of
/// anomalies with each other and with the draws of noise, J x J each.
fn updated(
    pool: &ThreadPool,
    ensemble: &StoredEnsemble,
    (products, with_noise): (&Array2<f64>, &Array2<f64>),
    truth: usize,
) -> Result<Array2<f64>> {
    let others: Vec<usize> = (0..ensemble.members()).filter(|&m| m != truth).collect();
    let count = others.len();
    let n = count as f64;
    // Anomalies sum to 0 over all members: those of the others have the mean -z_truth / n.
    let with = |i: usize, m: usize| products[[i, m]] + products[[truth, m]] / n;
    let noisy = |i: usize, m: usize| with_noise[[i, m]] + with_noise[[truth, m]] / n;
    let matrix = Array2::from_shape_fn((count, count), |(a, b)| {
        let (i, m) = (others[a], others[b]);
        let diagonal = if a == b { n - 1.0 } else { 0.0 };
        with(i, m) + with(i, truth) / n + diagonal
    });
    let mut innovations = Array2::from_shape_fn((count, count), |(b, a)| {
        let (i, m) = (others[a], others[b]);
        with(i, truth) - with(i, m) + noisy(i, truth) + noisy(i, m)
    });
    let factor = Cholesky::new(matrix, pool).ok_or_else(|| {
        Error::Run("the outputs are too large to be solved with: a twin cannot be made".to_owned())
    })?;
    factor.solve(innovations.view_mut());
    let mut xi = ensemble.xi.select(ndarray::Axis(0), &others);
    let mean = xi.mean_axis(ndarray::Axis(0)).expect("members");
    let gain = innovations.dot(&(&xi - &mean));
    xi += &gain;
    Ok(xi)
}

/// Adds what the `updated` members say of the `truth` among all coordinates `xi`.
fn add(
    sums: &mut [Sums],
    prior: &JointPrior,
    (xi, truth): (ArrayView2<f64>, usize),
    updated: &Array2<f64>,
) {
    let own = |row: ndarray::ArrayView1<f64>| prior.at(&row.to_vec());
    let members: Vec<Vec<f64>> = updated.rows().into_iter().map(own).collect();
    let true_values = own(xi.row(truth));
    for ((coordinate, i), sums) in prior.free().enumerate().zip(sums) {
        let column = updated.column(coordinate);
        let (mean, deviation) = mean_and_deviation(members.iter().map(|u| u[i]));
        sums.deviation += deviation;
        sums.square_error += (mean - true_values[i]).powi(2);
        sums.variance += mean_and_deviation(column.iter().copied()).1.powi(2);
        let below = column
            .iter()
            .filter(|&&x| x < xi[[truth, coordinate]])
            .count();
        // The middle of the rank's share, so that both ends are alike.
        let place = (below as f64 + 0.5) / (column.len() + 1) as f64;
        sums.covered += usize::from((place - 0.5).abs() < 0.5 * INTERVAL);
        sums.ranks[((place * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
}
