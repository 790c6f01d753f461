//! Step acceptance (`method.accept`): a step that makes the fit worse is taken back, and tried with half of h from the same outputs.
//!
//! ```text
//! Phi(n)      mean over members of the misfit after n steps
//! taken back  Phi(n + 1) > 1.05 Phi(n): the next members follow from those after n steps, and their outputs, with h/2, then h/4 ...
//! accepted    else: the next step has twice the last factor of h, up to 1
//! ```
//!
//! No simulation is repeated: the outputs of the last accepted members are kept. Members that were taken back count as a step, so that
//! each ensemble that was simulated has a number, a line of metrics and a place in the history. The last step of a run is not judged.
//! The rule is that of a backtracking line search by simple decrease (Nocedal & Wright, Numerical Optimization, 2nd edition, ch. 3), with
//! a margin, because the mean over members is not what each step minimises.

use ndarray::Array2;

use super::State;
use super::agree::Agreed;
use super::forecast::Forecast;
use super::history::RawOutputs;
use crate::config::MethodKind;
use crate::ensemble::Ensemble;
use crate::error::Result;
use crate::files::numbers::number;
use crate::io::checkpoint::Array;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::run::context::StepContext;
use crate::run::plan::Plan;

/// The growth of the mean misfit beyond which a step is taken back.
const GROWTH: f64 = 1.05;
/// The most halvings of h: beyond these a step is accepted.
const MOST_HALVINGS: u32 = 10;
/// The numbers that are kept beside a misfit for each member: mean misfit, time and halvings.
const SCALARS: usize = 3;

/// Statistics of the last accepted members; the members themselves stand in the ensemble.
#[derive(Clone, Debug)]
pub struct Accepted<T> {
    /// The outputs of this rank's members that enter D, J/R x K.
    selected: Array2<T>,
    /// Their misfits.
    misfits: Vec<f64>,
    /// The mean misfit of all that count.
    misfit: f64,
    /// The sum of the h of the steps that led to them.
    time: f64,
    /// The number of halvings of h for the step from them.
    halvings: u32,
    /// Their coefficients (`State::coefficients`).
    coefficients: Option<Array2<T>>,
}

/// The members that a step goes on from.
pub(super) struct Start<T> {
    /// The outputs of its members.
    pub forecast: Forecast<T>,
    /// The members that count.
    pub agreed: Agreed,
    /// The statistics of members that were taken back, if any were.
    pub taken_back: Option<Agreed>,
}

impl<T: Real> State<T> {
    /// Returns true if members whose outputs are of no use can be taken back.
    pub(super) fn may_take_back(&self) -> bool {
        let accepted = self.accepted.as_ref();
        accepted.is_some_and(|kept| kept.halvings < MOST_HALVINGS)
    }

    /// Returns the factor of h of this step by acceptance.
    pub(super) fn halved(&self) -> f64 {
        let accepted = self.accepted.as_ref();
        accepted.map_or(1.0, |kept| 0.5_f64.powi(kept.halvings as i32))
    }

    /// Returns the factor of h of this step of `plan`, from what ranks `agreed` on.
    pub(super) fn factor(&self, plan: &Plan, agreed: &Agreed) -> f64 {
        let variance = agreed.variance * self.left_out.share_counted(plan.observed());
        let misfits = (agreed.misfit, variance);
        self.halved() * plan.factor(self.step, misfits, self.time)
    }

    /// Accepts the members of this `forecast`, in which those count that are `agreed` on, or takes them back. Called by all ranks.
    ///
    /// # Errors
    /// As `agree`.
    pub(super) fn accept(
        &mut self,
        context: &StepContext<T>,
        (mut forecast, agreed): (Forecast<T>, Agreed),
        targets: &[T],
    ) -> Result<Start<T>> {
        let accepts = context.plan.config().method.accept;
        let (Ensemble::Full(full), true) = (&mut self.ensemble, accepts) else {
            return Ok(Start {
                forecast,
                agreed,
                taken_back: None,
            });
        };
        if let Some(kept) = &mut self.accepted
            && agreed.misfit > GROWTH * kept.misfit
        {
            if kept.halvings < MOST_HALVINGS {
                kept.halvings += 1;
                self.time = kept.time;
                self.coefficients.clone_from(&kept.coefficients);
                full.take_back(context.ranks);
                forecast.selected.assign(&kept.selected);
                forecast.misfits.clone_from(&kept.misfits);
                forecast.raw = RawOutputs {
                    rows: Array2::zeros((0, 0)),
                    stored: false,
                    sets: None,
                };
                return self.back(context, (forecast, agreed), targets);
            }
            if context.ranks.comm.is_first() {
                tracing::warn!(
                    "step {}: the misfit grows even with h halved {MOST_HALVINGS} times: the step is accepted",
                    self.step
                );
            }
        }
        full.keep();
        let before = self.accepted.as_ref().map_or(0, |kept| kept.halvings);
        self.accepted = Some(Accepted {
            selected: forecast.selected.clone(),
            misfits: forecast.misfits.clone(),
            misfit: agreed.misfit,
            time: self.time,
            halvings: before.saturating_sub(1),
            coefficients: self.coefficients.clone(),
        });
        Ok(Start {
            forecast,
            agreed,
            taken_back: None,
        })
    }

    /// Returns the start of the step again from the accepted members' `forecast`, after others were taken back. Called by all ranks.
    fn back(
        &self,
        context: &StepContext<T>,
        (forecast, mut rejected): (Forecast<T>, Agreed),
        targets: &[T],
    ) -> Result<Start<T>> {
        let agreed = self.agree(context, &forecast, targets)?;
        let words = |misfit| number(context.plan.in_deviations(misfit), 4);
        if context.ranks.comm.is_first() {
            let (step, factor) = (self.step, self.halved());
            let why = match rejected.misfit.is_finite() {
                true => format!(
                    "the members' misfit grew from {} to {} deviations of the noise",
                    words(agreed.misfit),
                    words(rejected.misfit)
                ),
                false => "too few members gave outputs that can be used".to_owned(),
            };
            tracing::info!(
                "step {step}: taken back, as {why}: tried again with h times {factor} (method.accept)"
            );
        }
        if !rejected.misfit.is_finite() {
            rejected.misfit = agreed.misfit;
        }
        Ok(Start {
            forecast,
            agreed,
            taken_back: Some(rejected),
        })
    }

    /// Returns what a checkpoint holds of the accepted members beside themselves, the same on all ranks. Called by all ranks.
    pub(super) fn accepted_numbers(&self, ranks: Ranks) -> Vec<T> {
        let Some(kept) = &self.accepted else {
            return Vec::new();
        };
        let members = self.ensemble.members(ranks);
        let (own, width) = (members.range(ranks.comm.rank()), kept.selected.ncols());
        let mut numbers = vec![T::zero(); members.items() * width];
        let rows = kept.selected.as_slice().expect("row-major");
        numbers[own.start * width..own.end * width].copy_from_slice(rows);
        ranks.comm.all_gather_rows(members, width, &mut numbers);
        numbers.extend(kept.coefficients.iter().flatten());
        let mut doubles = vec![0.0; members.items()];
        doubles[own].copy_from_slice(&kept.misfits);
        ranks.comm.all_gather_rows(members, 1, &mut doubles);
        doubles.extend([kept.misfit, kept.time, f64::from(kept.halvings)]);
        numbers.extend(bytemuck::pod_collect_to_vec::<f64, T>(&doubles));
        numbers
    }
}

/// Returns the array that a checkpoint of `plan` with `members` members may hold of accepted ones.
pub(super) fn array<T: Real>(plan: &Plan, members: usize) -> Array {
    let doubles = (members + SCALARS) * size_of::<f64>() / size_of::<T>();
    Array::Accepted {
        count: (members * (plan.outputs() + coefficients_of(plan, members)) + doubles) as u64,
    }
}

/// Returns the coefficients of each of `members` members of `plan`.
fn coefficients_of(plan: &Plan, members: usize) -> usize {
    match plan.config().method.kind {
        MethodKind::Gnki => members,
        _ => 0,
    }
}

impl<T: Real> Accepted<T> {
    /// Returns what `numbers`, as `accepted_numbers` returned them, say of this rank's members.
    pub(super) fn read(ranks: Ranks, state: &Ensemble<T>, plan: &Plan, numbers: &[T]) -> Self {
        let (members, width) = (state.members(ranks), plan.outputs());
        let own = members.range(ranks.comm.rank());
        let (outputs, doubles) = numbers.split_at(members.items() * width);
        let (coefficients, doubles) =
            doubles.split_at(members.items() * coefficients_of(plan, members.items()));
        let side = members.items();
        let doubles = bytemuck::pod_collect_to_vec::<T, f64>(doubles);
        let (misfits, scalars) = doubles.split_at(members.items());
        let rows = outputs[own.start * width..own.end * width].to_vec();
        Self {
            selected: Array2::from_shape_vec((own.len(), width), rows).expect("its rows"),
            misfits: misfits[own].to_vec(),
            misfit: scalars[0],
            time: scalars[1],
            halvings: (scalars[2] as u32).min(MOST_HALVINGS),
            coefficients: Array2::from_shape_vec((side, side), coefficients.to_vec()).ok(),
        }
    }
}
