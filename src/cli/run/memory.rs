//! Refuses a run that does not fit into the memory of its hosts, before anything is written.

use eki_mpi::cost::StepShape;
use eki_mpi::error::{Error, Result};
use eki_mpi::forward::ForwardMap;
use eki_mpi::forward::problem::Problem;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::memory::{self, MemoryLimit};
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run;
use eki_mpi::run::plan::Plan;

/// Refuses a run whose first members cannot be read, or whose ranks on this host need more memory than it has, before any
/// of it is taken. Called by all ranks.
pub(super) fn refuse_impossible<T: Real>(
    ranks: Ranks,
    plan: &Plan,
    problem: &Problem<T>,
) -> Result<()> {
    let comm = ranks.comm;
    comm.from_first(|| run::start::check_initial::<T>(plan))?;
    let on_host = comm.ranks_on_host();
    let shape = StepShape::at(
        plan,
        problem.map.as_ref(),
        (comm.size(), ranks.pool.current_num_threads()),
        plan.last_epoch(),
    );
    let shape = shape.with_near(comm.near().len());
    let place = if comm.is_first() {
        "this host".to_owned()
    } else {
        format!("host {}", eki_mpi::parallel::abort::host())
    };
    let flaw = too_large(&shape, on_host, &place).unwrap_or_default();
    let flaw = comm.first_flaw(&flaw);
    comm.from_first(|| flaw.map_or(Ok(()), |flaw| Err(Error::Usage(flaw))))
}

/// Refuses a run of which a rank of `split` (the ranks of the run, the threads of each) needs more memory than it may have on
/// this host, where `on_host` ranks run, each of which reads the memory of `near` of its run. Called by one rank, before the run
/// is set up.
pub(crate) fn refuse_too_large_here<T: Real>(
    plan: &Plan,
    map: &dyn ForwardMap<T>,
    split: (usize, usize),
    (on_host, near): (usize, usize),
) -> Result<()> {
    let shape = StepShape::at(plan, map, split, plan.last_epoch()).with_near(near);
    too_large(&shape, on_host, "this host").map_or(Ok(()), |flaw| Err(Error::Usage(flaw)))
}

/// Returns why the run does not fit into the memory of this host, `place`, with its `ranks`, or into that of this process.
fn too_large(shape: &StepShape, ranks: usize, place: &str) -> Option<String> {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let one = shape.memory(0).peak();
    let refused = |needed: u64, who: String, limit: MemoryLimit| {
        (needed > limit.bytes).then(|| {
            format!(
                "ensemble.members = {}: {who} {:.1} GiB, and it may have {:.1} ({}): take fewer members or more hosts \
                 (eki-mpi plan --ranks R tells what each rank needs)",
                shape.members,
                gib(needed),
                gib(limit.bytes),
                limit.source
            )
        })
    };
    let host = memory::memory_of_host().and_then(|limit| {
        refused(
            one.saturating_mul(ranks as u64),
            format!("{ranks} ranks on {place} need"),
            limit,
        )
    });
    host.or_else(|| {
        memory::memory_of_process()
            .and_then(|limit| refused(one, format!("a rank on {place} needs"), limit))
    })
}
