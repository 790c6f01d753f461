//! Pictures of random fields: the members' mean of each cell, and their deviation where members were kept.

use std::fmt::Write as _;

use super::scale::{escaped, number};
use crate::forward::random_field::RandomField;

/// The largest number of patches along a side: a patch is the mean of its cells.
const PATCHES: usize = 48;
/// The width of a picture.
const WIDTH: f64 = 320.0;

/// Returns a card with the picture of the values `values` of `field`, called `title`, in the colour of run number `i`. Of three
/// dimensions it shows the middle layer along the first.
pub fn card(i: usize, title: &str, field: &RandomField, values: &[f64]) -> String {
    let (layer, rows, columns) = match *field.shape() {
        [columns] => (0, 1, columns),
        [rows, columns] => (0, rows, columns),
        [layers, rows, columns] => (layers / 2, rows, columns),
        _ => unreachable!("a field has one to three sides"),
    };
    let slice = match field.shape() {
        [_, _, _] => format!(", first index {}", layer + 1),
        _ => String::new(),
    };
    let values = &values[layer * rows * columns..(layer + 1) * rows * columns];
    let patches = Patches::of(values, columns);
    let known = || patches.values.iter().filter(|x| x.is_finite());
    let low = known().copied().fold(f64::INFINITY, f64::min);
    let high = known().copied().fold(f64::NEG_INFINITY, f64::max);
    let side = WIDTH / patches.columns as f64;
    let down = (patches.values.len() / patches.columns) as f64;
    let height = (down * side).max(24.0);
    let tall = height / down;
    let mut svg = format!(
        "<svg class=\"c{}\" viewBox=\"0 0 {WIDTH} {height:.1}\" role=\"img\" aria-label=\"{} of {}\">",
        i % 8,
        escaped(title),
        escaped(field.name())
    );
    for (at, x) in patches.values.iter().enumerate() {
        let share = match high > low {
            true => (x - low) / (high - low),
            false => 0.5,
        };
        let (row, column) = (at / patches.columns, at % patches.columns);
        let (left, top) = (column as f64 * side, row as f64 * tall);
        let shown = if share.is_finite() {
            0.04 + 0.96 * share
        } else {
            0.0
        };
        let _ = write!(
            svg,
            "<rect class=\"dot\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{side:.2}\" height=\"{tall:.2}\" fill-opacity=\"{shown:.2}\"/>"
        );
    }
    format!(
        "<div class=\"card\"><h3>{}: {title}{slice}</h3>\n{svg}</svg>\n<p class=\"soft\">pale {} to full {}; first index down, last \
         index across</p></div>\n",
        escaped(field.name()),
        number(low, 4),
        number(high, 4)
    )
}

/// Means over patches of neighbouring cells.
struct Patches {
    values: Vec<f64>,
    columns: usize,
}

impl Patches {
    fn of(values: &[f64], columns: usize) -> Self {
        let rows = values.len() / columns;
        let by = |count: usize| count.div_ceil(PATCHES).max(1);
        let (tall, wide) = (by(rows), by(columns));
        let (down, across) = (rows.div_ceil(tall), columns.div_ceil(wide));
        let mut sums = vec![(0.0, 0.0); down * across];
        for (at, x) in values.iter().enumerate() {
            let sum = &mut sums[at / columns / tall * across + at % columns / wide];
            sum.0 += x;
            sum.1 += 1.0;
        }
        Self {
            values: sums.into_iter().map(|(sum, count)| sum / count).collect(),
            columns: across,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_the_means_of_their_cells() {
        let small = Patches::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
        assert_eq!((small.columns, small.values.len()), (3, 6));
        let wide: Vec<f64> = (0..97).map(f64::from).collect();
        let found = Patches::of(&wide, 97);
        assert_eq!(
            (found.columns, found.values[0], found.values[32]),
            (33, 1.0, 96.0)
        );
    }
}
