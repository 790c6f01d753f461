//! Which members' outputs count in a step: what all ranks must agree on before it.

use ndarray::Array2;

use super::State;
use super::conflict::NAMED;
use super::forecast::Forecast;
use crate::config::ModelKind;
use crate::ensemble::survivors::Survivors;
use crate::error::{Error, Result};
use crate::kernels::real::{Real, inner};
use crate::run::context::StepContext;
use crate::run::outlying;

/// The warning for members whose misfit is not a finite number, though their outputs are.
const OVERFLOWS: &str =
    "gave finite outputs whose misfit overflows: too far from the observations for method.noise";

/// The verdict on a step's members, the same on all ranks.
pub(super) struct Agreed {
    /// The members whose outputs count.
    pub survivors: Survivors,
    /// The mean over them of their misfits; infinite where they are too few, but can be taken back.
    pub misfit: f64,
    /// The variance of these.
    pub variance: f64,
    /// True if all survivors of a simulator's run gave the same outputs.
    pub alike: bool,
    /// The misfit of each member; not finite for a member without outputs.
    pub misfits: Vec<f64>,
}

/// Facts on every member's outputs, the same on all ranks.
struct Facts {
    /// Misfits; not finite where they overflow or outputs are not finite.
    misfits: Vec<f64>,
    /// Squared norms of what enters D: NaN where it is not finite, infinite where the square overflows.
    squares: Vec<f64>,
    /// Checksums of a simulator's outputs; of other maps none.
    sums: Vec<f64>,
}

impl Facts {
    /// Returns true if `member`'s outputs are finite numbers.
    fn is_finite(&self, member: usize) -> bool {
        !self.squares[member].is_nan()
    }

    /// Returns true if `member`'s misfit and outputs are finite, and their squares too.
    fn is_sound(&self, member: usize) -> bool {
        self.misfits[member].is_finite() && self.squares[member].is_finite()
    }
}

impl<T: Real> State<T> {
    /// Returns the members whose outputs count, and what is known of them, from this rank's `forecast` and the observations
    /// `y`. Called by all ranks.
    ///
    /// # Errors
    /// On all ranks alike: too few members have outputs that count, and there are none to go back to.
    pub(super) fn agree(
        &self,
        context: &StepContext<T>,
        forecast: &Forecast<T>,
        y: &[T],
    ) -> Result<Agreed> {
        let plan = context.plan;
        let facts = self.facts(context, (&forecast.selected, y.len()), &forecast.misfits);
        let j = facts.misfits.len();
        let near = self.near_enough(context, &facts, y);
        let alive: Vec<bool> = (0..j).map(|k| facts.is_sound(k) && near[k]).collect();
        let survivors = Survivors::new(alive);
        // Of sigma points one and the centre tell of a direction, and the others are drawn in.
        let few = plan.sigma_points().map_or(3, |_| 2);
        let least = few.max(j / 10);
        if !survivors.all() && survivors.count() < least {
            if !self.may_take_back() {
                let count = survivors.count();
                return Err(Error::Run(too_few(self.step + 1, &facts, (count, least))));
            }
            return Ok(Agreed {
                survivors,
                misfit: f64::INFINITY,
                variance: 0.0,
                alike: false,
                misfits: facts.misfits,
            });
        }
        let mean_of = |value: &dyn Fn(f64) -> f64| {
            let alive = (0..j).filter(|&k| survivors.contains(k));
            alive.map(|k| value(facts.misfits[k])).sum::<f64>() / survivors.count() as f64
        };
        let mean = mean_of(&|misfit| misfit);
        let variance = mean_of(&|misfit| (misfit - mean).powi(2));
        let sums = facts.sums.iter().enumerate();
        let mut sums = sums
            .filter(|(k, _)| survivors.contains(*k))
            .map(|(_, sum)| *sum);
        let first = sums.next();
        Ok(Agreed {
            alike: plan.config().model.kind.simulates() && sums.all(|sum| Some(sum) == first),
            misfit: mean,
            variance,
            survivors,
            misfits: facts.misfits,
        })
    }

    /// Returns the facts on all members. Called by all ranks.
    fn facts(
        &self,
        context: &StepContext<T>,
        (selected, observed): (&Array2<T>, usize),
        misfits: &[f64],
    ) -> Facts {
        let comm = context.ranks.comm;
        let simulates = context.plan.config().model.kind.simulates();
        let members = self.ensemble.members(context.ranks);
        let j = members.items();
        // Zero on all ranks but the member's owner, so the sum is exact.
        let kinds = if simulates { 3 } else { 2 };
        let mut facts = vec![0.0; kinds * j];
        for (i, member) in members.range(comm.rank()).enumerate() {
            let row = selected.row(i);
            let row = row.to_slice().expect("row-major");
            facts[member] = misfits[i];
            let square = inner(row, row);
            // The square of finite numbers may overflow: only then each is looked at.
            let sound = square.is_finite() || row.iter().all(|z| z.is_finite());
            facts[j + member] = if sound { square } else { f64::NAN };
            if simulates {
                let outputs = bytemuck::cast_slice(&row[..observed]);
                facts[2 * j + member] = f64::from(crc32fast::hash(outputs));
            }
        }
        comm.sum_exact(&mut facts);
        let sums = facts.split_off(2 * j);
        let squares = facts.split_off(j);
        Facts {
            misfits: facts,
            squares,
            sums,
        }
    }

    /// Returns which members' outputs are near enough to count: to one set of observations `y` with least squares, else to 0.
    /// The log names the others.
    fn near_enough(&self, context: &StepContext<T>, facts: &Facts, y: &[T]) -> Vec<bool> {
        let plan = context.plan;
        let beyond = plan.config().method.outlier_ratio;
        // Of a network's batches the observations change from step to step: its outputs' own size is the measure.
        let kind = plan.config().model.kind;
        let one_set = kind.simulates() || kind == ModelKind::Linear;
        let squared = one_set && plan.loss.is_least_squares();
        let (sizes, limit): (Vec<f64>, f64) = if squared {
            let distances = facts.misfits.iter().map(|&m| plan.in_deviations(m));
            let distances: Vec<f64> = distances.collect();
            let size = plan.in_deviations(plan.loss.misfit(&vec![T::zero(); y.len()], y));
            let limit = outlying::limit(distances.iter().copied(), size, beyond);
            (distances, limit)
        } else {
            let median = outlying::median(facts.squares.iter().copied());
            let limit = match median > 0.0 {
                true => median * beyond.powi(2),
                false => f64::INFINITY,
            };
            (facts.squares.clone(), limit)
        };
        if squared && context.ranks.comm.is_first() {
            let overflows = |k: &usize| facts.is_finite(*k) && !facts.is_sound(*k);
            let count = (0..sizes.len()).filter(overflows).count();
            if count > 0 {
                let step = self.step + 1;
                tracing::info!("step {step}: failed: {count} members {OVERFLOWS}");
            }
        }
        let is_far = |k: &usize| facts.is_sound(*k) && sizes[*k] > limit;
        let far: Vec<usize> = (0..sizes.len()).filter(is_far).collect();
        if let (Some(first), true) = (far.first(), context.ranks.comm.is_first()) {
            let names: Vec<String> = far.iter().take(NAMED).map(usize::to_string).collect();
            let more = if far.len() > NAMED { " ..." } else { "" };
            let how = if squared {
                let first = sizes[*first];
                format!(
                    "{first:.3e} deviations of the noise from the observations, and {limit:.3e} are allowed"
                )
            } else {
                format!(
                    "of norm {:.3e}, and {:.3e} is allowed",
                    sizes[*first].sqrt(),
                    limit.sqrt()
                )
            };
            tracing::info!(
                "step {}: failed by method.outlier_ratio = {beyond:e}: member {}{more}; outputs of the first {how}",
                self.step + 1,
                names.join(", ")
            );
        }
        sizes.iter().map(|size| *size <= limit).collect()
    }
}

/// Returns why the run cannot go on with `count` of the members: `least` are needed.
fn too_few(step: u64, facts: &Facts, (count, least): (usize, usize)) -> String {
    let j = facts.misfits.len();
    let finite = (0..j).filter(|&k| facts.is_finite(k)).count();
    let sound = (0..j).filter(|&k| facts.is_sound(k)).count();
    if finite == count {
        return format!(
            "step {step}: only {count} of {j} members gave finite outputs; at least {least} are needed to go on"
        );
    }
    let mut reasons = Vec::new();
    let mut reason = |number: usize, why: &str| {
        if number > 0 {
            reasons.push(format!("{number} {why}"));
        }
    };
    reason(j - finite, "gave no finite outputs");
    reason(finite - sound, OVERFLOWS);
    reason(sound - count, "are beyond method.outlier_ratio");
    format!(
        "step {step}: the outputs of only {count} of {j} members can be used ({}); at least {least} are needed to go on",
        reasons.join(", ")
    )
}
