//! The members of one run: marginals beside the prior, the most correlated pairs, and parameters by step.

use super::parameters::Parameters;
use super::plot::{Layer, Plot, Shape};
use super::scale::range;
use crate::forward::joint_prior::JointPrior;
use crate::report::check::Fan;
use crate::run::statistics::Correlated;

/// The largest number of parameters and of pairs that are drawn.
const DRAWN: usize = 12;
const PAIRS: usize = 6;
/// The largest number of members in a plot of a pair.
const POINTS: usize = 400;
/// The largest number of bars of a marginal.
const BARS: usize = 24;
/// The number of points of a prior's density.
const CURVE: usize = 121;
/// The standard deviations of the prior that are drawn.
const SEEN: f64 = 2.5;
/// Members that fill less than this share of the prior are drawn without most of it.
const NARROW: f64 = 0.2;
/// The colours of the members and of the prior.
const MEMBERS: usize = 0;
const PRIOR: usize = 7;

/// Returns a layer.
fn layer(label: &str, colour: usize, shape: Shape) -> Layer {
    let label = label.to_owned();
    Layer {
        label,
        colour,
        shape,
    }
}

/// Returns the parameters that are drawn: those of `known` that are free, from the one that the data decide most on where there are too
/// many; and the number of those that are not drawn.
pub fn chosen(known: &Parameters) -> (Vec<usize>, usize) {
    let prior = &known.prior;
    let mut free: Vec<usize> = prior.free().collect();
    let count = free.len();
    if count > DRAWN {
        let contraction = |p: &usize| {
            known.calibrated.found.parameters[*p]
                .contraction
                .unwrap_or(0.0)
        };
        free.sort_by(|a, b| contraction(b).total_cmp(&contraction(a)));
        free.truncate(DRAWN);
        free.sort_unstable();
    }
    let left = count - free.len();
    (free, left)
}

/// Returns the section on the marginals of the members and their most correlated pairs; empty where members were not kept.
pub fn section(known: &Parameters) -> String {
    let Some(members) = known.calibrated.shown() else {
        return String::new();
    };
    let column = |p: usize| members.column(p).iter().copied().collect::<Vec<f64>>();
    let (drawn, left) = chosen(known);
    let cards: String = drawn
        .iter()
        .map(|&p| marginal((&known.prior, p), &column(p), known.is_drawn).card())
        .collect();
    let draws = match &known.calibrated.draws {
        Some(draws) => format!(
            "<p class=\"soft\">Shown as final members: {} draws of the normal law that the sigma points stand for.</p>\n",
            draws.nrows()
        ),
        None => String::new(),
    };
    let mut html = format!(
        "<h2>Members and prior</h2>\n{draws}{}<div class=\"grid few\">\n{cards}</div>\n",
        more(left)
    );
    let pairs = known
        .calibrated
        .found
        .correlations
        .as_deref()
        .unwrap_or_default();
    let place = |name: &String| known.prior.names().position(|own| own == name.as_str());
    let card = |pair: &Correlated| {
        let [a, b] = &pair.between;
        let values = [place(a)?, place(b)?].map(column);
        Some(scatter(pair, &values).card())
    };
    let cards: String = pairs.iter().take(PAIRS).filter_map(card).collect();
    if !cards.is_empty() {
        html += &format!(
            "<h2>Most correlated parameters</h2>\n<div class=\"grid few\">\n{cards}</div>\n"
        );
    }
    html
}

/// Returns a line on `left` parameters that are not drawn; empty without any.
fn more(left: usize) -> String {
    match left {
        0 => String::new(),
        left => format!(
            "<p class=\"soft\">The {DRAWN} parameters that the data decide most on; {left} more are in final/parameters.csv.</p>\n"
        ),
    }
}

/// Returns the histogram of the members' `values` of parameter `p`, as a density, and the density of its prior if they are `drawn` from
/// it.
fn marginal((prior, p): (&JointPrior, usize), values: &[f64], drawn: bool) -> Plot {
    let finite: Vec<f64> = values.iter().copied().filter(|u| u.is_finite()).collect();
    let (low, high) = range(finite.iter().copied());
    let whole = prior.range(p, SEEN);
    let is_narrow = high - low < NARROW * (whole.1 - whole.0);
    let across = match drawn && !is_narrow {
        true => (low.min(whole.0), high.max(whole.1)),
        false => (low - 0.5 * (high - low), high + 0.5 * (high - low)),
    };
    let mut layers = Vec::new();
    if high > low {
        let bars = bars(&finite, (low, high));
        let band = bars.iter().map(|&(x, y)| (x, 0.0, y)).collect();
        layers.push(layer("final members", MEMBERS, Shape::Band(band)));
        layers.push(layer("", MEMBERS, Shape::Line(bars)));
    } else {
        let points = finite.first().map(|&u| (u, 0.0, String::new()));
        layers.push(layer(
            "final members, all alike",
            MEMBERS,
            Shape::Points(points.into_iter().collect()),
        ));
    }
    if drawn {
        layers.push(layer(
            "prior",
            PRIOR,
            Shape::Dashed(density(prior, p, across)),
        ));
    }
    let note = match drawn && is_narrow {
        true => "the prior is far wider than this plot",
        false => "",
    };
    Plot {
        title: prior.name(p).into_owned(),
        note: note.to_owned(),
        axes: [prior.name(p).into_owned(), "probability density".to_owned()],
        across: (across.1 > across.0).then_some(across),
        within: vec![0.0],
        logarithmic: false,
        layers,
    }
}

/// Returns the outline of the histogram of `values`, which lie between `low` and `high`, as a density.
fn bars(values: &[f64], (low, high): (f64, f64)) -> Vec<(f64, f64)> {
    let count = ((values.len() as f64).sqrt().ceil() as usize).clamp(1, BARS);
    let width = (high - low) / count as f64;
    let mut sums = vec![0.0_f64; count];
    for u in values {
        sums[(((u - low) / width) as usize).min(count - 1)] += 1.0;
    }
    let scale = 1.0 / (values.len() as f64 * width);
    let mut outline = vec![(low, 0.0)];
    for (i, sum) in sums.iter().enumerate() {
        let [from, to] = [i, i + 1].map(|i| low + i as f64 * width);
        outline.extend([(from, sum * scale), (to, sum * scale)]);
    }
    outline.push((high, 0.0));
    outline
}

/// Returns the density of the prior of parameter `p`, a free one: phi(z) dz/du, with z the standard normal coordinate of its law.
fn density(prior: &JointPrior, p: usize, (from, to): (f64, f64)) -> Vec<(f64, f64)> {
    let step = (to - from) / (CURVE - 1) as f64;
    let half = 0.01 * step;
    let at = |i: usize| {
        let u = from + i as f64 * step;
        let z = |u: f64| prior.own_coordinate(p, u);
        let slope = z(u + half)
            .zip(z(u - half))
            .map(|(b, a)| (b - a) / (2.0 * half));
        let height = z(u).zip(slope).map(|(z, slope)| {
            libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt() * slope
        });
        (u, height.unwrap_or(0.0))
    };
    (0..CURVE).map(at).collect()
}

/// Returns the plot of a pair by the members' values of both.
fn scatter(pair: &Correlated, [a, b]: &[Vec<f64>; 2]) -> Plot {
    let every = a.len().div_ceil(POINTS).max(1);
    let points: Vec<(f64, f64, String)> = a
        .iter()
        .zip(b)
        .step_by(every)
        .map(|(a, b)| (*a, *b, String::new()))
        .collect();
    let note = match every {
        1 => format!("correlation {}", super::scale::number(pair.correlation, 2)),
        _ => format!(
            "correlation {}; {} of {} members",
            super::scale::number(pair.correlation, 2),
            points.len(),
            a.len()
        ),
    };
    let [across, up] = pair.between.clone();
    Plot {
        title: format!("{across} and {up}"),
        note,
        axes: [across, up],
        across: None,
        within: Vec::new(),
        logarithmic: false,
        layers: vec![layer("member", MEMBERS, Shape::Points(points))],
    }
}

/// Returns the section on parameters by step; empty where fewer than three steps were kept.
pub fn by_step(known: &Parameters, fans: &[Fan]) -> String {
    if fans.first().is_none_or(|fan| fan.quantiles.len() < 3) {
        return String::new();
    }
    let (_, left) = chosen(known);
    let cards: String = fans
        .iter()
        .map(|fan| fan_plot(&known.prior, fan).card())
        .collect();
    format!(
        "<h2>Parameters by step</h2>\n{}<div class=\"grid few\">\n{cards}</div>\n",
        more(left)
    )
}

/// Returns the plot of the quantiles of one parameter over the steps.
fn fan_plot(prior: &JointPrior, fan: &Fan) -> Plot {
    let band = |from: usize, to: usize| {
        let points = fan
            .quantiles
            .iter()
            .map(|(step, q)| (*step as f64, q[from], q[to]));
        Shape::Band(points.collect())
    };
    let middle = fan
        .quantiles
        .iter()
        .map(|(step, q)| (*step as f64, q[2]))
        .collect();
    let name = prior.name(fan.parameter).into_owned();
    Plot {
        title: name.clone(),
        note: String::new(),
        axes: ["steps".to_owned(), name],
        across: None,
        within: Vec::new(),
        logarithmic: false,
        layers: vec![
            layer("5 to 95 % of the members", MEMBERS, band(0, 4)),
            layer("16 to 84 %", MEMBERS, band(1, 3)),
            layer("median", MEMBERS, Shape::Line(middle)),
        ],
    }
}
