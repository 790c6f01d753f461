//! Scores in words, and the table that a run ends with.

use std::path::Path;

use super::Summary;
use crate::data::scores::{GroupMisfit, Scores};
use crate::files::numbers::number;

/// Scores in words.
pub fn in_words(scores: &Scores) -> String {
    let parts = [
        ("accuracy at the mean", scores.accuracy_mean),
        ("of the best member", scores.accuracy_best),
        ("misfit at the mean", scores.misfit_mean),
        ("of the best member", scores.misfit_best),
        ("squared error at the mean", scores.mse_mean),
        ("of the best member", scores.mse_best),
        ("return at the mean", scores.return_mean),
        ("of the best member", scores.return_best),
        ("squared error of the pass", scores.mse_pass),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter_map(|(name, score)| score.map(|s| format!("{name} {}", number(s, 4))))
        .collect();
    told.join("  ")
}

/// Returns the table a run ends with.
pub fn table(summary: &Summary, folder: &Path) -> String {
    let mut rows = vec![crate::run::stop::told(summary.reason)];
    let scores = &summary.scores;
    let mut push = |name, value: Option<String>| rows.extend(value.map(|v| (name, v)));
    let four = |share: Option<f64>| share.map(|s| number(s, 4));
    let error = |error: Option<f64>| error.map(|e| number(e, 5));
    let steps = |steps: Option<f64>| steps.map(|s| format!("{} steps", number(s, 4)));
    let (verdict, advice) = summary
        .verdict
        .clone()
        .map(|v| (v.verdict, v.advice))
        .unzip();
    push("verdict", verdict);
    push("try next", advice);
    let misfit =
        |misfit: Option<f64>| misfit.map(|m| format!("{} deviations of the noise", number(m, 4)));
    push("misfit of the members", misfit(scores.misfit_members));
    push(
        "  chi-square per observation",
        summary.chi_square.map(|chi| chi.words()),
    );
    push("misfit at their mean", misfit(scores.misfit_mean));
    let of_group = |g: &GroupMisfit| {
        let misfit = g.misfit.map_or("unknown".to_owned(), |m| number(m, 4));
        format!("{} {misfit} ({})", g.group, g.observations)
    };
    let groups: Vec<String> = summary.misfit_groups.iter().map(of_group).collect();
    push(
        "  by group (observations)",
        (!groups.is_empty()).then(|| groups.join(", ")),
    );
    let left_out = (!summary.left_out.is_empty()).then(|| summary.left_out.join(", "));
    push("observations left out", left_out);
    push("misfit of the best member", misfit(scores.misfit_best));
    push("accuracy at the mean", four(scores.accuracy_mean));
    push("accuracy of the best member", four(scores.accuracy_best));
    push("squared error at the mean", error(scores.mse_mean));
    push("squared error of the best", error(scores.mse_best));
    push(
        "squared error, first pass",
        error(summary.first.mse_first_pass),
    );
    push("squared error, last pass", error(scores.mse_pass));
    if let Some(baselines) = &scores.baselines {
        push("  persistence", error(Some(baselines.mse_persistence)));
        push("  AR(2), fitted to all", error(baselines.mse_ar2));
        push("  AR(20), fitted to all", error(baselines.mse_ar20));
    }
    push("return at the mean", steps(scores.return_mean));
    push("return of the best member", steps(scores.return_best));
    push(
        "steps",
        // An epoch of a simulator without sets is a step.
        Some(match summary.epochs == summary.steps as f64 {
            true => summary.steps.to_string(),
            false => format!("{} ({} epochs)", summary.steps, number(summary.epochs, 4)),
        }),
    );
    push("seconds", Some(number(summary.seconds, 4)));
    push(
        "ranks x threads",
        Some(format!("{} x {}", summary.ranks, summary.threads)),
    );
    push("digest", Some(summary.digest[..16].to_owned()));
    push("folder", Some(folder.display().to_string()));
    rows.iter()
        .map(|(name, value)| format!("  {name:<28} {value}\n"))
        .collect()
}
