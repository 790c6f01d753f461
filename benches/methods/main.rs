//! Which method when: all methods on all problems, three seeds, beside independent answers.
//!
//! ```text
//! cargo bench --bench methods -- OUT                       what OUT lacks, then the table: scores.csv, answers.csv, momentum.csv, methods.svg
//! cargo bench --bench methods -- OUT darcy field           only these problems, anew, then the table
//! cargo bench --bench methods -- OUT --python PYTHON       the peers too, by peers.py, whose packages requirements.txt names
//! ```
//!
//! A problem is a map from coordinates with the prior N(0, I) to outputs in deviations of the noise. All methods, and the
//! peers, begin with the same members, which `Problem::initial` draws; everything runs on one thread. `score` says what the
//! columns are. The result of a problem is a file of OUT, so that a run that was stopped goes on.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what this is for"
)]

mod algebra;
mod answer;
mod methods;
mod peers;
mod picture;
mod problems;
mod run;
mod score;
mod table;

use std::error::Error;
use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use answer::Answer;
use clap::Parser;
use eki_mpi::io::npy;
use eki_mpi::prelude::{Mpi, Ranks};
use methods::METHODS;
use problems::{NAMES, Problem, problem};
use score::{HEAD, Row};

const SEEDS: [u64; 3] = [1, 2, 3];
/// The problems on which accelerators are measured.
const ACCELERATED: [&str; 4] = ["ill-posed", "exponential-sine", "lorenz-40", "darcy"];

/// The command line; cargo adds --bench.
#[derive(Parser)]
struct Arguments {
    /// The folder of the results, and problems to run anew
    words: Vec<String>,
    /// A Python with peers.py's packages
    #[arg(long)]
    python: Option<PathBuf>,
    /// Answer lines of coordinates with lines of outputs: what peers.py asks
    #[arg(long, hide = true)]
    serve: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let given = Arguments::parse();
    if let Some(name) = given.serve {
        return serve(&name);
    }
    // `cargo bench` without a name runs every bench: there is nothing to do here.
    let Some((folder, chosen)) = given.words.split_first() else {
        return Ok(());
    };
    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    let mpi = Mpi::with_threads(1)?;
    if let Some(name) = chosen.iter().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(format!("no problem {name}: there are {}", NAMES.join(", ")).into());
    }
    for name in NAMES {
        let lacks = !part(folder, name, "scores").exists();
        let wanted = match chosen {
            [] => lacks,
            _ => chosen.iter().any(|c| c == name),
        };
        if wanted {
            solve(&mpi.ranks(), name, (folder, given.python.as_deref()))?;
        }
    }
    collect(folder)
}

/// The file of `problem` that holds its part of the table `what`.
fn part(folder: &Path, problem: &str, what: &str) -> PathBuf {
    folder.join(format!("{what}-{problem}.csv"))
}

/// Runs all methods on the problem `name`, and stores their scores.
fn solve(ranks: &Ranks, name: &str, (folder, python): (&Path, Option<&Path>)) -> Outcome {
    let problem = problem(name);
    fs::write(part(folder, name, "answers"), answers(&problem))?;
    let shape = (problem.parameters, problem.members);
    let (places, correlated) = (problem.places.is_some(), problem.correlate.is_some());
    let (mut text, mut momentum) = (String::new(), String::new());
    for seed in SEEDS {
        let initial = folder.join(format!("initial-{name}-{seed}.npy"));
        write(&initial, &problem.initial(seed))?;
        for method in METHODS
            .iter()
            .filter(|m| m.applies(shape, places, correlated))
        {
            match run::row(ranks, &problem, method, (seed, &initial)) {
                Ok(row) => {
                    println!("{}", row.line().trim_end());
                    text += &row.line();
                }
                Err(why) => println!("{name}, {}, seed {seed}: {why}", method.name),
            }
        }
        if ACCELERATED.contains(&name) {
            let steps = run::accelerated(ranks, &problem, (seed, &initial))?;
            let steps = steps
                .iter()
                .map(|s| s.map_or(String::new(), |s| s.to_string()));
            momentum += &format!("{name},{seed},60,{}\n", steps.collect::<Vec<_>>().join(","));
        }
        if let Some(python) = python {
            for row in peers::rows(python, &problem, (seed, &initial))? {
                println!("{}", row.line().trim_end());
                text += &row.line();
            }
        }
    }
    if !momentum.is_empty() {
        fs::write(part(folder, name, "momentum"), momentum)?;
    }
    fs::write(part(folder, name, "scores"), text)?;
    Ok(())
}

/// Writes an ensemble, J x P, as .npy.
fn write(path: &Path, members: &ndarray::Array2<f64>) -> Outcome {
    let mut bytes = npy::header(members.nrows(), members.ncols());
    members.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    Ok(fs::write(path, bytes)?)
}

/// The answer of `problem`, a line for each parameter; of a field every hundredth.
fn answers(problem: &Problem) -> String {
    let line = |i: usize| match &*problem.answer {
        Answer::Minimum(at) => format!("{},{i},minimum,{:.6},,\n", problem.name, at[i]),
        Answer::Posterior {
            by,
            mean,
            deviation,
            uncertain,
            ..
        } => format!(
            "{},{i},{by},{:.6},{:.6},{uncertain:.4}\n",
            problem.name, mean[i], deviation[i]
        ),
    };
    let every = if problem.parameters > 100 { 100 } else { 1 };
    (0..problem.parameters).step_by(every).map(line).collect()
}

/// Puts the problems' parts together, and draws the picture.
fn collect(folder: &Path) -> Outcome {
    let momentum = format!(
        "problem,seed,none,{}\n",
        run::ACCELERATORS
            .map(|(name, _)| name.replace(',', ""))
            .join(",")
    );
    for (what, head) in [
        ("scores", HEAD),
        ("answers", "problem,parameter,by,mean,deviation,uncertain\n"),
        ("momentum", &momentum),
    ] {
        let mut whole = head.to_owned();
        for name in NAMES {
            let path = part(folder, name, what);
            if path.exists() {
                whole += &fs::read_to_string(path)?;
            }
        }
        fs::write(folder.join(format!("{what}.csv")), whole)?;
    }
    let scores = fs::read_to_string(folder.join("scores.csv"))?;
    let rows: Vec<Row> = scores.lines().skip(1).filter_map(Row::read).collect();
    let ours = METHODS.iter().map(|m| m.name);
    let all: Vec<&str> = ours
        .chain(peers::NAMES)
        .filter(|m| rows.iter().any(|r| r.method == *m))
        .collect();
    fs::write(
        folder.join("methods.svg"),
        picture::svg(&rows, &all, &NAMES),
    )?;
    println!("{}", table::markdown(&rows, &all, &NAMES));
    Ok(())
}

/// Answers each line of coordinates with a line of outputs; an empty one where the simulation fails.
fn serve(name: &str) -> Outcome {
    let map = problem(name).map;
    for line in std::io::stdin().lock().lines() {
        let u: Result<Vec<f64>, _> = line?.split_whitespace().map(str::parse).collect();
        let z: Vec<String> = map(&u?).iter().map(|z| format!("{z:e}")).collect();
        println!("{}", z.join(" "));
    }
    Ok(())
}
