//! The reports of a run: its folder, one line of metrics a step (with `output.tensorboard` also as events), progress on the screen, and the table at its end.

mod appender;
mod course;
mod divergence;
mod events;
mod metrics;
mod progress;
mod table;
mod verdict;

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;

use crate::config::{CONFIG, OnError};
use crate::data::scores::{GroupMisfit, Scores};
use crate::error::Result;
use crate::files::Files;
use crate::files::numbers::number;
use crate::io::run_folder::SUMMARY;
use crate::run::history_step::HistoryStep;
use crate::run::plan::Plan;
use crate::run::statistics::FinalMembers;
use course::Course;
pub use course::too_few;
use divergence::Divergence;
use metrics::Metrics;
pub use metrics::gaps;
use progress::progress_bar;
use table::{in_words, table};
pub use verdict::{ChiSquare, Ending, Verdict};

/// One line of metrics.jsonl.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// The epoch of the last step, from 1.
    pub epoch: u64,
    /// Samples assimilated so far.
    pub samples: u64,
    /// Members J of the last step.
    pub members: usize,
    /// Members that failed in it.
    pub failed: usize,
    /// Outputs that other members lacked, and took from the members' mean (`model.missing`).
    #[serde(skip_serializing_if = "is_none")]
    pub missing: u64,
    /// Mean over surviving members of the misfit per sample, before the update.
    pub loss: f64,
    /// ||D||_F.
    pub d_norm: f64,
    /// h_n.
    pub step_size: f64,
    /// Root mean square over members and parameters of u - ubar, before the update.
    pub spread: f64,
    /// True if all survivors of a simulator's run gave the same outputs, which then say nothing about the parameters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alike: bool,
    /// The factor of the members' deviations after this step, where inflation is adaptive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inflation: Option<f64>,
    /// True if these members were taken back: the step began again from the last accepted ones, with half of h (`method.accept`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub taken_back: bool,
    /// Seconds since the run began.
    pub seconds: f64,
    /// The scores on the test set, after steps that are evaluated.
    #[serde(flatten)]
    pub scores: Option<Scores>,
}

/// Returns true if the number is 0, which is left out.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_none(number: &u64) -> bool {
    *number == 0
}

/// summary.json.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Why the run stopped.
    pub reason: &'static str,
    /// With a simulator, at the run's end: the verdict and the advice.
    #[serde(flatten)]
    pub verdict: Option<Verdict>,
    /// Steps done.
    pub steps: u64,
    /// Epochs done, with a fraction.
    pub epochs: f64,
    /// Seconds of the run.
    pub seconds: f64,
    /// The test set's verdict at the end.
    #[serde(flatten)]
    pub scores: Scores,
    /// The misfits of groups of observations at the members' mean, where a table names groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misfit_groups: Vec<GroupMisfit>,
    /// The chi-square of a simulator's final members, where they have been simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chi_square: Option<ChiSquare>,
    /// A simulator's final members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<FinalMembers>,
    /// The observations that were left out (`data.conflict`), by name and group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Scores after the first epoch.
    #[serde(flatten)]
    pub first: First,
    /// SHA-256 of the final ensemble.
    pub digest: String,
    /// Ranks R.
    pub ranks: usize,
    /// Threads of each rank.
    pub threads: usize,
}

/// A run's folder and the log in it.
pub(super) type Log = (PathBuf, Metrics);

/// Tells what happens: rank 0 to the screen and the run's folder, the other ranks nothing.
#[derive(Debug)]
pub struct Reporter {
    voice: Option<RankZero>,
    /// The steps so far, where a program wants them.
    records: Option<Vec<Record>>,
    /// Ensembles that were kept in memory.
    history: Vec<HistoryStep>,
}

#[derive(Debug)]
struct RankZero {
    folder: PathBuf,
    metrics: Metrics,
    files: Files,
    bar: ProgressBar,
    first_epoch: First,
    divergence: Divergence,
    /// Statistics of a run with a simulator.
    course: Option<Course>,
}

/// Scores after the first epoch, where it was evaluated.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct First {
    /// Accuracy at the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_first_epoch: Option<f64>,
    /// For a series: `mse_pass` of the first pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mse_first_pass: Option<f64>,
}

impl Reporter {
    /// Returns the reporter of every rank but 0, which writes nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            voice: None,
            records: None,
            history: Vec::new(),
        }
    }

    /// Returns a reporter, for any rank, that keeps what each step reports and writes nothing.
    #[must_use]
    pub fn recording() -> Self {
        Self {
            records: Some(Vec::new()),
            ..Self::silent()
        }
    }

    /// Returns true if it keeps what each step reports.
    pub(super) fn is_recording(&self) -> bool {
        self.records.is_some()
    }

    /// Keeps the ensembles of `history`, too.
    pub(super) fn keep_history(&mut self, history: Vec<HistoryStep>) {
        self.history.extend(history);
    }

    /// Returns what the steps reported, and the ensembles that were kept, of a `recording` reporter.
    #[must_use]
    pub fn into_recorded(self) -> (Vec<Record>, Vec<HistoryStep>) {
        (self.records.unwrap_or_default(), self.history)
    }

    /// Returns the reporter of rank 0: makes `folder` and opens the run's files in it.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn new(folder: &Path, plan: &Plan) -> Result<Self> {
        Self::open(folder, plan, &Files::default(), 0)
    }

    /// Opens the reports of a run that goes on after `step` steps; lines of later steps are cut off.
    ///
    /// # Errors
    /// As `new`; and a log that is there but cannot be read.
    pub fn open(folder: &Path, plan: &Plan, files: &Files, step: u64) -> Result<Self> {
        files.create_folder(folder)?;
        // There already, but for what may change in a run taken up again.
        files.write_whole(&folder.join(CONFIG), plan.resolved.toml().as_bytes())?;
        let events = plan.config().output.tensorboard;
        let (metrics, kept) = Metrics::open(files, folder, step, events)?;
        let last = metrics::last_step(&kept);
        let every = plan.config().run.report_every;
        for (before, after) in gaps(&kept, every) {
            tracing::warn!(
                "metrics.jsonl: the lines between step {before} and step {after} are missing"
            );
        }
        if last + every <= step {
            tracing::warn!("metrics.jsonl: the lines after step {last}, up to {step}, are missing");
        }
        let simulates = plan.config().model.kind.simulates();
        let bar = ProgressBar::hidden();
        let voice = RankZero {
            folder: folder.to_path_buf(),
            metrics,
            files: files.clone(),
            bar,
            first_epoch: metrics::first_epoch(&kept),
            divergence: Divergence::default(),
            course: simulates.then(|| Course::of(plan, &kept)),
        };
        Ok(Self {
            voice: Some(voice),
            ..Self::silent()
        })
    }

    /// From now on the screen shows a progress bar of `steps` steps, `step` of which are done, if it is a terminal; otherwise there is a line
    /// for each evaluation.
    pub fn show_bar(&mut self, step: u64, steps: u64) {
        if let Some(voice) = &mut self.voice {
            voice.bar = progress_bar(steps);
            voice.bar.set_position(step);
        }
    }

    /// Flushes metrics.jsonl to the disk.
    ///
    /// # Errors
    /// On rank 0: metrics.jsonl cannot be written.
    pub fn sync(&mut self) -> Result<()> {
        match &mut self.voice {
            Some(voice) => voice.metrics.sync(),
            None => Ok(()),
        }
    }

    /// Returns the run's folder, on rank 0.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.voice.as_ref().map(|voice| voice.folder.as_path())
    }

    /// The run's folder was moved to `folder`; its files that are open moved with it.
    pub(super) fn moved(&mut self, folder: &Path) {
        if let Some(voice) = &mut self.voice {
            voice.folder = folder.to_path_buf();
            voice.metrics.moved(folder);
        }
    }

    /// On rank 0 a copy of the log in `folder`.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn log_in(&self, files: &Files, folder: &Path) -> Result<Option<Log>> {
        let copy =
            |voice: &RankZero| Ok((folder.to_path_buf(), voice.metrics.copy(files, folder)?));
        self.voice.as_ref().map(copy).transpose()
    }

    /// Exchanges the folder and the log that are written to for `log`, on rank 0.
    pub(super) fn swap_log(&mut self, log: &mut Option<Log>) {
        if let (Some(voice), Some((folder, metrics))) = (&mut self.voice, log) {
            std::mem::swap(&mut voice.folder, folder);
            std::mem::swap(&mut voice.metrics, metrics);
        }
    }

    /// Scores after the first epoch, where it was evaluated.
    #[must_use]
    pub fn first_epoch(&self) -> First {
        self.voice
            .as_ref()
            .map_or_else(First::default, |voice| voice.first_epoch)
    }

    /// Tells of one step.
    ///
    /// # Errors
    /// On rank 0: metrics.jsonl cannot be written, and the run is to stop at that.
    pub fn step(&mut self, plan: &Plan, record: &Record) -> Result<()> {
        if let Some(records) = &mut self.records {
            records.push(record.clone());
        }
        let Some(voice) = &mut self.voice else {
            return Ok(());
        };
        if record.scores.is_some() || record.step.is_multiple_of(plan.config().run.report_every) {
            let line = serde_json::to_string(record).expect("a record is plain data");
            let many = voice.metrics.add(&line);
            if many || record.scores.is_some() {
                match plan.config().checkpoint.on_error {
                    OnError::Continue => voice.metrics.flush_or_wait(),
                    OnError::Stop => voice.metrics.flush()?,
                }
            }
        }
        if record.failed > 0 {
            let share = 100 * record.failed / record.members;
            let text = format!(
                "step {}: {} of {} members failed and are redrawn",
                record.step, record.failed, record.members
            );
            if share >= 50 {
                tracing::warn!("{text} ({share} %)")
            } else {
                tracing::info!("{text}")
            }
        }
        for text in voice.divergence.see(plan, record) {
            tracing::warn!("{text}");
        }
        let course = voice.course.as_mut();
        if let Some(text) = course.and_then(|course| course.see(plan, record)) {
            tracing::warn!("{text}");
        }
        voice.bar.set_position(record.step);
        if let (Some(scores), 1) = (&record.scores, record.epoch) {
            let first = &mut voice.first_epoch;
            first.accuracy_first_epoch = first.accuracy_first_epoch.or(scores.accuracy_mean);
            // The last verdict of a pass is on all of it.
            first.mse_first_pass = scores.mse_pass;
        }
        // Simulations take long: each step has a line on the screen.
        let simulates = plan.config().model.kind.simulates();
        if simulates || record.scores.is_some() {
            let loss = if simulates {
                let misfit = plan.in_deviations(record.loss * plan.batches.width() as f64);
                format!("misfit {} deviations of the noise", number(misfit, 4))
            } else {
                format!("epoch {}  loss {}", record.epoch, number(record.loss, 4))
            };
            let verdict = record.scores.as_ref().map_or(String::new(), in_words);
            voice.say(plan, record, format!("{loss}  {verdict}").trim_end());
        }
        Ok(())
    }

    /// Writes the files a finished run leaves and the table on the screen.
    ///
    /// # Errors
    /// On rank 0: a file that cannot be written.
    pub fn finish(&mut self, summary: &Summary) -> Result<String> {
        let Some(voice) = &mut self.voice else {
            return Ok(String::new());
        };
        voice.bar.finish_and_clear();
        voice.metrics.flush()?;
        let json = serde_json::to_string_pretty(summary).expect("a summary is plain data") + "\n";
        let path = voice.folder.join(SUMMARY);
        voice.files.write_whole(&path, json.as_bytes())?;
        Ok(table(summary, &voice.folder))
    }
}

impl RankZero {
    /// Shows the progress after a step: beside the bar, or as a line where there is no bar.
    fn say(&self, plan: &Plan, record: &Record, text: &str) {
        let (step, steps) = (record.step, plan.steps);
        self.bar.set_message(text.to_owned());
        if self.bar.is_hidden() {
            tracing::info!("step {step} of {steps}  {text}  {:.1} s", record.seconds);
        } else {
            tracing::debug!("step {step} of {steps}  {text}");
        }
    }
}
