//! What a run says of itself before it begins.

use eki_mpi::comm::Comm;
use eki_mpi::forward::low_rank::UNIT;
use eki_mpi::partition::{Blocks, Partition};
use eki_mpi::plan::Plan;
use rayon::ThreadPool;

/// One line on what is about to run, one on each thing a user would want to know first.
pub fn announce(comm: &Comm, pool: &ThreadPool, plan: &Plan) {
    let members = plan.members(0);
    let (name, parameters) = (&plan.resolved.name, plan.parameters);
    let (ranks, threads) = (comm.size(), pool.current_num_threads());
    if plan.descends() {
        let parts = plan.parts().parts();
        tracing::info!(
            "{name}: {parameters} parameters down the gradient, at rate {}, momentum {}, {ranks} ranks x {threads} threads",
            plan.rate(0),
            plan.heavy_ball()
        );
        if parts < ranks {
            tracing::info!(
                "more ranks than work: a batch of {} is cut into {parts} parts, and {} of {ranks} ranks have none",
                plan.batches.batch,
                ranks - parts
            );
        }
    } else {
        tracing::info!(
            "{name}: {members} members of {parameters} parameters, {} outputs a step, {:?} form, {ranks} ranks x {threads} threads",
            plan.outputs(),
            plan.form(members)
        );
    }
    if let Some(text) = eki_mpi::report::too_few(plan) {
        tracing::warn!("{text}");
    }
    let left = plan.data.train % plan.batches.batch;
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
    let blocks = Blocks::new(parameters).count();
    // Members of low rank come in whole units.
    let unit = plan.low_rank().map_or(1, |_| UNIT);
    let idle = [
        Partition::in_units(members, ranks, unit).idle(),
        Partition::new(blocks, ranks).idle(),
    ];
    if !plan.descends() && idle != [0, 0] {
        tracing::info!(
            "more ranks than work: {} of {ranks} ranks evaluate no member, {} update no block of parameters",
            idle[0],
            idle[1]
        );
    }
}
