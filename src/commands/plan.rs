//! `eki-mpi plan`: what a run would cost each rank, before anything is allocated or any data is read.

use std::fmt::Write as _;

use clap::Args;
use eki_mpi::calibrate;
use eki_mpi::config::{Precision, Resolved};
use eki_mpi::cost::{Flops, Memory, Sent, Shape};
use eki_mpi::eki::Form;
use eki_mpi::error::Result;
use eki_mpi::forward::ForwardMap;
use eki_mpi::partition::{BLOCK, Blocks};
use eki_mpi::plan::Plan;
use eki_mpi::problem::Given;
use eki_mpi::real::Real;
use serde::Serialize;

use super::json;

/// Which run, on how many ranks.
#[derive(Clone, Debug, Args)]
pub struct PlanArguments {
    /// A preset's name or a configuration file
    #[arg(value_name = "PRESET | FILE.toml")]
    source: String,
    /// The number of ranks
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    ranks: u32,
    /// Threads of each rank [default: this machine's cores over the ranks]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Change a key, as in --set ensemble.members=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Predict the seconds of a step too, from a short measurement of this machine
    #[arg(long)]
    calibrate: bool,
    /// For the prediction: what one rank can send, in GB a second
    #[arg(long, value_name = "GB/S", default_value_t = 5.0)]
    bandwidth: f64,
    /// For the prediction: what one message takes, in microseconds
    #[arg(long, value_name = "US", default_value_t = 5.0)]
    latency: f64,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// What a run would cost.
#[derive(Debug, Serialize)]
struct Forecast {
    name: String,
    form: String,
    members: usize,
    parameters: usize,
    outputs: usize,
    samples: usize,
    steps: u64,
    ranks: usize,
    threads: usize,
    /// Ranks that evaluate no member, and that update no parameters.
    idle_ranks: [usize; 2],
    /// The rank that holds most.
    memory_per_rank: Memory,
    memory_peak: u64,
    /// The rank that sends most.
    bytes_sent_per_step: Sent,
    bytes_sent_total: u64,
    /// The rank that computes most, and all of them.
    flops_per_rank: Flops,
    flops_total: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Prediction>,
}

/// The seconds of one step, by parts.
#[derive(Clone, Copy, Debug, Serialize)]
struct Prediction {
    product_gflops: f64,
    forward: f64,
    interaction: f64,
    update: f64,
    /// What of the exchange the update does not hide.
    exchange: f64,
    step_seconds: f64,
}

/// Answers `eki-mpi plan`.
pub fn answer(arguments: &PlanArguments) -> Result<String> {
    let resolved = Resolved::new(&arguments.source, &arguments.sets)?;
    let forecast = match resolved.config.run.precision {
        Precision::Single => forecast::<f32>(arguments, resolved)?,
        Precision::Double => forecast::<f64>(arguments, resolved)?,
    };
    Ok(if arguments.json {
        json(&forecast)
    } else {
        text(&forecast, arguments)
    })
}

fn forecast<T: Real>(arguments: &PlanArguments, resolved: Resolved) -> Result<Forecast> {
    let given = Given::foresee(&resolved)?;
    let map = given.map::<T>(&resolved)?;
    let plan = Plan::new(resolved, given.shape(), map.parameters())?;
    let ranks = arguments.ranks as usize;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = (cores / ranks).max(1);
    let threads = arguments.threads.map_or(share, usize::from);
    let shape = Shape::of(&plan, map.as_ref(), ranks, threads);
    let most = |of: &dyn Fn(usize) -> f64| {
        (0..ranks)
            .max_by(|&a, &b| of(a).total_cmp(&of(b)))
            .expect("a rank")
    };
    let largest = most(&|r| shape.memory(r).peak() as f64);
    let busiest = most(&|r| shape.flops(r).total());
    let memory = shape.memory(largest);
    Ok(Forecast {
        name: plan.resolved.name.clone(),
        form: format!("{:?}", shape.form).to_lowercase(),
        members: shape.members,
        parameters: shape.parameters,
        outputs: shape.outputs,
        samples: shape.samples,
        steps: plan.steps,
        ranks,
        threads,
        idle_ranks: [
            ranks.saturating_sub(shape.members),
            ranks.saturating_sub(Blocks::new(shape.parameters).count()),
        ],
        memory_peak: memory.peak(),
        memory_per_rank: memory,
        bytes_sent_per_step: shape.sent(most(&|r| shape.sent(r).total() as f64)),
        bytes_sent_total: (0..ranks).map(|r| shape.sent(r).total()).sum(),
        flops_per_rank: shape.flops(busiest),
        flops_total: shape.flops_of_all().total(),
        prediction: if arguments.calibrate {
            Some(predict(arguments, &shape, map.as_ref())?)
        } else {
            None
        },
    })
}

/// The seconds of a step if every rank has cores of its own like this machine's.
fn predict<T: Real>(
    arguments: &PlanArguments,
    shape: &Shape,
    map: &dyn ForwardMap<T>,
) -> Result<Prediction> {
    // No more threads than a rank will have: cores share a cache and a clock.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(shape.threads)
        .build()
        .map_err(|e| eki_mpi::error::Error::Run(format!("threads could not be started: {e}")))?;
    let rate = calibrate::product_rate::<T>(&pool);
    let member = calibrate::forward_seconds(&pool, map, shape.samples);
    let width = BLOCK.min(shape.parameters);
    let (j, k) = (shape.members, shape.outputs);
    // In the mean form members are drawn twice, to be evaluated and to be summed, and all else is small beside it.
    let (drawn, update_rate) = match shape.form {
        Form::Mean => {
            let seconds = calibrate::draw_seconds::<T>(&pool);
            (shape.parameters as f64 * seconds, 2.0 / seconds)
        }
        form => (0.0, calibrate::update_rate::<T>(&pool, form, j, k, width)),
    };
    let all = 0..shape.ranks;
    let threads = shape.threads as f64;
    let largest = |of: &dyn Fn(usize) -> f64| all.clone().map(of).fold(0.0, f64::max);
    let forward =
        largest(&|r| shape.members_of(r).div_ceil(shape.threads) as f64) * (member + drawn);
    let update = largest(&|r| shape.flops(r).update) / (threads * update_rate);
    // A message travels while others are computed; a reduction crosses the ranks in about log2 R rounds, twice.
    let wire =
        |bytes: &dyn Fn(usize) -> u64| largest(&|r| bytes(r) as f64) / (arguments.bandwidth * 1e9);
    let rounds = (shape.ranks as f64).log2().ceil();
    let messages = 2.0 * rounds * arguments.latency * 1e-6;
    let reduced = 2.0 * wire(&|r| shape.sent(r).interaction + shape.sent(r).agreement);
    let interaction =
        largest(&|r| shape.flops(r).interaction) / (threads * rate) + reduced + 3.0 * messages;
    let exchange = (wire(&|r| shape.sent(r).exchange) - update).max(0.0) + messages;
    Ok(Prediction {
        product_gflops: rate * threads / 1e9,
        forward,
        interaction,
        update,
        exchange,
        step_seconds: forward + interaction + update + exchange,
    })
}

fn text(f: &Forecast, arguments: &PlanArguments) -> String {
    let mut text = format!(
        "{}: {} members of {} parameters, {} outputs a step, {} form, {} ranks x {} threads, {} steps\n",
        f.name, f.members, f.parameters, f.outputs, f.form, f.ranks, f.threads, f.steps
    );
    if f.idle_ranks[0].max(f.idle_ranks[1]) > 0 {
        let [members, blocks] = f.idle_ranks;
        let _ = writeln!(
            text,
            "more ranks than work: {members} evaluate no member, {blocks} update no block of {BLOCK} parameters"
        );
    }
    text += "memory of the fullest rank\n";
    let starting = size(f.memory_per_rank.starting as f64);
    let _ = writeln!(
        text,
        "  {:<28} {starting:>12}  at first, while the data is sent",
        "program, and the data twice"
    );
    for (name, bytes) in &f.memory_per_rank.lasting {
        let _ = writeln!(text, "  {name:<28} {:>12}", size(*bytes as f64));
    }
    for (name, bytes) in &f.memory_per_rank.passing {
        let _ = writeln!(
            text,
            "  {name:<28} {:>12}  for a while",
            size(*bytes as f64)
        );
    }
    let _ = writeln!(text, "  {:<28} {:>12}", "peak", size(f.memory_peak as f64));
    let sent = f.bytes_sent_per_step;
    text += "sent at a step by the rank that sends most\n";
    for (name, bytes) in [
        ("agreement", sent.agreement),
        ("interaction", sent.interaction),
        ("exchange of parameters", sent.exchange),
    ] {
        let _ = writeln!(text, "  {name:<28} {:>12}", size(bytes as f64));
    }
    let total = size(f.bytes_sent_total as f64);
    let _ = writeln!(text, "  {:<28} {total:>12}", "all ranks together");
    let (own, all) = (f.flops_per_rank, f.flops_total);
    text += "arithmetic of a step on the busiest rank\n";
    for (name, flops) in [
        ("forward", own.forward),
        ("interaction", own.interaction),
        ("update", own.update),
    ] {
        let _ = writeln!(text, "  {name:<28} {:>9.3} GF", flops / 1e9);
    }
    let _ = writeln!(text, "  {:<28} {:>9.3} GF", "all ranks together", all / 1e9);
    if let Some(p) = &f.prediction {
        text += &predicted(p, f, arguments);
    }
    text
}

fn predicted(p: &Prediction, f: &Forecast, arguments: &PlanArguments) -> String {
    let mut text = format!(
        "seconds of a step, at {:.0} GFLOP/s a rank as measured now{}\n",
        p.product_gflops,
        if f.ranks > 1 {
            format!(
                ", {} GB/s a rank and {} us a message as assumed (--bandwidth, --latency)",
                arguments.bandwidth, arguments.latency
            )
        } else {
            String::new()
        }
    );
    for (name, seconds) in [
        ("forward", p.forward),
        ("interaction", p.interaction),
        ("update", p.update),
        ("exchange, exposed", p.exchange),
        ("step", p.step_seconds),
    ] {
        let _ = writeln!(text, "  {name:<28} {seconds:>10.4} s");
    }
    let hours = p.step_seconds * f.steps as f64 / 3600.0;
    let _ = writeln!(
        text,
        "  {:<28} {hours:>10.2} h",
        "all steps, evaluations aside"
    );
    text
}

/// Bytes for people.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = (bytes.max(1.0).log2() / 10.0).floor().min(5.0);
    let digits = usize::from(power > 0.0);
    format!(
        "{:.digits$} {}",
        bytes / 1024_f64.powf(power),
        units[power as usize]
    )
}
