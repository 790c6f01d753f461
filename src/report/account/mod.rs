//! Where a run's time went, over all ranks: timing.json, and the table after a run's summary.

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

/// timing.json.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Seconds of this process, of which all below tells.
    pub seconds: f64,
    /// Seconds of the processes that this one resumed.
    pub seconds_before: f64,
    /// Steps timed.
    pub steps: usize,
    /// Seconds of a step on rank 0.
    pub step_seconds: Option<Spread>,
    /// Seconds by phase over ranks; `other` is what no phase holds.
    #[serde(serialize_with = "as_map")]
    pub phases: Vec<(&'static str, Times)>,
    /// Members times samples evaluated in a second of the median step; where layers take turns, here and below, of the mean
    /// step.
    pub members_samples_per_second: f64,
    /// The step's arithmetic over the median step, 10^9 flops a second, all ranks together.
    pub gflops: f64,
    /// The calibration product on one rank's threads, 10^9 flops a second.
    pub product_gflops: f64,
    /// The seconds the step's arithmetic would take at the calibration product's rate on all ranks, over the median
    /// step.
    pub floor_share: f64,
    /// Bytes sent at a step by the rank that sends most.
    pub bytes_sent_per_step: u64,
    /// The most memory any rank held, in bytes, where the system tells.
    pub peak_rss: Option<u64>,
    /// The load of rank 0's host over the last minute, where the system tells.
    pub load: Option<f64>,
    /// One sentence on what to change.
    pub advice: String,
}

/// Seconds over ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// The least.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The most.
    pub max: f64,
    /// The mean's share of the process's seconds.
    pub share: f64,
}

/// What one rank hands in.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RankTiming {
    phases: Vec<f64>,
    seconds: f64,
    sent: u64,
    peak_rss: Option<u64>,
}

fn as_map<S: Serializer>(
    phases: &[(&'static str, Times)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(phases.iter().copied())
}

/// The account of a run that cost `shape` at each step; on rank 0, nothing elsewhere. Called by all ranks.
#[must_use]
pub fn account<T: Real>(
    ranks: Ranks,
    shape: &StepShape,
    timing: &Timing,
    environment: &Environment,
) -> Option<Account> {
    let slip = RankTiming {
        phases: timing.phases(),
        seconds: timing.here(),
        sent: timing.sent(),
        peak_rss: peak_rss(),
    };
    // While rank 0 measures, the others wait for the gathering.
    let first = ranks.comm.is_first();
    let rate =
        first.then(|| calibrate::product_rate::<T>(ranks.pool, shape.mixed) * shape.threads as f64);
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&slip, config).expect("plain data encodes");
    let slips = ranks.comm.gather(&bytes).into_iter().map(|bytes| {
        let decoded = bincode::serde::decode_from_slice(&bytes, config);
        decoded.expect("a rank's own bytes decode").0
    });
    Some(settle(
        shape,
        timing,
        environment,
        rate?,
        &slips.collect::<Vec<_>>(),
    ))
}

/// All ranks' slips put together; `rate` is one rank's product rate in flops a second.
fn settle(
    shape: &StepShape,
    timing: &Timing,
    environment: &Environment,
    rate: f64,
    slips: &[RankTiming],
) -> Account {
    let seconds = slips[0].seconds;
    let of = |name, values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let times = Times {
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean,
            max: values.iter().copied().fold(0.0, f64::max),
            share: mean / seconds,
        };
        (name, times)
    };
    let column = |i: usize| slips.iter().map(|slip| slip.phases[i]).collect();
    let rest = |slip: &RankTiming| (slip.seconds - slip.phases.iter().sum::<f64>()).max(0.0);
    let mut phases: Vec<_> = PHASES
        .iter()
        .map(|&(phase, name)| of(name, column(phase as usize)))
        .collect();
    phases.push(of("other", slips.iter().map(rest).collect()));
    let typical = timing.steps().map_or(f64::INFINITY, |steps| {
        // The arithmetic of steps that differ is known as their mean's alone.
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
        bytes_sent_per_step: slips.iter().map(|s| s.sent).max().unwrap_or(0)
            / timing.count().max(1) as u64,
        peak_rss: slips.iter().filter_map(|slip| slip.peak_rss).max(),
        load: load(),
        advice: String::new(),
    };
    let forward: Vec<f64> = slips
        .iter()
        .map(|slip| slip.phases[crate::run::timing::Phase::Forward as usize])
        .collect();
    account.advice = advice::advice(&account, shape, environment, &forward);
    account
}

/// The mean number of threads that ran or waited to run on this host over the last minute; Linux alone tells.
fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// The rate of a step's arithmetic, 10^9 flops a second and as a share of the product rate; none where that rounds to nothing,
/// as beside a simulator, whose own arithmetic is not known.
pub(super) fn rate_in_words(gflops: f64, share: f64) -> Option<String> {
    let percent = 100.0 * share;
    (percent >= 0.5).then(|| {
        format!(
            "{} GFLOP/s, {percent:.0} % of the product rate",
            number(gflops, 3)
        )
    })
}

/// The most memory this process has held, in bytes, what ranks of a host share counted once among them; Linux alone tells.
#[must_use]
pub fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = bytes_of(&status, "VmHWM:")?;
    // Each process's own count has all of the shared pages it has touched. They are held throughout.
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let shared = bytes_of(&status, "RssShmem:").zip(bytes_of(&rollup, "Pss_Shmem:"));
    Some(shared.map_or(peak, |(touched, part)| {
        peak.saturating_sub(touched.saturating_sub(part))
    }))
}

/// The number beside `name` in one of Linux's lists of KiB, in bytes.
fn bytes_of(list: &str, name: &str) -> Option<u64> {
    let line = list.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

impl Account {
    /// The times of the phase called `name`.
    #[must_use]
    pub fn phase(&self, name: &str) -> Times {
        let found = self.phases.iter().find(|(phase, _)| *phase == name);
        found.map_or_else(Times::default, |(_, times)| *times)
    }

    /// Writes timing.json to `folder`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, files: &Files, folder: &Path) -> Result<()> {
        let json = serde_json::to_string_pretty(self).expect("plain data encodes") + "\n";
        files.write_whole(&folder.join("timing.json"), json.as_bytes())
    }

    /// The table, for the screen.
    #[must_use]
    pub fn table(&self) -> String {
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
        let rate = rate_in_words(self.gflops, self.floor_share);
        let rate = rate.map_or(String::new(), |rate| format!(", {rate}"));
        let _ = writeln!(
            text,
            "  {} members x samples/s{rate}",
            number(self.members_samples_per_second, 4)
        );
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
