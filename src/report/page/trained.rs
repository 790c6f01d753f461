//! The sections on what a network has learned: its confusions, its worst samples, its first layer, and a series's forecasts.

use super::plot::{Layer, Plot, Shape};
use super::png::image;
use super::scale::{escaped, number};
use super::tables::{details, table};
use crate::report::predictions::forecasts::Forecasts;
use crate::report::trained::{Classified, Misclassified, Picture, Trained};

/// The largest number of classes in a table of confusions.
const CLASSES: usize = 40;
/// The last values of a series that are drawn.
const VALUES: usize = 120;

/// Returns the sections of `trained`; empty for a network of values.
pub(super) fn sections(trained: &Trained) -> String {
    let mut html = String::new();
    if let Some(classified) = &trained.classified {
        html += &confusions(classified);
        html += &worst(classified);
    }
    html += &weights(&trained.weights);
    if let Some((name, forecasts, fitted)) = &trained.forecasts {
        html += &series(name, forecasts, *fitted);
    }
    html
}

/// Returns the table of confusions: cells are shaded by their share of the row, and those right are framed.
fn confusions(classified: &Classified) -> String {
    let names = &classified.names;
    let heading = "<h2>Classes</h2>\n<p class=\"soft\">Test samples by class (row) and by what the network at the mean takes them for (column). \
                   Framed: right. Shades: the share of the row.</p>\n";
    if names.len() > CLASSES {
        let pairs = common(classified);
        return format!("{heading}{pairs}");
    }
    let mut head = vec![String::new()];
    head.extend(names.iter().map(|name| escaped(name)));
    head.push("right".to_owned());
    let mut html =
        "<div class=\"card wide\" tabindex=\"0\"><table class=\"confusions\">\n<thead><tr>"
            .to_owned();
    for name in &head {
        html += &format!("<th scope=\"col\">{name}</th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for (i, row) in classified.counts.rows().into_iter().enumerate() {
        let all = row.sum();
        html += &format!("<tr><th scope=\"row\">{}</th>", escaped(&names[i]));
        for (j, &count) in row.iter().enumerate() {
            let share = count as f64 / all.max(1) as f64;
            let (kind, most) = if i == j {
                ("right", 30.0)
            } else {
                ("wrong", 60.0)
            };
            let shade = (most * share.sqrt()).round();
            let shown = if count > 0 {
                count.to_string()
            } else {
                "·".to_owned()
            };
            html += &format!("<td class=\"{kind}\" style=\"--share:{shade}%\">{shown}</td>");
        }
        let right = row[i] as f64 / all.max(1) as f64;
        html += &format!("<td>{}</td></tr>\n", number(right, 4));
    }
    format!("{heading}{html}</tbody></table></div>\n")
}

/// Returns the most common confusions as a table.
fn common(classified: &Classified) -> String {
    let pairs = classified.counts.indexed_iter();
    let mut pairs: Vec<((usize, usize), usize)> = pairs
        .filter(|((i, j), count)| i != j && **count > 0)
        .map(|(pair, count)| (pair, *count))
        .collect();
    pairs.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let name = |i: usize| escaped(&classified.names[i]);
    let rows = pairs.into_iter().take(CLASSES);
    let rows = rows.map(|((i, j), count)| vec![name(i), name(j), count.to_string()]);
    table(&["class", "taken for", "samples"], rows)
}

/// Returns the worst samples: their pictures where they are images, else a table.
fn worst(classified: &Classified) -> String {
    if classified.worst.is_empty() {
        return String::new();
    }
    let name = |i: usize| &*classified.names[i];
    let heading = "<h2>Worst-classified samples</h2>\n<p class=\"soft\">Test samples for which the wrong class exceeds the right one by most; outputs in brackets.</p>\n";
    let words = |of: &Misclassified| {
        format!(
            "{} ({}), taken for {} ({})",
            name(of.target.0),
            number(of.target.1, 2),
            name(of.taken_for.0),
            number(of.taken_for.1, 2)
        )
    };
    let card = |of: &Misclassified| {
        let picture = of.picture.as_ref()?;
        let told = words(of);
        let image = image(picture, &format!("sample {}: {told}", of.sample));
        Some(format!(
            "<figure>{image}<figcaption>{}<br>sample {}</figcaption></figure>\n",
            escaped(&told),
            of.sample
        ))
    };
    let cards: Option<String> = classified.worst.iter().map(card).collect();
    if let Some(cards) = cards {
        return format!("{heading}<div class=\"pictures\">\n{cards}</div>\n");
    }
    let row = |of: &Misclassified| {
        vec![
            of.sample.to_string(),
            escaped(name(of.target.0)),
            number(of.target.1, 4),
            escaped(name(of.taken_for.0)),
            number(of.taken_for.1, 4),
        ]
    };
    let head = ["sample", "class", "output", "taken for", "output"];
    heading.to_owned() + &table(&head, classified.worst.iter().map(row))
}

/// Returns the first layer's weights as pictures; empty without any.
fn weights(pictures: &[Picture]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let card = |(i, picture): (usize, &Picture)| {
        let words = format!(
            "weights of a unit of the first layer, number {} by size",
            i + 1
        );
        format!("<figure>{}</figure>\n", image(picture, &words))
    };
    let cards: String = pictures.iter().enumerate().map(card).collect();
    format!(
        "<h2>First layer</h2>\n<p class=\"soft\">The {} units of the largest weights, at the mean, averaged over channels: black negative, mid-grey 0, \
         white positive, on one scale.</p>\n<div class=\"pictures units\">\n{cards}</div>\n",
        pictures.len()
    )
}

/// Returns the forecasts of a series beside persistence and autoregression, with their errors; the network was fitted to so many values.
fn series(name: &str, found: &Forecasts, fitted: usize) -> String {
    let n = found.values.len();
    let of = match fitted < n {
        true => format!("It was fitted to the first {fitted} of {n} values"),
        false => format!("It was fitted to the same {n} values"),
    };
    format!(
        "<h2>Forecasts</h2>\n<p class=\"soft\">The network at the final mean goes through the whole series. {of}; autoregressions are fitted to all values.</p>\n<div class=\"grid long\">\n{}{}</div>\n{}",
        plot(name, found).card(),
        errors(found),
        details("Data of this chart", &data(found))
    )
}

/// Returns the place of the first value that is drawn.
fn first_drawn(found: &Forecasts) -> usize {
    found.values.len().saturating_sub(VALUES).max(1)
}

/// Returns the plot of the last forecasts.
fn plot(name: &str, found: &Forecasts) -> Plot {
    let n = found.values.len();
    let first = first_drawn(found);
    let times = || first..n + 1;
    // Forecast t is of value t + 1.
    let line = |all: &[f64]| times().map(|t| (t as f64, all[t - 1])).collect();
    let (p, ar) = &found.autoregressions[0];
    let known: Vec<f64> = ar.iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    let layer = |label: String, colour, shape| Layer {
        label,
        colour,
        shape,
    };
    let mut layers = Vec::new();
    if let Some((mean, deviation)) = &found.members {
        let band = times().map(|t| {
            let (m, s) = (mean[t - 1], deviation[t - 1]);
            (t as f64, m - s, m + s)
        });
        let label = "members' mean ± deviation".to_owned();
        layers.push(layer(label, 0, Shape::Band(band.collect())));
    }
    let observed = (first..n).map(|t| {
        (
            t as f64,
            found.values[t],
            format!("{t}: {}", number(found.values[t], 5)),
        )
    });
    layers.extend([
        layer(
            "persistence".to_owned(),
            7,
            Shape::Dotted(line(&found.persistence)),
        ),
        layer(format!("AR({p})"), 1, Shape::Dashed(line(&known))),
        layer(
            "network at the mean".to_owned(),
            0,
            Shape::Line(line(&found.network)),
        ),
        layer(name.to_owned(), 2, Shape::Points(observed.collect())),
    ]);
    Plot {
        title: "One step ahead".to_owned(),
        note: format!(
            "The last {} values; the last forecasts lie one step beyond them.",
            n - first
        ),
        axes: ["time".to_owned(), name.to_owned()],
        across: None,
        within: Vec::new(),
        logarithmic: false,
        layers,
    }
}

/// Returns the table behind the plot.
fn data(found: &Forecasts) -> String {
    let times = first_drawn(found)..found.values.len() + 1;
    let rows = times.map(|t| {
        let value = found
            .values
            .get(t)
            .map_or("-".to_owned(), |x| number(*x, 5));
        let mut row = vec![t.to_string(), value];
        row.extend([found.network[t - 1], found.persistence[t - 1]].map(|x| number(x, 5)));
        row.extend(
            found
                .autoregressions
                .iter()
                .map(|(_, all)| all[t - 1].map_or("-".to_owned(), |x| number(x, 5))),
        );
        row
    });
    table(
        &["time", "value", "network", "persistence", "AR(2)", "AR(20)"],
        rows,
    )
}

/// Returns the table of the errors of all forecasts, in the series' own unit.
fn errors(found: &Forecasts) -> String {
    let known = |all: &[f64]| all.iter().copied().map(Some).collect::<Vec<_>>();
    let mut all = vec![("network at the mean".to_owned(), known(&found.network))];
    if let Some((mean, _)) = &found.members {
        all.push(("members' mean".to_owned(), known(mean)));
    }
    all.push(("persistence".to_owned(), known(&found.persistence)));
    all.extend(
        found
            .autoregressions
            .iter()
            .map(|(p, all)| (format!("AR({p})"), all.clone())),
    );
    let rows = all.into_iter().filter_map(|(name, forecasts)| {
        let error = found.squared_error(&forecasts)?.sqrt();
        Some(vec![name, number(error, 4)])
    });
    table(&["forecast", "root mean squared error"], rows)
}
