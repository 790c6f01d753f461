//! What members carry from one observation to the next, where the data is a series: their hidden states, and the
//! predictions of the present pass.
//!
//! ```text
//! (h_j, z_j) <- G(u_j, h_j, x)          each member's own state, with its parameters before the assimilation
//! prediction  = (1/J) sum_j z_j         the mean of the members' predictions, not the prediction of their mean
//! ```
//!
//! A pass begins with the states zero, and so does a member that failed and is redrawn.

use ndarray::Array2;
use sha2::{Digest as _, Sha256};

use crate::data::{Samples, Targets};
use crate::ensemble::survivors::Survivors;
use crate::files::numbers::hexadecimal;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::partition::Partition;
use crate::parallel::ranks::Ranks;

/// The hidden states of this rank's members, and the predictions of the pass, the same on all ranks.
pub struct HiddenStates<T> {
    hidden: Array2<T>, // J/R x H
    /// The survivors' mean prediction of each training sample; zero until it is made.
    predictions: Array2<T>, // n x c
}

impl<T: Real> HiddenStates<T> {
    /// Before a pass over `samples` samples of `outputs` numbers: `own` members on this rank, of `width` numbers H.
    pub fn new((samples, outputs): (usize, usize), own: usize, width: usize) -> Self {
        Self {
            hidden: Array2::zeros((own, width)),
            predictions: Array2::zeros((samples, outputs)),
        }
    }

    /// Returns this rank's members' states, to be taken on.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [T]> + Send {
        let rows = self.hidden.rows_mut().into_iter();
        rows.map(|row| row.into_slice().expect("row-major"))
    }

    /// Returns the state of this rank's first member; nothing where it has none.
    #[cfg(feature = "gradients")]
    pub fn first_state(&self) -> &[T] {
        let rows = self.hidden.as_slice().expect("row-major");
        &rows[..self.hidden.ncols().min(rows.len())]
    }

    /// Notes what the survivors predicted together before their update: `selected` holds this rank's members' outputs,
    /// J/R x K, of the samples from `first` on. Failed members begin anew. Called by all ranks.
    pub fn predict(
        &mut self,
        ranks: Ranks,
        members: Partition,
        survivors: &Survivors,
        (selected, first): (&Array2<T>, usize),
    ) {
        let (own, k) = (members.range(ranks.comm.rank()), selected.ncols());
        // Zero on all ranks but the member's owner, so the sum over ranks is exact; that over members has one order.
        let mut outputs = Array2::zeros((members.items(), k));
        for (member, row) in own.clone().zip(selected.rows()) {
            if survivors.contains(member) {
                outputs.row_mut(member).assign(&row.mapv(T::as_f64));
            }
        }
        ranks
            .comm
            .sum_exact(outputs.as_slice_mut().expect("row-major"));
        let c = self.predictions.ncols();
        let predictions = self.predictions.as_slice_mut().expect("row-major");
        let places = predictions[first * c..].iter_mut();
        for (prediction, outputs) in places.zip(outputs.columns()) {
            *prediction = T::from_f64(outputs.iter().sum::<f64>() / survivors.count() as f64);
        }
        for (member, mut state) in own.zip(self.hidden.rows_mut()) {
            if !survivors.contains(member) {
                state.fill(T::zero());
            }
        }
    }

    /// Returns the mean squared error of the first `done` predictions of the pass over `train`.
    pub fn squared_error(&self, train: &Samples, done: usize) -> f64 {
        let Targets::Values(targets) = &train.targets else {
            unreachable!("the plan admits a series with values only")
        };
        let count = done * targets.ncols();
        let pairs = self.predictions.iter().zip(targets).take(count);
        pairs.map(|(z, y)| (z.as_f64() - y).powi(2)).sum::<f64>() / count as f64
    }

    /// Gathers all members' states and the predictions. Called by all ranks.
    pub fn whole(&self, ranks: Ranks, members: Partition) -> GatheredStates<T> {
        let width = self.hidden.ncols();
        let mut hidden = vec![T::zero(); members.items() * width];
        let own = members.range(ranks.comm.rank());
        hidden[own.start * width..own.end * width]
            .copy_from_slice(self.hidden.as_slice().expect("row-major"));
        ranks.comm.all_gather_rows(members, width, &mut hidden);
        GatheredStates {
            hidden,
            predictions: self.predictions.iter().copied().collect(),
        }
    }
}

/// The hidden states of all members, J x H, and the predictions, n x c, as a checkpoint and the digest have them.
pub struct GatheredStates<T> {
    hidden: Vec<T>,
    predictions: Vec<T>,
}

impl<T: Real> GatheredStates<T> {
    /// Returns the arrays it consists of, for `members` members.
    pub fn arrays(&self, members: usize) -> [Array; 2] {
        let (width, count) = (self.hidden.len() / members, self.predictions.len());
        [
            Array::Hidden {
                width: width as u64,
            },
            Array::Predictions {
                count: count as u64,
            },
        ]
    }

    /// Makes room for the hidden states and predictions that `arrays` name, of `members` members; None where they name none.
    pub fn blank(arrays: &[Array], members: usize) -> Option<Self> {
        let [.., Array::Hidden { width }, Array::Predictions { count }] = arrays else {
            return None;
        };
        Some(Self {
            hidden: vec![T::zero(); members * *width as usize],
            predictions: vec![T::zero(); *count as usize],
        })
    }

    /// Returns the numbers of its `arrays`, in their order.
    pub fn sections(&self) -> [&[T]; 2] {
        [&self.hidden, &self.predictions]
    }

    /// Returns the numbers of its `arrays`, in their order, to be filled.
    pub fn sections_mut(&mut self) -> [&mut [T]; 2] {
        [&mut self.hidden, &mut self.predictions]
    }

    /// Returns what rank 0 has read, on all ranks: this one's `members` and the predictions, of `outputs` numbers a sample.
    pub fn share(self, ranks: Ranks, members: Partition, outputs: usize) -> HiddenStates<T> {
        let send = |numbers: Vec<T>| {
            let bytes = ranks
                .comm
                .broadcast(bytemuck::cast_slice(&numbers).to_vec());
            bytemuck::pod_collect_to_vec::<u8, T>(&bytes)
        };
        let (hidden, predictions) = (send(self.hidden), send(self.predictions));
        let width = hidden.len() / members.items();
        let own = members.range(ranks.comm.rank());
        let rows = hidden[own.start * width..own.end * width].to_vec();
        let samples = predictions.len() / outputs;
        HiddenStates {
            hidden: Array2::from_shape_vec((own.len(), width), rows).expect("its rows"),
            predictions: Array2::from_shape_vec((samples, outputs), predictions)
                .expect("as it was saved"),
        }
    }

    /// Returns the digest of an ensemble of digest `ensemble` that carries this, hexadecimal.
    pub fn digest(&self, ensemble: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(ensemble);
        digest.update(bytemuck::cast_slice(&self.hidden));
        digest.update(bytemuck::cast_slice(&self.predictions));
        hexadecimal(&digest.finalize())
    }
}
