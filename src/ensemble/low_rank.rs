//! The numbers of low-rank members of one step: drawn once, used by the forward map and by the mean's move.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, s};

use crate::ensemble::draw::{Draw, LARGEST_DRAW};
use crate::forward::low_rank::{About, LowRank, PreActivations, UNIT};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::exact_sum::Quantum;
use crate::kernels::real::Real;
use crate::kernels::threads::for_each;
use crate::parallel::ranks::Ranks;

/// This rank's members' standard normal numbers.
pub struct LowRankDraws<T> {
    rank: usize,
    /// Which members and draws `numbers` holds.
    held: Option<(Range<usize>, u64, u32)>,
    numbers: Array2<T>, // J/R x N
    shared: Vec<T>,
    /// The numbers that each unit of members gives to the mean's move by pre-activations.
    given: Vec<T>,
    rooms: Vec<Mutex<Vec<T>>>,
}

impl<T: Real> LowRankDraws<T> {
    /// No draws yet, of rank `rank`.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            held: None,
            numbers: Array2::zeros((0, 0)),
            shared: Vec::new(),
            given: Vec::new(),
            rooms: Vec::new(),
        }
    }

    /// Draws the numbers of the members `own`, unless they are held already.
    pub fn prepare(&mut self, ranks: Ranks, map: &dyn LowRank<T>, own: Range<usize>, draw: Draw) {
        let wanted = (own.clone(), draw.step, draw.purpose as u32);
        if self.held.as_ref() == Some(&wanted) {
            return;
        }
        let width = map.draws(self.rank);
        if self.numbers.dim() != (own.len(), width) {
            self.numbers = Array2::zeros((own.len(), width));
        }
        self.rooms
            .resize_with(ranks.pool.current_num_threads(), Mutex::default);
        for_each(
            ranks.pool,
            own.zip(self.numbers.rows_mut()),
            |_, (member, mut row)| {
                let row = row.as_slice_mut().expect("row-major");
                T::fill_normal(&draw.key(member, 0), 0, row);
            },
        );
        self.held = Some(wanted);
    }

    /// Evaluates the members held, `about` a centre with a spread, on `inputs`: `take` is handed each one's place and
    /// outputs, c x m.
    pub fn evaluate<P: Send>(
        &mut self,
        ranks: Ranks,
        map: &dyn LowRank<T>,
        about: (&[T], f64),
        inputs: ArrayView2<T>,
        mut places: impl Iterator<Item = P> + Send,
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let m = inputs.ncols();
        let about = share(map, about, inputs, (self.rank, &mut self.shared));
        let scratch = map.low_rank_scratch(UNIT, m, self.rank);
        let (numbers, rooms) = (&self.numbers, &self.rooms);
        let count = numbers.nrows();
        let units = (0..count).step_by(UNIT).map(move |start| {
            let unit = start..(start + UNIT).min(count);
            let places: Vec<P> = places.by_ref().take(unit.len()).collect();
            (unit, places)
        });
        for_each(ranks.pool, units, |thread, (unit, places)| {
            let mut room = rooms[thread].lock().expect("one thread each");
            if room.len() < scratch {
                room.resize(scratch, T::zero());
            }
            let mut places = places.into_iter();
            map.evaluate_low_rank(
                &about,
                numbers.slice(s![unit, ..]),
                inputs,
                &mut room,
                &mut |_, outputs| {
                    take(places.next().expect("a place for each member"), outputs);
                },
            );
        });
    }

    /// sum_k c_k xi_k over the members `own`, each unit's sum rounded so that sums over ranks are exact.
    pub fn sum(
        &self,
        ranks: Ranks,
        map: &dyn LowRank<T>,
        own: Range<usize>,
        coefficients: &[f64],
        sums: &mut [f64],
    ) {
        let largest = coefficients.iter().fold(0.0_f64, |m, c| m.max(c.abs()));
        let of_unit = largest * (UNIT * self.rank) as f64 * LARGEST_DRAW * LARGEST_DRAW;
        let quantum = Quantum::new(of_unit, coefficients.len().div_ceil(UNIT));
        let coefficients: Vec<T> = coefficients[own].iter().copied().map(T::from_f64).collect();
        let mut parts = Vec::new();
        let mut rest = sums;
        for (part, (_, length)) in map.parts().into_iter().enumerate() {
            let (sums, after) = std::mem::take(&mut rest).split_at_mut(length);
            rest = after;
            parts.push((part, sums));
        }
        for_each(ranks.pool, parts.into_iter(), |thread, (part, sums)| {
            let mut room = self.rooms[thread].lock().expect("one thread each");
            for start in (0..coefficients.len()).step_by(UNIT) {
                let unit = start..(start + UNIT).min(coefficients.len());
                let draws = self.numbers.slice(s![unit.clone(), ..]);
                map.accumulate(
                    part,
                    (draws, self.rank),
                    &coefficients[unit],
                    quantum,
                    sums,
                    &mut room,
                );
            }
        });
    }

    /// The mean's move by way of the layers' sums: the weights w, own x m, of the members `own`, on the step's `inputs`;
    /// each unit's sum rounded so that sums over ranks are exact, and all of it the same on all ranks. Called by all
    /// ranks.
    pub fn sum_by_layers(
        &mut self,
        ranks: Ranks,
        map: &dyn PreActivations<T>,
        about: (&[T], f64),
        (weights, inputs): (ArrayView2<T>, ArrayView2<T>),
        (members, sums): (usize, &mut [f64]),
    ) {
        let (m, count) = (inputs.ncols(), self.numbers.nrows());
        let about = share(map, about, inputs, (self.rank, &mut self.shared));
        let lengths = map.gives(m);
        let width: usize = lengths.iter().sum();
        let scratch = map.sums_scratch(m, self.rank);
        self.given.resize(count.div_ceil(UNIT) * width, T::zero());
        let (numbers, rooms) = (&self.numbers, &self.rooms);
        let units = (0..count).step_by(UNIT).zip(self.given.chunks_mut(width));
        for_each(ranks.pool, units, |thread, (start, out)| {
            let unit = start..(start + UNIT).min(count);
            let mut room = rooms[thread].lock().expect("one thread each");
            if room.len() < scratch {
                room.resize(scratch, T::zero());
            }
            let draws = numbers.slice(s![unit.clone(), ..]);
            let weights = weights.slice(s![unit, ..]);
            map.unit_sums(&about, (draws, weights), inputs, out, &mut room);
        });
        let mut total = vec![0.0; width];
        self.add_units(ranks, &lengths, members.div_ceil(UNIT), &mut total);
        map.assemble(inputs, &total, sums);
    }

    /// The sum over all units of what they gave, in parts of `lengths`, each with a quantum of its own.
    fn add_units(&self, ranks: Ranks, lengths: &[usize], units: usize, total: &mut [f64]) {
        let width = total.len();
        let mut largest = vec![0.0_f64; lengths.len()];
        for given in self.given.chunks(width) {
            let mut rest = given;
            for (largest, &length) in largest.iter_mut().zip(lengths) {
                let (part, after) = rest.split_at(length);
                *largest = part
                    .iter()
                    .fold(*largest, |most, x| most.max(x.as_f64().abs()));
                rest = after;
            }
        }
        ranks.comm.largest(&mut largest);
        let quanta: Vec<Quantum> = lengths
            .iter()
            .zip(&largest)
            .flat_map(|(&length, &largest)| {
                std::iter::repeat_n(Quantum::new(largest, units), length)
            })
            .collect();
        for given in self.given.chunks(width) {
            for ((total, &term), quantum) in total.iter_mut().zip(given).zip(&quanta) {
                *total += quantum.round(term.as_f64());
            }
        }
        ranks.comm.sum_exact(total);
    }

    /// Writes `member` of `draw` about `centre` with `spread`, in full.
    pub fn member(
        &self,
        map: &dyn LowRank<T>,
        (centre, spread): (&[T], f64),
        draw: Draw,
        member: usize,
        out: &mut [T],
    ) {
        let mut numbers = vec![T::zero(); map.draws(self.rank)];
        T::fill_normal(&draw.key(member, 0), 0, &mut numbers);
        map.member(
            &About {
                centre,
                shared: &[],
                spread,
                rank: self.rank,
            },
            &numbers,
            out,
        );
    }
}

/// Returns the numbers that all members about a centre share on `inputs`.
fn share<'a, T: Real>(
    map: &dyn LowRank<T>,
    (centre, spread): (&'a [T], f64),
    inputs: ArrayView2<T>,
    (rank, shared): (usize, &'a mut Vec<T>),
) -> About<'a, T> {
    let count = map.shared(inputs.ncols());
    shared.resize(count + LOST, T::zero());
    let shared = &mut aligned(shared)[..count];
    map.share(centre, inputs, shared);
    About {
        centre,
        shared,
        spread,
        rank,
    }
}
