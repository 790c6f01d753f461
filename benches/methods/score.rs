//! One row of the table: what a run's members are worth beside the independent answer.

use ndarray::{Array2, Axis};

use crate::answer::{Answer, log_likelihood};
use crate::problems::Problem;

/// The 97.5 % quantile of N(0, 1).
const TWO_SIDED: f64 = 1.959_963_984_540_054;

/// A run, and its scores.
#[derive(Clone, Debug)]
pub struct Row {
    pub problem: String,
    pub method: String,
    pub seed: u64,
    pub simulations: usize,
    pub steps: usize,
    pub scores: Scores,
    /// Seconds of all updates, simulations excluded, of one thread.
    pub update: f64,
    pub settings: String,
}

/// Scores of an ensemble; NaN where the problem has none.
#[derive(Clone, Copy, Debug)]
pub struct Scores {
    /// Root mean square over parameters of the mean's distance from the answer's, in the answer's deviations.
    pub error: f64,
    /// The same in the prior's deviations.
    pub error_of_prior: f64,
    /// Mean over parameters of the deviation over the answer's.
    pub spread: f64,
    /// Mean over parameters of the answer's probability of mean +- 1.96 deviations; 0.95 is right for a normal one.
    pub coverage: f64,
    /// Root mean square of the residuals at the members' mean, in deviations of the noise.
    pub misfit: f64,
}

impl Scores {
    /// Of `members`, J x P in the problem's coordinates.
    pub fn of_members(problem: &Problem, members: &Array2<f64>) -> Self {
        let mean = members.mean_axis(Axis(0)).expect("members");
        Self::new(
            problem,
            (&mean.to_vec(), &members.std_axis(Axis(0), 1.0).to_vec()),
        )
    }

    /// Of a law by its `mean` and deviations, P numbers each.
    pub fn new(problem: &Problem, (mean, own): (&[f64], &[f64])) -> Self {
        let p = mean.len();
        let root = |squares: f64, n: usize| (squares / n as f64).sqrt();
        let squares = -2.0 * log_likelihood(&problem.map, &problem.y, mean);
        let mut scores = Self {
            error: f64::NAN,
            error_of_prior: f64::NAN,
            spread: f64::NAN,
            coverage: f64::NAN,
            misfit: root(squares, problem.y.len()),
        };
        match &*problem.answer {
            Answer::Minimum(at) => {
                let squares = at.iter().zip(mean).map(|(a, m)| (m - a).powi(2)).sum();
                scores.error_of_prior = root(squares, p);
            }
            Answer::Posterior {
                mean: exact,
                deviation,
                ..
            } => {
                let far: Vec<f64> = exact.iter().zip(mean).map(|(a, m)| m - a).collect();
                let over = |values: &dyn Fn(usize) -> f64| (0..p).map(values).sum::<f64>();
                scores.error_of_prior = root(over(&|i| far[i].powi(2)), p);
                scores.error = root(over(&|i| (far[i] / deviation[i]).powi(2)), p);
                scores.spread = over(&|i| own[i] / deviation[i]) / p as f64;
                let interval =
                    |i: usize| (mean[i] - TWO_SIDED * own[i], mean[i] + TWO_SIDED * own[i]);
                scores.coverage = over(&|i| problem.answer.mass(i, interval(i))) / p as f64;
            }
        }
        scores
    }
}

/// The columns of the stored table.
pub const HEAD: &str = "problem,method,seed,simulations,steps,error,error_of_prior,spread,coverage,misfit,update_seconds,settings\n";

/// A number with four digits; nothing for NaN.
fn digits(x: f64) -> String {
    if x.is_nan() {
        String::new()
    } else if x == 0.0 || (1e-3..1e5).contains(&x.abs()) {
        format!("{x:.4}")
    } else {
        format!("{x:.2e}")
    }
}

impl Row {
    /// Its line of the stored table.
    pub fn line(&self) -> String {
        let s = &self.scores;
        let scores = [
            s.error,
            s.error_of_prior,
            s.spread,
            s.coverage,
            s.misfit,
            self.update,
        ]
        .map(digits);
        format!(
            "{},{},{},{},{},{},\"{}\"\n",
            self.problem,
            self.method,
            self.seed,
            self.simulations,
            self.steps,
            scores.join(","),
            self.settings
        )
    }

    /// Reads a line of the stored table.
    pub fn read(line: &str) -> Option<Self> {
        let mut fields = line.splitn(12, ',');
        let mut text = || fields.next();
        let (problem, method) = (text()?.to_owned(), text()?.to_owned());
        let (seed, simulations, steps) = (
            text()?.parse().ok()?,
            text()?.parse().ok()?,
            text()?.parse().ok()?,
        );
        let mut number = || fields.next().map(|field| field.parse().unwrap_or(f64::NAN));
        let scores = Scores {
            error: number()?,
            error_of_prior: number()?,
            spread: number()?,
            coverage: number()?,
            misfit: number()?,
        };
        let update = number()?;
        let settings = fields.next()?.trim_matches('"').to_owned();
        Some(Self {
            problem,
            method,
            seed,
            simulations,
            steps,
            scores,
            update,
            settings,
        })
    }
}
