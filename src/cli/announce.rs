//! What a run says of itself before it begins.

use eki_mpi::config::ModelKind;
use eki_mpi::forward::joint_prior::field_descriptions;
use eki_mpi::forward::low_rank::UNIT;
use eki_mpi::method::descent::Descent;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::partition::Partition;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::plan::extra_arrays::key_with_prior;
use rayon::ThreadPool;

/// Returns a line on the sets of observations that a step takes, where there are some.
fn sets(plan: &Plan) -> Option<String> {
    let (count, batch) = (plan.table.set_count()?, plan.batches.batch);
    let ends = match plan.config().run.stop_at_misfit > 0.0 && !plan.takes_all_sets() {
        true => "; run.stop_at_misfit has no effect, as no step sees them all",
        false => "",
    };
    Some(format!(
        "{count} sets of observations, {batch} at a step: a pass over all takes {} steps, and h counts once in it{ends}",
        plan.batches.steps_per_epoch()
    ))
}

/// Returns a line on what later members are drawn from where the first ones come from a file: these, or the laws of a simulator's
/// prior.
fn laws_beside_members(plan: &Plan) -> Option<String> {
    let config = plan.config();
    let (ensemble, initial) = (&config.ensemble, &config.ensemble.initial);
    if let Some(key) = plan.uses_sample() {
        return Some(format!(
            "{key} goes by the covariance of the {} first members in {initial}, which are the prior (ensemble.prior = \"sample\")",
            ensemble.members
        ));
    }
    if !plan.begins_from_file() || !config.model.kind.simulates() {
        return None;
    }
    let key = key_with_prior(config)?;
    Some(format!(
        "{key} uses the laws of model.prior, not the covariance of the first members in {initial} (ensemble.prior)"
    ))
}

/// One line on what is about to run, one on each thing a user would want to know first.
pub fn announce(comm: &Comm, pool: &ThreadPool, plan: &Plan) {
    let members = plan.members(0);
    let (name, parameters) = (&plan.resolved.name, plan.parameters);
    let (ranks, threads) = (comm.size(), pool.current_num_threads());
    if let Some(descent) = &plan.descent {
        let parts = Descent::parts(plan.batches.batch).parts();
        tracing::info!(
            "{name}: {parameters} parameters, gradient descent at rate {}, momentum {}, {ranks} ranks x {threads} threads",
            descent.rate,
            descent.momentum
        );
        if parts < ranks {
            tracing::info!(
                "more ranks than work: a batch of {} is cut into {parts} parts, and {} of {ranks} ranks have none",
                plan.batches.batch,
                ranks - parts
            );
        }
    } else if plan.config().model.kind.simulates() {
        tracing::info!(
            "{name}: {members} members of {parameters} parameters, {} observations a step, {ranks} ranks x {threads} threads",
            plan.outputs()
        );
    } else {
        tracing::info!(
            "{name}: {members} members of {parameters} parameters, {} outputs a step, {} form, {ranks} ranks x {threads} threads",
            plan.outputs(),
            format!("{:?}", plan.form(members)).to_lowercase()
        );
    }
    let observed = &plan.table.outputs;
    if observed.count() < observed.total() {
        tracing::info!(
            "{} of the simulator's {} outputs are observed; the others are ignored",
            observed.count(),
            observed.total()
        );
    }
    if let Some(text) = &plan.noise.estimated {
        tracing::info!("{text}");
    }
    for text in field_descriptions(&plan.resolved) {
        tracing::info!("{text}");
    }
    for text in &plan.resolved.warnings {
        tracing::warn!("{text}");
    }
    if let Some(text) = eki_mpi::run::reporter::too_few(plan) {
        tracing::warn!("{text}");
    }
    if let Some(text) = sets(plan) {
        tracing::info!("{text}");
    }
    if let Some(text) = laws_beside_members(plan) {
        tracing::warn!("{text}");
    }
    let left = plan.batches.samples % plan.batches.batch;
    if left > 0 {
        tracing::info!(
            "batches of {} leave {left} of {} samples out of each epoch{}",
            plan.batches.batch,
            plan.data.train,
            if plan.batches.shuffle {
                ", others each time"
            } else {
                ""
            }
        );
    }
    let members = idle(plan, ranks);
    if members > 0 {
        tracing::info!("more ranks than work: {members} of {ranks} ranks evaluate no member");
    }
}

/// Returns the number of ranks that evaluate no member; 0 of a run that asks for outputs, which evaluates none.
fn idle(plan: &Plan, ranks: usize) -> usize {
    if plan.descent.is_some() || plan.config().model.kind == ModelKind::AskTell {
        return 0;
    }
    // Members of low rank come in whole units.
    let unit = plan.low_rank().map_or(1, |_| UNIT);
    Partition::in_units(plan.members(0), ranks, unit).idle()
}
