//! The state a run begins with: members drawn from the prior, about a centre, or read from a file.

use std::ops::Range;

use ndarray::{Array2, ArrayRef2, s};

use super::{State, coefficients, initial, mean_options, sizes};
use crate::config::InitialCentre;
use crate::ensemble::draw::Draw;
use crate::ensemble::exact_draw::ExactDraw;
use crate::ensemble::full::FullEnsemble;
use crate::ensemble::mean::MeanEnsemble;
use crate::ensemble::sample::Whitening;
use crate::ensemble::sigma_points::{Prediction, SigmaPoints};
use crate::ensemble::transform::Form;
use crate::ensemble::{Ensemble, EnsembleState as _, NextDraw};
use crate::error::{Error, Result};
use crate::forward::joint_prior::JointPrior;
use crate::forward::prior::Prior;
use crate::io::npy;
use crate::kernels::real::Real;
use crate::kernels::rng::Purpose;
use crate::parallel::ranks::Ranks;
use crate::parallel::slab::Slab;
use crate::run::left_out::LeftOut;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;

/// The member number of the draw that a centred ensemble is drawn about: no ensemble has so many.
const CENTRE: usize = u32::MAX as usize;

impl<T: Real> State<T> {
    /// Returns the state before the first step.
    ///
    /// # Errors
    /// On all ranks: a prior of another size than the plan's; an initial ensemble that cannot be read or has another shape
    /// (`check_initial` refuses both before a run).
    pub fn start(ranks: Ranks, plan: &Plan, prior: &Prior) -> Result<Self> {
        sizes::same(
            "the prior has",
            prior.parameters(),
            plan.parameters,
            "parameters",
        )?;
        let ensemble = match plan.form(plan.members(0)) {
            Form::Mean => Ensemble::Mean(first_mean(ranks, plan, prior)?),
            _ => Ensemble::Full(first_members(ranks, plan, prior)?),
        };
        Ok(Self {
            step: 0,
            momentum_steps: 0,
            time: 0.0,
            carried: None,
            left_out: LeftOut::default(),
            accepted: None,
            coefficients: coefficients::first(plan),
            last_misfit: None,
            ensemble,
        })
    }
}

/// Returns the draws of the first members.
fn first_draw(plan: &Plan) -> Draw {
    Draw {
        seed: plan.config().seed,
        purpose: Purpose::Initial,
        step: 0,
    }
}

/// Returns the mean ensemble about the prior's mean, one draw of it, or a mean that is read. Called by all ranks.
///
/// # Errors
/// As `read`.
fn first_mean<T: Real>(ranks: Ranks, plan: &Plan, prior: &Prior) -> Result<MeanEnsemble<T>> {
    let draw = first_draw(plan);
    let mean = match plan.begins_from_file() {
        true => read_rows(ranks, plan, 1)?.into_raw_vec_and_offset().0,
        false => centre(plan, prior, draw),
    };
    let first = NextDraw {
        draw,
        spread: plan.spread(0),
        differing: prior.within(plan.layers(0)),
    };
    let (members, options) = (plan.members(0), mean_options(plan));
    Ok(MeanEnsemble::new(members, mean, prior, first, options))
}

/// Draws all first members about a centre, or reads them. Called by all ranks.
///
/// # Errors
/// As `read`.
fn first_members<T: Real>(ranks: Ranks, plan: &Plan, prior: &Prior) -> Result<FullEnsemble<T>> {
    let (members, draw, kept) = (plan.members(0), first_draw(plan), ExtraArrays::of(plan));
    if let Some(points) = plan.sigma_points() {
        return Ok(first_points(ranks, plan, points, prior));
    }
    if plan.begins_from_file() {
        let rows: Array2<T> = read_rows(ranks, plan, members)?;
        let fill =
            |_, columns, block: &mut ArrayRef2<T>| block.assign(&rows.slice(s![.., columns]));
        let mut full = FullEnsemble::new(ranks, members, prior, kept.previous, fill);
        if kept.centres {
            let mean = full.mean(ranks);
            full.track_centre(&mean);
        }
        if kept.sample.is_some() {
            full.track_sample();
        }
        if plan.whitens_by_sample() {
            full.whiten_by_sample(ranks)?;
        }
        return Ok(full);
    }
    let (centre, each_step) = (centre(plan, prior, draw), plan.redraws_each_step());
    let about_prior = plan.ensemble.centre == InitialCentre::Prior;
    let spread = match each_step || about_prior {
        true => plan.spread(0),
        false => 1.0,
    };
    let exact = exact_draw::<T>(ranks, plan, draw)?;
    let fill = |b, columns: Range<usize>, block: &mut ArrayRef2<T>| {
        let law = (prior, spread);
        match &exact {
            Some(exact) => exact.fill((b, columns), &centre, law, block),
            None => draw.fill_block(0..members, columns.clone(), &centre[columns], law, block),
        }
    };
    let mut full = FullEnsemble::new(ranks, members, prior, kept.previous, fill);
    if kept.centres {
        // Draws at each step move what they are about; else the mean moves as it is.
        let about = match each_step {
            true => centre,
            false => full.mean(ranks),
        };
        full.track_centre(&about);
    }
    Ok(full)
}

/// Places the sigma points of the prior, and beside them those of the first prediction, which are simulated. Called by all ranks.
fn first_points<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    points: SigmaPoints,
    prior: &Prior,
) -> FullEnsemble<T> {
    let place = |spread: f64| {
        move |_, columns: Range<usize>, block: &mut ArrayRef2<T>| {
            points.fill(columns, (prior, spread), block);
        }
    };
    let predicted = place(Prediction::factor(plan.step_size.h));
    let mut full = FullEnsemble::new(ranks, points.count(), prior, false, predicted);
    full.previous = Some(Slab::fill(ranks.comm, ranks.pool, &full.layout, place(1.0)));
    full
}

/// Prepares the draws of first members with the prior's own moments, if they are asked for. Called by all ranks.
///
/// # Errors
/// As `ExactDraw::new`.
fn exact_draw<T: Real>(ranks: Ranks, plan: &Plan, draw: Draw) -> Result<Option<ExactDraw>> {
    if !plan.ensemble.second_order_exact {
        return Ok(None);
    }
    let (members, parameters) = (plan.members(0), plan.parameters);
    let exact = ExactDraw::new::<T>(ranks, draw, members, parameters)?;
    if ranks.comm.is_first() && !exact.is_of_covariance() {
        tracing::info!(
            "ensemble.second_order_exact: {members} members are too few for the covariance of {parameters} parameters: of the first \
             members the mean alone is exactly that of the prior"
        );
    }
    Ok(Some(exact))
}

/// Returns the centre of the initial ensemble, P numbers, where gradient descent also begins.
fn centre<T: Real>(plan: &Plan, prior: &Prior, draw: Draw) -> Vec<T> {
    match plan.ensemble.centre {
        InitialCentre::Prior => draw.point(CENTRE, prior),
        InitialCentre::Zero => prior.mean(0..prior.parameters()),
    }
}

/// Checks the file of an initial ensemble, if one is asked for, before anything is written.
///
/// # Errors
/// As `read`; members whose covariance has no inverse, where that is needed.
pub fn check_initial<T: Real>(plan: &Plan) -> Result<()> {
    let rows = if plan.form(plan.members(0)) == Form::Mean {
        1
    } else {
        plan.members(0)
    };
    if !plan.begins_from_file() {
        return Ok(());
    }
    let members = read::<T>(plan, rows)?;
    if plan.whitens_by_sample() {
        let members = Array2::from_shape_vec((rows, plan.parameters), members).expect("read so");
        if Whitening::of_members(members.view()).is_none() {
            return Err(Error::data(
                plan.resolved
                    .file("ensemble.initial", &plan.config().ensemble.initial)?,
                "the covariance of these members has no inverse: a parameter, or a sum of some, does not differ; \
                 ensemble.prior = \"laws\" takes the laws of model.prior",
            ));
        }
    }
    Ok(())
}

/// `rows` x P numbers of the initial ensemble's file: points as they are, or of a simulator the coordinates of its
/// parameters, which the file holds in their own units.
///
/// # Errors
/// A file that is missing, of another shape or type, or that holds a number that is not finite or that a prior excludes.
fn read<T: Real>(plan: &Plan, rows: usize) -> Result<Vec<T>> {
    let path = plan
        .resolved
        .file("ensemble.initial", &plan.config().ensemble.initial)?;
    match JointPrior::of(&plan.resolved)? {
        Some(prior) => initial::coordinates(&path, rows, &prior),
        None => npy::read(&path, rows, plan.parameters),
    }
}

/// Reads the initial ensemble on rank 0 and sends it to all ranks.
///
/// # Errors
/// On all ranks: as `read`.
fn read_rows<T: Real>(ranks: Ranks, plan: &Plan, rows: usize) -> Result<Array2<T>> {
    let first = ranks.comm.is_first();
    let numbers = first.then(|| read::<T>(plan, rows)).transpose();
    // The error first, so that all ranks stop alike; then the numbers, as plain bytes.
    let (outcome, numbers) = match numbers {
        Ok(numbers) => (Ok(()), numbers),
        Err(error) => (Err(error), None),
    };
    ranks.comm.from_first(|| outcome)?;
    let bytes = numbers.map_or_else(Vec::new, |n| bytemuck::cast_slice(&n).to_vec());
    let numbers = bytemuck::pod_collect_to_vec::<u8, T>(&ranks.comm.broadcast(bytes));
    Ok(Array2::from_shape_vec((rows, plan.parameters), numbers).expect("checked on rank 0"))
}
