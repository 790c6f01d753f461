//! `eki-mpi plan`: what a run would cost each rank, before anything is allocated or any data is read.

mod curve;
mod scene;
mod text;

use eki_mpi::parallel::memory;
use std::path::PathBuf;

use clap::Args;
use eki_mpi::config::{ModelKind, Resolved};
use eki_mpi::cost::calibrate::Network;
use eki_mpi::cost::{Flops, Memory, Sent, StepShape};
use eki_mpi::error::{Error, Result};
use eki_mpi::forward::joint_prior::field_descriptions;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::kernels::real::Real;
use eki_mpi::parallel::partition::{Blocks, Partition};
use eki_mpi::run::plan::Plan;
use eki_mpi::with_precision;
use serde::Serialize;

use crate::cli::output::json;
use scene::{Forecast, ForecastModel};

/// The most ranks that a plan is made for: each is looked at.
const MOST_RANKS: i64 = 1_000_000;

/// Which run, on how many ranks.
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// A preset's name or a configuration file
    #[arg(value_name = "PRESET | FILE.toml")]
    source: String,
    /// The number of ranks, at most 1000000
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MOST_RANKS))]
    ranks: u32,
    /// Threads of each rank [default: this machine's cores over the ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Ranks of one host, which read each other's parameters where they lie [default: as many as this machine has
    /// cores for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_host: Option<u32>,
    /// Change a key, as in --set ensemble.members=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Predict the seconds of a step too, from a short measurement of this machine
    #[arg(long)]
    calibrate: bool,
    /// With --calibrate on the config.toml of a run's folder: let its simulator be started
    #[arg(long)]
    run_command: bool,
    /// For the prediction: what one rank can send, in GB a second [default: as measured under mpirun, else 5]
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    bandwidth: Option<f64>,
    /// For the prediction: a small message's way, in microseconds [default: as measured under mpirun, else 5]
    #[arg(long, value_name = "US", value_parser = positive)]
    latency: Option<f64>,
    /// For the prediction: what one more message costs its sender, in microseconds [default: as measured under mpirun,
    /// else 0.5]
    #[arg(long, value_name = "US", value_parser = positive)]
    overhead: Option<f64>,
    /// Write the prediction for 1, 2, 4, ... up to R ranks to PATH.csv and draw it as PATH.svg
    #[arg(long, value_name = "PATH", requires = "calibrate")]
    curve: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What a run would cost.
#[derive(Debug, Serialize)]
struct Estimate {
    name: String,
    form: String,
    members: usize,
    parameters: usize,
    outputs: usize,
    samples: usize,
    steps: u64,
    ranks: usize,
    threads: usize,
    ranks_per_host: usize,
    /// Ranks that evaluate no member, and that update no parameters where that costs time.
    idle_ranks: [usize; 2],
    /// The rank that holds most.
    /// A line on a noise covariance that was estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<String>,
    /// A line on each random field of the prior.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    memory_per_rank: Memory,
    memory_peak: u64,
    /// The most memory that the ranks of one host hold together, bytes.
    memory_of_host: u64,
    /// The most that a host like this one may hold, in words, where that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_exceeds: Option<String>,
    /// The rank that sends most.
    bytes_sent_per_step: Sent,
    bytes_sent_total: u64,
    /// The rank that computes most, and all of them.
    flops_per_rank: Flops,
    flops_total: f64,
    /// Bytes of the history in the run's folder (output.history).
    history_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Forecast>,
}

impl PlanArguments {
    /// Returns true if ranks of a launcher are of use: to measure the network between them.
    pub fn measures(&self) -> bool {
        self.calibrate
    }
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("must be a number above 0".to_owned()),
    }
}

/// Answers `eki-mpi plan`.
///
/// `measured` is the network between the ranks of the launcher, where there is one.
pub fn answer(arguments: &PlanArguments, measured: Option<Network>) -> Result<String> {
    let resolved = Resolved::new(&arguments.source, &arguments.sets)?;
    for text in &resolved.warnings {
        eki_mpi::parallel::abort::say(text);
    }
    let starts = arguments.calibrate && resolved.config.model.kind == ModelKind::Process;
    if starts && resolved.is_of_run() && !arguments.run_command {
        let why = format!(
            "{}: to measure it {}",
            arguments.source,
            resolved.command_shown()
        );
        return Err(Error::Usage(why));
    }
    let precision = resolved.config.run.precision;
    let forecast = with_precision!(precision, T => forecast::<T>(arguments, measured, resolved)?);
    Ok(if arguments.json {
        json(&forecast)
    } else {
        text::text(&forecast)
    })
}

fn forecast<T: Real>(
    arguments: &PlanArguments,
    measured: Option<Network>,
    resolved: Resolved,
) -> Result<Estimate> {
    let given = LoadedProblem::without_data(&resolved)?;
    let map = given.map::<T>(&resolved)?;
    let plan = Plan::with_noise(resolved, given.noise(), given.shape(), map.parameters())?
        .with_table(given.table())?
        .localised_by(given.tapers())?;
    let ranks = arguments.ranks as usize;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = (cores / ranks).max(1);
    let threads = arguments.threads.map_or(share, usize::from);
    let per_host = arguments
        .per_host
        .map_or(cores / threads, |ranks| ranks as usize);
    let shape = StepShape::of(&plan, map.as_ref(), ranks, threads).with_near(per_host);
    let most = |of: &dyn Fn(usize) -> f64| {
        (0..ranks)
            .max_by(|&a, &b| of(a).total_cmp(&of(b)))
            .expect("a rank")
    };
    let largest = most(&|r| shape.memory(r).peak() as f64);
    let busiest = most(&|r| shape.flops(r).total());
    let memory = shape.memory(largest);
    let prediction = if arguments.calibrate {
        let scene = ForecastModel::new(
            arguments,
            measured,
            &plan,
            map.as_ref(),
            (threads, per_host),
        )?;
        if let Some(path) = &arguments.curve {
            curve::write(path, &scene, ranks)?;
        }
        Some(scene.forecast(ranks))
    } else {
        None
    };
    let memory_of_host = memory
        .peak()
        .saturating_mul(per_host.clamp(1, ranks) as u64);
    Ok(Estimate {
        noise: plan.noise.estimated.clone(),
        fields: field_descriptions(&plan.resolved),
        name: plan.resolved.name.clone(),
        form: format!("{:?}", shape.form).to_lowercase(),
        members: shape.members,
        parameters: shape.parameters,
        outputs: shape.outputs,
        samples: shape.samples,
        steps: plan.steps,
        ranks,
        threads,
        ranks_per_host: per_host.clamp(1, ranks),
        idle_ranks: [
            shape.idle(),
            // Beside simulations an update takes no time.
            if plan.config().model.kind.simulates() {
                0
            } else {
                Partition::new(Blocks::new(shape.parameters).count(), ranks).idle()
            },
        ],
        memory_peak: memory.peak(),
        memory_per_rank: memory,
        memory_of_host,
        memory_exceeds: exceeded(memory_of_host),
        bytes_sent_per_step: shape.sent(most(&|r| shape.sent(r).total() as f64)),
        bytes_sent_total: (0..ranks).map(|r| shape.sent(r).total()).sum(),
        flops_per_rank: shape.flops(busiest),
        history_bytes: shape.history_bytes(),
        flops_total: shape.flops_of_all().total(),
        prediction,
    })
}

/// Returns the memory that this host may have, where that is less than `needed`.
fn exceeded(needed: u64) -> Option<String> {
    let limit = memory::memory_of_host().filter(|limit| limit.bytes < needed)?;
    Some(format!(
        "{} ({})",
        text::size(limit.bytes as f64),
        limit.source
    ))
}
