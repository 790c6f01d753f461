//! The smallest J that reaches a network's capacity within a budget of epochs, against P as the first hidden layer grows.
//!
//! ```text
//! cargo bench --bench smallest -- FOLDER [--epochs 50] [--widths 10,20,...] ...    (--help lists all)
//! ```
//!
//! For each data set and width of 784-width-10, EKI(R) as in the preset `dnn2` with the largest J tells the capacity; then J
//! is bisected, in logarithms, for the least whose accuracy at the mean falls short of it by no more than a slack. Every run is
//! a line of runs.csv, and is not run again when the command is; smallest.csv and smallest.svg tell what was found.
//! Kovachki & Stuart, slides of AIP 2019, show it for MNIST and Fashion-MNIST within 50 epochs.

#![allow(clippy::print_stdout, reason = "what was found is the study's result")]

#[path = "../figure.rs"]
mod figure;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use eki_mpi::config::Resolved;
use eki_mpi::data::folder::data_dir;
use eki_mpi::forward::load::LoadedProblem;
use eki_mpi::parallel::comm::Comm;
use eki_mpi::parallel::ranks::Ranks;
use eki_mpi::run::plan::Plan;
use eki_mpi::run::reporter::Reporter;
use eki_mpi::run::timing::Timing;
use eki_mpi::run::{self};
use figure::{Curve, Panel, Stroke, svg};
use rayon::ThreadPool;

/// What is searched for, where; the defaults are the study at full size.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the results go
    folder: Option<PathBuf>,
    /// Data sets of 28x28 images and ten classes
    #[arg(long, value_delimiter = ',', default_value = "mnist,fashion-mnist")]
    data: Vec<String>,
    /// Widths of the first hidden layer
    #[arg(long, value_delimiter = ',', default_value = "5,10,20,40,80,160,320")]
    widths: Vec<usize>,
    /// The budget
    #[arg(long, default_value_t = 50)]
    epochs: u64,
    /// Take only the first so many training samples; 0: all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Samples assimilated at one step
    #[arg(long, default_value_t = 600)]
    batch: usize,
    /// The J that tells the capacity
    #[arg(long, default_value_t = 8000)]
    most: usize,
    /// The least J tried
    #[arg(long, default_value_t = 50)]
    least: usize,
    /// What may be short of the capacity's accuracy
    #[arg(long, default_value_t = 0.005)]
    slack: f64,
    /// The smallest J is found to this factor
    #[arg(long, default_value_t = 1.15)]
    factor: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Precision of the runs: single or mixed
    #[arg(long, default_value = "single", value_parser = ["single", "mixed"])]
    precision: String,
    /// Threads [default: all cores]
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// What all runs on `data` share.
    fn setting(&self, data: &str) -> String {
        format!(
            "{data},{},{},{},{},{}",
            self.precision, self.seed, self.epochs, self.limit, self.batch
        )
    }
}

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One run: what was run and its accuracy at the mean after the last epoch, on the test set.
#[derive(Clone, Debug)]
struct Tried {
    /// Data set, precision, seed, epochs, limit and batch.
    setting: String,
    width: usize,
    members: usize,
    accuracy: f64,
}

/// What was found for one network.
#[derive(Clone, Debug)]
struct Found {
    data: String,
    width: usize,
    parameters: usize,
    capacity: f64,
    members: usize,
    accuracy: f64,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    // `cargo bench` without a name runs every bench: there is nothing to time here.
    let Some(folder) = &arguments.folder else {
        return Ok(());
    };
    fs::create_dir_all(folder)?;
    // MPI, of which one rank is used.
    let universe = mpi::initialize().ok_or("MPI is there already")?;
    let comm = Comm::new(universe.world());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .build()?;
    let mut search = Search {
        arguments: &arguments,
        comm: &comm,
        pool: &pool,
        tried: read(&folder.join("runs.csv"))?,
        log: fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("runs.csv"))?,
    };
    let mut found = Vec::new();
    for data in &arguments.data {
        for &width in &arguments.widths {
            let one = search.smallest(data, width)?;
            println!(
                "{data}, 784-{width}-10: P = {}, capacity {:.4} at J = {}; J = {} reaches {:.4}",
                one.parameters, one.capacity, arguments.most, one.members, one.accuracy
            );
            found.push(one);
        }
    }
    tell(&arguments, folder, &found, &search.tried)
}

struct Search<'a> {
    arguments: &'a Arguments,
    comm: &'a Comm,
    pool: &'a ThreadPool,
    tried: Vec<Tried>,
    log: fs::File,
}

impl Search<'_> {
    fn smallest(&mut self, data: &str, width: usize) -> Outcome<Found> {
        let (least, most) = (self.arguments.least, self.arguments.most);
        let given = LoadedProblem::load(&self.resolved(data, width, most)?, &data_dir(None))?;
        let capacity = self.accuracy(&given, data, width, most)?;
        let enough = capacity - self.arguments.slack;
        let (mut short, mut reaches) = ((least, 0.0), (most, capacity));
        let first = self.accuracy(&given, data, width, least)?;
        if first >= enough {
            (short, reaches) = ((least, first), (least, first));
        }
        while reaches.0 as f64 > short.0 as f64 * self.arguments.factor && reaches.0 > short.0 + 1 {
            let between = (short.0 as f64 * reaches.0 as f64).sqrt().round() as usize;
            let between = between.clamp(short.0 + 1, reaches.0 - 1);
            let accuracy = self.accuracy(&given, data, width, between)?;
            if accuracy >= enough {
                reaches = (between, accuracy);
            } else {
                short = (between, accuracy);
            }
        }
        Ok(Found {
            data: data.to_owned(),
            width,
            parameters: 785 * width + 10 * (width + 1),
            capacity,
            members: reaches.0,
            accuracy: reaches.1,
        })
    }

    /// The accuracy at the mean with `members` members: as it was found before, or run.
    fn accuracy(
        &mut self,
        given: &LoadedProblem,
        data: &str,
        width: usize,
        members: usize,
    ) -> Outcome<f64> {
        let a = self.arguments;
        let setting = a.setting(data);
        let same = |t: &&Tried| t.setting == setting && t.width == width && t.members == members;
        if let Some(tried) = self.tried.iter().find(same) {
            return Ok(tried.accuracy);
        }
        let resolved = self.resolved(data, width, members)?;
        let (shape, problem) = (given.shape(), given.clone().problem::<f32>(&resolved)?);
        let plan = Plan::new(resolved, shape, problem.map.parameters())?;
        let ranks = Ranks {
            comm: self.comm,
            pool: self.pool,
        };
        let started = std::time::Instant::now();
        let (_, outcome) = run::run(
            ranks,
            &plan,
            &problem,
            &mut Reporter::silent(),
            &mut Timing::default(),
        )?;
        let accuracy = outcome
            .scores
            .accuracy_mean
            .ok_or("classes are judged by accuracy")?;
        let seconds = started.elapsed().as_secs_f64();
        writeln!(
            self.log,
            "{setting},{width},{members},{accuracy},{seconds:.1}"
        )?;
        self.tried.push(Tried {
            setting,
            width,
            members,
            accuracy,
        });
        Ok(accuracy)
    }

    fn resolved(&self, data: &str, width: usize, members: usize) -> Outcome<Resolved> {
        let a = self.arguments;
        let sets = [
            format!("seed={}", a.seed),
            format!("data.name={data}"),
            format!("data.limit={}", a.limit),
            format!("data.batch={}", a.batch),
            format!("model.layers=[784, {width}, 10]"),
            format!("ensemble.members={members}"),
            format!("run.epochs={}", a.epochs),
            format!("run.precision={}", a.precision),
            "run.evaluate_every=0".to_owned(),
            "run.best=never".to_owned(),
        ];
        Ok(Resolved::new("dnn2", &sets)?)
    }
}

/// The runs of an earlier command, one a line: data, precision, seed, epochs, limit, batch, width, J, accuracy, seconds.
fn read(path: &Path) -> Outcome<Vec<Tried>> {
    let text = if path.exists() {
        fs::read_to_string(path)?
    } else {
        String::new()
    };
    let parse = |line: &str| {
        let words: Vec<&str> = line.split(',').collect();
        let [setting @ .., width, members, accuracy, _] = &words[..] else {
            return None;
        };
        Some(Tried {
            setting: setting.join(","),
            width: width.parse().ok()?,
            members: members.parse().ok()?,
            accuracy: accuracy.parse().ok()?,
        })
    };
    let damaged = |line: &str| format!("{}: not a run: {line}", path.display()).into();
    text.lines()
        .map(|line| parse(line).ok_or_else(|| damaged(line)))
        .collect()
}

/// Writes what was found, and the figure.
fn tell(arguments: &Arguments, folder: &Path, found: &[Found], tried: &[Tried]) -> Outcome<()> {
    let mut csv = "data,width,parameters,capacity,smallest_members,accuracy\n".to_owned();
    for f in found {
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{}",
            f.data, f.width, f.parameters, f.capacity, f.members, f.accuracy
        );
    }
    let figure = svg(&panels(arguments, found, tried), 3);
    for (name, text) in [("smallest.csv", csv), ("smallest.svg", figure)] {
        let path = folder.join(name);
        fs::write(&path, text)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn curve(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Curve {
    Curve {
        name: name.to_owned(),
        colour,
        stroke: Stroke::Marks,
        points,
    }
}

/// The smallest J over P, and for each data set the accuracy over J of every width.
fn panels(arguments: &Arguments, found: &[Found], tried: &[Tried]) -> Vec<Panel> {
    let of = |name: &str| found.iter().filter(|f| f.data == name).collect::<Vec<_>>();
    let smallest = |(i, name): (usize, &String)| {
        let place = |f: &&Found| (f.parameters as f64, f.members as f64);
        curve(name, i, of(name).iter().map(place).collect())
    };
    let mut panels = vec![Panel {
        title: "The smallest J that reaches the capacity".to_owned(),
        axes: [("P", true), ("J", true)],
        curves: arguments.data.iter().enumerate().map(smallest).collect(),
    }];
    for name in &arguments.data {
        let setting = arguments.setting(name);
        let accuracies = |(i, f): (usize, &&Found)| {
            let own = tried
                .iter()
                .filter(|t| t.setting == setting && t.width == f.width);
            let mut points: Vec<_> = own.map(|t| (t.members as f64, t.accuracy)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            curve(&format!("width {}", f.width), i + 2, points)
        };
        panels.push(Panel {
            title: format!("{name}: accuracy at the mean"),
            axes: [("J", true), ("accuracy", false)],
            curves: of(name).iter().enumerate().map(accuracies).collect(),
        });
    }
    panels
}
