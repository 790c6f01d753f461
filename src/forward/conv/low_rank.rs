//! Low-rank members of a convolutional network: each layer's kernels, channels x taps, as one matrix.

use ndarray::{ArrayView2, ArrayViewMut3, aview1};

use super::Convolutional;
use crate::forward::ForwardMap;
use crate::forward::low_rank::{About, Layer, LowRank, in_order};
use crate::kernels::real::Real;

impl<T: Real> LowRank<T> for Convolutional {
    fn layers(&self, rank: usize) -> Vec<Layer> {
        let kernels = self
            .body
            .kernels()
            .map(|(channels, taps, deviation)| ([channels, taps, channels], deviation));
        in_order(kernels.chain(self.head.layer_shapes()), rank)
    }

    fn shared(&self, m: usize) -> usize {
        ForwardMap::<T>::arranged(self, m)
    }

    fn share(&self, _centre: &[T], inputs: ArrayView2<T>, shared: &mut [T]) {
        self.arrange(inputs, shared);
    }

    fn low_rank_scratch(&self, _members: usize, m: usize, _rank: usize) -> usize {
        let map: &dyn ForwardMap<T> = self;
        map.parameters() + map.outputs() * m + map.scratch(m)
    }

    fn low_rank_flops(&self, m: usize, rank: usize) -> f64 {
        let map: &dyn ForwardMap<T> = self;
        map.flops(m) + (2 * rank * map.parameters()) as f64
    }

    fn evaluate_low_rank(
        &self,
        about: &About<T>,
        draws: ArrayView2<T>,
        inputs: ArrayView2<T>,
        scratch: &mut [T],
        take: &mut dyn FnMut(usize, ArrayView2<T>),
    ) {
        let map: &dyn ForwardMap<T> = self;
        let (c, m) = (map.outputs(), inputs.ncols());
        let (member, rest) = scratch.split_at_mut(map.parameters());
        let (outputs, rest) = rest.split_at_mut(c * m);
        for (j, draw) in draws.rows().into_iter().enumerate() {
            self.member(about, draw.to_slice().expect("row-major"), member);
            let one = aview1(member).insert_axis(ndarray::Axis(0));
            let out = ArrayViewMut3::from_shape((1, c, m), &mut *outputs).expect("room");
            map.evaluate_arranged(one, inputs, about.shared, out, rest);
            take(j, ArrayView2::from_shape((c, m), &*outputs).expect("room"));
        }
    }
}
