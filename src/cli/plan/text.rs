//! A forecast in words and columns.

use std::fmt::Write as _;

use eki_mpi::files::numbers::number;
use eki_mpi::parallel::partition::BLOCK;

use super::Estimate;
use super::scene::Forecast;

/// All of the forecast.
pub fn text(f: &Estimate) -> String {
    let mut text = format!(
        "{}: {} members of {} parameters, {} outputs a step, {} form, {} ranks x {} threads, {} a host, {} steps\n",
        f.name,
        f.members,
        f.parameters,
        f.outputs,
        f.form,
        f.ranks,
        f.threads,
        f.ranks_per_host,
        f.steps
    );
    let [members, blocks] = f.idle_ranks;
    if members > 0 {
        let _ = writeln!(text, "more ranks than work: {members} evaluate no member");
    }
    if blocks > 0 {
        let _ = writeln!(
            text,
            "more ranks than work: {blocks} update no block of {BLOCK} parameters"
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
    let host = size(f.memory_of_host as f64);
    let _ = writeln!(text, "  {:<28} {host:>12}", "all ranks of a host");
    if let Some(limit) = &f.memory_exceeds {
        let _ = writeln!(
            text,
            "  too much for this host, which may have {limit}: a run here is refused"
        );
    }
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
        let _ = writeln!(text, "  {name:<28} {:>9} GF", number(flops / 1e9, 4));
    }
    let _ = writeln!(
        text,
        "  {:<28} {:>9} GF",
        "all ranks together",
        number(all / 1e9, 4)
    );
    if let Some(p) = &f.prediction {
        text += &predicted(p, f);
    }
    text
}

fn predicted(forecast: &Forecast, f: &Estimate) -> String {
    let (p, network) = (&forecast.prediction, &forecast.network);
    let mut text = format!(
        "seconds of a step, at {} GFLOP/s a rank as measured now{}\n",
        number(forecast.product_gflops, 3),
        if f.ranks > 1 {
            format!(
                ", {} GB/s a rank and {} + {} us a message {}",
                number(network.bandwidth / 1e9, 3),
                number(network.latency * 1e6, 3),
                number(network.overhead * 1e6, 3),
                forecast.source
            )
        } else {
            String::new()
        }
    );
    for (name, seconds) in [
        ("forward", p.forward),
        ("agreement", p.agreement),
        ("interaction", p.interaction),
        ("update", p.update),
        ("exchange, exposed", p.exchange),
        ("step", p.step_seconds),
    ] {
        let _ = writeln!(text, "  {name:<28} {:>10} s", number(seconds, 4));
    }
    let hours = p.step_seconds * f.steps as f64 / 3600.0;
    let _ = writeln!(
        text,
        "  {:<28} {:>10} h",
        "all steps, evaluations aside",
        number(hours, 3)
    );
    text
}

/// Bytes for people.
pub fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = (bytes.max(1.0).log2() / 10.0).floor().min(5.0);
    let digits = usize::from(power > 0.0);
    format!(
        "{:.digits$} {}",
        bytes / 1024_f64.powf(power),
        units[power as usize]
    )
}
