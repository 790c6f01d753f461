//! The ensemble of which all members are kept, J x P over ranks.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{ArrayRef2, ArrayViewMut2, s};

use crate::ensemble::centre::{BlockMoments, DrawCentre, column_means, rounded_means};
use crate::ensemble::draw::digest_of;
use crate::ensemble::sample::{self, PriorSample, Whitening, of_blocks};
use crate::ensemble::stages::{Block, Redraw};
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::{MemberMove, Transform};
use crate::ensemble::{EnsembleState, Update};
use crate::error::{Error, Result};
use crate::forward::ForwardMap;
use crate::forward::prior::Prior;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::partition::{BLOCK, DRAWN, Partition};
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
    /// The members before the last step, own block by block, where it may be taken back.
    pub(crate) kept: Option<Vec<Vec<T>>>,
    /// The first members, where they are the prior and needed later.
    sample: Option<PriorSample<T>>,
    scratch: Vec<Mutex<Vec<T>>>,
}

impl<T: Real> FullEnsemble<T> {
    /// Returns the ensemble whose columns `fill` writes block by block, carried to the members' owners.
    pub fn new(
        ranks: Ranks,
        members: usize,
        prior: &Prior,
        momentum: bool,
        fill: impl Fn(usize, Range<usize>, &mut ArrayRef2<T>) + Sync,
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
            kept: None,
            sample: None,
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

    /// Keeps the members as they are now: the prior that members are drawn from later.
    pub fn track_sample(&mut self) {
        let blocks = self.current().iter().map(|(_, block)| block);
        self.sample = Some(PriorSample::of(self.layout.members.items(), blocks));
    }

    /// Makes room for `members` first members, to be filled section by section.
    pub fn make_room_for_sample(&mut self, members: usize) {
        let widths = self.layout.own_blocks();
        let widths = widths.map(|b| self.layout.blocks.range(b).len());
        self.sample = Some(PriorSample::blank(members, widths));
    }

    /// Finds the coordinates in which the first members are standard normal, of the sample that is kept. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks: a covariance that has no inverse.
    pub fn whiten_by_sample(&mut self, ranks: Ranks) -> Result<()> {
        match &mut self.sample {
            Some(sample) => sample.whiten(ranks, &self.layout),
            None => Ok(()),
        }
    }

    /// Returns the coordinates in which the first members are standard normal, if they have been found.
    #[must_use]
    pub fn whitening(&self) -> Option<&Whitening> {
        self.sample.as_ref()?.whitening.as_ref()
    }

    /// Returns the slab that holds u, the ensemble itself.
    pub fn current(&self) -> &Slab<T> {
        self.previous.as_ref().unwrap_or(&self.points)
    }

    /// Draws all members anew about their mean, after the update: what an epoch's end brings unless it is the run's.
    /// Momentum of members starts anew; that of the mean goes on unless it is to restart.
    pub fn redraw(&mut self, ranks: Ranks, prior: &Prior, redraw: Redraw) {
        let all = Survivors::new(vec![true; self.layout.members.items()]);
        let blocks = self.layout.blocks;
        // Those near may still read them.
        ranks.comm.host_barrier();
        let Self {
            points,
            previous,
            centres,
            sample,
            ..
        } = self;
        let mut samples = of_blocks(sample.as_ref());
        let mut centres = centres.as_mut().map(|centres| centres.iter_mut());
        let mut previous = previous.as_mut().map(|slab| slab.iter_mut());
        for (b, mut block) in points.iter_mut() {
            let mut previous = previous
                .as_mut()
                .and_then(Iterator::next)
                .map(|(_, block)| block);
            let current = previous.as_ref().unwrap_or(&block);
            let about: Vec<T> = match centres.as_mut().and_then(Iterator::next) {
                Some(centre) => {
                    if redraw.restart {
                        centre.drawn.clone_from(&centre.mean);
                    }
                    centre.drawn.clone()
                }
                None => rounded_means(current.view(), &all),
            };
            let law = (prior, samples.next().flatten());
            let draw = |block: &mut ArrayRef2<T>| {
                let all = (0..block.nrows(), blocks.range(b));
                redraw.fill(block, all, &about, law);
            };
            draw(&mut block);
            if let Some(previous) = &mut previous {
                draw(previous);
            }
        }
        drop((previous, samples));
        self.share(ranks);
    }

    /// Moves all blocks by `transform`, u <- u - h X (u - ubar), takes each through the stages of `update`, and sends it to its members'
    /// owners; returns the mean over parameters of the survivors' variance before the move, the same on all ranks. Called by
    /// all ranks.
    fn move_blocks(&mut self, ranks: Ranks, transform: &MemberMove<T>, update: &Update<T>) -> f64 {
        let (h, stages, step) = (update.length.h, update.stages, &update.step);
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
        let reads_before = stages.iter().any(|stage| stage.reads_before());
        let samples = of_blocks(self.sample.as_ref());
        let along = previous.zip(centres).zip(samples).zip(before.iter_mut());
        let (layout, scratch) = (self.layout, &self.scratch);
        layout.update_and_send(
            ranks.comm,
            ranks.pool,
            &mut self.points,
            &mut self.members,
            along,
            |thread, b, u, (((previous, centre), sample), before)| {
                let mut scratch = scratch[thread].lock().expect("one thread each");
                let columns = layout.blocks.range(b);
                let earlier = reads_before.then(|| u.to_owned());
                *before = transform.apply((columns.start, u), h, step.survivors, &mut scratch);
                let mut block = Block {
                    columns,
                    u,
                    previous,
                    before: earlier,
                    centre,
                    sample,
                    means_before: &before.means,
                };
                for stage in stages {
                    stage.apply(&mut block, step);
                }
                (update.after_block)();
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
}

impl<T: Real> EnsembleState<T> for FullEnsemble<T> {
    fn members(&self, _: Ranks) -> Partition {
        self.layout.members
    }

    fn parameters(&self) -> usize {
        self.layout.blocks.columns()
    }

    fn fill(&self, _: &dyn ForwardMap<T>, member: usize, out: &mut [T]) {
        self.members.gather(&self.points, member, out);
    }

    fn update(&mut self, ranks: Ranks, _: &dyn ForwardMap<T>, update: &Update<T>) -> Result<f64> {
        let Transform::Members(transform) = update.transform else {
            return Err(Error::Run(
                "an ensemble whose members are all kept needs a transform of them".to_owned(),
            ));
        };
        Ok(self.move_blocks(ranks, transform, update))
    }

    fn expand(&mut self, ranks: Ranks, count: usize, prior: &Prior, redraw: Redraw, all: bool) {
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
                block.slice_mut(s![..before, ..]).assign(&slab.block(b));
                let new = if all { 0..count } else { before..count };
                let own = b - old.own_blocks().start;
                let sample = self.sample.as_ref();
                let sample = sample.map(|all| sample::deviations(&all.blocks[own]));
                redraw.fill(block, (new, columns), &centre, (prior, sample));
            })
        };
        debug_assert_eq!(old.blocks, self.layout.blocks);
        let points = grow(&self.points);
        self.previous = self.previous.as_ref().map(grow);
        self.points = points;
        self.members = Members::new(&self.points);
        self.share(ranks);
    }

    /// The mean before momentum moves it on, where that is kept.
    fn mean(&self, ranks: Ranks) -> Vec<T> {
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

    fn extrapolates(&self) -> bool {
        self.previous.is_some()
    }

    fn swap(&mut self, ranks: Ranks) {
        if let Some(previous) = &mut self.previous {
            std::mem::swap(&mut self.points, previous);
            self.share(ranks);
        }
    }

    fn rows_on_first(
        &self,
        ranks: Ranks,
        _: &dyn ForwardMap<T>,
        rows: Range<usize>,
    ) -> Option<Vec<T>> {
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

    /// Returns the digest of u, over the digests of every `DRAWN` columns in order: it does not depend on the width of the blocks that ranks keep.
    fn digest(&self, ranks: Ranks) -> String {
        let shared = (ranks.comm, ranks.pool);
        let own = self
            .current()
            .map_block_groups(shared, DRAWN / BLOCK, digest_of);
        crate::parallel::ranks::digest_of(ranks, own.as_flattened())
    }

    fn arrays(&self) -> Vec<Array> {
        let mut arrays = vec![Array::Points];
        if self.centres.is_some() {
            arrays.extend([Array::Centre, Array::Mean]);
        }
        arrays.extend(self.previous.as_ref().map(|_| Array::Previous));
        arrays.extend(self.kept.as_ref().map(|_| Array::Kept));
        arrays.extend(self.sample.as_ref().map(|sample| Array::Sample {
            members: sample.members as u64,
        }));
        arrays
    }

    fn sections(&self, block: usize) -> Vec<&[T]> {
        let of = |slab| Slab::block(slab, block).to_slice().expect("row-major");
        let mut sections = vec![of(&self.points)];
        if let Some(centres) = &self.centres {
            let centre = &centres[block - self.layout.own_blocks().start];
            sections.extend([&centre.drawn[..], &centre.mean]);
        }
        sections.extend(self.previous.as_ref().map(of));
        let place = block - self.layout.own_blocks().start;
        sections.extend(self.kept.as_ref().map(|kept| &kept[place][..]));
        if let Some(sample) = &self.sample {
            let own = &sample.blocks[block - self.layout.own_blocks().start];
            sections.push(own.as_slice().expect("row-major"));
        }
        sections
    }

    fn sections_mut(&mut self, block: usize) -> Vec<&mut [T]> {
        let place = block - self.layout.own_blocks().start;
        let mut sections = vec![self.points.block_mut(block)];
        if let Some(centres) = &mut self.centres {
            let centre = &mut centres[place];
            sections.extend([&mut centre.drawn[..], &mut centre.mean]);
        }
        let previous = self.previous.as_mut();
        sections.extend(previous.map(|slab| slab.block_mut(block)));
        sections.extend(self.kept.as_mut().map(|kept| &mut kept[place][..]));
        if let Some(sample) = &mut self.sample {
            sections.push(sample.blocks[place].as_slice_mut().expect("row-major"));
        }
        sections
    }

    fn share(&mut self, ranks: Ranks) {
        self.layout.update_and_send(
            ranks.comm,
            ranks.pool,
            &mut self.points,
            &mut self.members,
            std::iter::repeat(()),
            |_, _, _, ()| (),
        );
    }
}
