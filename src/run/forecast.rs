//! The forecast of a step: the forward map on this rank's members.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};

use super::history::RawOutputs;
use super::waits::Round;
use super::{State, missing};
use crate::data::{Batch, BatchTargets};
use crate::ensemble::Ensemble;
use crate::ensemble::hidden_state::HiddenStates;
use crate::ensemble::survivors::Survivors;
use crate::error::Result;
use crate::forward::evaluator::Evaluator;
use crate::kernels::real::Real;
use crate::run::context::StepContext;
use crate::run::timing::{Phase, Timing};

/// The outputs of this rank's members.
pub(super) struct Forecast<T> {
    /// The selected outputs, which enter D, J/R x K.
    pub selected: Array2<T>,
    /// The members' misfits, J/R numbers.
    pub misfits: Vec<f64>,
    /// The number of outputs that members of all ranks lack without having failed (`model.missing`).
    pub missing: u64,
    /// The outputs as they came.
    pub raw: RawOutputs<T>,
}

impl<T: Real> State<T> {
    /// Evaluates this rank's members on `batch`, again where simulators have to be asked again; None where the simulations were
    /// given up (`StepContext::given_up`). Called by all ranks.
    ///
    /// # Errors
    /// As `StepContext::settle`.
    pub(super) fn forecast(
        &mut self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        targets: &[T],
        timing: &mut Timing,
    ) -> Result<Option<Forecast<T>>> {
        let sets = context.plan.sets(self.step);
        let simulator = context.problem.map.simulator();
        let ask_for = |sets: Option<&[usize]>| {
            if let Some(simulator) = simulator {
                simulator.ask_for(sets);
            }
        };
        ask_for(sets.as_deref());
        let found = loop {
            let forecast = timing.measure(Phase::Forward, || {
                self.outputs(context, batch, (&batch.targets, targets, sets.as_deref()))
            });
            match timing.measure(Phase::Wait, || context.settle())? {
                Round::Good => break Some(forecast),
                Round::Again => context.buffers.put_array(forecast.selected),
                Round::GivenUp => break None,
            }
        };
        // Members and their mean are judged by all sets.
        ask_for(None);
        Ok(found)
    }

    /// Clears the hidden states that members carry, at the start of a pass over a series.
    pub(super) fn begin_pass(&mut self, context: &StepContext<T>) {
        let (plan, ranks) = (context.plan, context.ranks);
        let own = self.ensemble.members(ranks).range(ranks.comm.rank());
        let carrying = context.problem.map.carrying();
        if let Some(map) = carrying.filter(|_| plan.begins_epoch(self.step)) {
            let predicted = (plan.data.train, plan.data.outputs);
            self.carried = Some(HiddenStates::new(predicted, own.len(), map.hidden()));
        }
    }

    /// Keeps what the survivors predicted of a series, from the `selected` outputs of this rank's members; nothing for other
    /// data. Called by all ranks.
    pub(super) fn record_predictions(
        &mut self,
        context: &StepContext<T>,
        survivors: &Survivors,
        selected: &Array2<T>,
    ) {
        let members = self.ensemble.members(context.ranks);
        if let Some(hidden) = &mut self.carried {
            let first = context.plan.batches.place(self.step).start;
            hidden.predict(context.ranks, members, survivors, (selected, first));
        }
    }

    /// Returns the forecast of this rank's members, without observations that are left out: their outputs are those of the history, if
    /// it is of these members, or known since they were judged, else the forward map's. Of `sets`, if they are given, the outputs
    /// are known; those of others are taken as observed, and misfits scaled up as if all sets missed as much. Called by all ranks.
    pub(super) fn outputs(
        &mut self,
        context: &StepContext<T>,
        batch: &Batch<T>,
        (given, targets, sets): (&BatchTargets<T>, &[T], Option<&[usize]>),
    ) -> Forecast<T> {
        let own = self
            .ensemble
            .members(context.ranks)
            .range(context.ranks.comm.rank());
        let mut selected = context.buffers.array(own.len(), context.plan.outputs());
        let mut misfits = vec![0.0; own.len()];
        let named = sets.map(|sets| context.plan.table.set_names(sets));
        let about = (
            context.problem.map.as_ref(),
            targets.len(),
            named.as_deref(),
        );
        let recorder = context.history.as_ref();
        let stored = recorder.and_then(|history| history.stored(context.ranks, self, about));
        let known = context.known_outputs(self.step);
        let columns = targets.len() * usize::from(context.keeps_outputs());
        let mut raw = Array2::zeros((own.len(), columns));
        let places = selected.rows_mut().into_iter().zip(misfits.iter_mut());
        let places = places.zip(raw.rows_mut());
        let loss = &context.plan.loss;
        let lacking = context.plan.table.outputs.missing() > 0 || sets.is_some();
        let (evaluator, inputs) = (&context.evaluator, batch.inputs.view());
        type Places<'p, T> = ((ArrayViewMut1<'p, T>, &'p mut f64), ArrayViewMut1<'p, T>);
        let take = |((mut row, misfit), mut raw): Places<T>, outputs: ArrayView2<T>| {
            raw.iter_mut()
                .zip(outputs.t())
                .for_each(|(z, &output)| *z = output);
            let row = &mut row.as_slice_mut().expect("row-major")[..targets.len()];
            match lacking {
                true => row
                    .iter_mut()
                    .zip(outputs.t())
                    .for_each(|(z, &output)| *z = output),
                false => *misfit = loss.select(outputs, given, targets, row),
            }
        };
        let ranks = context.ranks;
        match (stored.as_ref().or(known.as_ref()), &mut self.carried) {
            (Some(stored), _) => places.zip(stored.rows()).for_each(|(place, row)| {
                let outputs = row.mapv(T::from_f64);
                take(place, outputs.view().insert_axis(Axis(1)));
            }),
            (None, Some(carried)) => {
                let along = (carried.rows_mut(), places);
                self.ensemble.advance(evaluator, ranks, inputs, along, take);
            }
            (None, None) => {
                let (evaluator, reached) = self.block(context, inputs);
                let inputs = reached.as_ref().map_or(inputs, |reached| reached.view());
                self.ensemble
                    .for_outputs(evaluator, ranks, inputs, places, take);
            }
        }
        let mut missing = 0;
        if lacking {
            let rows = selected.slice_mut(s![.., ..targets.len()]);
            missing = self.complete(context, (targets, sets), rows, &mut misfits);
        }
        if selected.ncols() > targets.len() {
            self.put_points(context, own, selected.slice_mut(s![.., targets.len()..]));
        }
        let stored = stored.is_some();
        let mut forecast = Forecast {
            selected,
            misfits,
            missing,
            raw: RawOutputs::new(&context.plan.table, (raw, stored), sets),
        };
        self.leave_out(context, &mut forecast, targets);
        forecast
    }

    /// Returns the evaluator of the layers whose turn it is in the next step, and what `inputs` become before these, where not all layers
    /// move.
    fn block<'c>(
        &self,
        context: &'c StepContext<T>,
        inputs: ArrayView2<T>,
    ) -> (&'c Evaluator<'c, T>, Option<Array2<T>>) {
        let first = context.plan.layers(self.step).start;
        let mut blocks = context.blocks.iter();
        let Some(block) = blocks.find(|block| block.first == first) else {
            return (&context.evaluator, None);
        };
        let centre = self.ensemble.centre().expect("blocks are the mean form's");
        (&block.evaluator, Some(block.inputs(centre, inputs)))
    }

    /// Takes the observations that this run leaves out from a `forecast`, with the observations' `targets`.
    pub(super) fn leave_out(
        &self,
        context: &StepContext<T>,
        forecast: &mut Forecast<T>,
        targets: &[T],
    ) {
        if self.left_out.places().is_empty() {
            return;
        }
        let rows = forecast.selected.rows_mut().into_iter();
        for (mut row, misfit) in rows.zip(&mut forecast.misfits) {
            let z = &mut row.as_slice_mut().expect("row-major")[..targets.len()];
            *misfit = self.left_out.take(&context.plan.loss, z, targets);
        }
    }

    /// Completes the outputs `rows` of this rank's members, J/R x K, where they are not known, and writes their `misfits`; returns what
    /// `missing::fill` does. Called by all ranks.
    fn complete(
        &self,
        context: &StepContext<T>,
        (targets, sets): (&[T], Option<&[usize]>),
        mut rows: ArrayViewMut2<T>,
        misfits: &mut [f64],
    ) -> u64 {
        let table = &context.plan.table;
        let mut scale = 1.0;
        if let Some(sets) = sets {
            let others: Vec<usize> = table.places_of_others(sets).collect();
            scale = targets.len() as f64 / (targets.len() - others.len()) as f64;
            for mut row in rows.rows_mut() {
                others.iter().for_each(|&place| row[place] = targets[place]);
            }
        }
        let missing = match table.outputs.missing() {
            0 => 0,
            _ => {
                let members = self.ensemble.members(context.ranks);
                missing::fill(context, (self.step, members), rows.view_mut())
            }
        };
        let loss = &context.plan.loss;
        for (mut row, misfit) in rows.rows_mut().into_iter().zip(misfits) {
            *misfit = scale * loss.enter(row.as_slice_mut().expect("row-major"), targets);
        }
        missing
    }

    /// Writes the points of the members `own` less the prior's mean, in its deviations, to `points`, J/R x P: in coordinates in which
    /// the prior is standard normal.
    fn put_points(
        &self,
        context: &StepContext<T>,
        own: Range<usize>,
        mut points: ArrayViewMut2<T>,
    ) {
        let (map, prior) = (context.problem.map.as_ref(), &context.prior);
        let parameters = prior.parameters();
        let (mean, mut deviations) = (prior.mean(0..parameters), vec![T::zero(); parameters]);
        prior.deviations(0, 1.0, &mut deviations);
        let mut point: Vec<T> = vec![T::zero(); parameters];
        if let Ensemble::Full(full) = &self.ensemble
            && let Some(whitening) = full.whitening()
        {
            for (member, out) in own.zip(points.rows_mut()) {
                self.ensemble.fill(map, member, &mut point);
                whitening.apply(&point, out);
            }
            return;
        }
        for (member, mut out) in own.zip(points.rows_mut()) {
            self.ensemble.fill(map, member, &mut point);
            let about = mean.iter().zip(&deviations);
            for ((x, &u), (&mean, &deviation)) in out.iter_mut().zip(&point).zip(about) {
                *x = (u - mean) / deviation;
            }
        }
    }
}
