//! The interaction D of all members, put together by all ranks from the outputs each has of its own members.
//!
//! ```text
//! explicit: outputs J/R x K -> sample slabs J x K/R -> partial V W^T, summed exactly -> D on every rank
//! factored: outputs J/R x K -> gathered J x K -> V, W on every rank; ||D||_F from tiles that the ranks share out
//! mean:     as factored, then c = W vbar / J
//! ```
//!
//! Partial products are formed per fixed block of samples and rounded to a common quantum before they are summed
//! (`exact`), so D has the same bits for any number of ranks and threads.

use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, s};
use rayon::ThreadPool;

use crate::comm::Comm;
use crate::eki::{self, Form, Survivors};
use crate::exact::Quantum;
use crate::layout::for_each;
use crate::loss::Loss;
use crate::panel::{Packed, ROWS, pack_part};
use crate::partition::{Blocks, Partition};
use crate::real::{Real, product};
use crate::spare::Spare;

/// D of one step, in the run's form, the same on every rank.
#[derive(Debug)]
pub enum Interaction<T> {
    /// The matrix itself, J x J.
    Explicit(Packed<T>),
    /// Its factors: D = gradients anomalies / J.
    Factored {
        /// V, J x K.
        gradients: Packed<T>,
        /// W^T, K x J.
        anomalies: Packed<T>,
    },
    /// The coefficients c of the mean's move, J numbers.
    Mean(Vec<f64>),
    /// The same sample by sample, of this rank's members alone: J/R x m, row k sums to c_k.
    Samples(Array2<T>),
}

impl<T: Real> Interaction<T> {
    /// Leaves its room to `spare`, where it is from there.
    pub fn give_back(self, spare: &Spare<T>) {
        match self {
            Self::Explicit(d) => d.give_back(spare),
            Self::Factored {
                gradients,
                anomalies,
            } => {
                gradients.give_back(spare);
                anomalies.give_back(spare);
            }
            Self::Mean(_) | Self::Samples(_) => (),
        }
    }
}

/// What all ranks bring to one interaction.
pub struct Outputs<'a, T> {
    /// Selected outputs of this rank's members, J/R x K.
    pub selected: &'a Array2<T>,
    /// Targets of the K numbers.
    pub targets: &'a [T],
    /// The loss whose gradients enter D.
    pub loss: &'a Loss,
    /// The members that count.
    pub survivors: &'a Survivors,
    /// Members over ranks.
    pub members: Partition,
    /// In the mean form, the samples m, where the coefficients are wanted sample by sample.
    pub samples: Option<usize>,
    /// Whether the update is to be by products of bfloat16.
    pub mixed: bool,
    /// Room of earlier steps.
    pub spare: &'a Spare<T>,
}

/// Rows of D computed as one task; part of the format, since the kernel's rounding may depend on the shape.
pub const PANEL: usize = 10 * ROWS;

impl<T: Real> Outputs<'_, T> {
    /// D in the form asked for, and its Frobenius norm; the same bits on all ranks.
    #[must_use]
    pub fn interaction(&self, comm: &Comm, pool: &ThreadPool, form: Form) -> (Interaction<T>, f64) {
        match form {
            Form::Explicit => {
                let (d, norm) = self.explicit(comm, pool);
                (
                    Interaction::Explicit(d.paired_if(self.mixed, self.spare)),
                    norm,
                )
            }
            Form::Factored => {
                let (gradients, anomalies) = self.factors(comm, pool);
                let norm = self.factored_norm(comm, pool, &gradients, &anomalies);
                let pack = |matrix: ArrayView2<T>| {
                    pack(pool, matrix, self.spare).paired_if(self.mixed, self.spare)
                };
                let factors = (pack(gradients.view()), pack(anomalies.t()));
                self.spare.keep_array(gradients);
                self.spare.keep_array(anomalies);
                let (gradients, anomalies) = factors;
                (
                    Interaction::Factored {
                        gradients,
                        anomalies,
                    },
                    norm,
                )
            }
            Form::Mean => {
                let (gradients, anomalies) = self.factors(comm, pool);
                let norm = self.factored_norm(comm, pool, &gradients, &anomalies);
                let interaction = self.of_mean(comm, gradients.view(), anomalies.view());
                self.spare.keep_array(gradients);
                self.spare.keep_array(anomalies);
                (interaction, norm)
            }
        }
    }

    /// The coefficients of the mean's move, from V and W.
    fn of_mean(&self, comm: &Comm, v: ArrayView2<T>, w: ArrayView2<T>) -> Interaction<T> {
        let Some(samples) = self.samples else {
            return Interaction::Mean(eki::mean_coefficients(v, w, self.survivors));
        };
        let mean_gradient = eki::column_means(v, self.survivors);
        let own = w.slice(s![self.members.range(comm.rank()), ..]);
        let count = self.survivors.count();
        Interaction::Samples(eki::sample_coefficients(
            own,
            &mean_gradient,
            count,
            samples,
        ))
    }

    /// All members' outputs for this rank's blocks of samples, J x w each, with the blocks' numbers.
    fn sample_slabs(
        &self,
        comm: &Comm,
        blocks: Blocks,
        owners: Partition,
    ) -> Vec<(usize, Array2<T>)> {
        let rank = comm.rank();
        let (own, rows) = (owners.range(rank), self.members.range(rank));
        let mut slabs: Vec<_> = own
            .clone()
            .map(|b| {
                (
                    b,
                    Array2::<T>::zeros((self.members.items(), blocks.range(b).len())),
                )
            })
            .collect();
        let pack = |b: usize| self.selected.slice(s![.., blocks.range(b)]);
        let packed: Vec<(usize, Array2<T>)> = (0..blocks.count())
            .filter(|b| !own.contains(b))
            .map(|b| (owners.owner(b), pack(b).as_standard_layout().into_owned()))
            .collect();
        let receives = slabs.iter_mut().flat_map(|(b, slab)| {
            let width = blocks.range(*b).len();
            let mut rest = slab.as_slice_mut().expect("row-major");
            let mut parts = Vec::new();
            for (from, rows) in self.members.ranges().enumerate() {
                let (part, after) = std::mem::take(&mut rest).split_at_mut(rows.len() * width);
                rest = after;
                if from != rank {
                    parts.push((from, part));
                }
            }
            parts
        });
        comm.exchange(
            receives,
            packed
                .iter()
                .map(|(to, part)| (*to, part.as_slice().expect("row-major"))),
        );
        for (b, slab) in &mut slabs {
            slab.slice_mut(s![rows.clone(), ..]).assign(&pack(*b));
        }
        slabs
    }

    /// D, J x J, and ||D||_F: each rank's blocks of samples give a partial product, and an allreduce sums them.
    fn explicit(&self, comm: &Comm, pool: &ThreadPool) -> (Packed<T>, f64) {
        let (members, k) = (self.members.items(), self.targets.len());
        let blocks = Blocks::new(k);
        let owners = Partition::new(blocks.count(), comm.size());
        let mut slabs = self.sample_slabs(comm, blocks, owners);
        let bounds = Mutex::new(0.0_f64);
        let gradients: Vec<Mutex<Array2<T>>> = slabs
            .iter()
            .map(|(_, w)| Mutex::new(Array2::zeros(w.dim())))
            .collect();
        for_each(pool, slabs.iter_mut().zip(&gradients), |_, ((b, w), v)| {
            let columns = blocks.range(*b);
            let mut v = v.lock().expect("no thread panicked");
            let y = &self.targets[columns.clone()];
            eki::anomalies_and_gradients(
                w.view_mut(),
                v.view_mut(),
                y,
                columns.start,
                self.loss,
                self.survivors,
            );
            let bound = eki::largest_row(v.view()) * eki::largest_row(w.view());
            let mut bounds = bounds.lock().expect("no thread panicked");
            *bounds = bounds.max(bound);
        });
        let factors: Vec<(Array2<T>, &Array2<T>)> = gradients
            .into_iter()
            .zip(&slabs)
            .map(|(v, (_, w))| (v.into_inner().expect("no thread panicked"), w))
            .collect();
        let mut bound = [bounds.into_inner().expect("no thread panicked")];
        comm.largest(&mut bound);
        // A computed entry may pass the bound by rounding: twice is plenty.
        let quantum = Quantum::new(2.0 * bound[0], blocks.count());
        self.sum_panels(comm, pool, members, &factors, quantum)
    }

    /// Panels of rows of D, a few at a time: partial products per block of samples, rounded, summed, reduced.
    fn sum_panels(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        members: usize,
        factors: &[(Array2<T>, &Array2<T>)],
        quantum: Quantum,
    ) -> (Packed<T>, f64) {
        let threads = pool.current_num_threads();
        let count = self.survivors.count() as f64;
        let mut d = Packed::unfilled(members, members, self.spare);
        let mut parts = d.parts_mut();
        let mut squares = vec![0.0; members];
        let wave = 4 * threads * PANEL;
        let mut sums = vec![0.0_f64; wave.min(members.next_multiple_of(PANEL)) * members];
        let scratch: Vec<Mutex<Vec<T>>> = (0..threads)
            .map(|_| Mutex::new(vec![T::zero(); PANEL * members]))
            .collect();
        for first in (0..members).step_by(wave) {
            let rows = wave.min(members - first);
            let sums = &mut sums[..rows * members];
            for_each(
                pool,
                sums.chunks_mut(PANEL * members).enumerate(),
                |thread, (panel, sum)| {
                    let start = first + panel * PANEL;
                    let height = sum.len() / members;
                    let mut partial = scratch[thread].lock().expect("one thread each");
                    sum.fill(0.0);
                    for (v, w) in factors {
                        let mut partial = crate::ensemble::matrix(&mut partial, height, members);
                        let v = v.slice(s![start..start + height, ..]);
                        product(partial.view_mut(), T::zero(), T::one(), v, w.t());
                        for (sum, &term) in
                            sum.iter_mut().zip(partial.as_slice().expect("row-major"))
                        {
                            *sum += quantum.round(term.wide());
                        }
                    }
                },
            );
            comm.sum_exact(sums);
            let places = parts.by_ref().take(rows.div_ceil(ROWS));
            let rows = sums
                .chunks(ROWS * members)
                .zip(squares[first..].chunks_mut(ROWS));
            for_each(pool, places.zip(rows), |_, (part, (sums, squares))| {
                for ((row, sums), square) in sums.chunks(members).enumerate().zip(squares) {
                    for (part, sum) in part.chunks_exact_mut(ROWS).zip(sums) {
                        let entry = sum / count;
                        *square += entry * entry;
                        part[row] = T::of(entry);
                    }
                }
            });
        }
        (d, squares.iter().sum::<f64>().sqrt())
    }

    /// V and W, J x K each, on every rank.
    fn factors(&self, comm: &Comm, pool: &ThreadPool) -> (Array2<T>, Array2<T>) {
        let (members, k) = (self.members.items(), self.targets.len());
        let own = self.members.range(comm.rank());
        let mut anomalies = self.spare.array(members, k);
        anomalies.slice_mut(s![own, ..]).assign(self.selected);
        comm.all_gather_rows(
            self.members,
            k,
            anomalies.as_slice_mut().expect("row-major"),
        );
        let mut gradients = self.spare.array(members, k);
        // Means run down all members, so the work is cut by rows only after they are known.
        let means: Vec<T> = eki::column_means(anomalies.view(), self.survivors)
            .into_iter()
            .map(T::of)
            .collect();
        let rows = anomalies
            .rows_mut()
            .into_iter()
            .zip(gradients.rows_mut())
            .enumerate();
        for_each(pool, rows, |_, (j, (mut w, mut v))| {
            if !self.survivors.contains(j) {
                w.fill(T::zero());
                v.fill(T::zero());
                return;
            }
            let (w, v) = (
                w.as_slice_mut().expect("row-major"),
                v.as_slice_mut().expect("row-major"),
            );
            self.loss.gradient(w, self.targets, 0, v);
            w.iter_mut().zip(&means).for_each(|(w, &mean)| *w -= mean);
        });
        (gradients, anomalies)
    }

    /// ||V W^T||_F / J from tiles that ranks and threads share out.
    fn factored_norm(&self, comm: &Comm, pool: &ThreadPool, v: &Array2<T>, w: &Array2<T>) -> f64 {
        let tiles = eki::norm_tiles(v.nrows(), v.ncols());
        let own = Partition::new(tiles.len(), comm.size()).range(comm.rank());
        let mut parts = vec![0.0; tiles.len()];
        let scratch: Vec<Mutex<Vec<T>>> = (0..pool.current_num_threads())
            .map(|_| Mutex::new(self.spare.take(0)))
            .collect();
        for_each(
            pool,
            parts[own.clone()].iter_mut().zip(&tiles[own]),
            |thread, (part, &tile)| {
                *part = eki::norm_tile(
                    v.view(),
                    w.view(),
                    tile,
                    &mut scratch[thread].lock().expect("one thread each"),
                );
            },
        );
        for room in scratch {
            self.spare
                .keep(room.into_inner().expect("no thread panicked"));
        }
        // Every part is zero but on the rank that computed it: the sum is exact.
        comm.sum_exact(&mut parts);
        parts.iter().sum::<f64>().max(0.0).sqrt() / self.survivors.count() as f64
    }
}

/// `matrix` as the left operand of the update's products, put together by all threads.
fn pack<T: Real>(pool: &ThreadPool, matrix: ArrayView2<T>, spare: &Spare<T>) -> Packed<T> {
    let rows = matrix.nrows();
    let mut packed = Packed::unfilled(rows, matrix.ncols(), spare);
    for_each(
        pool,
        packed.parts_mut().enumerate(),
        |_, (part, numbers)| {
            let own = part * ROWS..rows.min((part + 1) * ROWS);
            pack_part(matrix.slice(s![own, ..]), numbers);
        },
    );
    packed
}
