//! `eki-mpi predict RUN [INPUTS]`: a finished run's network for new inputs, or the forecasts of a series, as a table.

use std::path::{Path, PathBuf};

use clap::Args;
use eki_mpi::data::Targets;
use eki_mpi::data::catalogue;
use eki_mpi::data::form::SampleForm;
use eki_mpi::error::{Error, Result};
use eki_mpi::files::Files;
use eki_mpi::files::numbers::number;
use eki_mpi::files::table::quoted;
use eki_mpi::kernels::real::Real;
use eki_mpi::report::finished::Finished;
use eki_mpi::report::predictions::forecasts::{Forecasts, series_values};
use eki_mpi::report::predictions::{MemberOutputs, Predictions, TrainedNetwork, new_samples};
use eki_mpi::with_precision;
use ndarray::ArrayView1;

use crate::cli::output::all_cores;

/// The name of the table in the run's folder.
const TABLE: &str = "predictions.csv";

/// Which run, for which inputs, and where the table goes.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  eki-mpi predict runs/flowers new.csv
  eki-mpi predict runs/digits x.npy --members --out digits.csv
  eki-mpi predict runs/river                  # the forecasts of the run's own series")]
pub struct PredictArguments {
    /// The run's folder
    #[arg(value_name = "RUN")]
    pub folder: PathBuf,
    /// The inputs: a table (.csv), an array (.npy) or an IDX file; a series may be left out: the run's own
    #[arg(value_name = "INPUTS")]
    pub inputs: Option<PathBuf>,
    /// Also the mean of the members' predictions and their spread, where the run kept them
    #[arg(long)]
    pub members: bool,
    /// The table that is written [default: RUN/predictions.csv]
    #[arg(long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,
}

/// Answers `eki-mpi predict`: writes the table.
pub fn answer(arguments: &PredictArguments, data_dir: &Path) -> Result<String> {
    let finished = Finished::open(&arguments.folder)?;
    let precision = finished.resolved.config.run.precision;
    let (table, said) =
        with_precision!(precision, T => predicted::<T>(&finished, arguments, data_dir))?;
    let path = arguments.out.clone();
    let path = path.unwrap_or_else(|| arguments.folder.join(TABLE));
    Files::default().write_whole(&path, table.as_bytes())?;
    Ok(format!("{said}{}\n", path.display()))
}

/// Returns the table, and what is said of it.
fn predicted<T: Real>(
    finished: &Finished,
    arguments: &PredictArguments,
    data_dir: &Path,
) -> Result<(String, String)> {
    let network = TrainedNetwork::<T>::of(finished, data_dir)?;
    let (form, inputs) = (&network.form, arguments.inputs.as_deref());
    if catalogue::is_series(&finished.resolved.config.data.name) {
        let values = series_values(finished, form, (inputs, data_dir))?;
        let given = (values, arguments.members);
        let forecasts = network.forecast(&all_cores()?, finished, given)?;
        return Ok((
            forecast_table(form, &forecasts),
            forecast_errors(&forecasts),
        ));
    }
    let needed = || {
        Error::Usage("name the inputs: eki-mpi predict RUN INPUTS (.csv, .npy or IDX)".to_owned())
    };
    let samples = new_samples(form, inputs.ok_or_else(needed)?)?;
    let given = (samples.inputs, arguments.members);
    let found = network.predict(&all_cores()?, finished, given)?;
    let targets = samples.targets.as_ref();
    let table = match form.classes.is_empty() {
        true => value_table(form, &found, targets),
        false => class_table((form, network.is_softmax), &found, targets),
    };
    Ok((table, score(form, &found, targets)))
}

/// Returns the place of the largest number, the first of several.
fn largest(outputs: ArrayView1<f64>) -> usize {
    (0..outputs.len()).fold(
        0,
        |best, c| if outputs[c] > outputs[best] { c } else { best },
    )
}

/// Returns a table of the lines `rows`, each with its place, below the names of `columns`.
fn table(columns: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let names: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
    let mut text = format!("sample,{}\n", names.join(","));
    for (i, row) in rows.enumerate() {
        text += &format!("{i},{}\n", row.join(","));
    }
    text
}

/// Returns the table of classes: the class at the mean with its probability, each class's probability, and the same by the members.
fn class_table(
    (form, is_softmax): (&SampleForm, bool),
    found: &Predictions,
    targets: Option<&Targets>,
) -> String {
    let word = if is_softmax { "probability" } else { "output" };
    let mut columns: Vec<String> = Vec::new();
    if targets.is_some() {
        columns.push("target".to_owned());
    }
    let each = |what: &str| -> Vec<String> {
        let names = form.classes.iter().map(|class| format!("{what}_{class}"));
        names.collect()
    };
    columns.extend(["class".to_owned(), word.to_owned()]);
    columns.extend(each(word));
    if found.members.is_some() {
        columns.extend(["members_class".to_owned(), format!("members_{word}")]);
        columns.extend(each("members_mean"));
        columns.extend(each("members_deviation"));
    }
    let rows = (0..found.outputs.nrows()).map(|i| {
        let mut row = Vec::new();
        if let Some(Targets::Classes { labels, .. }) = targets {
            row.push(quoted(&form.classes[usize::from(labels[i])]).into_owned());
        }
        let mut put = |outputs: ArrayView1<f64>| {
            let class = largest(outputs);
            row.push(quoted(&form.classes[class]).into_owned());
            row.push(outputs[class].to_string());
            row.extend(outputs.iter().map(f64::to_string));
        };
        put(found.outputs.row(i));
        if let Some(MemberOutputs {
            mean, deviation, ..
        }) = &found.members
        {
            put(mean.row(i));
            row.extend(deviation.row(i).iter().map(f64::to_string));
        }
        row
    });
    table(&columns, rows)
}

/// Returns the table of values in the data's own units: at the mean, and the members' mean and deviation.
fn value_table(form: &SampleForm, found: &Predictions, targets: Option<&Targets>) -> String {
    let names = || (0..form.outputs).map(|o| form.output_name(o));
    let mut columns: Vec<String> = Vec::new();
    if targets.is_some() {
        columns.extend(names().map(|name| format!("target_{name}")));
    }
    columns.extend(names());
    if found.members.is_some() {
        columns.extend(names().map(|name| format!("members_mean_{name}")));
        columns.extend(names().map(|name| format!("members_deviation_{name}")));
    }
    let rows = (0..found.outputs.nrows()).map(|i| {
        let own = |outputs: ArrayView1<f64>| -> Vec<String> {
            let own = outputs.iter().enumerate();
            own.map(|(o, &z)| form.value(o, z).to_string()).collect()
        };
        let mut row = Vec::new();
        if let Some(Targets::Values(values)) = targets {
            row.extend(values.row(i).iter().map(f64::to_string));
        }
        row.extend(own(found.outputs.row(i)));
        if let Some(members) = &found.members {
            row.extend(own(members.mean.row(i)));
            let scale = |o: usize| form.targets.get(o).map_or(1.0, |of| of.scale);
            let spread = members.deviation.row(i);
            row.extend((0..form.outputs).map(|o| (scale(o) * spread[o]).to_string()));
        }
        row
    });
    table(&columns, rows)
}

/// Returns a line with the number of samples, and where their targets are known the accuracy or the root of the mean squared error.
fn score(form: &SampleForm, found: &Predictions, targets: Option<&Targets>) -> String {
    let n = found.outputs.nrows();
    let of = |outputs: &ndarray::Array2<f64>| match targets {
        None => String::new(),
        Some(Targets::Classes { labels, .. }) => {
            let rows = outputs.rows().into_iter().zip(labels);
            let right = rows.filter(|(row, label)| largest(*row) == usize::from(**label));
            let right = right.count();
            format!(", accuracy {}", number(right as f64 / n as f64, 4))
        }
        Some(Targets::Values(values)) => {
            let errors = outputs.indexed_iter().map(|((i, o), &z)| {
                let error = form.value(o, z) - values[[i, o]];
                error * error
            });
            let mean = errors.sum::<f64>() / outputs.len() as f64;
            format!(", root mean squared error {}", number(mean.sqrt(), 4))
        }
    };
    let mut said = format!("{n} samples at the mean{}\n", of(&found.outputs));
    if let Some(members) = &found.members {
        said += &format!(
            "the mean of {} members{}\n",
            members.count,
            of(&members.mean)
        );
    }
    said
}

/// Returns the table of forecasts: a line for each value after the first, and one for the value beyond the end.
fn forecast_table(form: &SampleForm, found: &Forecasts) -> String {
    let name = form.output_name(0);
    let mut columns = vec![name.clone(), format!("forecast_{name}")];
    if found.members.is_some() {
        columns.extend(["members_mean", "members_deviation"].map(str::to_owned));
    }
    columns.push("persistence".to_owned());
    columns.extend(found.autoregressions.iter().map(|(p, _)| format!("ar{p}")));
    let names: Vec<_> = columns.iter().map(|name| quoted(name)).collect();
    let mut text = format!("time,{}\n", names.join(","));
    for t in 0..found.values.len() {
        let shown = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
        let mut row = vec![
            (t + 1).to_string(),
            shown(found.values.get(t + 1).copied()),
            found.network[t].to_string(),
        ];
        if let Some((mean, deviation)) = &found.members {
            row.extend([mean[t].to_string(), deviation[t].to_string()]);
        }
        row.push(found.persistence[t].to_string());
        row.extend(found.autoregressions.iter().map(|(_, all)| shown(all[t])));
        text += &(row.join(",") + "\n");
    }
    text
}

/// Returns the errors of the forecasts, a line each, and what comes next.
fn forecast_errors(found: &Forecasts) -> String {
    let known = |all: &[f64]| all.iter().copied().map(Some).collect::<Vec<_>>();
    let mut lines = vec![("the network at the mean".to_owned(), known(&found.network))];
    if let Some((mean, _)) = &found.members {
        lines.push(("the members' mean".to_owned(), known(mean)));
    }
    lines.push(("persistence".to_owned(), known(&found.persistence)));
    for (p, all) in &found.autoregressions {
        lines.push((format!("AR({p}), fitted to this series"), all.clone()));
    }
    let mut said = format!(
        "{} values, one step ahead: root mean squared errors\n",
        found.values.len()
    );
    for (name, forecasts) in lines {
        if let Some(error) = found.squared_error(&forecasts) {
            said += &format!("  {:<28} {}\n", name, number(error.sqrt(), 4));
        }
    }
    let next = found.network.last().copied().unwrap_or(f64::NAN);
    said + &format!("the next value is forecast as {}\n", number(next, 5))
}
