//! The prediction for 1, 2, 4, ... R ranks: a table as CSV, and its curves as SVG.

use std::fmt::Write as _;
use std::path::Path;

use eki_mpi::cost::predict::{Prediction, rank_counts};
use eki_mpi::error::Result;
use eki_mpi::files::Files;
use eki_mpi::kernels::real::Real;
use eki_mpi::report::page::{Along, Chart, Line, figure};

use super::scene::ForecastModel;

/// A part's name, and its seconds.
type Part = (&'static str, fn(&Prediction) -> f64);

/// Parts of a step that the table and the chart show.
const PARTS: [Part; 6] = [
    ("step", |p| p.step_seconds),
    ("forward", |p| p.forward),
    ("update", |p| p.update),
    ("interaction", |p| p.interaction),
    ("exchange", |p| p.exchange),
    ("agreement", |p| p.agreement),
];

/// Writes `path`.csv and `path`.svg for up to `most` ranks.
pub fn write<T: Real>(path: &Path, scene: &ForecastModel<T>, most: usize) -> Result<()> {
    let forecasts: Vec<(usize, Prediction)> = rank_counts(most)
        .into_iter()
        .map(|ranks| (ranks, scene.forecast(ranks).prediction))
        .collect();
    let files = Files::default();
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        std::path::PathBuf::from(name)
    };
    files.write_whole(&with(".csv"), table(scene, &forecasts).as_bytes())?;
    files.write_whole(&with(".svg"), drawn(scene, &forecasts).as_bytes())
}

fn table<T: Real>(scene: &ForecastModel<T>, forecasts: &[(usize, Prediction)]) -> String {
    let mut text = "ranks,threads".to_owned();
    for (name, _) in PARTS {
        let _ = write!(text, ",{name}");
    }
    text += ",efficiency,sent_bytes,memory_bytes\n";
    let alone = forecasts[0].1.step_seconds;
    for (ranks, prediction) in forecasts {
        let _ = write!(text, "{ranks},{}", scene.threads);
        for (_, of) in PARTS {
            let _ = write!(text, ",{:.6}", of(prediction));
        }
        // The first rank's parts are never the smaller ones.
        let shape = scene.shape(*ranks);
        let efficiency = alone / (*ranks as f64 * prediction.step_seconds);
        let (sent, memory) = (shape.sent(0).total(), shape.memory(0).peak());
        let _ = writeln!(text, ",{efficiency:.4},{sent},{memory}");
    }
    text
}

fn drawn<T: Real>(scene: &ForecastModel<T>, forecasts: &[(usize, Prediction)]) -> String {
    let shape = scene.shape(1);
    let curve = |of: &dyn Fn(&Prediction) -> f64| -> Vec<(f64, f64)> {
        let points = forecasts.iter().map(|(ranks, p)| (*ranks as f64, of(p)));
        // A part that takes no time, such as the exchange of one rank, has no place in logarithms.
        points.filter(|(_, seconds)| *seconds > 1e-6).collect()
    };
    let mut lines: Vec<Line> = PARTS
        .iter()
        .enumerate()
        .map(|(run, (name, of))| Line {
            run,
            label: (*name).to_owned(),
            points: curve(of),
            second: false,
            marked: false,
        })
        .collect();
    let alone = forecasts[0].1.step_seconds;
    let ideal = |ranks: usize| (ranks as f64, alone / ranks as f64);
    lines.push(Line {
        run: 7,
        label: "ideal".to_owned(),
        points: forecasts.iter().map(|(ranks, _)| ideal(*ranks)).collect(),
        second: true,
        marked: false,
    });
    let every = forecasts.len().div_ceil(8);
    let ticks = forecasts
        .iter()
        .step_by(every)
        .map(|(ranks, _)| *ranks as f64);
    let chart = Chart {
        title: format!(
            "{}, J = {}: predicted seconds of a step",
            scene.plan.resolved.name, shape.members,
        ),
        note: format!(
            "{} form, threads a rank: {}; {:.1} GB/s and {:.1} us between ranks; dotted: ideal",
            format!("{:?}", shape.form).to_lowercase(),
            scene.threads,
            scene.network.bandwidth / 1e9,
            scene.network.latency * 1e6
        ),
        lines,
        logarithmic: true,
        along: Along::Logarithmic(ticks.collect()),
        named: true,
    };
    figure(&[(chart, "ranks")])
}
