//! The run: its state, and the loop that is the algorithm.

mod arrays;
mod drawn;
pub(crate) mod judge;
mod keep;
mod mean;
mod members;
mod resume;
pub mod save;
pub mod start;
mod stored;

use ndarray::Array2;
use rayon::ThreadPool;
use sha2::{Digest as _, Sha256};

pub use judge::Scores;
pub use keep::{Due, Keeper};
pub use members::Ensemble;
pub use resume::Resumed;
pub use stored::{Redraw, Update};

use crate::comm::Comm;
use crate::data::{Batch, Dataset, Scaling};
use crate::eki::Survivors;
use crate::ensemble::Draw;
use crate::error::{Error, Result};
use crate::evaluation::Evaluator;
use crate::forward::ForwardMap;
use crate::interaction::Outputs;
use crate::plan::Plan;
use crate::real::Real;
use crate::report::{Record, Reporter};
use crate::rng::Purpose;
use crate::stop::StopReason;
use crate::timing::{Phase, Timing};

/// Who does the work: all ranks, and the threads of this one.
#[derive(Clone, Copy)]
pub struct Crew<'a> {
    /// All ranks.
    pub comm: &'a Comm,
    /// This rank's threads.
    pub pool: &'a ThreadPool,
}

/// What is inverted: a forward map and the data it should reproduce.
pub struct Problem<T> {
    /// G.
    pub map: Box<dyn ForwardMap<T>>,
    /// The data.
    pub dataset: Dataset,
    /// The inputs' scaling.
    pub scaling: Scaling,
}

/// What changes from step to step.
pub struct State<T> {
    /// Steps done.
    pub step: u64,
    /// Steps done since momentum last started: n of n/(n+3).
    pub momentum_steps: u64,
    /// The members, or their mean.
    pub ensemble: Ensemble<T>,
}

/// What a run ends with, the same on all ranks.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The test set's verdict after the last step.
    pub scores: Scores,
    /// SHA-256 of the final ensemble (of the mean in the mean form), hexadecimal.
    pub digest: String,
    /// Why the run stopped before its last step, if it did.
    pub stopped: Option<StopReason>,
}

/// Runs `plan` on `problem` from its beginning to its end. Called by all ranks.
///
/// # Errors
/// On all ranks alike: too few survivors at a step. On rank 0 alone: a file that cannot be written.
pub fn run<T: Real>(
    crew: Crew,
    plan: &Plan,
    problem: &Problem<T>,
    reporter: &mut Reporter,
    timing: &mut Timing,
) -> Result<(State<T>, Outcome)> {
    let state = State::start(crew, plan, &problem.map.prior())?;
    let keeper = &mut Keeper::none();
    run_from(crew, plan, problem, state, (reporter, timing, keeper))
}

/// As `run`, from `state` on, with a `keeper` that saves it and may stop the run. Called by all ranks.
///
/// # Errors
/// As `run`; and on all ranks alike, a checkpoint that cannot be written where that ends the run.
pub fn run_from<T: Real>(
    crew: Crew,
    plan: &Plan,
    problem: &Problem<T>,
    mut state: State<T>,
    (reporter, timing, keeper): (&mut Reporter, &mut Timing, &mut Keeper),
) -> Result<(State<T>, Outcome)> {
    let evaluator = Evaluator::new(problem.map.as_ref(), crew.pool, plan.batches.batch);
    let prior = problem.map.prior();
    let mut stopped = None;
    keeper.begin(crew.comm);
    let mut order = (u64::MAX, Vec::new());
    let mut selected = Array2::zeros((0, 0));
    while state.step < plan.steps {
        let (step, epoch) = (state.step, plan.batches.epoch(state.step));
        crate::failure::at_step(step);
        timing.begin_step();
        if order.0 != epoch {
            order = (epoch, plan.batches.order(epoch));
        }
        let batch = Batch::gather(
            &problem.dataset.train,
            &order.1[plan.batches.place(step)],
            problem.scaling,
        );
        let targets = plan.loss.targets(&batch.targets, plan.data.outputs);

        let misfits = timing.measure(Phase::Forward, || {
            state.ensemble.evaluate(
                &evaluator,
                crew,
                &batch,
                (&plan.loss, &targets),
                &mut selected,
            )
        });
        let survivors = timing.measure(Phase::Wait, || {
            agree(crew, plan, &state, &selected, &misfits)
        })?;
        let members = state.ensemble.members(crew);
        let form = plan.form(members.items());
        let outputs = Outputs {
            selected: &selected,
            targets: &targets,
            loss: &plan.loss,
            survivors: &survivors.0,
            members,
        };
        let (interaction, d_norm) = timing.measure(Phase::Interaction, || {
            outputs.interaction(crew.comm, crew.pool, form)
        });
        let h = plan.step_size.at(d_norm, plan.h_factor(step));
        let grows = plan.members(epoch + 1) > members.items() && plan.begins_epoch(step + 1);
        let redraw = plan
            .rerandomises(step + 1)
            .then(|| redraw_before(plan, step + 1));
        let update = Update {
            interaction: &interaction,
            h,
            survivors: &survivors.0,
            replacements: Draw {
                seed: plan.config().seed,
                purpose: Purpose::Replace,
                step,
            },
            momentum: plan.momentum(state.momentum_steps),
            // Members that are joined by others are drawn with them, below; a re-draw at each step moves what all of
            // them are drawn about.
            redraw: redraw.filter(|_| !grows || plan.redraws_each_step()),
        };
        let variance = timing.measure(Phase::Update, || {
            state
                .ensemble
                .update(crew, problem.map.as_ref(), &prior, &update)
        });
        state.momentum_steps += 1;
        state.step += 1;
        if grows && state.step < plan.steps {
            state.ensemble.expand(
                crew,
                plan.members(epoch + 1),
                &prior,
                redraw_before(plan, state.step),
                redraw.is_some(),
            );
            state.momentum_steps = 0;
        } else if redraw.is_some_and(|redraw| redraw.restart) {
            state.momentum_steps = 0;
        }
        timing.end_step();

        // Below here nothing changes the result: what happened is judged and told.
        let scores = plan.evaluates(state.step).then(|| {
            timing.measure(Phase::Evaluate, || {
                judge::judge(crew, plan, problem, &evaluator, &mut state, false)
            })
        });
        let record = Record {
            step: state.step,
            epoch: plan.batches.epoch(step) + 1,
            samples: state.step * plan.batches.batch as u64,
            members: members.items(),
            failed: members.items() - survivors.0.count(),
            loss: survivors.1 / plan.batches.batch as f64,
            d_norm,
            step_size: h,
            spread: variance.sqrt(),
            seconds: timing.elapsed(),
            scores,
        };
        timing.measure(Phase::Report, || reporter.step(plan, &record))?;
        let due = keeper.due(crew.comm, plan, &state);
        if due.save {
            let (seconds, stops) = (timing.elapsed(), due.stop.is_some());
            timing.measure(Phase::Checkpoint, || {
                keeper.save(crew, plan, &state, reporter, (seconds, stops))
            })?;
        }
        if due.stop.is_some() {
            stopped = due.stop;
            keeper.stopped();
            break;
        }
    }
    let scores = match stopped {
        Some(_) => Scores::default(),
        None => timing.measure(Phase::Evaluate, || {
            judge::judge(crew, plan, problem, &evaluator, &mut state, true)
        }),
    };
    let outcome = Outcome {
        scores,
        digest: state.ensemble.digest(crew),
        stopped,
    };
    Ok((state, outcome))
}

/// The re-randomisation of the ensemble that enters `step`.
fn redraw_before(plan: &Plan, step: u64) -> Redraw {
    use crate::config::Rerandomise;
    let config = plan.config();
    Redraw {
        draw: Draw {
            seed: config.seed,
            purpose: Purpose::Rerandomise,
            step,
        },
        spread: plan.spread(step),
        restart: config.method.momentum_restart
            && config.ensemble.rerandomise == Rerandomise::Epoch,
    }
}

/// The members whose outputs count, and the mean misfit of these; the same on all ranks.
fn agree<T: Real>(
    crew: Crew,
    plan: &Plan,
    state: &State<T>,
    selected: &Array2<T>,
    misfits: &[f64],
) -> Result<(Survivors, f64)> {
    let members = state.ensemble.members(crew);
    let own = members.range(crew.comm.rank());
    let j = members.items();
    // Misfits and squared norms of the outputs; zero on all ranks but the member's owner, so the sum is exact.
    let mut facts = vec![0.0; 2 * j];
    for (i, member) in own.enumerate() {
        facts[member] = misfits[i];
        facts[j + member] = selected.row(i).iter().map(|z| z.wide() * z.wide()).sum();
    }
    crew.comm.sum_exact(&mut facts);
    let (misfits, squares) = facts.split_at(j);
    let mut finite: Vec<f64> = squares.iter().copied().filter(|s| s.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    let median = finite.get(finite.len() / 2).copied().unwrap_or(0.0);
    let limit = if median > 0.0 {
        median * plan.config().method.fail_beyond.powi(2)
    } else {
        f64::INFINITY
    };
    let alive = (0..j)
        .map(|k| misfits[k].is_finite() && squares[k].is_finite() && squares[k] <= limit)
        .collect();
    let survivors = Survivors::new(alive);
    if !survivors.all() && survivors.count() < 3.max(j / 10) {
        return Err(Error::Run(format!(
            "step {}: only {} of {j} members gave finite outputs; at least {} are needed to go on",
            state.step,
            survivors.count(),
            3.max(j / 10)
        )));
    }
    let sum: f64 = (0..j)
        .filter(|&k| survivors.contains(k))
        .map(|k| misfits[k])
        .sum();
    let mean = sum / survivors.count() as f64;
    Ok((survivors, mean))
}

/// The digest of all ranks' bytes in the order of ranks, hexadecimal, on all ranks.
fn digest_of(crew: Crew, own: &[u8]) -> String {
    let parts = crew.comm.gather(own);
    let digest = crew.comm.is_first().then(|| {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        digest.finalize().to_vec()
    });
    let digest = crew.comm.broadcast(digest.unwrap_or_default());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
