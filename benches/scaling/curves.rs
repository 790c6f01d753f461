//! The curves of strong and weak scaling: seconds of a step against ranks, in logarithms, with the ideal beside them.

use eki_mpi::report::page::{Along, Chart, Line, figure};

use super::Row;
use super::measured::spread;

/// Both charts, or one where the other was not measured.
pub fn curves(source: &str, threads: usize, rows: &[Row]) -> String {
    let charts: Vec<(Chart, &str)> = [false, true]
        .into_iter()
        .filter_map(|weak| Some((chart(source, threads, weak, rows)?, "ranks")))
        .collect();
    figure(&charts)
}

fn chart(source: &str, threads: usize, weak: bool, rows: &[Row]) -> Option<Chart> {
    let of_kind: Vec<&Row> = rows.iter().filter(|row| row.weak == weak).collect();
    let first = *of_kind.first()?;
    let mut ranks: Vec<usize> = of_kind.iter().map(|row| row.ranks).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let points = |oversubscribed: bool| -> Vec<(f64, f64)> {
        let at = |&ranks: &usize| {
            let steps: Vec<f64> = of_kind
                .iter()
                .filter(|row| row.ranks == ranks && row.oversubscribed == oversubscribed)
                .map(|row| row.step)
                .collect();
            (!steps.is_empty()).then(|| (ranks as f64, spread(&steps)[1]))
        };
        ranks.iter().filter_map(at).collect()
    };
    let (own, over) = (points(false), points(true));
    let from = *own.first().or(over.first())?;
    let line = |run, label: &str, points, second| Line {
        run,
        label: label.to_owned(),
        points,
        second,
        marked: true,
    };
    let foretold = ranks.iter().filter_map(|&ranks| {
        let all = of_kind.iter().filter(|row| row.ranks == ranks);
        let seconds: Vec<f64> = all.filter_map(|row| row.predicted).collect();
        (!seconds.is_empty()).then(|| (ranks as f64, spread(&seconds)[1]))
    });
    let ideal = ranks.iter().map(|&ranks| {
        let share = if weak { 1.0 } else { from.0 / ranks as f64 };
        (ranks as f64, from.1 * share)
    });
    let mut lines = vec![
        line(7, "ideal", ideal.collect(), true),
        line(0, "step", own, false),
        line(1, "oversubscribed", over, true),
        line(2, "foretold", foretold.collect(), true),
    ];
    lines.retain(|line| !line.points.is_empty());
    lines[0].marked = false;
    let (name, members) = if weak {
        (
            "weak",
            format!("J = {} a rank", first.members / first.ranks),
        )
    } else {
        ("strong", format!("J = {}", first.members))
    };
    Some(Chart {
        title: format!("{source}, {members}: {name} scaling, seconds of a step"),
        note: format!(
            "threads a rank: {threads}; dotted: grey ideal, green foretold, red more than cores"
        ),
        lines,
        logarithmic: true,
        along: Along::Logarithmic(ranks.iter().map(|&r| r as f64).collect()),
        named: true,
    })
}
