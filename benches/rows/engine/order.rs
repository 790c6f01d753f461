//! Which runs are lacking, and in which order they are made.

use std::path::Path;
use std::process::Command;

use eki_mpi::data::catalogue::{data_dir, find};
use serde_json::Value;

use super::Outcome;
use super::row::{Row, rows};
use super::stored::{AllStored, Stored, read_all};

/// Seconds of the longest run that is made of another seed than the first, unless it alone is asked for.
const LONGEST_OF_FURTHER_SEEDS: f64 = 3600.0;

/// Operations a second of a run that was never made, to guess its time: those of a core or two.
const FLOPS_PER_SECOND: f64 = 1e11;

/// Which rows and seeds are asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Names of rows; none: all.
    pub only: Vec<String>,
    /// Seeds, the most wanted first.
    pub seeds: Vec<u64>,
}

/// A run that is lacking.
#[derive(Clone, Debug)]
pub struct Lacking {
    pub row: Row,
    pub seed: u64,
    /// What it would add to the table.
    pub value: f64,
    /// Seconds that it takes.
    pub cost: f64,
}

impl Lacking {
    /// Returns the name of the run's folder within the sweep's.
    pub fn name(&self) -> String {
        format!("{}-{}", self.row.name, self.seed)
    }

    /// Returns value per hour.
    pub fn priority(&self) -> f64 {
        self.value / (self.cost / 3600.0)
    }
}

/// The runs to make, in their order, and a line for each row that is left out.
pub struct Order {
    pub runs: Vec<Lacking>,
    pub left_out: Vec<String>,
}

impl Order {
    /// Finds what the stored runs in `folder` lack of its rows.toml. `program` predicts the cost of rows never run; `out` may
    /// hold runs that have begun.
    pub fn new(folder: &Path, out: &Path, program: &Path, request: &Request) -> Outcome<Self> {
        let (rows, stored) = (rows(folder)?, read_all(folder)?);
        if let Some(name) = request.only.iter().find(|name| !knows(&rows, name)) {
            return Err(format!("--only {name}: no such row in rows.toml").into());
        }
        let mut order = Self {
            runs: vec![],
            left_out: vec![],
        };
        let wanted = |row: &&Row| request.only.is_empty() || request.only.contains(&row.name);
        for row in rows.iter().filter(wanted) {
            if let Err(why) = order.add(row, &request.seeds, &stored, (out, program)) {
                order.left_out.push(format!("{}: {why}", row.name));
            }
        }
        order
            .runs
            .sort_by(|a, b| b.priority().total_cmp(&a.priority()));
        Ok(order)
    }

    /// Adds the runs that `row` lacks.
    fn add(
        &mut self,
        row: &Row,
        seeds: &[u64],
        stored: &AllStored,
        (out, program): (&Path, &Path),
    ) -> Outcome<()> {
        let of = |seed: u64| stored.get(&(row.name.clone(), seed));
        let is_open = |seed: &&u64| of(**seed).is_none_or(|run| !run.is_whole(row));
        let open: Vec<u64> = seeds.iter().filter(is_open).copied().collect();
        if open.is_empty() {
            return Ok(());
        }
        if row.by_hand {
            return Err("made by hand".into());
        }
        check_data(row)?;
        let of_row = stored
            .range((row.name.clone(), 0)..=(row.name.clone(), u64::MAX))
            .map(|(_, run)| run);
        let seconds = match of_row.max_by(|a, b| a.epochs.total_cmp(&b.epochs)) {
            Some(run) => run.seconds / run.epochs * row.epochs as f64,
            None => predicted(row, program)?,
        };
        let first = seeds.first();
        let (made, long): (Vec<u64>, Vec<u64>) = open
            .into_iter()
            .partition(|seed| first == Some(seed) || seconds <= LONGEST_OF_FURTHER_SEEDS);
        if let Some(seed) = long.first() {
            let (hours, list) = (seconds / 3600.0, joined(&long));
            self.left_out.push(format!(
                "{}, seeds {list}: some {hours:.1} hours each; --seeds {seed} asks for one",
                row.name
            ));
        }
        for seed in made {
            let is_first = first == Some(&seed);
            let worth = worth(row) * if is_first { 1.0 } else { 0.1 };
            let mut run = Lacking {
                row: row.clone(),
                seed,
                value: worth * (1.0 - share(row, of(seed))),
                cost: 0.0,
            };
            let begun = Stored::of_run(row, &out.join(run.name()), "")
                .ok()
                .flatten();
            // An hour's thousandth, so that what is nearly done is not worth infinitely much.
            run.cost = (seconds * (1.0 - share(row, begun.as_ref()))).max(3.6);
            self.runs.push(run);
        }
        Ok(())
    }
}

/// Returns seeds as text.
pub fn joined(seeds: &[u64]) -> String {
    let texts: Vec<String> = seeds.iter().map(u64::to_string).collect();
    texts.join(", ")
}

fn knows(rows: &[Row], name: &str) -> bool {
    rows.iter().any(|row| row.name == name)
}

/// Returns what a whole run of the row is worth.
fn worth(row: &Row) -> f64 {
    match (row.extends, row.published.or(row.published_first)) {
        (false, Some(_)) => 100.0,
        (false, None) => 10.0,
        (true, _) => 1.0,
    }
}

/// Returns the share of the row's epochs that `run` has.
fn share(row: &Row, run: Option<&Stored>) -> f64 {
    run.map_or(0.0, |run| (run.epochs / row.epochs as f64).min(1.0))
}

/// Refuses a row whose data files are missing: the sweep would refuse all runs for it.
fn check_data(row: &Row) -> Outcome<()> {
    let name = &row.resolved(1)?.config.data.name;
    let Ok(source) = find(name) else {
        return Ok(()); // drawn from the seed
    };
    let folder = data_dir(None);
    match source
        .files
        .iter()
        .find(|file| source.locate(file, &folder).is_none())
    {
        Some(file) => Err(format!("the data set {name} is missing ({})", file.name).into()),
        None => Ok(()),
    }
}

/// Returns the seconds of a run from the arithmetic that `eki-mpi plan` predicts: a measurement would take minutes for some rows,
/// and the order needs the magnitude alone.
fn predicted(row: &Row, program: &Path) -> Outcome<f64> {
    let (preset, sets) = row.source()?;
    let mut command = Command::new(program);
    command.args(["plan", &preset, "--json"]);
    for set in &sets {
        command.args(["--set", set]);
    }
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    let plan: Value = serde_json::from_slice(&output.stdout)?;
    if let Some(limit) = plan["memory_exceeds"].as_str() {
        return Err(format!("too large for this machine, which may have {limit}").into());
    }
    match (plan["flops_total"].as_f64(), plan["steps"].as_f64()) {
        (Some(step), Some(steps)) => Ok(step * steps / FLOPS_PER_SECOND),
        _ => Err("eki-mpi plan predicts no arithmetic".into()),
    }
}
