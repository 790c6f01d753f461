//! The arrays a state is made of, as a checkpoint holds them: block by block, on the rank that owns the block.

use std::ops::Range;

use ndarray::{ArrayRef2, ArrayView2};

use crate::ensemble::Ensemble;
use crate::ensemble::centre::rounded_means;
use crate::ensemble::full::FullEnsemble;
use crate::ensemble::mean::MeanEnsemble;
use crate::ensemble::stages::Redraw;
use crate::ensemble::survivors::Survivors;
use crate::forward::prior::Prior;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::partition::{BLOCK, Blocks, Partition};
use crate::parallel::ranks::Ranks;

impl<T: Real> Ensemble<T> {
    /// Returns the arrays that make it up.
    pub fn arrays(&self) -> Vec<Array> {
        let full = match self {
            Self::Full(full) => full,
            Self::Mean(mean) => return mean.arrays(),
        };
        let mut arrays = vec![Array::Points];
        if full.centres.is_some() {
            arrays.extend([Array::Centre, Array::Mean]);
        }
        arrays.extend(full.previous.as_ref().map(|_| Array::Previous));
        arrays
    }

    /// Returns the number of numbers in all arrays, over all ranks.
    pub fn saved_numbers(&self) -> f64 {
        let members = match self {
            Self::Full(full) => full.layout.members.items(),
            Self::Mean(mean) => mean.members(),
        };
        let rows: usize = self.arrays().iter().map(|array| array.rows(members)).sum();
        rows as f64 * self.parameters() as f64
    }

    /// Returns the blocks of columns this rank saves and restores.
    pub fn own_blocks(&self, ranks: Ranks) -> Range<usize> {
        let blocks = Blocks::new(self.parameters()).count();
        Partition::new(blocks, ranks.comm.size()).range(ranks.comm.rank())
    }

    /// Returns the numbers of `array` in `block`, one of this rank's.
    pub fn section(&self, array: Array, block: usize) -> &[T] {
        match self {
            Self::Full(full) => full.section(array, block),
            Self::Mean(mean) => mean.section(array, block),
        }
    }

    /// Returns the numbers of `array` in `block`, one of this rank's, to be filled.
    pub fn section_mut(&mut self, array: Array, block: usize) -> &mut [T] {
        match self {
            Self::Full(full) => full.section_mut(array, block),
            Self::Mean(mean) => mean.section_mut(array, block),
        }
    }

    /// Carries what each rank has filled of its blocks to wherever it is needed. Called by all ranks.
    pub fn share(&mut self, ranks: Ranks) {
        match self {
            Self::Full(full) => full.exchange(ranks),
            Self::Mean(mean) => mean.share(ranks),
        }
    }
}

impl<T: Real> MeanEnsemble<T> {
    fn arrays(&self) -> Vec<Array> {
        let mut arrays = vec![Array::Centre, Array::Mean];
        arrays.extend((!self.second.is_empty()).then_some(Array::Second));
        arrays.extend((!self.average.is_empty()).then_some(Array::Average));
        arrays
    }

    fn section(&self, array: Array, block: usize) -> &[T] {
        let columns = Blocks::new(self.mean.len()).range(block);
        match array {
            Array::Centre => &self.centre[columns],
            Array::Mean => &self.mean[columns],
            Array::Second => &self.second[columns],
            Array::Average => &self.average[columns],
            _ => unreachable!("the mean form keeps no members, and no ensemble what members carry"),
        }
    }

    fn section_mut(&mut self, array: Array, block: usize) -> &mut [T] {
        let columns = Blocks::new(self.mean.len()).range(block);
        match array {
            Array::Centre => &mut self.centre[columns],
            Array::Mean => &mut self.mean[columns],
            Array::Second => &mut self.second[columns],
            Array::Average => &mut self.average[columns],
            _ => unreachable!("the mean form keeps no members, and no ensemble what members carry"),
        }
    }

    fn share(&mut self, ranks: Ranks) {
        let parameters = self.mean.len();
        let blocks = Blocks::new(parameters).count();
        let owners = Partition::new(blocks, ranks.comm.size());
        let arrays = [
            &mut self.mean,
            &mut self.centre,
            &mut self.second,
            &mut self.average,
        ];
        for array in arrays.into_iter().filter(|array| !array.is_empty()) {
            // As rows of one width, so that ranks' parts are consecutive: numbers travel as they are, signs of zero
            // included, which a sum would lose.
            array.resize(blocks * BLOCK, T::zero());
            ranks.comm.all_gather_rows(owners, BLOCK, array);
            array.truncate(parameters);
        }
    }
}

impl<T: Real> FullEnsemble<T> {
    fn section(&self, array: Array, block: usize) -> &[T] {
        let centre =
            || &self.centres.as_ref().expect("tracked")[block - self.layout.own_blocks().start];
        match array {
            Array::Points => rows(self.points.block(block)),
            Array::Previous => rows(self.previous.as_ref().expect("momentum").block(block)),
            Array::Centre => &centre().drawn,
            Array::Mean => &centre().mean,
            Array::Second | Array::Average => unreachable!("the mean form's alone"),
            Array::Hidden { .. } | Array::Predictions { .. } => unreachable!("carried apart"),
        }
    }

    fn section_mut(&mut self, array: Array, block: usize) -> &mut [T] {
        let place = block - self.layout.own_blocks().start;
        let centre = self.centres.as_mut().map(|centres| &mut centres[place]);
        let slab = match array {
            Array::Points => &mut self.points,
            Array::Previous => self.previous.as_mut().expect("momentum"),
            Array::Centre => return &mut centre.expect("tracked").drawn,
            Array::Mean => return &mut centre.expect("tracked").mean,
            Array::Second | Array::Average => unreachable!("the mean form's alone"),
            Array::Hidden { .. } | Array::Predictions { .. } => unreachable!("carried apart"),
        };
        let (_, block) = slab.iter_mut().nth(place).expect("an own block");
        block.into_slice().expect("row-major")
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
            ..
        } = self;
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
            let draw =
                |block: &mut ArrayRef2<T>| redraw.fill(block, blocks.range(b), &about, prior);
            draw(&mut block);
            if let Some(previous) = &mut previous {
                draw(previous);
            }
        }
        drop(previous);
        self.exchange(ranks);
    }
}

fn rows<T>(block: ArrayView2<'_, T>) -> &[T] {
    block.to_slice().expect("row-major")
}
