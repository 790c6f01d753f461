//! A forecast in words and columns.

use std::fmt::Write as _;

use eki_mpi::files::numbers::number;
use eki_mpi::parallel::partition::BLOCK;
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::text_table;

use super::Estimate;
use super::scene::Forecast;

/// Returns all of the forecast.
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
        let _ = writeln!(text, "{blocks} ranks update no block of {BLOCK} parameters");
    }
    for line in f.noise.iter().chain(&f.fields) {
        text += &format!("{line}\n");
    }
    text += "memory of the fullest rank\n";
    text += &memory(f);
    if let Some(limit) = &f.memory_exceeds {
        let _ = writeln!(
            text,
            "  too much for this host, which may have {limit}: a run here is refused"
        );
    }
    let sent = f.bytes_sent_per_step;
    text += "sent at a step by the rank that sends most\n";
    text += &named(&[
        ("agreement", size(sent.agreement as f64)),
        ("interaction", size(sent.interaction as f64)),
        ("exchange of parameters", size(sent.exchange as f64)),
        ("all ranks together", size(f.bytes_sent_total as f64)),
    ]);
    let (own, all) = (f.flops_per_rank, f.flops_total);
    let gflop = |flops: f64| number(flops / 1e9, 4) + " GF";
    text += "arithmetic of a step on the busiest rank\n";
    text += &named(&[
        ("forward", gflop(own.forward)),
        ("interaction", gflop(own.interaction)),
        ("update", gflop(own.update)),
        ("all ranks together", gflop(all)),
    ]);
    if f.history_bytes > 0 {
        text += "on disk, beside checkpoints and results\n";
        text += &named(&[("history", size(f.history_bytes as f64))]);
    }
    if let Some(p) = &f.prediction {
        text += &predicted(p, f);
    }
    text
}

/// A table of names and values.
fn named(rows: &[(&str, String)]) -> String {
    let rows = rows
        .iter()
        .map(|(name, value)| [(*name).to_owned(), value.clone()]);
    text_table([Left, Right], rows)
}

/// The table of the fullest rank's memory, and its host's.
fn memory(f: &Estimate) -> String {
    let row =
        |name: &str, bytes: u64, note: &str| [name.to_owned(), size(bytes as f64), note.to_owned()];
    let memory = &f.memory_per_rank;
    let starting = "at first, while the data is sent";
    let mut rows = vec![row(
        "program, and the data twice",
        memory.starting,
        starting,
    )];
    rows.extend(
        memory
            .lasting
            .iter()
            .map(|(name, bytes)| row(name, *bytes, "")),
    );
    rows.extend(
        memory
            .passing
            .iter()
            .map(|(name, bytes)| row(name, *bytes, "for a while")),
    );
    rows.push(row("peak", f.memory_peak, ""));
    rows.push(row("all ranks of a host", f.memory_of_host, ""));
    text_table([Left, Right, Left], rows)
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
    let hours = p.step_seconds * f.steps as f64 / 3600.0;
    let seconds = |seconds: f64| number(seconds, 4) + " s";
    text += &named(&[
        ("forward", seconds(p.forward)),
        ("agreement", seconds(p.agreement)),
        ("interaction", seconds(p.interaction)),
        ("update", seconds(p.update)),
        ("exchange, exposed", seconds(p.exchange)),
        ("step", seconds(p.step_seconds)),
        ("all steps, evaluations aside", number(hours, 3) + " h"),
    ]);
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
