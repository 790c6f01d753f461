//! Networks of two parts: a body, which makes features of the inputs, and dense layers, its head, which read them.
//!
//! A body is evaluated chunk by chunk, or in mixed precision by products of bfloat16 on inputs that are arranged once for all
//! members; the head is a `Dense` network on the features. A new kind of body implements `Body`.

use ndarray::{ArrayView2, ArrayViewMut3, Axis, s};

use super::dense::Dense;
use super::inputs::LayerInputs;
use super::low_rank::LowRank;
use super::network::{self, Network};
use super::{ForwardMap, LayerSuffix, MapShape};
use crate::forward::prior::{Prior, Segment};
use crate::kernels::buffers::{LOST, aligned};
use crate::kernels::real::Real;

/// Why a map in mixed precision meets single precision alone.
const SINGLE: &str = "mixed precision is single's";

/// The layers of a network before its dense ones.
pub trait Body: Clone + Send + Sync + 'static {
    /// The same layers with products of bfloat16.
    type Paired<'a>: PairedBody
    where
        Self: 'a;

    /// Numbers of one sample's inputs.
    fn inputs(&self) -> usize;

    /// The number of parameters.
    fn parameters(&self) -> usize;

    /// The features of one sample that the head reads for one answer.
    fn features(&self) -> usize;

    /// How many times the head answers for one sample, each time to features of its own.
    fn answers(&self) -> usize {
        1
    }

    /// The prior of the parameters.
    fn segments(&self) -> Vec<Segment>;

    /// The prior's mean where it is not 0: (parameter, mean).
    fn prior_mean(&self) -> Vec<(usize, f64)> {
        Vec::new()
    }

    /// The layers in words.
    fn described(&self) -> network::Body;

    /// Floating-point operations of one member on `m` samples.
    fn flops(&self, m: usize) -> f64;

    /// The same layers with products of bfloat16, where that is what they have.
    fn paired(&self) -> Option<Self::Paired<'_>>;

    /// Numbers that `all_chunks` needs.
    fn chunk_rooms(&self) -> usize;

    /// Writes the features of `member` on all samples of `inputs`, d x m, without bfloat16: answers x features x m.
    fn all_chunks<T: Real>(
        &self,
        member: &[T],
        inputs: ArrayView2<T>,
        reached: &mut [T],
        rooms: &mut [T],
    );

    /// `net` as a map that can evaluate low-rank members.
    fn low_rank<T: Real>(_net: &Headed<Self>) -> Option<&dyn LowRank<T>> {
        None
    }

    /// The `ForwardMap::tail` of `net`.
    fn tail<T: Real>(_net: &Headed<Self>, _layer: usize) -> Option<LayerSuffix<T>> {
        None
    }

    /// The `ForwardMap::layer_inputs` of `net`.
    fn layer_inputs<T: Real>(
        _net: &Headed<Self>,
        _layer: usize,
        _point: &[T],
        _inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        None
    }

    /// Numbers that `reach` needs.
    fn rooms(&self) -> usize {
        self.paired()
            .map_or_else(|| self.chunk_rooms(), |paired| paired.scratch())
    }

    /// Numbers that `arrange` writes for `m` samples.
    fn arranged(&self, m: usize) -> usize {
        self.paired().map_or(0, |paired| paired.arranged(m))
    }

    /// Puts inputs, d x m, in the order in which `reach` reads them; nothing without bfloat16.
    fn arrange<T: Real>(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        if let Some(paired) = self.paired() {
            paired.arrange(inputs, T::single_mut(arranged).expect(SINGLE));
        }
    }

    /// Writes the features of `member` on all samples, the inputs d x m and as they are `arranged`: answers x features x m.
    fn reach<T: Real>(
        &self,
        member: &[T],
        (inputs, arranged): (ArrayView2<T>, &[T]),
        reached: &mut [T],
        rooms: &mut [T],
    ) {
        match self.paired() {
            Some(paired) => paired.evaluate(
                T::single(member).expect(SINGLE),
                T::single(arranged).expect(SINGLE),
                T::single_mut(reached).expect(SINGLE),
                T::single_mut(rooms).expect(SINGLE),
            ),
            None => self.all_chunks(member, inputs, reached, rooms),
        }
    }

    /// As `reach`, of the body's own parameters `point`, in room made for it.
    fn reach_once<T: Real>(&self, point: &[T], inputs: ArrayView2<T>, reached: &mut [T]) {
        let arranged_size = self.arranged(inputs.ncols());
        let mut room = vec![T::zero(); arranged_size + self.rooms() + 2 * LOST];
        let (arranged, rooms) = aligned(&mut room).split_at_mut(arranged_size);
        self.arrange(inputs, arranged);
        self.reach(point, (inputs, arranged), reached, aligned(rooms));
    }
}

/// A body with products of bfloat16, in single precision.
pub trait PairedBody {
    /// Numbers that `arrange` writes for `m` samples.
    fn arranged(&self, m: usize) -> usize;

    /// Numbers that `evaluate` needs.
    fn scratch(&self) -> usize;

    /// Puts inputs, d x m, in the order in which `evaluate` reads them.
    fn arrange<T: Real>(&self, inputs: ArrayView2<T>, arranged: &mut [f32]);

    /// Writes the features of `member` on all samples that are `arranged`.
    fn evaluate(&self, member: &[f32], arranged: &[f32], reached: &mut [f32], scratch: &mut [f32]);
}

/// A network: the parameters of `body`, then those of the dense layers `head`.
#[derive(Clone, Debug)]
pub struct Headed<B> {
    pub(super) body: B,
    pub(super) head: Dense,
}

impl<T: Real, B: Body> ForwardMap<T> for Headed<B> {
    fn shape(&self) -> MapShape {
        MapShape {
            parameters: self.body.parameters() + ForwardMap::<T>::parameters(&self.head),
            features: self.body.inputs(),
            outputs: self.body.answers() * self.head.width(),
        }
    }

    fn prior(&self) -> Prior {
        let segments = self.body.segments().into_iter();
        let prior = Prior::new(segments.chain(self.head.segments()).collect());
        prior.with_mean(self.body.prior_mean())
    }

    fn low_rank(&self) -> Option<&dyn LowRank<T>> {
        B::low_rank(self)
    }

    fn tail(&self, layer: usize) -> Option<LayerSuffix<T>> {
        B::tail(self, layer)
    }

    fn layer_inputs(
        &self,
        layer: usize,
        point: &[T],
        inputs: ArrayView2<T>,
    ) -> Option<LayerInputs<T>> {
        B::layer_inputs(self, layer, point, inputs)
    }

    fn network(&self) -> Option<Network> {
        Some(self.head.network_on(self.body.described()))
    }

    fn flops(&self, m: usize) -> f64 {
        self.body.flops(m) + self.body.answers() as f64 * ForwardMap::<T>::flops(&self.head, m)
    }

    fn scratch(&self, m: usize) -> usize {
        let features = self.body.answers() * self.body.features() * m;
        let head = features + ForwardMap::<T>::scratch(&self.head, m);
        2 * LOST + self.body.arranged(m) + self.body.rooms() + head
    }

    fn arranged(&self, m: usize) -> usize {
        self.body.arranged(m)
    }

    fn arrange(&self, inputs: ArrayView2<T>, arranged: &mut [T]) {
        self.body.arrange(inputs, arranged);
    }

    fn evaluate(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        super::arrange_and_evaluate(self, members, inputs, outputs, scratch);
    }

    fn evaluate_arranged(
        &self,
        members: ArrayView2<T>,
        inputs: ArrayView2<T>,
        arranged: &[T],
        mut outputs: ArrayViewMut3<T>,
        scratch: &mut [T],
    ) {
        let (m, features) = (inputs.ncols(), self.body.features());
        let (rooms, rest) = aligned(scratch).split_at_mut(self.body.rooms());
        let (reached, rest) = rest.split_at_mut(self.body.answers() * features * m);
        let of_answer = self.head.width();
        let each = members.rows().into_iter();
        for (member, mut out) in each.zip(outputs.axis_chunks_iter_mut(Axis(0), 1)) {
            let of_member = member.to_slice().expect("row-major");
            let given = (inputs, arranged);
            self.body.reach(of_member, given, reached, rooms);
            let head = member.slice(s![self.body.parameters()..]);
            let head = head.insert_axis(Axis(0));
            let answers = out.axis_chunks_iter_mut(Axis(1), of_answer);
            for (k, answer) in answers.enumerate() {
                let features_of = &reached[k * features * m..(k + 1) * features * m];
                let read = ArrayView2::from_shape((features, m), features_of).expect("room");
                self.head.evaluate(head, read, answer, rest);
            }
        }
    }
}
