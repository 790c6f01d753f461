//! The explicit form: each rank makes rows of D from all outputs; or, where these are many, outputs go to sample slabs, and
//! D is the sum over all ranks of their slabs' products.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::ThreadPool;

use crate::kernels::buffers::BufferPool;
use crate::kernels::exact_sum::Quantum;
use crate::kernels::panel;
use crate::kernels::panel::{Packed, ROWS, Target, in_panels, multiply, pack_part, to_panels};
use crate::kernels::real::{Real, inner, product};
use crate::kernels::threads::for_each;
use crate::method::anomalies;
use crate::method::outputs::{Factors, Outputs, ROWS_PER_TASK};
use crate::parallel::comm::Comm;
use crate::parallel::partition::{Blocks, OUTPUTS, Partition};

/// Rows `scale` v W^T of D, for at most `ROWS_PER_TASK` rows v of V, as a `Packed` holds them, and the sum of each one's squares;
/// with W^T, K x `members`, in panels.
pub(crate) fn rows_of_d<T: Real>(
    v: ArrayView2<T>,
    (w, members): (&[T], usize),
    scale: T,
    (out, squares): (&mut [T], &mut [f64]),
    buffers: &BufferPool<T>,
) {
    let v = Packed::within(v, buffers);
    let mut rows = buffers.array(v.rows(), members);
    let mut target = Target {
        numbers: rows.as_slice_mut().expect("row-major"),
        panel: panel::PANEL,
        row: members,
        columns: members,
    };
    multiply(&v, w, false, scale, &mut target);
    v.recycle(buffers);
    for (row, square) in rows.rows().into_iter().zip(squares) {
        let row = row.to_slice().expect("row-major");
        *square = inner(row, row);
    }
    let parts = rows.axis_chunks_iter(Axis(0), ROWS);
    for (rows, out) in parts.zip(out.chunks_mut(ROWS * members)) {
        pack_part(rows, out);
    }
    buffers.put_array(rows);
}

impl<T: Real> Outputs<'_, T> {
    /// D, J x J, and ||D||_F: each rank makes whole rows, which all ranks then have.
    pub(crate) fn explicit_by_rows(&self, comm: &Comm, pool: &ThreadPool) -> (Packed<T>, f64) {
        let (members, outputs) = (self.members.items(), self.targets.len());
        let own = Partition::in_units(members, comm.size(), ROWS).range(comm.rank());
        let Factors {
            gradients,
            anomalies,
            ..
        } = self.factors(comm, pool, own.clone());
        // W^T in panels: each of the members in it.
        let mut w = self.buffers.aligned(in_panels(outputs, members));
        let panels = w.chunks_mut((outputs * panel::PANEL).max(1));
        for_each(pool, panels.enumerate(), |_, (p, panel)| {
            let rows = p * panel::PANEL..members.min((p + 1) * panel::PANEL);
            to_panels(anomalies.slice(s![rows, ..]).reversed_axes(), panel);
        });
        self.buffers.put_array(anomalies);
        let mut d = Packed::unfilled(members, members, self.buffers);
        let mut squares = vec![0.0; members];
        let tasks = d.numbers_mut()[own.start * members..]
            .chunks_mut(ROWS_PER_TASK * members)
            .zip(squares[own].chunks_mut(ROWS_PER_TASK))
            .zip(gradients.axis_chunks_iter(Axis(0), ROWS_PER_TASK));
        let scale = T::from_f64(1.0 / self.survivors.count() as f64);
        for_each(pool, tasks, |_, ((out, squares), v)| {
            rows_of_d(v, (&w, members), scale, (out, squares), self.buffers);
        });
        self.buffers.put_array(gradients);
        self.buffers.put(w.into_buffer());
        let parts = Partition::new(members.div_ceil(ROWS), comm.size());
        comm.all_gather_rows(parts, ROWS * members, d.numbers_mut());
        // Every row's is zero but on the rank that made it: the sum is exact.
        comm.sum_exact(&mut squares);
        (d, squares.iter().sum::<f64>().sqrt())
    }

    /// Gathers all members' outputs for this rank's blocks of samples, J x w each, with the numbers of these outputs. Called by all ranks.
    pub(crate) fn sample_slabs(&self, comm: &Comm) -> Vec<(Range<usize>, Array2<T>)> {
        let (blocks, rank) = (Blocks::of_width(self.targets.len(), OUTPUTS), comm.rank());
        let owners = Partition::new(blocks.count(), comm.size());
        let (own, rows) = (owners.range(rank), self.members.range(rank));
        let mut slabs: Vec<_> = own
            .clone()
            .map(|b| blocks.range(b))
            .map(|columns| {
                let slab = Array2::<T>::zeros((self.members.items(), columns.len()));
                (columns, slab)
            })
            .collect();
        let pack = |columns: &Range<usize>| self.selected.slice(s![.., columns.clone()]);
        let packed: Vec<(usize, Array2<T>)> = (0..blocks.count())
            .filter(|b| !own.contains(b))
            .map(|b| {
                let part = pack(&blocks.range(b));
                (owners.owner(b), part.as_standard_layout().into_owned())
            })
            .collect();
        let receives = slabs.iter_mut().flat_map(|(columns, slab)| {
            let width = columns.len();
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
        for (columns, slab) in &mut slabs {
            slab.slice_mut(s![rows.clone(), ..]).assign(&pack(columns));
        }
        slabs
    }

    /// D, J x J, and ||D||_F: each rank's blocks of samples give a partial product, and an allreduce sums them.
    pub(crate) fn explicit_by_samples(&self, comm: &Comm, pool: &ThreadPool) -> (Packed<T>, f64) {
        let members = self.members.items();
        let mut slabs = self.sample_slabs(comm);
        let bounds = Mutex::new(0.0_f64);
        let mut gradients: Vec<Array2<T>> =
            slabs.iter().map(|(_, w)| Array2::zeros(w.dim())).collect();
        let slabs_and_gradients = slabs.iter_mut().zip(&mut gradients);
        for_each(pool, slabs_and_gradients, |_, ((columns, w), v)| {
            anomalies::anomalies_and_gradients(
                w.view_mut(),
                v.view_mut(),
                &self.targets[columns.clone()],
                columns.start,
                self.loss,
                self.survivors,
            );
            let bound = anomalies::largest_row(v.view()) * anomalies::largest_row(w.view());
            let mut bounds = bounds.lock().expect("no thread panicked");
            *bounds = bounds.max(bound);
        });
        let mut bound = [bounds.into_inner().expect("no thread panicked")];
        comm.largest(&mut bound);
        let [bound] = bound;
        let factors = gradients.iter().zip(&slabs);
        let factors: Vec<_> = factors.map(|(v, (_, w))| (v.view(), w.view())).collect();
        let count = self.survivors.count() as f64;
        let mut d = Packed::unfilled(members, members, self.buffers);
        let mut parts = d.parts_mut();
        let mut squares = vec![0.0; members];
        self.sum_panels(comm, pool, &factors, self.quantum(bound), |first, sums| {
            let rows = sums.len() / members;
            let places = parts.by_ref().take(rows.div_ceil(ROWS));
            let rows = sums
                .chunks(ROWS * members)
                .zip(squares[first..].chunks_mut(ROWS));
            for_each(pool, places.zip(rows), |_, (part, (sums, squares))| {
                for ((row, sums), square) in sums.chunks(members).enumerate().zip(squares) {
                    for (part, sum) in part.chunks_exact_mut(ROWS).zip(sums) {
                        let entry = sum / count;
                        *square += entry * entry;
                        part[row] = T::from_f64(entry);
                    }
                }
            });
        });
        drop(parts);
        (d, squares.iter().sum::<f64>().sqrt())
    }

    /// Returns the quantum that partial products of blocks of samples are rounded to, none of whose entries is beyond `bound`.
    pub(crate) fn quantum(&self, bound: f64) -> Quantum {
        // A computed entry may pass the bound by rounding: twice is plenty.
        Quantum::new(
            2.0 * bound,
            Blocks::of_width(self.targets.len(), OUTPUTS).count(),
        )
    }

    /// Panels of rows of a sum of A B^T over all ranks' pairs (A, B) in `factors`, each J x some samples: a few rows at a
    /// time, partial products rounded, summed, reduced; `take` is given the first row's number and the rows, J numbers each.
    pub(crate) fn sum_panels<N: Real>(
        &self,
        comm: &Comm,
        pool: &ThreadPool,
        factors: &[(ArrayView2<N>, ArrayView2<N>)],
        quantum: Quantum,
        mut take: impl FnMut(usize, &mut [f64]),
    ) {
        let (members, threads) = (self.members.items(), pool.current_num_threads());
        let wave = 4 * threads * ROWS_PER_TASK;
        let mut sums = vec![0.0_f64; wave.min(members.next_multiple_of(ROWS_PER_TASK)) * members];
        let scratch: Vec<Mutex<Vec<N>>> = (0..threads)
            .map(|_| Mutex::new(vec![N::zero(); ROWS_PER_TASK * members]))
            .collect();
        for first in (0..members).step_by(wave) {
            let rows = wave.min(members - first);
            let sums = &mut sums[..rows * members];
            for_each(
                pool,
                sums.chunks_mut(ROWS_PER_TASK * members).enumerate(),
                |thread, (panel, sum)| {
                    let start = first + panel * ROWS_PER_TASK;
                    let height = sum.len() / members;
                    let mut partial = scratch[thread].lock().expect("one thread each");
                    sum.fill(0.0);
                    for (v, w) in factors {
                        let mut partial =
                            crate::ensemble::draw::matrix(&mut partial, height, members);
                        let v = v.slice(s![start..start + height, ..]);
                        product(partial.view_mut(), N::zero(), N::one(), v, w.t());
                        for (sum, &term) in
                            sum.iter_mut().zip(partial.as_slice().expect("row-major"))
                        {
                            *sum += quantum.round(term.as_f64());
                        }
                    }
                },
            );
            comm.sum_exact(sums);
            take(first, sums);
        }
    }
}
