//! The ensemble of which all members are kept, J x P over ranks.

use std::sync::Mutex;

use ndarray::{ArrayRef2, ArrayViewMut2};

use crate::ensemble::centre::{BlockMoments, DrawCentre, column_means, rounded_means};
use crate::ensemble::stages::{Block, Redraw, Stage, StepInput};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::MemberMove;
use crate::forward::prior::Prior;
use crate::kernels::real::Real;
use crate::parallel::partition::{BLOCK, DRAWN};
use crate::parallel::ranks::Ranks;
use crate::parallel::slab::{Layout, Members, Slab};

/// An ensemble whose members are all kept.
pub struct FullEnsemble<T> {
    pub(crate) layout: Layout,
    /// The points that the forward map is given: v with momentum, u without.
    pub(crate) points: Slab<T>,
    pub(crate) members: Members<T>,
    /// u, where momentum has moved `points` on to v.
    pub(crate) previous: Option<Slab<T>>,
    /// The centres of the members' draws, block by block, with a redraw at each step or momentum of the mean alone.
    pub(crate) centres: Option<Vec<DrawCentre<T>>>,
    scratch: Vec<Mutex<Vec<T>>>,
}

impl<T: Real> FullEnsemble<T> {
    /// Returns the ensemble whose columns `fill` writes block by block, carried to the members' owners.
    pub fn new(
        ranks: Ranks,
        members: usize,
        prior: &Prior,
        momentum: bool,
        fill: impl Fn(usize, std::ops::Range<usize>, &mut ArrayRef2<T>) + Sync,
    ) -> Self {
        let layout = Layout::new(ranks.comm, members, prior.parameters());
        let mut points = Slab::fill(ranks.comm, ranks.pool, &layout, fill);
        let mut held = Members::new(&points);
        layout.update_and_send(
            ranks.comm,
            ranks.pool,
            &mut points,
            &mut held,
            std::iter::repeat(()),
            |_, _, _, ()| (),
        );
        let previous = momentum.then(|| points.copy(ranks.comm, ranks.pool));
        let scratch = (0..ranks.pool.current_num_threads())
            .map(|_| Mutex::default())
            .collect();
        Self {
            layout,
            points,
            members: held,
            previous,
            centres: None,
            scratch,
        }
    }

    /// Keeps the centre of draws from now on, at first `centre`, P numbers: redraws at each step are about its move
    /// alone, and momentum may be of the mean alone.
    pub fn track_centre(&mut self, centre: &[T]) {
        let of_block = |b| {
            let drawn = centre[self.layout.blocks.range(b)].to_vec();
            DrawCentre {
                mean: drawn.clone(),
                drawn,
            }
        };
        self.centres = Some(self.layout.own_blocks().map(of_block).collect());
    }

    /// Returns the slab that holds u, the ensemble itself.
    pub fn current(&self) -> &Slab<T> {
        self.previous.as_ref().unwrap_or(&self.points)
    }

    /// Moves all blocks by `transform`, u <- u - h X (u - ubar), takes each through the `stages`, and sends it to its members'
    /// owners; returns the mean over parameters of the survivors' variance before the move, the same on all ranks. Called by
    /// all ranks.
    pub fn update(
        &mut self,
        ranks: Ranks,
        (transform, h): (&MemberMove<T>, f64),
        stages: &[Box<dyn Stage<T>>],
        step: &StepInput,
    ) -> f64 {
        let mut before = vec![BlockMoments::default(); self.layout.own_blocks().len()];
        let previous: Box<dyn Iterator<Item = Option<ArrayViewMut2<T>>> + Send> =
            match &mut self.previous {
                Some(slab) => Box::new(slab.iter_mut().map(|(_, block)| Some(block))),
                None => Box::new(std::iter::repeat_with(|| None)),
            };
        let centres: Box<dyn Iterator<Item = Option<&mut DrawCentre<T>>> + Send> =
            match &mut self.centres {
                Some(centres) => Box::new(centres.iter_mut().map(Some)),
                None => Box::new(std::iter::repeat_with(|| None)),
            };
        let along = previous.zip(centres).zip(before.iter_mut());
        let (layout, scratch) = (self.layout, &self.scratch);
        layout.update_and_send(
            ranks.comm,
            ranks.pool,
            &mut self.points,
            &mut self.members,
            along,
            |thread, b, u, ((previous, centre), before)| {
                let mut scratch = scratch[thread].lock().expect("one thread each");
                *before = transform.apply(u, h, step.survivors, &mut scratch);
                let mut block = Block {
                    columns: layout.blocks.range(b),
                    u,
                    previous,
                    centre,
                    means_before: &before.means,
                };
                for stage in stages {
                    stage.apply(&mut block, step);
                }
            },
        );
        let mut squares = vec![0.0; layout.blocks.count()];
        for (place, block) in squares[layout.own_blocks()].iter_mut().zip(&before) {
            *place = block.squares;
        }
        ranks.comm.sum_exact(&mut squares);
        let sum: f64 = squares.iter().sum();
        sum / (step.survivors.count() * layout.blocks.columns()) as f64
    }

    /// Adds members up to `count`, drawn about the mean; with `all` the others are drawn anew too. Called by all ranks.
    pub fn expand(&mut self, ranks: Ranks, count: usize, prior: &Prior, redraw: Redraw, all: bool) {
        let before = self.layout.members.items();
        let survivors = Survivors::new(vec![true; before]);
        let old = std::mem::replace(
            &mut self.layout,
            Layout::new(ranks.comm, count, prior.parameters()),
        );
        let grow = |slab: &Slab<T>| {
            Slab::fill(ranks.comm, ranks.pool, &self.layout, |b, columns, block| {
                let centre: Vec<T> = match &self.centres {
                    Some(centres) => centres[b - old.own_blocks().start].drawn.clone(),
                    None => rounded_means(self.current().block(b), &survivors),
                };
                block
                    .slice_mut(ndarray::s![..before, ..])
                    .assign(&slab.block(b));
                let new = if all { 0..count } else { before..count };
                let law = (prior, redraw.spread);
                redraw.draw.fill_block(new, columns, &centre, law, block);
            })
        };
        debug_assert_eq!(old.blocks, self.layout.blocks);
        let points = grow(&self.points);
        self.previous = self.previous.as_ref().map(grow);
        self.points = points;
        self.members = Members::new(&self.points);
        self.exchange(ranks);
    }

    /// Carries the points to their members' owners as they stand.
    pub fn exchange(&mut self, ranks: Ranks) {
        self.layout.update_and_send(
            ranks.comm,
            ranks.pool,
            &mut self.points,
            &mut self.members,
            std::iter::repeat(()),
            |_, _, _, ()| (),
        );
    }

    /// Swaps u in for v at the members' owners where momentum moves members on, or back. Called by all ranks.
    pub fn swap(&mut self, ranks: Ranks) {
        if let Some(previous) = &mut self.previous {
            std::mem::swap(&mut self.points, previous);
            self.exchange(ranks);
        }
    }

    /// Returns the mean of u (where it is kept, what the members are about before momentum), P numbers, on all ranks.
    pub fn mean(&self, ranks: Ranks) -> Vec<T> {
        let all = Survivors::new(vec![true; self.layout.members.items()]);
        let mut mean = vec![0.0; self.layout.blocks.columns()];
        for (i, (b, block)) in self.current().iter().enumerate() {
            let of_block = match &self.centres {
                Some(centres) => centres[i].mean.iter().map(|x| x.as_f64()).collect(),
                None => column_means(block, &all),
            };
            mean[self.layout.blocks.range(b)].copy_from_slice(&of_block);
        }
        // Each number is zero on all ranks but its owner: the sum is exact.
        ranks.comm.sum_exact(&mut mean);
        mean.into_iter().map(T::from_f64).collect()
    }

    /// Copies `member`'s point, one of this rank's, to `out`.
    pub fn gather(&self, member: usize, out: &mut [T]) {
        self.members.gather(&self.points, member, out);
    }

    /// Rows `rows` of u on rank 0, row-major; nothing elsewhere.
    pub fn rows_on_first(&self, ranks: Ranks, rows: std::ops::Range<usize>) -> Option<Vec<T>> {
        let own: Vec<T> = rows
            .clone()
            .flat_map(|j| {
                self.current()
                    .iter()
                    .flat_map(move |(_, block)| block.row(j).to_vec())
            })
            .collect();
        let parts = ranks.comm.gather(bytemuck::cast_slice(&own));
        ranks.comm.is_first().then(|| {
            let mut whole = Vec::with_capacity(rows.len() * self.layout.blocks.columns());
            for row in 0..rows.len() {
                for part in &parts {
                    let width = part.len() / rows.len();
                    whole.extend(bytemuck::pod_collect_to_vec::<u8, T>(
                        &part[row * width..(row + 1) * width],
                    ));
                }
            }
            whole
        })
    }
}

/// Returns the digest of u: SHA-256 over that of every `DRAWN` columns in order, as hexadecimal; the same on all ranks. It does not
/// tell how wide the blocks are that ranks keep.
pub fn digest<T: Real>(ranks: Ranks, slab: &Slab<T>) -> String {
    let shared = (ranks.comm, ranks.pool);
    let own = slab.map_block_groups(shared, DRAWN / BLOCK, crate::ensemble::draw::digest_of);
    crate::parallel::ranks::digest_of(ranks, own.as_flattened())
}
