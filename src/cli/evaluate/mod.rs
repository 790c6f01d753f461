//! `eki-mpi evaluate DIR`: a finished run judged on its test set, or the answer of a simulator's run.

mod answer;

use std::path::{Path, PathBuf};

use clap::Args;
use eki_mpi::config::ModelKind;
use eki_mpi::data::catalogue;
use eki_mpi::ensemble::sigma_points::SigmaPoints;
use eki_mpi::error::Result;
use eki_mpi::files::numbers::number;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::kernels::real::Real;
use eki_mpi::method::loss::Loss;
use eki_mpi::report::assess::{Assessment, assess};
use eki_mpi::report::check::Check;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::predictive::Observations;
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::text_table;
use eki_mpi::report::uncertainty::Uncertainty;
use eki_mpi::with_precision;

use crate::cli::output::{all_cores, json};

/// The largest number of observations of the predictive check that are printed as JSON.
const IN_JSON: usize = 100;

/// Arguments of `eki-mpi evaluate`.
#[derive(Clone, Debug, Args)]
pub struct EvaluateArguments {
    /// The run's folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Start the simulator of the run's config.toml, to simulate its mean and best member anew
    #[arg(long)]
    pub run_command: bool,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Answers `eki-mpi evaluate`.
pub fn answer(arguments: &EvaluateArguments, data_dir: &Path) -> Result<String> {
    let finished = Finished::open(&arguments.folder)?;
    let mut assessment = judged(&finished, data_dir, arguments.run_command)?;
    if arguments.json {
        if let Some(answer) = &mut assessment.answer {
            answer.predictive = answer
                .predictive
                .take()
                .map(|check| check.shortened(IN_JSON));
        }
        return Ok(json(&assessment));
    }
    let mut text = text(&finished, &assessment);
    let kind = finished.resolved.config.model.kind;
    if kind == ModelKind::Process && !arguments.run_command {
        text += &format!(
            "as the run's summary.json has them; to simulate them anew {}\n",
            finished.resolved.command_shown()
        );
    }
    Ok(text)
}

/// Returns the run judged in its own precision, on all cores; its simulator is started only where `starts`.
pub fn judged(finished: &Finished, data_dir: &Path, starts: bool) -> Result<Assessment> {
    let precision = finished.resolved.config.run.precision;
    with_precision!(precision, T => judged_in::<T>(finished, data_dir, starts))
}

fn judged_in<T: Real>(finished: &Finished, data_dir: &Path, starts: bool) -> Result<Assessment> {
    let given = LoadedProblem::load(&finished.resolved, data_dir)?;
    let (noise, table) = (given.noise(), given.table());
    let loss = Loss::least_squares(&noise.gamma);
    let problem = given.problem::<T>(&finished.resolved)?;
    let mut assessment = assess(&all_cores()?, finished, (&problem, &loss, &table), starts)?;
    if let Some(answer) = &mut assessment.answer {
        let ending = finished.ending()?.unwrap_or_default();
        let values = problem.dataset.observations();
        let observed = Observations::new(values, &noise, &table, &ending.left_out);
        let map = problem.map.as_ref();
        let points = SigmaPoints::of(&finished.resolved.config.method, map.shape().parameters);
        let last = (ending.steps, points);
        answer.predictive = Check::of(&finished.folder, last, &observed)?;
    }
    Ok(assessment)
}

fn text(finished: &Finished, a: &Assessment) -> String {
    let data = &finished.resolved.config.data;
    let series = catalogue::is_series(&data.name);
    let kind = match (series, data.validation) {
        // The net at the mean is taken through the whole series without assimilating anything.
        (true, _) => "assimilated",
        (false, 0) => "test",
        (false, _) => "held-out training",
    };
    let simulates = finished.resolved.config.model.kind.simulates();
    let kind = if simulates {
        "observations".to_owned()
    } else {
        format!("{kind} samples")
    };
    let mut text = format!(
        "{}: {} parameters, judged on {} {kind}\n",
        finished.folder.display(),
        a.parameters,
        a.samples
    );
    text += &text_table([Left, Left], rows(a));
    if series {
        text += "not the run's squared error, which is of the members' predictions of each value before it was assimilated: here \
                 the network at the final mean goes through the whole series and assimilates nothing\n";
    }
    if let Some(answer) = &a.answer {
        text += &answer::table(answer);
    }
    match &a.uncertainty {
        Some(uncertainty) => text += &of_ensemble(uncertainty, a.accuracy_members),
        None if a.scores.accuracy_mean.is_some() => {
            text += "the ensemble was not kept: run with --set output.ensemble=true for its uncertainty\n";
        }
        None => {}
    }
    text
}

/// Returns the scores, and of a simulator the verdict, a line each.
fn rows(a: &Assessment) -> Vec<[String; 2]> {
    let s = &a.scores;
    let scores = [
        ("accuracy at the mean", s.accuracy_mean),
        ("accuracy of the best member", s.accuracy_best),
    ];
    let errors = [
        ("squared error at the mean", s.mse_mean),
        ("squared error of the best", s.mse_best),
    ];
    let returns = [
        ("return at the mean", s.return_mean),
        ("return of the best member", s.return_best),
    ];
    let misfits = [
        ("misfit at the mean", s.misfit_mean),
        ("misfit of the best member", s.misfit_best),
    ];
    let of_members = [("misfit of the members", s.misfit_members), ("", None)];
    let mut rows = Vec::new();
    let mut extend = |scores: [(&str, Option<f64>); 2], shown: &dyn Fn(f64) -> String| {
        let known = scores
            .into_iter()
            .filter_map(|(name, score)| Some((name, score?)));
        rows.extend(known.map(|(name, score)| [name.to_owned(), shown(score)]));
    };
    for misfits in [of_members, misfits] {
        extend(misfits, &|x| number(x, 4) + " deviations of the noise");
    }
    for g in &a.misfit_groups {
        let name = format!("misfit of {} ({})", g.group, g.observations);
        extend([(&name, g.misfit), ("", None)], &|x| {
            number(x, 4) + " deviations of the noise"
        });
    }
    extend(returns, &|x| number(x, 4) + " steps");
    extend(scores, &|x| number(x, 4));
    extend(errors, &|x| number(x, 5));
    if let Some(answer) = &a.answer {
        let lines = [
            (
                "chi-square per observation",
                answer.chi_square.map(|chi| chi.words()),
            ),
            ("verdict", answer.verdict.clone()),
            ("try next", answer.advice.clone()),
        ];
        let known = lines
            .into_iter()
            .filter_map(|(name, text)| Some([name.to_owned(), text?]));
        rows.extend(known);
    }
    rows
}

/// Returns the ensemble's table, and the reliability of its confidence.
fn of_ensemble(u: &Uncertainty, members: Option<[f64; 3]>) -> String {
    let mut text = format!("the {} members together\n", u.members);
    let shown = |x: f64| number(x, 4);
    let mut rows = vec![
        ["accuracy of their mean prediction", &shown(u.accuracy)].map(str::to_owned),
        ["confidence", &shown(u.confidence)].map(str::to_owned),
        ["log loss", &(shown(u.log_loss) + " nats")].map(str::to_owned),
        ["entropy", &(shown(u.entropy) + " nats")].map(str::to_owned),
        ["of it disagreement", &(shown(u.disagreement) + " nats")].map(str::to_owned),
        ["spread of the probability", &shown(u.spread)].map(str::to_owned),
        ["expected calibration error", &shown(u.calibration_error)].map(str::to_owned),
    ];
    if let Some(accuracies) = members {
        let range = accuracies.map(shown).join(" .. ");
        rows.push(["members' own accuracy".to_owned(), range]);
    }
    text += &text_table([Left, Left], rows);
    text += "reliability\n";
    let heading = ["confidence", "samples", "mean confidence", "accuracy"].map(str::to_owned);
    let bins = u.reliability.iter().filter(|bin| bin.samples > 0);
    let bins = bins.map(|bin| {
        [
            format!("{:.3} .. {:.3}", bin.from, bin.to),
            bin.samples.to_string(),
            format!("{:.4}", bin.confidence),
            format!("{:.4}", bin.accuracy),
        ]
    });
    text += &text_table(
        [Left, Right, Right, Right],
        std::iter::once(heading).chain(bins),
    );
    text
}
