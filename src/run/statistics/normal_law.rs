//! The normal law that sigma points stand for, parameter by parameter in their own units: no sample's statistics.
//!
//! ```text
//! z_j = F^-1(u_j)                                the standard normal coordinate of each parameter's own prior law, linear in the points
//! m = z_0 ,  s^2 = w sum_j (z_j - z_0)^2         w: `ensemble::sigma_points`
//! quantile  F(m + s Phi^-1(q)) ;  mean and deviation of F(m + s x) over x ~ N(0, 1) by the trapezoidal rule, 0.1 apart on [-8, 8]
//! draws     z = z_0 + w^{1/2} sum_j xi_j (z_j - z_0) ,  xi_j ~ N(0, 1)       exactly of the law, with all its correlations
//! ```
//!
//! A tied parameter has the coordinate of the one it is tied to. What has no coordinate (fixed, or beyond a bound by rounding) is taken as
//! normal itself.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::{END, MembersAre, ParameterStatistics, PriorSpread, SHARES};
use crate::ensemble::draw::Draw;
use crate::ensemble::sigma_points::SigmaPoints;
use crate::forward::joint_prior::JointPrior;
use crate::forward::marginal::{standard_normal, standard_normal_quantile};
use crate::kernels::rng::Purpose;

/// The largest number of draws, and of their numbers.
const DRAWS: usize = 1000;
const NUMBERS: usize = 1 << 22;
/// The number of values that stand for the law of an output.
const VALUES: usize = 200;

/// The law of all parameters, from points that are added one by one: the centre first.
pub struct NormalLaw<'a> {
    prior: &'a JointPrior,
    weight: f64,
    sources: Vec<usize>,
    centre: Vec<f64>,
    /// Whether the numbers are coordinates of a prior's law.
    of_law: Vec<bool>,
    squares: Vec<f64>,
}

impl<'a> NormalLaw<'a> {
    /// Returns the law, of parameters with `prior`, of `points` that are not added yet.
    #[must_use]
    pub fn new(points: SigmaPoints, prior: &'a JointPrior) -> Self {
        Self {
            prior,
            weight: points.weight(),
            sources: (0..prior.parameters()).map(|p| prior.source(p)).collect(),
            centre: Vec::new(),
            of_law: Vec::new(),
            squares: vec![0.0; prior.parameters()],
        }
    }

    /// Returns the law of `points`, whose parameters are the rows of `members`; None of no row.
    #[must_use]
    pub fn of(
        points: SigmaPoints,
        prior: &'a JointPrior,
        members: ArrayView2<f64>,
    ) -> Option<Self> {
        let mut law = Self::new(points, prior);
        for row in members.rows() {
            law.add(&row.to_vec());
        }
        (!law.centre.is_empty()).then_some(law)
    }

    /// Adds a point with the parameters `u`; one whose parameters are not finite is left out.
    pub fn add(&mut self, u: &[f64]) {
        if !u.iter().all(|u| u.is_finite()) {
            return;
        }
        if self.centre.is_empty() {
            let own = |(p, &u): (usize, &f64)| self.coordinate(p, u);
            let sources = self.sources.iter().map(|&source| (source, &u[source]));
            let coordinates: Vec<Option<f64>> = sources.map(own).collect();
            self.of_law = coordinates.iter().map(Option::is_some).collect();
            let numbers = coordinates.iter().zip(u);
            self.centre = numbers.map(|(z, &u)| z.unwrap_or(u)).collect();
            return;
        }
        for p in 0..u.len() {
            self.squares[p] += self.away(p, u).powi(2);
        }
    }

    fn coordinate(&self, source: usize, u: f64) -> Option<f64> {
        self.prior.own_coordinate(source, u)
    }

    /// Returns how far the point with the parameters `u` lies from the centre in parameter `p`.
    fn away(&self, p: usize, u: &[f64]) -> f64 {
        let source = self.sources[p];
        let number = match self.of_law[p] {
            true => self.coordinate(source, u[source]),
            false => Some(u[p]),
        };
        number.map_or(0.0, |number| number - self.centre[p])
    }

    /// Returns parameter `p` where its number is `number`, in its own units.
    fn value(&self, p: usize, number: f64) -> f64 {
        match self.of_law[p] {
            true => self.prior.parameter_at(p, number),
            false => number,
        }
    }

    /// Returns the deviation of the number of parameter `p`.
    fn spread(&self, p: usize) -> f64 {
        (self.weight * self.squares[p]).sqrt()
    }

    /// Returns the mean and the deviation of parameter `p` in its own units.
    #[must_use]
    pub fn moments(&self, p: usize) -> (f64, f64) {
        let (centre, spread) = (self.centre[p], self.spread(p));
        if !self.of_law[p] {
            return (centre, spread);
        }
        let nodes = (-80..=80).map(|i| 0.1 * f64::from(i));
        let weighed = nodes.map(|x| (libm::exp(-0.5 * x * x), self.value(p, centre + spread * x)));
        let weighed: Vec<(f64, f64)> = weighed.collect();
        let all: f64 = weighed.iter().map(|(weight, _)| weight).sum();
        let mean: f64 = weighed.iter().map(|(weight, u)| weight / all * u).sum();
        let square = |(weight, u): &(f64, f64)| weight / all * (u - mean).powi(2);
        (mean, weighed.iter().map(square).sum::<f64>().sqrt())
    }

    /// Returns the means of all parameters in their own units.
    #[must_use]
    pub fn means(&self) -> Vec<f64> {
        (0..self.centre.len()).map(|p| self.moments(p).0).collect()
    }

    /// Returns the statistics of parameter `p`, whose mean is `mean`, compared with its prior where points began as the prior's, as
    /// `drawn` says. They have no sampling errors.
    pub(super) fn statistics(&self, p: usize, mean: f64, drawn: bool) -> ParameterStatistics {
        let (centre, spread) = (self.centre[p], self.spread(p));
        let quantile =
            |share: f64| self.value(p, centre + spread * standard_normal_quantile(share));
        let mut quantiles = SHARES.map(quantile);
        // A negative factor of a tied parameter turns them round.
        quantiles.sort_by(f64::total_cmp);
        let free = self.of_law[p] && self.prior.is_free(p);
        let below = |bound: f64| match spread > 0.0 {
            true => standard_normal((bound - centre) / spread),
            false => f64::from(u8::from(bound > centre)),
        };
        ParameterStatistics {
            name: self.prior.name(p).into_owned(),
            mean,
            deviation: Some(self.moments(p).1),
            quantiles: Some(quantiles),
            contraction: (free && drawn).then_some(1.0 - spread * spread),
            ends: free.then(|| [below(-END), 1.0 - below(END)]),
            bounded: match free {
                true => self.prior.has_bounds(p),
                false => [false; 2],
            },
            ..ParameterStatistics::default()
        }
    }

    /// Returns the numbers of parameter `p` at the points of `members`, less those of the centre.
    pub(super) fn column(&self, p: usize, members: ArrayView2<f64>) -> Vec<f64> {
        let rows = members.rows().into_iter();
        let finite = rows.filter(|row| row.iter().all(|u| u.is_finite()));
        finite.map(|row| self.away(p, &row.to_vec())).collect()
    }

    /// Returns draws of the law, a row of all parameters each, from its points `members` and a `seed`.
    #[must_use]
    pub fn draws(&self, members: ArrayView2<f64>, seed: u64) -> Array2<f64> {
        let parameters = self.centre.len();
        let count = DRAWS.min(NUMBERS / parameters).max(1);
        let mut numbers = Array2::from_shape_fn((count, parameters), |(_, p)| self.centre[p]);
        let draw = Draw {
            seed,
            purpose: Purpose::Posterior,
            step: 0,
        };
        let mut xi = vec![0.0; count];
        for (j, row) in members.rows().into_iter().enumerate().skip(1) {
            draw.key(j, 0).fill_normal_f64(0, &mut xi);
            let row = row.to_vec();
            if !row.iter().all(|u| u.is_finite()) {
                continue;
            }
            let away: Vec<f64> = (0..parameters).map(|p| self.away(p, &row)).collect();
            for (mut numbers, xi) in numbers.rows_mut().into_iter().zip(&xi) {
                let factor = self.weight.sqrt() * xi;
                let places = numbers.iter_mut().zip(&away);
                places.for_each(|(number, away)| *number += factor * away);
            }
        }
        for mut row in numbers.rows_mut() {
            for (p, number) in row.iter_mut().enumerate() {
                *number = self.value(p, *number);
            }
        }
        numbers
    }
}

/// Returns values with the normal law that the `outputs` at sigma points have, J x K: as many for each of the K, quantiles whose shares lie as far
/// apart. NaN where the centre has none.
#[must_use]
pub fn values_of_outputs(points: SigmaPoints, outputs: ArrayView2<f64>) -> Array2<f64> {
    let laws: Vec<(f64, f64)> = outputs
        .columns()
        .into_iter()
        .map(|z| law(points, z))
        .collect();
    Array2::from_shape_fn((VALUES, laws.len()), |(i, k)| {
        let share = (i as f64 + 0.5) / VALUES as f64;
        laws[k].0 + laws[k].1 * standard_normal_quantile(share)
    })
}

/// Returns the quantiles of `SHARES` of the normal law that the `values` at sigma points have.
#[must_use]
pub fn quantiles(points: SigmaPoints, values: ArrayView1<f64>) -> [f64; 5] {
    let (mean, deviation) = law(points, values);
    SHARES.map(|share| mean + deviation * standard_normal_quantile(share))
}

/// Returns the mean and deviation of the normal law that the `values` at sigma points have; those that are not finite are left out.
fn law(points: SigmaPoints, values: ArrayView1<f64>) -> (f64, f64) {
    let centre = values.first().copied().unwrap_or(f64::NAN);
    let known = values.iter().filter(|value| value.is_finite());
    let squares: f64 = known.map(|value| (value - centre).powi(2)).sum();
    (centre, (points.weight() * squares).sqrt())
}

/// What the members of a run are: what they stand for, whether they began as the prior's, and the sigma points that they are, if they are such.
#[derive(Clone, Copy, Debug)]
pub struct MembersOf<'a> {
    /// What they stand for.
    pub are: MembersAre,
    /// The spread of the prior, as whose draws or sigma points they began.
    pub before: PriorSpread<'a>,
    /// The sigma points; None where members are a sample, or a fit.
    pub points: Option<SigmaPoints>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One lognormal parameter whose logarithm is N(1, 0.5^2) and one tied to it, in the prior N(0, 1): the points at 1, 1.5 and 0.5.
    #[test]
    fn a_lognormal_parameter_by_its_closed_form() {
        let entries = ["a lognormal of log 0 1", "b tied a -2", "c fixed 3"];
        let prior = JointPrior::new(&entries.map(str::to_owned)).unwrap();
        let rows = [1.0, 1.5, 0.5].map(|x: f64| [x.exp(), -2.0 * x.exp(), 3.0]);
        let members = Array2::from_shape_fn((3, 3), |(j, p)| rows[j][p]);
        let points = SigmaPoints::Pairs(1);
        let law = NormalLaw::of(points, &prior, members.view()).unwrap();
        let (mean, deviation) = law.moments(0);
        let exact = (1.0_f64 + 0.125).exp();
        assert!((mean - exact).abs() < 1e-9 * exact, "{mean}");
        let wide = exact * (0.25_f64.exp() - 1.0).sqrt();
        assert!((deviation - wide).abs() < 1e-9 * wide, "{deviation}");
        let of = law.statistics(0, mean, true);
        let upper = (1.0 + 0.5 * 1.644_853_626_951_472_7_f64).exp();
        assert!((of.quantiles.unwrap()[4] - upper).abs() < 1e-9);
        assert!((of.contraction.unwrap() - 0.75).abs() < 1e-12);
        let tied = law.statistics(1, law.moments(1).0, true);
        assert!((tied.mean + 2.0 * exact).abs() < 1e-9 && tied.contraction.is_none());
        let low = tied.quantiles.unwrap()[0];
        assert!((low + 2.0 * upper).abs() < 1e-9);
        assert_eq!(law.moments(2), (3.0, 0.0));
        let draws = law.draws(members.view(), 1);
        let logs = draws.column(0).mapv(f64::ln);
        assert!((logs.mean().unwrap() - 1.0).abs() < 0.08 && (logs.std(0.0) - 0.5).abs() < 0.05);
        assert!(draws.rows().into_iter().all(|u| u[1] == -2.0 * u[0]));
    }
}
