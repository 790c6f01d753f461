//! The linear study: EKI, Nesterov's EKI, natural gradient descent and the discrete Kalman step on two linear inverse
//! problems, measured and by their closed forms.
//!
//! ```text
//! cargo bench --bench linear -- FOLDER    writes linear.csv and linear.svg to FOLDER, and a table to the screen
//! ```
//!
//! The problems are those of the preset `linear`: the elliptic one, and a random A.

#![allow(
    clippy::print_stdout,
    reason = "what was measured is the study's result"
)]

#[path = "../figure.rs"]
mod figure;
mod flow;
mod inverse;
mod methods;
mod study;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use figure::{Curve, Panel, Stroke, svg};
use flow::Weighted;
use methods::Method;
use study::{NOISE, Point, Which, ensemble, limit, traces};

/// Steps of each method.
const STEPS: u64 = 1500;
/// Members that span the observations, and members that do not.
const MEMBERS: [usize; 2] = [300, 10];

type Traces = Vec<(Method, Vec<Point>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().skip(1).find(|a| a != "--bench");
    // `cargo bench` without a name runs every bench: there is nothing to time here.
    let Some(folder) = folder else {
        return Ok(());
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let mut csv =
        "problem,members,method,step,time,along,orthogonal,error,theory_along,theory_error\n"
            .to_owned();
    let mut panels = Vec::new();
    for which in [Which::Elliptic, Which::Random] {
        let problem = Weighted::new(&which.problem(), NOISE);
        let all = MEMBERS.map(|members| {
            let traces = traces(&problem, &ensemble(members, problem.truth.len()), STEPS);
            rows(&mut csv, which, members, &traces);
            traces
        });
        table(which, &problem, &all);
        panels.extend(panels_of(which, &all));
    }
    for (name, text) in [("linear.csv", csv), ("linear.svg", svg(&panels, 4))] {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn rows(csv: &mut String, which: Which, members: usize, traces: &Traces) {
    for (method, points) in traces {
        for p in points {
            let theory = p.theory.map_or(",".to_owned(), |(along, error)| {
                format!("{along:e},{error:e}")
            });
            let _ = writeln!(
                csv,
                "{},{members},{},{},{:e},{:e},{:e},{:e},{theory}",
                which.name(),
                method.name(),
                p.step,
                p.time,
                p.along,
                p.orthogonal,
                p.error
            );
        }
    }
}

/// The slope of the logarithm of the squared residual's moving part over the last factor of 8 in time.
fn slope(points: &[Point]) -> f64 {
    let last = points.last().expect("steps");
    let early = points
        .iter()
        .find(|p| p.time > last.time / 8.0)
        .expect("steps");
    (last.along / early.along).ln() / (last.time / early.time).ln()
}

/// The largest |measured / theory - 1| of the squared residual's moving part. The
/// law of perturbed observations is one of many members, which these need not follow.
fn off(method: Method, points: &[Point]) -> Option<f64> {
    if method == Method::KalmanPerturbed {
        return None;
    }
    let each = points
        .iter()
        .map(|p| Some((p.along / p.theory?.0 - 1.0).abs()));
    let all: Option<Vec<f64>> = each.collect();
    all.map(|all| all.into_iter().fold(0.0, f64::max))
}

fn table(which: Which, problem: &Weighted, all: &[Traces]) {
    let name = which.name();
    println!(
        "{name}: {} observations, {} parameters, {STEPS} steps",
        problem.d.len(),
        problem.truth.len()
    );
    println!(
        "  {:>3} {:<24} {:>10} {:>10} {:>10} {:>7} {:>12} {:>10} {:>10}",
        "J", "method", "time", "along", "error", "slope", "orthogonal", "it moved", "off theory"
    );
    for (members, traces) in MEMBERS.iter().zip(all) {
        for (method, points) in traces {
            let (first, last) = (points[0], points[points.len() - 1]);
            let moved = (last.orthogonal - first.orthogonal).abs()
                / first.orthogonal.max(f64::MIN_POSITIVE);
            println!(
                "  {members:>3} {:<24} {:>10.3e} {:>10.3e} {:>10.4} {:>7.2} {:>12.4e} {:>10.1e} {:>10}",
                method.name(),
                last.time,
                last.along,
                last.error,
                slope(points),
                last.orthogonal,
                moved,
                off(*method, points).map_or("-".to_owned(), |off| format!("{:.1} %", 100.0 * off))
            );
        }
    }
    let u = ensemble(MEMBERS[0], problem.truth.len());
    for (h, apart) in limit(problem, &u, &[4, 8, 16, 32]) {
        println!(
            "  Kalman step and EKI, h = {h:.2e}: {:.3} % apart",
            100.0 * apart
        );
    }
}

/// Four panels of one problem: squared residual and error over time, residual over steps, and its two parts where
/// members are few.
fn panels_of(which: Which, [many, few]: &[Traces; 2]) -> Vec<Panel> {
    let time = ("t, sum of the step sizes", true);
    let panel = |title: &str, x, y, curves| Panel {
        title: format!("{}: {title}", which.name()),
        axes: [x, (y, true)],
        curves,
    };
    let over = |traces: &Traces,
                x: fn(&Point) -> f64,
                y: fn(&Point) -> f64,
                theory: fn(&Point) -> Option<f64>| {
        let measured = traces
            .iter()
            .enumerate()
            .map(|(i, (method, points))| Curve {
                name: method.name().to_owned(),
                colour: i,
                stroke: Stroke::Line,
                points: points.iter().map(|p| (x(p), y(p))).collect(),
            });
        let theory = traces.iter().map(|(_, points)| Curve {
            name: "closed form".to_owned(),
            colour: 5,
            stroke: Stroke::Dashes,
            points: points
                .iter()
                .filter_map(|p| Some((x(p), theory(p)?)))
                .collect(),
        });
        measured.chain(theory).collect::<Vec<_>>()
    };
    let mut parts = over(few, |p| p.time, |p| p.along, |p| p.theory.map(|t| t.0));
    parts.push(Curve {
        name: "part orthogonal to the anomalies".to_owned(),
        colour: 3,
        stroke: Stroke::Marks,
        points: few[0]
            .1
            .iter()
            .step_by(24)
            .map(|p| (p.time, p.orthogonal))
            .collect(),
    });
    vec![
        panel(
            "squared residual, J = 300",
            time,
            "|Γ^(-1/2) (A ū - y)|²",
            over(many, |p| p.time, Point::squared, |p| p.theory.map(|t| t.0)),
        ),
        panel(
            "parameters, J = 300",
            time,
            "l2 error over the truth's norm",
            over(many, |p| p.time, |p| p.error, |p| p.theory.map(|t| t.1)),
        ),
        panel(
            "squared residual, J = 300",
            ("step", true),
            "|Γ^(-1/2) (A ū - y)|²",
            over(many, |p| p.step as f64, Point::squared, |_| None),
        ),
        panel("parts of it, J = 10 < K", time, "squared residual", parts),
    ]
}
