//! `Interaction`: each form of D equals the plain sum it stands for, and has the same bits on any number of ranks.

use eki_mpi::config::MethodKind;
use eki_mpi::ensemble::centre;
use eki_mpi::ensemble::draw::{Draw, digest_of};
use eki_mpi::ensemble::survivors::Survivors;
use eki_mpi::ensemble::transform::{Form, MeanMove, MemberMove, Transform};
use eki_mpi::kernels::buffers::BufferPool;
use eki_mpi::kernels::panel::Packed;
use eki_mpi::kernels::real::Real;
use eki_mpi::kernels::rng::{Key, Purpose};
use eki_mpi::method::anomalies;
use eki_mpi::method::loss::Loss;
use eki_mpi::method::mean::mean_coefficients;
use eki_mpi::method::norm::norm_tiles;
use eki_mpi::method::outputs::Outputs;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::partition::{Blocks, OUTPUTS, Partition};
use eki_mpi::parallel::ranks::Ranks;
use ndarray::{Array2, s};
use proptest::strategy::Strategy;

use crate::{Check, Crowd};

pub const CHECKS: &[Check] = &[
    ("every_form_of_d_is_the_plain_sum_in_single", single),
    ("every_form_of_d_is_the_plain_sum_in_double", double),
    ("the_kalman_gain_solves_its_equation", gain),
    ("d_has_the_same_bits_on_any_number_of_ranks", same_bits),
    ("an_interaction_sends_what_the_formula_says", bytes),
];

/// The step of the Kalman gain.
const H: f64 = 0.7;

/// One step's outputs of all members, and what D is made of.
struct Case<T> {
    selected: Array2<T>, // J x K, probabilities
    targets: Vec<T>,
    loss: Loss,
    survivors: Survivors,
    /// With the Kalman gain, of the noise on each member's observations.
    noise: Option<Draw>,
}

impl<T: Real> Case<T> {
    /// J members, K outputs; every member but those divisible by `failing` + 2 survives (0: all do).
    fn new(members: usize, outputs: usize, squares: bool, failing: usize) -> Self {
        let key = Key {
            seed: 7,
            purpose: Purpose::Synthetic,
            step: members as u64,
            member: outputs as u64,
            block: 0,
        };
        let mut numbers = vec![T::zero(); members * outputs + outputs];
        T::fill_normal(&key, 0, &mut numbers);
        let targets = numbers.split_off(members * outputs);
        let probability = |x: T| T::from_f64((1.0 / (1.0 + (-x.as_f64()).exp())).min(0.99));
        let mut selected = Array2::from_shape_vec((members, outputs), numbers)
            .expect("J x K")
            .mapv(probability);
        let alive = |j: usize| failing == 0 || j % (failing + 2) != 1;
        let survivors = Survivors::new((0..members).map(alive).collect());
        for failed in survivors.failed() {
            selected.row_mut(failed).fill(T::nan());
        }
        let variance = vec![0.5, 1.0, 2.0];
        let (loss, targets) = if squares {
            (Loss::LeastSquares { variance }, targets)
        } else {
            (Loss::CrossEntropy { delta: 0.005 }, vec![T::one(); outputs])
        };
        Self {
            selected,
            targets,
            loss,
            survivors,
            noise: None,
        }
    }

    /// With observations perturbed for each member.
    fn perturbed(mut self) -> Self {
        self.noise = Some(Draw {
            seed: 7,
            purpose: Purpose::Perturb,
            step: 3,
        });
        self
    }

    /// D in the form asked for, put together by all ranks of `comm`, and its norm.
    fn interaction(&self, crowd: &Crowd, comm: &Comm, form: Form) -> (Transform<T>, f64) {
        self.interaction_of(crowd, comm, form, None, None)
    }

    /// D times the Kalman gain in the form asked for, J x J or its columns' means, 1 x J.
    fn with_gain(&self, crowd: &Crowd, comm: &Comm, form: Form) -> Array2<f64> {
        match self.interaction_of(crowd, comm, form, None, Some(H)).0 {
            Transform::Members(MemberMove::Matrix(d)) => d.to_array().mapv(Real::as_f64),
            Transform::Members(MemberMove::Factors {
                gradients,
                anomalies,
                ..
            }) => {
                let wide = |packed: Packed<T>| packed.to_array().mapv(Real::as_f64);
                wide(gradients).dot(&wide(anomalies)) / self.survivors.count() as f64
            }
            Transform::Mean(MeanMove::Members(c)) => {
                Array2::from_shape_vec((1, c.len()), c).expect("one row")
            }
            Transform::Mean(MeanMove::Samples(_)) | Transform::Members(MemberMove::Near(_)) => {
                unreachable!("not asked for")
            }
        }
    }

    /// As `interaction`; in the mean form sample by sample, where there are `samples`.
    fn interaction_of(
        &self,
        crowd: &Crowd,
        comm: &Comm,
        form: Form,
        samples: Option<usize>,
        gain: Option<f64>,
    ) -> (Transform<T>, f64) {
        let members = Partition::new(self.selected.nrows(), comm.size());
        let own = self
            .selected
            .slice(s![members.range(comm.rank()), ..])
            .to_owned();
        let outputs = Outputs {
            selected: &own,
            targets: &self.targets,
            loss: &self.loss,
            survivors: &self.survivors,
            members,
            samples,
            gain,
            points: None,
            noise: self.noise,
            second_order: false,
            coefficients: None,
            sampler: None,
            localisation: None,
            mixed: false,
            buffers: &BufferPool::default(),
        };
        let ranks = Ranks {
            comm,
            pool: &crowd.pool,
        };
        let kind = match gain {
            Some(_) => MethodKind::Kalman,
            None => MethodKind::Eki,
        };
        let method = eki_mpi::method::of(kind, form);
        method.transform(&outputs, ranks).expect("moderate outputs")
    }

    /// D by its definition, in double precision; and the size that rounding is measured by, the largest product of
    /// norms |v_j| |w_k| / J, which bounds every entry (exact sums round to a multiple of 2^-50 or so of it). Noise on the
    /// observations is N(0, Gamma / h), drawn for each member and block of outputs.
    fn plain(&self) -> (Array2<f64>, f64) {
        let outputs = self.targets.len();
        let z = self.selected.mapv(Real::as_f64);
        let alive: Vec<usize> = (0..z.nrows())
            .filter(|&j| self.survivors.contains(j))
            .collect();
        let count = alive.len() as f64;
        let gradient = |j: usize, i: usize| match &self.loss {
            Loss::CrossEntropy { delta } => -1.0 / (z[[j, i]] + delta),
            Loss::LeastSquares { variance } => {
                (z[[j, i]] - self.targets[i].as_f64()) / variance[i % variance.len()]
            }
            Loss::Whitened(_) => unreachable!("no case here has it"),
            Loss::ZeroOne => 2.0 * (z[[j, i]] - self.targets[i].as_f64()),
        };
        let (mut v, mut w) = (Array2::zeros(z.dim()), Array2::zeros(z.dim()));
        let mut noise = Array2::<f32>::zeros(z.dim());
        if let Some(draw) = &self.noise {
            for (j, mut row) in noise.rows_mut().into_iter().enumerate() {
                let row = row.as_slice_mut().expect("row-major");
                for (block, part) in row.chunks_mut(OUTPUTS).enumerate() {
                    draw.key(j, block).fill_normal_f32(0, part);
                }
            }
        }
        let root = |i: usize| match &self.loss {
            Loss::LeastSquares { variance } => (H * variance[i % variance.len()]).sqrt(),
            _ => 1.0,
        };
        for i in 0..outputs {
            let mean = alive.iter().map(|&k| z[[k, i]]).sum::<f64>() / count;
            for &j in &alive {
                v[[j, i]] = gradient(j, i) - f64::from(noise[[j, i]]) / root(i);
                w[[j, i]] = z[[j, i]] - mean;
            }
        }
        let size = anomalies::largest_row(v.view()) * anomalies::largest_row(w.view()) / count;
        (v.dot(&w.t()) / count, size)
    }
}

/// J from `fewest`, fewer than ranks, to two panels of D's rows; K from one output to three blocks of 512, or no more than J.
fn shapes(fewest: usize) -> impl Strategy<Value = (usize, usize)> {
    let shape = (fewest..150, 1_usize..1100, proptest::bool::ANY);
    shape.prop_map(|(members, outputs, few)| {
        let most = if few { members } else { outputs };
        (members, 1 + (outputs - 1) % most)
    })
}

fn compare<T: Real>(crowd: &Crowd, rounding: f64) {
    let comm = crowd.in_chunks(1001);
    let sizes = (shapes(2), proptest::bool::ANY, 0_usize..4);
    crowd.property(16, &sizes, |((members, outputs), squares, failing)| {
        let case = Case::<T>::new(members, outputs, squares, failing);
        let (plain, size) = case.plain();
        let norm = plain.iter().map(|d| d * d).sum::<f64>().sqrt();
        let near = |what: &str, found: f64, wanted: f64, allowed: f64| {
            ((found - wanted).abs() <= allowed)
                .then_some(())
                .ok_or_else(|| format!("{what}: {found}, but {wanted} by definition"))
        };
        let each = |what: &str, found: Array2<f64>| {
            let mut pairs = found.iter().zip(&plain);
            pairs.try_for_each(|(found, wanted)| near(what, *found, *wanted, rounding * size))
        };
        let allowed = rounding * size * members as f64;
        let (interaction, found) = case.interaction(crowd, &comm, Form::Explicit);
        near("explicit norm", found, norm, allowed)?;
        let Transform::Members(MemberMove::Matrix(d)) = interaction else {
            return Err("not explicit".to_owned());
        };
        each("explicit", d.to_array().mapv(Real::as_f64))?;
        let (interaction, found) = case.interaction(crowd, &comm, Form::Factored);
        near("factored norm", found, norm, allowed)?;
        let Transform::Members(MemberMove::Factors {
            gradients,
            anomalies,
            ..
        }) = interaction
        else {
            return Err("not factored".to_owned());
        };
        let (gradients, anomalies) = (
            gradients.to_array(),
            anomalies
                .to_array()
                .reversed_axes()
                .as_standard_layout()
                .into_owned(),
        );
        let count = case.survivors.count() as f64;
        each(
            "factored",
            gradients
                .mapv(Real::as_f64)
                .dot(&anomalies.mapv(Real::as_f64).t())
                / count,
        )?;
        let (interaction, found) = case.interaction(crowd, &comm, Form::Mean);
        near("mean norm", found, norm, allowed)?;
        let Transform::Mean(MeanMove::Members(c)) = interaction else {
            return Err("not the mean".to_owned());
        };
        let mean_gradient = centre::column_means(gradients.view(), &case.survivors);
        let by_hand = mean_coefficients(&mean_gradient, anomalies.view(), &case.survivors);
        (c == by_hand)
            .then_some(())
            .ok_or("other coefficients on one rank")?;
        for (k, c) in c.iter().enumerate() {
            near(
                "column mean",
                *c,
                plain.column(k).sum() / count,
                rounding * size,
            )?;
        }
        Ok(())
    });
}

fn single(crowd: &Crowd) {
    compare::<f32>(crowd, 1e-6);
}

fn double(crowd: &Crowd) {
    compare::<f64>(crowd, 1e-14);
}

/// With least squares D (I + h S)^{-1} in every form, S = W Gamma^{-1} W^T / J: times I + h S it is D.
fn gain(crowd: &Crowd) {
    let comm = crowd.in_chunks(1001);
    let sizes = (shapes(3), 0_usize..4, proptest::bool::ANY);
    crowd.property(16, &sizes, |((members, outputs), failing, perturbed)| {
        let mut case = Case::<f64>::new(members, outputs, true, failing);
        if perturbed {
            case = case.perturbed();
        }
        let Loss::LeastSquares { variance } = &case.loss else {
            unreachable!("made with squares")
        };
        let count = case.survivors.count() as f64;
        let mut x = case.selected.clone();
        for (i, mut column) in x.columns_mut().into_iter().enumerate() {
            let alive = |j: &usize| case.survivors.contains(*j);
            let mean = (0..members).filter(alive).map(|j| column[j]).sum::<f64>() / count;
            let root = variance[i % variance.len()].sqrt();
            for (j, x) in column.iter_mut().enumerate() {
                *x = if alive(&j) { (*x - mean) / root } else { 0.0 };
            }
        }
        let implicit = Array2::eye(members) + x.dot(&x.t()) * (H / count);
        let (plain, size) = case.plain();
        let near = |form: Form, found: &Array2<f64>, wanted: &Array2<f64>| {
            let apart = (found - wanted).iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            let allowed = 1e-11 * (1.0 + size) * members as f64;
            (apart <= allowed)
                .then_some(())
                .ok_or_else(|| format!("{form:?} of {members} x {outputs}: {apart} off"))
        };
        let explicit = case.with_gain(crowd, &comm, Form::Explicit);
        near(Form::Explicit, &explicit.dot(&implicit), &plain)?;
        if outputs <= members {
            let factored = case.with_gain(crowd, &comm, Form::Factored);
            near(Form::Factored, &factored, &explicit)?;
        }
        if perturbed {
            return Ok(()); // members drawn about the mean have no observations of their own
        }
        let mean = case.with_gain(crowd, &comm, Form::Mean);
        let means = explicit.sum_axis(ndarray::Axis(0)) / count;
        near(Form::Mean, &mean, &means.insert_axis(ndarray::Axis(0)))
    });
}

/// Every bit of D, in each form, and of its norm.
fn same_bits(crowd: &Crowd) {
    for comm in [crowd.comm(), crowd.in_chunks(1001)] {
        for (members, outputs, squares) in [
            (37, 1100, true),
            (150, 61, false),
            (5, 3, true),
            (300, 513, false),
            (300, 211, true),
        ] {
            let mut case = Case::<f32>::new(members, outputs, squares, 2);
            if squares {
                case = case.perturbed();
            }
            let forms = [Form::Explicit, Form::Factored, Form::Mean];
            let kinds = forms.into_iter().flat_map(|f| [(f, None), (f, Some(H))]);
            let made = |(form, gain): &(Form, Option<f64>)| {
                *form != Form::Factored || gain.is_none() || outputs <= members
            };
            for (form, gain) in kinds.filter(made) {
                let (interaction, norm) = case.interaction_of(crowd, &comm, form, None, gain);
                let mut bits = norm.to_bits().to_le_bytes().to_vec();
                match interaction {
                    Transform::Members(MemberMove::Matrix(d)) => {
                        bits.extend(digest_of(&[d.to_array().view()]))
                    }
                    Transform::Members(MemberMove::Factors {
                        gradients,
                        anomalies,
                        ..
                    }) => {
                        bits.extend(digest_of(&[gradients.to_array().view()]));
                        bits.extend(digest_of(&[anomalies.to_array().view()]));
                    }
                    Transform::Mean(MeanMove::Members(c)) => {
                        bits.extend(c.iter().flat_map(|c| c.to_le_bytes()))
                    }
                    Transform::Mean(MeanMove::Samples(_))
                    | Transform::Members(MemberMove::Near(_)) => unreachable!("not asked for"),
                }
                let name = format!("{form:?}-{gain:?}-{members}x{outputs}");
                crowd.same_bits(&name, &bits);
            }
        }
    }
}

/// The explicit form sends outputs, J/R x K less what stays, and reduces D, J x J doubles, and one bound; by rows outputs
/// to all ranks, J/R x K to each, and its whole dozens of rows of D as well, and reduces one double for each row; the
/// factored form sends the same outputs, and reduces one double for each tile of the norm.
fn bytes(crowd: &Crowd) {
    let comm = crowd.comm();
    for (members, outputs) in [(37, 1100), (150, 61), (2, 700)] {
        let case = Case::<f32>::new(members, outputs, false, 0);
        let blocks = Blocks::of_width(outputs, OUTPUTS);
        let own_blocks = Partition::new(blocks.count(), comm.size()).range(comm.rank());
        let stays: usize = own_blocks.map(|b| blocks.range(b).len()).sum();
        let own = Partition::new(members, comm.size())
            .range(comm.rank())
            .len();
        let tiles = norm_tiles(members, outputs).len();
        let others = comm.size() - 1;
        let explicit = if outputs <= members {
            let dozens = Partition::new(members.div_ceil(12), comm.size()).range(comm.rank());
            4 * (own * outputs + dozens.len() * 12 * members) * others + 8 * members
        } else {
            4 * own * (outputs - stays) + 8 * (members * members + 1)
        };
        let factored = 4 * own * outputs * others + 8 * tiles;
        for (form, formula) in [
            (Form::Explicit, explicit),
            (Form::Factored, factored),
            (Form::Mean, factored),
        ] {
            let before = comm.bytes_sent();
            let _ = case.interaction(crowd, &comm, form);
            let sent = comm.bytes_sent() - before;
            let formula = if comm.size() == 1 { 0 } else { formula as u64 };
            assert_eq!(sent, formula, "{form:?} of {members} x {outputs}");
        }
    }
}
