//! The mean form: re-randomised at each step, all that survives a step is the mean, so only the mean is kept.
//!
//! ```text
//! u_k = v + sqrt(gamma) C_0^{1/2} xi_k                 drawn where needed, never kept
//! m_{n+1} = v_n - h_n sum_k c_k (u_k - v_n)            c = W vbar / J
//! v_{n+1} = m_{n+1} + momentum (m_{n+1} - m_n)
//! ```
//!
//! The draws' own mean, of order sqrt(gamma/J), is left out: it is noise. State and memory are O(P), not O(J P).
//! This form extends the publication (its EKI(R) re-draws at each epoch's end).

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use crate::ensemble::draw::{Draw, digest_of};
use crate::ensemble::low_rank::LowRankDraws;
use crate::ensemble::mean_kernels::{Place, sum_full};
use crate::ensemble::moments::MeanAveraging;
use crate::ensemble::stages::Redraw;
use crate::ensemble::transform::{MeanMove, Transform};
use crate::ensemble::whitening::Whitening;
use crate::ensemble::{EnsembleState, NextDraw, StepLength, Update};
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::low_rank::LowRank;
use crate::forward::prior::Prior;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::partition::{BLOCK, Blocks, DRAWN, Partition};
use crate::parallel::ranks::Ranks;

/// An ensemble of which only the mean is kept, the same on all ranks.
pub struct MeanEnsemble<T> {
    members: usize,
    /// The parameters drawn from one key.
    blocks: Blocks,
    /// m, P numbers.
    pub(crate) mean: Vec<T>,
    /// v: what members are drawn about.
    pub(crate) centre: Vec<T>,
    /// The prior's deviations, P numbers.
    deviations: Vec<T>,
    /// The present step's draws, sqrt(gamma), and the parameters in which members differ.
    draw: Draw,
    spread: f64,
    differing: Range<usize>,
    /// The normal numbers of low-rank members; None with full draws.
    low_rank: Option<LowRankDraws<T>>,
    /// The whitening of draws by the moments of their layer's inputs.
    whitening: Whitening<T>,
    memory: MeanAveraging,
    /// Second moments of the mean's move, P numbers; empty without.
    pub(crate) second: Vec<T>,
    /// The mean's average over steps, P numbers; empty without.
    pub(crate) average: Vec<T>,
}

/// Options of a mean ensemble, the same in every step.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanOptions {
    /// The rank of low-rank draws, where members are drawn so.
    pub rank: Option<usize>,
    /// The decays of the mean's second moments and of its average over steps.
    pub memory: MeanAveraging,
}

impl<T: Real> MeanEnsemble<T> {
    /// `members` members drawn as `first` says about `mean`, with the run's `options`.
    pub fn new(
        members: usize,
        mean: Vec<T>,
        prior: &Prior,
        first: NextDraw,
        options: MeanOptions,
    ) -> Self {
        let parameters = mean.len();
        let mut deviations = vec![T::zero(); parameters];
        prior.deviations(0, 1.0, &mut deviations);
        let centre = mean.clone();
        let kept = |decay: f64, numbers: &dyn Fn() -> Vec<T>| {
            if decay > 0.0 { numbers() } else { Vec::new() }
        };
        Self {
            members,
            blocks: Blocks::of_width(parameters, DRAWN),
            second: kept(options.memory.second, &|| vec![T::zero(); parameters]),
            average: kept(options.memory.average, &|| centre.clone()),
            memory: options.memory,
            centre,
            mean,
            deviations,
            draw: first.draw,
            spread: first.spread,
            differing: first.differing,
            low_rank: options.rank.map(LowRankDraws::new),
            whitening: Whitening::default(),
        }
    }

    /// Evaluates this rank's members on `inputs`, d x m, where they are of low rank; see `Evaluator::for_members`.
    pub fn evaluate_low_rank<P: Send>(
        &mut self,
        ranks: Ranks,
        map: &dyn LowRank<T>,
        inputs: ArrayView2<T>,
        places: impl Iterator<Item = P> + Send,
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let own = self.members(ranks).range(ranks.comm.rank());
        let draws = self
            .low_rank
            .as_mut()
            .expect("called with low-rank draws alone");
        draws.prepare(ranks, map, own, self.draw);
        draws.evaluate(
            ranks,
            map,
            (&self.centre, self.spread),
            inputs,
            places,
            take,
        );
    }

    /// Returns true if members are of low rank.
    pub fn is_low_rank(&self) -> bool {
        self.low_rank.is_some()
    }

    /// Spreads the draws of `layers`, from 0, by the moments of their inputs on `samples`, d x m.
    pub fn whiten(
        &mut self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        samples: ArrayView2<T>,
        layers: Range<usize>,
        damping: f64,
    ) {
        let about = (&*self.centre, samples);
        self.whitening
            .renew(ranks.pool, map, about, layers, damping);
    }

    /// Returns the sum over members of `coefficients` times their deviations from the centre, in units of the prior's deviations
    /// and of the spread, P numbers, the same on all ranks; `inputs`, d x m, are the batch's. Called by all ranks.
    ///
    /// # Errors
    /// Coefficients sample by sample for a map or draws that are not of low rank.
    fn weighted_sum(
        &mut self,
        ranks: Ranks,
        map: Option<&dyn LowRank<T>>,
        (coefficients, inputs): (&MeanMove<T>, ArrayView2<T>),
    ) -> Result<Vec<f64>> {
        let own = self.members(ranks).range(ranks.comm.rank());
        let mut sums = vec![0.0; self.mean.len()];
        match (coefficients, &mut self.low_rank, map) {
            (MeanMove::Samples(weights), Some(draws), Some(map)) => {
                let map = map.layer_sums().ok_or_else(needs_low_rank)?;
                let (about, to) = ((&*self.centre, self.spread), (self.members, &mut *sums));
                draws.sum_by_layers(ranks, map, about, (weights.view(), inputs), to);
            }
            (MeanMove::Samples(_), ..) => return Err(needs_low_rank()),
            (MeanMove::Members(coefficients), Some(draws), Some(map)) => {
                draws.sum(ranks, map, own, coefficients, &mut sums);
                ranks.comm.sum_exact(&mut sums);
            }
            (MeanMove::Members(coefficients), ..) => {
                let draws = (self.draw, self.blocks, &self.differing);
                sum_full::<T>(ranks, draws, (own, coefficients), &mut sums);
                ranks.comm.sum_exact(&mut sums);
            }
        }
        self.whitening.spread_sums(&mut sums);
        Ok(sums)
    }

    /// m <- v - h_n sums, in units of the members' deviations, and v from it.
    fn shift(&mut self, sums: &[f64], length: StepLength) {
        let scale = length.h * self.spread;
        let (unit, filled) = (scale / length.undivided, self.memory.filled(length.step));
        for i in self.differing.clone() {
            let (sum, deviation) = (sums[i], self.deviations[i].as_f64());
            let by = match self.second.get_mut(i) {
                None => scale * deviation * sum,
                Some(held) => {
                    length.undivided * deviation * self.memory.scale(filled, unit * sum, held)
                }
            };
            let moved = T::from_f64(self.centre[i].as_f64() - by);
            self.centre[i] = T::from_f64(
                moved.as_f64() + length.momentum * (moved.as_f64() - self.mean[i].as_f64()),
            );
            self.mean[i] = moved;
        }
    }

    /// Moves m against a `gradient`, P numbers, by `rate`, and lets it roll on: v keeps m + momentum (m - m_before).
    #[cfg(feature = "gradients")]
    pub fn descend(&mut self, gradient: &[f64], rate: f64, momentum: f64) {
        for ((m, v), g) in self.mean.iter_mut().zip(&mut self.centre).zip(gradient) {
            let moved = T::from_f64(v.as_f64() - rate * g);
            *v = T::from_f64(moved.as_f64() + momentum * (moved.as_f64() - m.as_f64()));
            *m = moved;
        }
    }

    /// Returns the mean square deviation of the members from the mean in what they differ: gamma times the prior's mean variance, and
    /// what spreading makes of it.
    pub fn mean_variance(&self) -> f64 {
        let sum = |range: Range<usize>| -> f64 {
            let deviations = self.deviations[range].iter();
            deviations.map(|d| d.as_f64() * d.as_f64()).sum()
        };
        let differing = self.differing.clone();
        let whole = if self.whitening.is_none() {
            sum(differing.clone())
        } else {
            let layers = self.whitening.mean_squares();
            layers.map(|(layer, square)| square * sum(layer)).sum()
        };
        self.spread * self.spread * whole / differing.len() as f64
    }

    /// Returns the rows of P numbers that a checkpoint holds, by name.
    fn kept(&self) -> impl Iterator<Item = (Array, &Vec<T>)> {
        let rows = [
            (Array::Centre, &self.centre),
            (Array::Mean, &self.mean),
            (Array::Second, &self.second),
            (Array::Average, &self.average),
        ];
        rows.into_iter().filter(|(_, row)| !row.is_empty())
    }

    /// Returns the rows of `kept`, in its order, to be filled.
    fn kept_mut(&mut self) -> impl Iterator<Item = &mut Vec<T>> {
        let rows = [
            &mut self.centre,
            &mut self.mean,
            &mut self.second,
            &mut self.average,
        ];
        rows.into_iter().filter(|row| !row.is_empty())
    }

    /// Returns m and, where they are kept, its second moments and its average over steps: each a row of P numbers.
    fn as_rows(&self) -> Array2<T> {
        let rows = [&self.mean, &self.second, &self.average];
        let numbers: Vec<T> = rows.into_iter().flatten().copied().collect();
        let count = numbers.len() / self.mean.len();
        Array2::from_shape_vec((count, self.mean.len()), numbers).expect("whole rows")
    }
}

impl<T: Real> EnsembleState<T> for MeanEnsemble<T> {
    /// In whole units where members' sums are formed by units.
    fn members(&self, ranks: Ranks) -> Partition {
        let unit = if self.low_rank.is_some() {
            crate::forward::low_rank::UNIT
        } else {
            1
        };
        Partition::in_units(self.members, ranks.comm.size(), unit)
    }

    fn parameters(&self) -> usize {
        self.mean.len()
    }

    fn fill(&self, map: &dyn ForwardMap<T>, member: usize, out: &mut [T]) {
        if let (Some(draws), Some(map)) = (&self.low_rank, map.low_rank()) {
            draws.member(map, (&self.centre, self.spread), self.draw, member, out);
            return;
        }
        let (spread, first) = (T::from_f64(self.spread), self.parameters() - out.len());
        let (mut numbers, nothing) = ([T::zero(); DRAWN], [T::zero(); DRAWN]);
        for b in 0..self.blocks.count() {
            let columns = self.blocks.range(b);
            let (start, end) = (columns.start.max(first), columns.end);
            let drawn = start.max(self.differing.start)..end.min(self.differing.end);
            if drawn.len() < end.saturating_sub(start) {
                out[start - first..end - first].copy_from_slice(&self.centre[start..end]);
            }
            if drawn.is_empty() {
                continue;
            }
            T::fill_normal(&self.draw.key(member, b), 0, &mut numbers[..columns.len()]);
            let about = match self.whitening.is_none() {
                true => &self.centre[drawn.clone()],
                false => &nothing[..drawn.len()],
            };
            pulp::Arch::new().dispatch(Place {
                xi: &numbers[drawn.start - columns.start..drawn.end - columns.start],
                out: &mut out[drawn.start - first..drawn.end - first],
                centre: about,
                deviations: &self.deviations[drawn],
                spread,
            });
        }
        self.whitening.spread_about(&self.centre, out);
    }

    fn update(&mut self, ranks: Ranks, map: &dyn ForwardMap<T>, update: &Update<T>) -> Result<f64> {
        let Transform::Mean(coefficients) = update.transform else {
            return Err(Error::Run(
                "an ensemble of which the mean alone is kept needs a transform of it".to_owned(),
            ));
        };
        let missing = || Error::Run("the mean form redraws at each step".to_owned());
        let redraw = update.step.redraw.ok_or_else(missing)?;
        let variance = self.mean_variance();
        let coefficients = (coefficients, update.inputs);
        let sums = self.weighted_sum(ranks, map.low_rank(), coefficients)?;
        self.shift(&sums, update.length);
        if !self.average.is_empty() {
            self.memory
                .average(update.length.step, &self.mean, &mut self.average);
        }
        (self.draw, self.spread) = (redraw.draw, redraw.spread);
        self.differing = update.differing.clone();
        Ok(variance)
    }

    fn expand(&mut self, _: Ranks, count: usize, _: &Prior, _: Redraw, _: bool) {
        self.members = count;
    }

    fn mean(&self, _: Ranks) -> Vec<T> {
        let averaged = self.averages();
        if averaged { &self.average } else { &self.mean }.clone()
    }

    fn averages(&self) -> bool {
        !self.average.is_empty()
    }

    fn rows_on_first(
        &self,
        ranks: Ranks,
        map: &dyn ForwardMap<T>,
        rows: Range<usize>,
    ) -> Option<Vec<T>> {
        ranks.comm.is_first().then(|| {
            let parameters = self.parameters();
            let mut whole = vec![T::zero(); rows.len() * parameters];
            for (member, out) in rows.zip(whole.chunks_mut(parameters)) {
                self.fill(map, member, out);
            }
            whole
        })
    }

    /// Returns the digest of m and, where they are kept, of its second moments and its average over steps.
    fn digest(&self, ranks: Ranks) -> String {
        let own = match ranks.comm.is_first() {
            true => digest_of(&[self.as_rows().view()]).to_vec(),
            false => Vec::new(),
        };
        crate::parallel::ranks::digest_of(ranks, &own)
    }

    fn arrays(&self) -> Vec<Array> {
        self.kept().map(|(array, _)| array).collect()
    }

    fn sections(&self, block: usize) -> Vec<&[T]> {
        let columns = Blocks::new(self.mean.len()).range(block);
        self.kept().map(|(_, row)| &row[columns.clone()]).collect()
    }

    fn sections_mut(&mut self, block: usize) -> Vec<&mut [T]> {
        let columns = Blocks::new(self.mean.len()).range(block);
        self.kept_mut()
            .map(|row| &mut row[columns.clone()])
            .collect()
    }

    fn share(&mut self, ranks: Ranks) {
        let parameters = self.mean.len();
        let blocks = Blocks::new(parameters).count();
        let owners = Partition::new(blocks, ranks.comm.size());
        for row in self.kept_mut() {
            // As rows of one width, so that ranks' parts are consecutive: numbers travel as they are, signs of zero
            // included, which a sum would lose.
            row.resize(blocks * BLOCK, T::zero());
            ranks.comm.all_gather_rows(owners, BLOCK, row);
            row.truncate(parameters);
        }
    }
}

fn needs_low_rank() -> Error {
    Error::Run("coefficients sample by sample need low-rank draws of a dense network".to_owned())
}
