//! The ensemble kept whole, J x P over ranks: the explicit and the factored form, with momentum and re-randomisation.

use crate::ensemble::momentum;
use crate::ensemble::transform;
use ndarray::{Array1, ArrayRef2, ArrayView2, ArrayViewMut2};
use std::ops::Range;
use std::sync::Mutex;

use crate::ensemble::centre::{BlockMoments, column_means};
use crate::ensemble::draw::{Draw, replace_failed};
use crate::ensemble::mean::StepLength;
use crate::ensemble::survivors::Survivors;
use crate::ensemble::transform::Form;
use crate::ensemble::transform::Transform;
use crate::forward::prior::Prior;
use crate::kernels::real::Real;
use crate::parallel::partition::{BLOCK, DRAWN};
use crate::parallel::ranks::Ranks;
use crate::parallel::slab::{Layout, Members, Slab};

/// An ensemble whose members are all kept.
pub struct FullEnsemble<T> {
    pub(crate) layout: Layout,
    /// What the forward map is given: v with momentum, u without.
    pub(crate) points: Slab<T>,
    pub(crate) members: Members<T>,
    /// u, where momentum has moved `points` on to v.
    pub(crate) previous: Option<Slab<T>>,
    /// With a re-draw at each step, or momentum of the mean alone: what the present members are about.
    pub(crate) centres: Option<Vec<DrawCentre<T>>>,
    scratch: Vec<Mutex<Vec<T>>>,
}

/// What a block's members are about, their draws' own mean left out, and that before momentum extrapolated it.
#[derive(Clone)]
pub(crate) struct DrawCentre<T> {
    pub(crate) drawn: Vec<T>,
    pub(crate) mean: Vec<T>,
}

/// A re-randomisation that is due.
#[derive(Clone, Copy, Debug)]
pub struct Redraw {
    /// Which draws.
    pub draw: Draw,
    /// sqrt(gamma).
    pub spread: f64,
    /// Whether momentum starts anew.
    pub restart: bool,
}

/// One step's update of an ensemble that is kept.
pub struct Update<'a, T> {
    /// D.
    pub interaction: &'a Transform<T>,
    /// h_n, and the momentum coefficient.
    pub length: StepLength,
    /// The batch's inputs, d x m.
    pub inputs: ArrayView2<'a, T>,
    /// Who moves.
    pub survivors: &'a Survivors,
    /// The draws of failed members' replacements.
    pub replacements: Draw,
    /// What deviations from the mean are multiplied by after the update.
    pub inflation: f64,
    /// A re-randomisation after the update.
    pub redraw: Option<Redraw>,
    /// The parameters in which members then differ; all but in the mean form.
    pub differing: Range<usize>,
}

impl<T: Real> FullEnsemble<T> {
    /// The ensemble whose columns `fill` writes block by block, carried to the members' owners.
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

    /// From now on what members are about, at first `centre`, is kept beside them: re-draws at each step are about its move
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

    /// The slab that holds u, the ensemble itself.
    pub fn current(&self) -> &Slab<T> {
        self.previous.as_ref().unwrap_or(&self.points)
    }

    /// One update of all blocks, and the exchange; returns the sum of squared deviations of each of this rank's
    /// blocks before the update.
    pub fn update(&mut self, ranks: Ranks, prior: &Prior, update: &Update<T>) -> Vec<f64> {
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
                *before = update.move_block(u, &mut scratch);
                replace_failed(u, update.replacements, update.survivors);
                update.inflate(u);
                update.finish_block(
                    layout.blocks.range(b),
                    u,
                    previous,
                    centre,
                    &before.means,
                    prior,
                );
            },
        );
        before.into_iter().map(|block| block.squares).collect()
    }

    /// More members, to `count`, drawn about the mean; or all drawn anew where `all`.
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
                    None => column_means(self.current().block(b), &survivors)
                        .into_iter()
                        .map(T::from_f64)
                        .collect(),
                };
                block
                    .slice_mut(ndarray::s![..before, ..])
                    .assign(&slab.block(b));
                let new = if all { 0..count } else { before..count };
                redraw
                    .draw
                    .fill_block(new, columns, &centre, (prior, redraw.spread), block);
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

    /// With momentum, the members' owners hold v: swaps u in for them, or back.
    pub fn swap(&mut self, ranks: Ranks) {
        if let Some(previous) = &mut self.previous {
            std::mem::swap(&mut self.points, previous);
            self.exchange(ranks);
        }
    }

    /// The mean of u (where it is kept, what the members are about before momentum), P numbers, on all ranks.
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

impl<T: Real> Update<'_, T> {
    /// u <- u - h_n D u on one block.
    fn move_block(&self, u: &mut ArrayRef2<T>, scratch: &mut Vec<T>) -> BlockMoments {
        let (members, width) = u.dim();
        match self.interaction {
            Transform::Matrix(d) => {
                scratch.resize(
                    transform::update_scratch(Form::Explicit, members, 0, width),
                    T::zero(),
                );
                transform::update_explicit(u, d, self.length.h, self.survivors, scratch)
            }
            Transform::Factors {
                gradients,
                anomalies,
                localised,
            } => {
                scratch.resize(
                    transform::update_scratch(Form::Factored, members, anomalies.rows(), width),
                    T::zero(),
                );
                transform::update_factored(
                    u,
                    (gradients, anomalies),
                    localised.as_ref(),
                    self.length.h,
                    self.survivors,
                    scratch,
                )
            }
            Transform::Mean(_) | Transform::MeanBySample(_) => {
                unreachable!("the mean form keeps no members")
            }
        }
    }

    /// u <- ubar + inflation (u - ubar) on one block.
    fn inflate(&self, u: &mut ArrayRef2<T>) {
        if self.inflation == 1.0 {
            return;
        }
        let all = Survivors::new(vec![true; u.nrows()]);
        let means: Vec<T> = column_means(u.view(), &all)
            .into_iter()
            .map(T::from_f64)
            .collect();
        let factor = T::from_f64(self.inflation);
        for mut row in u.rows_mut() {
            let row = row.iter_mut().zip(&means);
            row.for_each(|(x, &mean)| *x = mean + factor * (*x - mean));
        }
    }

    /// Momentum, then the re-draw if one is due.
    fn finish_block(
        &self,
        columns: Range<usize>,
        u: &mut ArrayRef2<T>,
        previous: Option<ArrayViewMut2<T>>,
        centre: Option<&mut DrawCentre<T>>,
        before: &[f64],
        prior: &Prior,
    ) {
        let all = Survivors::new(vec![true; u.nrows()]);
        let restarts = self.redraw.is_some_and(|redraw| redraw.restart);
        let momentum = if restarts { 0.0 } else { self.length.momentum };
        let draw = |redraw: Redraw, about: &[T], block: &mut ArrayRef2<T>| {
            redraw.draw.fill_block(
                0..block.nrows(),
                columns.clone(),
                about,
                (prior, redraw.spread),
                block,
            );
        };
        if let Some(centre) = centre {
            centre.follow(before, &column_means(u.view(), &all), momentum);
            if let Some(redraw) = self.redraw {
                draw(redraw, &centre.drawn, u);
            } else {
                let ends = centre.drawn.iter().zip(&centre.mean);
                *u += &ends.map(|(&to, &from)| to - from).collect::<Array1<T>>();
            }
            return;
        }
        match (self.redraw, previous) {
            (Some(redraw), Some(mut previous)) => {
                let after = column_means(u.view(), &all);
                let old = column_means(previous.view(), &all);
                let mean: Vec<T> = after.iter().copied().map(T::from_f64).collect();
                let moves = mean.iter().zip(after.iter().zip(&old));
                let points: Vec<T> = moves
                    .map(|(&mean, (new, old))| {
                        mean + T::from_f64(momentum) * T::from_f64(new - old)
                    })
                    .collect();
                draw(redraw, &points, u);
                draw(redraw, &mean, &mut previous);
            }
            (Some(redraw), None) => {
                let mean = column_means(u.view(), &all);
                draw(
                    redraw,
                    &mean.into_iter().map(T::from_f64).collect::<Vec<T>>(),
                    u,
                );
            }
            (None, Some(mut previous)) => momentum::extrapolate(u, &mut previous, momentum),
            (None, None) => (),
        }
    }
}

impl<T: Real> DrawCentre<T> {
    /// Moves the mean as the members' went in a step, from `before` to `after`, the draws' own mean left out, and what
    /// members are about on by `momentum`.
    fn follow(&mut self, before: &[f64], after: &[f64], momentum: f64) {
        let moves = after.iter().zip(before);
        for ((drawn, mean), (after, before)) in self.drawn.iter_mut().zip(&mut self.mean).zip(moves)
        {
            let moved = T::from_f64(drawn.as_f64() + (after - before));
            *drawn = moved + T::from_f64(momentum) * (moved - *mean);
            *mean = moved;
        }
    }
}

/// The digest of u: SHA-256 over that of every `DRAWN` columns in order, as hexadecimal; the same on all ranks. It does not
/// tell how wide the blocks are that ranks keep.
pub fn digest<T: Real>(ranks: Ranks, slab: &Slab<T>) -> String {
    let shared = (ranks.comm, ranks.pool);
    let own = slab.map_block_groups(shared, DRAWN / BLOCK, crate::ensemble::draw::digest_of);
    crate::parallel::ranks::digest_of(ranks, own.as_flattened())
}
