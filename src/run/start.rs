//! The state a run begins with: members drawn from the prior, about a centre, or read from a file.

use ndarray::{Array2, ArrayRef2, s};

use super::{State, initial, manner, sizes};
use crate::config::InitialCentre;
use crate::ensemble::Ensemble;
use crate::ensemble::draw::Draw;
use crate::ensemble::full::FullEnsemble;
use crate::ensemble::mean::{MeanEnsemble, NextDraw};
use crate::ensemble::transform::Form;
use crate::error::Result;
use crate::forward::load;
use crate::forward::prior::Prior;
use crate::io::npy;
use crate::kernels::real::Real;
use crate::kernels::rng::Purpose;
use crate::parallel::ranks::Ranks;
use crate::run::plan::Plan;
use crate::run::plan::extra_arrays::ExtraArrays;

/// The member number of the draw that a centred ensemble is drawn about: no ensemble has so many.
const CENTRE: usize = u32::MAX as usize;

impl<T: Real> State<T> {
    /// The state before the first step.
    ///
    /// # Errors
    /// On all ranks: a prior of another size than the plan's; an initial ensemble that cannot be read or has another shape
    /// (`check_initial` told before).
    pub fn start(ranks: Ranks, plan: &Plan, prior: &Prior) -> Result<Self> {
        sizes::same(
            "the prior has",
            prior.parameters(),
            plan.parameters,
            "parameters",
        )?;
        let config = plan.config();
        let draw = Draw {
            seed: config.seed,
            purpose: Purpose::Initial,
            step: 0,
        };
        let members = plan.members(0);
        let each_step = plan.redraws_each_step();
        let centre = centre(plan, prior, draw);
        let spread = if each_step || config.ensemble.centre == InitialCentre::Prior {
            plan.spread(0)
        } else {
            1.0
        };
        let given = is_from_file(plan);
        let ensemble = if plan.form(members) == Form::Mean {
            let centre = match given {
                true => read_rows(ranks, plan, 1)?.into_raw_vec_and_offset().0,
                false => centre,
            };
            Ensemble::Mean(MeanEnsemble::new(
                members,
                centre,
                prior,
                NextDraw {
                    draw,
                    spread: plan.spread(0),
                    differing: prior.within(plan.layers(0)),
                },
                manner(plan),
            ))
        } else {
            let beside = ExtraArrays::of(plan);
            let momentum = beside.previous;
            let mut full = match given {
                true => {
                    let rows = read_rows(ranks, plan, members)?;
                    FullEnsemble::new(
                        ranks,
                        members,
                        prior,
                        momentum,
                        |_, columns, block: &mut ArrayRef2<T>| {
                            block.assign(&rows.slice(s![.., columns]));
                        },
                    )
                }
                false => FullEnsemble::new(ranks, members, prior, momentum, |_, columns, block| {
                    draw.fill_block(
                        0..members,
                        columns.clone(),
                        &centre[columns],
                        (prior, spread),
                        block,
                    );
                }),
            };
            if beside.centres {
                // Draws at each step move what they are about; else the mean moves as it is.
                let about = if each_step && !given {
                    centre
                } else {
                    full.mean(ranks)
                };
                full.track_centre(&about);
            }
            Ensemble::Full(full)
        };
        Ok(Self {
            step: 0,
            momentum_steps: 0,
            time: 0.0,
            carried: None,
            ensemble,
        })
    }
}

/// What the initial ensemble is drawn about, P numbers; where descent begins.
fn centre<T: Real>(plan: &Plan, prior: &Prior, draw: Draw) -> Vec<T> {
    if plan.is_gradient_descent() || plan.config().ensemble.centre == InitialCentre::Prior {
        draw.point(CENTRE, prior)
    } else {
        prior.mean(0..prior.parameters())
    }
}

/// Returns true if the initial ensemble is read from a file.
fn is_from_file(plan: &Plan) -> bool {
    plan.config().ensemble.initial != "prior"
}

/// Checks the file of an initial ensemble, if one is asked for, before anything is written.
///
/// # Errors
/// As `read`.
pub fn check_initial<T: Real>(plan: &Plan) -> Result<()> {
    let rows = if plan.form(plan.members(0)) == Form::Mean {
        1
    } else {
        plan.members(0)
    };
    match is_from_file(plan) {
        true => read::<T>(plan, rows).map(drop),
        false => Ok(()),
    }
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
    match load::priors(&plan.resolved)? {
        Some(marginals) => initial::coordinates(&path, rows, &marginals),
        None => npy::read(&path, rows, plan.parameters),
    }
}

/// As `read`, by rank 0, which sends them to all.
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
