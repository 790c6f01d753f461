//! Members through the forward map: who evaluates which, in groups, on the threads of a rank, without allocation.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, s};
use rayon::ThreadPool;

use crate::forward::ForwardMap;
use crate::forward::process::Process;
use crate::kernels::buffers::Aligned;
use crate::kernels::real::Real;
use crate::kernels::threads::{for_each, wait_for_each};

/// Numbers that one thread's evaluation of `map` needs on `samples` samples.
#[must_use]
pub fn room<T: Real>(map: &dyn ForwardMap<T>, samples: usize) -> usize {
    map.group() * (map.parameters() + samples * map.outputs()) + map.scratch(samples)
}

/// A forward map, the threads that evaluate it, and room for each of them, allocated once a run.
pub struct Evaluator<'a, T> {
    map: &'a dyn ForwardMap<T>,
    pool: &'a ThreadPool,
    samples: usize,
    /// The number of members that are simulated at once, where programs simulate them.
    waiting: Option<usize>,
    rooms: Vec<Mutex<Aligned<T>>>,
    /// The present batch's inputs as the map arranges them.
    arranged: Mutex<Aligned<T>>,
}

impl<'a, T: Real> Evaluator<'a, T> {
    /// Room for batches of at most `samples` samples.
    #[must_use]
    pub fn new(map: &'a dyn ForwardMap<T>, pool: &'a ThreadPool, samples: usize) -> Self {
        let size = room(map, samples);
        let waiting = map.simulator().and_then(Process::at_once);
        let rooms = (0..pool.current_num_threads().max(waiting.unwrap_or(0)))
            .map(|_| Mutex::new(Aligned::zeros(size)))
            .collect();
        Self {
            map,
            pool,
            samples,
            waiting,
            rooms,
            arranged: Mutex::new(Aligned::zeros(map.arranged(samples))),
        }
    }

    /// The most samples a batch may hold.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The forward map.
    #[must_use]
    pub fn map(&self) -> &'a dyn ForwardMap<T> {
        self.map
    }

    /// Evaluates `members` on `inputs`, d x m: `fill` writes a member's P parameters, `take` is handed the member's
    /// place, from `places` in order, and its outputs, c x m. Members of one group are evaluated together; those of a
    /// group that are not among `members` count as zero parameters, so that every group's products have one shape.
    pub fn for_members<P: Send>(
        &self,
        members: Range<usize>,
        inputs: ArrayView2<T>,
        places: impl Iterator<Item = P> + Send,
        fill: impl Fn(usize, &mut [T]) + Sync,
        take: impl Fn(usize, P, ArrayView2<T>) + Sync,
    ) {
        let group = self.map.group();
        let mut arranged = self.arranged.lock().expect("no thread panicked");
        let arranged = &mut arranged[..self.map.arranged(inputs.ncols())];
        self.map.arrange(inputs, arranged);
        let given = (inputs, Some(&*arranged));
        let mut places = places;
        let (mut next, end) = (members.start, members.end);
        let groups = std::iter::from_fn(move || {
            (next < end).then(|| {
                let part = next..end.min((next / group + 1) * group);
                next = part.end;
                let places: Vec<P> = places.by_ref().take(part.len()).collect();
                (part, places)
            })
        });
        let count = members.len().div_ceil(group);
        let work = |thread: usize, (part, places): (Range<usize>, Vec<P>)| {
            let mut room = self.rooms[thread].lock().expect("one thread each");
            let outputs = self.group_outputs(&mut room, part.clone(), given, &fill);
            for (member, place) in part.zip(places) {
                take(member, place, outputs.slice(s![member % group, .., ..]));
            }
        };
        match self.waiting {
            Some(waiting) => wait_for_each(waiting.min(count), groups, work),
            None => for_each(self.pool, groups, work),
        }
    }

    /// Takes `members`, each with its hidden state, through the steps `inputs`, d x m; else as `for_members`. The map
    /// must be one whose members carry a state.
    pub fn advance_members<'h, P: Send>(
        &self,
        members: Range<usize>,
        inputs: ArrayView2<T>,
        places: impl Iterator<Item = (&'h mut [T], P)> + Send,
        fill: impl Fn(usize, &mut [T]) + Sync,
        take: impl Fn(P, ArrayView2<T>) + Sync,
    ) {
        let carrying = self.map.carrying().expect("members carry a state");
        let (parameters, c, m) = (self.map.parameters(), self.map.outputs(), inputs.ncols());
        for_each(
            self.pool,
            members.zip(places),
            |thread, (member, (hidden, place))| {
                let mut room = self.rooms[thread].lock().expect("one thread each");
                let (point, room) = room.split_at_mut(parameters);
                let (outputs, scratch) = room.split_at_mut(c * m);
                let mut outputs = ArrayViewMut2::from_shape((c, m), outputs).expect("room");
                fill(member, point);
                carrying.advance(point, hidden, inputs, outputs.view_mut(), scratch);
                take(place, outputs.view());
            },
        );
    }

    /// Evaluates the single `point`, P numbers, on `inputs`, d x m, in the room of `thread`: called from within
    /// `for_each`.
    pub fn one<R>(
        &self,
        thread: usize,
        point: &[T],
        inputs: ArrayView2<T>,
        take: impl FnOnce(ArrayView2<T>) -> R,
    ) -> R {
        let mut room = self.rooms[thread].lock().expect("one thread each");
        let fill = |_, out: &mut [T]| out.copy_from_slice(point);
        take(
            self.group_outputs(&mut room, 0..1, (inputs, None), &fill)
                .slice(s![0, .., ..]),
        )
    }

    /// The outputs, group x c x m, of the group that the members `part` belong to; the others' are of no use.
    fn group_outputs<'r>(
        &self,
        room: &'r mut [T],
        part: Range<usize>,
        (inputs, arranged): (ArrayView2<T>, Option<&[T]>),
        fill: &impl Fn(usize, &mut [T]),
    ) -> ArrayView3<'r, T> {
        let (group, parameters, m, c) = (
            self.map.group(),
            self.map.parameters(),
            inputs.ncols(),
            self.map.outputs(),
        );
        let (members, room) = room.split_at_mut(group * parameters);
        let (outputs, scratch) = room.split_at_mut(group * c * m);
        for (i, row) in members.chunks_mut(parameters).enumerate() {
            let member = part.start / group * group + i;
            if part.contains(&member) {
                fill(member, row)
            } else {
                row.fill(T::zero())
            }
        }
        let members = ArrayView2::from_shape((group, parameters), members).expect("room");
        let outputs_mut = ArrayViewMut3::from_shape((group, c, m), &mut *outputs).expect("room");
        match arranged {
            Some(arranged) => {
                self.map
                    .evaluate_arranged(members, inputs, arranged, outputs_mut, scratch);
            }
            None => self.map.evaluate(members, inputs, outputs_mut, scratch),
        }
        ArrayView3::from_shape((group, c, m), outputs).expect("room")
    }
}
