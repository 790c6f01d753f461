//! The account of a run's time over all ranks: timing.json, and the table after the run's summary.

mod advice;

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

use crate::cost::StepShape;
use crate::cost::calibrate;
use crate::error::Result;
use crate::files::Files;
use crate::files::numbers::number;
use crate::kernels::real::Real;
use crate::parallel::ranks::Ranks;
use crate::report::environment::Environment;
use crate::report::text_table::CellAlignment::{Left, Right};
use crate::report::text_table::text_table;
use crate::run::timing::{PHASES, Spread, Timing};

/// The content of timing.json.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// The seconds of this process, to which all other fields refer.
    pub seconds: f64,
    /// The seconds of the earlier processes that this one resumed.
    pub seconds_before: f64,
    /// The number of steps timed.
    pub steps: usize,
    /// The seconds of a step on rank 0.
    pub step_seconds: Option<Spread>,
    /// The seconds by phase, over ranks; `other` is the time outside all phases.
    #[serde(serialize_with = "as_map")]
    pub phases: Vec<(&'static str, Times)>,
    /// Members times samples evaluated per second in the median step; with layers updated in turn, in the mean step, here
    /// and in the next fields.
    pub members_samples_per_second: f64,
    /// The arithmetic rate in the median step, 10^9 flops per second, all ranks together.
    pub gflops: f64,
    /// The rate of the calibration product on one rank's threads, 10^9 flops per second.
    pub product_gflops: f64,
    /// The seconds the step's arithmetic would take at the calibration product's rate on all ranks, over the median
    /// step.
    pub floor_share: f64,
    /// The bytes sent per step by the rank that sends most.
    pub bytes_sent_per_step: u64,
    /// The largest memory of any rank in bytes, if the system says so.
    pub peak_rss: Option<u64>,
    /// The load of rank 0's host over the last minute, if the system says so.
    pub load: Option<f64>,
    /// One sentence on what to change.
    pub advice: String,
}

/// The seconds of a phase over ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// The least of any rank.
    pub min: f64,
    /// The mean over ranks.
    pub mean: f64,
    /// The most of any rank.
    pub max: f64,
    /// The mean as a fraction of the process's seconds.
    pub share: f64,
}

/// The timing of one rank, sent to rank 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RankTiming {
    phases: Vec<f64>,
    seconds: f64,
    sent: u64,
    peak_rss: Option<u64>,
}

/// Writes the phases as a map from name to times.
fn as_map<S: Serializer>(
    phases: &[(&'static str, Times)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(phases.iter().copied())
}

/// Returns on rank 0 the account of a run whose steps have the sizes `shape`; None elsewhere. Called by all ranks.
#[must_use]
pub fn account<T: Real>(
    ranks: Ranks,
    shape: &StepShape,
    timing: &Timing,
    environment: &Environment,
) -> Option<Account> {
    let rank_timing = RankTiming {
        phases: timing.phases(),
        seconds: timing.here(),
        sent: timing.sent(),
        peak_rss: peak_rss(),
    };
    // While rank 0 measures its product rate, the other ranks wait in the gathering.
    let first = ranks.comm.is_first();
    let rate =
        first.then(|| calibrate::product_rate::<T>(ranks.pool, shape.mixed) * shape.threads as f64);
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&rank_timing, config).expect("plain data encodes");
    let rank_timings = ranks.comm.gather(&bytes).into_iter().map(|bytes| {
        let decoded = bincode::serde::decode_from_slice(&bytes, config);
        decoded.expect("a rank's own bytes decode").0
    });
    Some(combine(
        shape,
        timing,
        environment,
        rate?,
        &rank_timings.collect::<Vec<_>>(),
    ))
}

/// Combines the timings of all ranks; `rate` is the product rate of one rank in flops per second. Long because it fills
/// the account field by field.
fn combine(
    shape: &StepShape,
    timing: &Timing,
    environment: &Environment,
    rate: f64,
    rank_timings: &[RankTiming],
) -> Account {
    let seconds = rank_timings[0].seconds;
    let phase = |name, values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let times = Times {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean,
            max: values.iter().copied().fold(0.0, f64::max),
            share: mean / seconds,
        };
        (name, times)
    };
    let column = |i: usize| {
        rank_timings
            .iter()
            .map(|rank_timing| rank_timing.phases[i])
            .collect()
    };
    let rest = |rank_timing: &RankTiming| {
        (rank_timing.seconds - rank_timing.phases.iter().sum::<f64>()).max(0.0)
    };
    let mut phases: Vec<_> = PHASES
        .iter()
        .map(|&(index, name)| phase(name, column(index as usize)))
        .collect();
    phases.push(phase("other", rank_timings.iter().map(rest).collect()));
    let typical = timing.steps().map_or(f64::INFINITY, |steps| {
        // If steps differ in arithmetic, only its mean is known.
        let turns = shape.differing < shape.parameters as f64;
        if turns { steps.mean } else { steps.median }
    });
    let flops = shape.flops_of_all().total();
    let mut account = Account {
        seconds,
        seconds_before: timing.before(),
        steps: timing.count(),
        step_seconds: timing.steps(),
        phases,
        members_samples_per_second: (shape.members * shape.samples) as f64 / typical,
        gflops: flops / typical / 1e9,
        product_gflops: rate / 1e9,
        floor_share: flops / (rate * shape.ranks as f64) / typical,
        bytes_sent_per_step: rank_timings.iter().map(|s| s.sent).max().unwrap_or(0)
            / timing.count().max(1) as u64,
        peak_rss: rank_timings
            .iter()
            .filter_map(|rank_timing| rank_timing.peak_rss)
            .max(),
        load: load(),
        advice: String::new(),
    };
    let forward: Vec<f64> = rank_timings
        .iter()
        .map(|rank_timing| rank_timing.phases[crate::run::timing::Phase::Forward as usize])
        .collect();
    account.advice = advice::advice(&account, shape, environment, &forward);
    account
}

/// Returns the mean number of threads that ran or waited to run on this host over the last minute (Linux only).
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Returns the rate of a step's arithmetic as text, from 10^9 flops per second and its fraction of the product rate. None if
/// that rounds to 0 %, as for a simulator, whose own arithmetic is unknown.
pub(super) fn rate_in_words(gflops: f64, share: f64) -> Option<String> {
    let percent = 100.0 * share;
    (percent >= 0.5).then(|| {
        format!(
            "{} GFLOP/s, {percent:.0} % of the product rate",
            number(gflops, 3)
        )
    })
}

/// Returns the largest memory of this process in bytes (Linux only). Memory shared by ranks of a host counts once.
#[must_use]
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = bytes_of(&status, "VmHWM:")?;
    // The peak counts all shared pages that the process has touched; only its proportional part is wanted.
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let shared = bytes_of(&status, "RssShmem:").zip(bytes_of(&rollup, "Pss_Shmem:"));
    Some(shared.map_or(peak, |(touched, part)| {
        peak.saturating_sub(touched.saturating_sub(part))
    }))
}

/// Returns the number after `name` in a list in KiB, as Linux writes it, in bytes.
fn bytes_of(list: &str, name: &str) -> Option<u64> {
    let line = list.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

impl Account {
    /// Returns the times of the phase called `name`.
    #[must_use]
    pub fn phase(&self, name: &str) -> Times {
        let found = self.phases.iter().find(|(phase, _)| *phase == name);
        found.map_or_else(Times::default, |(_, times)| *times)
    }

    /// Writes timing.json to `folder`. Called by rank 0.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, files: &Files, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).expect("plain data encodes") + "\n";
        files.write_whole(&folder.join("timing.json"), json.as_bytes())
    }

    /// The table, for the screen; of a run with a simulator if `simulates`.
    #[must_use]
    pub fn table(&self, simulates: bool) -> String {
        let heading = if self.seconds_before > 0.0 {
            "since resumed"
        } else {
            "seconds"
        };
        let row = |name: &str, numbers: [f64; 3], last: String| {
            let [min, middle, max] = numbers.map(|x| number(x, 4));
            [name.to_owned(), min, middle, max, last]
        };
        let mut rows = vec![[heading, "min", "mean", "max", "share"].map(str::to_owned)];
        // What rounds to nothing says nothing.
        let shown = self
            .phases
            .iter()
            .filter(|(_, times)| times.max >= 5e-4 * self.seconds);
        rows.extend(shown.map(|(name, times)| {
            let share = format!("{:>4.1} %", 100.0 * times.share);
            row(name, [times.min, times.mean, times.max], share)
        }));
        if let Some(steps) = self.step_seconds {
            let times = [steps.min, steps.median, steps.max];
            rows.push(row("a step", times, "(median in the middle)".to_owned()));
        }
        let mut text = format!("\n{}", text_table([Left, Right, Right, Right, Left], rows));
        // A run that was resumed at its end has taken no step.
        if self.members_samples_per_second > 0.0 {
            let rate = number(self.members_samples_per_second, 4);
            let of = match simulates {
                true => "simulations",
                false => "members x samples",
            };
            let own = rate_in_words(self.gflops, self.floor_share);
            let own = own.map_or(String::new(), |own| format!(", {own}"));
            let _ = writeln!(text, "  {rate} {of}/s{own}");
        }
        let memory = self.peak_rss.map_or(String::new(), |bytes| {
            format!(
                ", {:.1} MiB held at most",
                bytes as f64 / f64::from(1 << 20)
            )
        });
        let sent = self.bytes_sent_per_step as f64 / f64::from(1 << 20);
        let _ = writeln!(
            text,
            "  {} MiB sent a step and rank{memory}",
            number(sent, 3)
        );
        let _ = writeln!(text, "  {}", self.advice);
        text
    }
}
