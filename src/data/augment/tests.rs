//! Augmented images, compared pixel by pixel with the formula.

use super::*;
use crate::data::BatchTargets;

const SMALL: Augment = Augment {
    seed: 1,
    shift: 1,
    distort: 0.0,
    warp: 0.0,
    epochs: None,
    image: (2, 3, 4),
};

/// Returns twenty images with the pixels 1, 2, ... in order.
fn counted(features: usize) -> Batch<f64> {
    Batch {
        inputs: Array2::from_shape_fn((features, 20), |(i, _)| (i + 1) as f64),
        targets: BatchTargets::Classes(vec![0; 20]),
    }
}

fn pool(threads: usize) -> ThreadPool {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
    builder.build().expect("a pool")
}

/// Returns the displacement of one pixel, in rows and columns.
fn displacement(change: &Change, blends: &Blends, [y, x]: [usize; 2]) -> [f64; 2] {
    let of_cell = y / PITCH * change.nodes + x / PITCH;
    let [rows, columns] = change.displacements(&blends[y % PITCH], of_cell);
    [rows[x % PITCH], columns[x % PITCH]]
}

/// Returns the value of a plane, height x width, between its pixels, each looked up on its own; -7 beyond the edge.
fn between(plane: &[f64], (height, width): (usize, usize), at: [f64; 2]) -> f64 {
    let [(y, down), (x, right)] = at.map(|v| (v.floor() as isize, v - v.floor()));
    let pixel = |y: isize, x: isize| {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        let at = inside.then(|| y as usize * width + x as usize);
        at.map_or(-7.0, |at| plane[at])
    };
    let line = |y: isize| (1.0 - right) * pixel(y, x) + right * pixel(y, x + 1);
    (1.0 - down) * line(y) + down * line(y + 1)
}

/// Shifts as copies and distortions within a frame give exactly what looking up every pixel on its own gives, on any
/// number of threads; some of the images leave their frame completely.
#[test]
fn every_pixel_is_what_the_formula_says() {
    let (channels, height, width) = (2, 7, 9);
    for (shift, distort, warp) in [
        (1, 0.0, 0.0),
        (12, 0.0, 0.0),
        (2, 0.3, 0.0),
        (0, 0.0, 2.0),
        (30, 0.9, 4.0),
    ] {
        let drawn = Augment {
            shift,
            distort,
            warp,
            image: (channels, height, width),
            ..SMALL
        };
        let rows: Vec<usize> = (3..23).collect();
        let given = counted(channels * height * width);
        let [batch, other] = [1, 3].map(|threads| {
            let mut batch = given.clone();
            drawn.apply(&pool(threads), &mut batch, &rows, (5, -7.0));
            batch.inputs
        });
        assert_eq!(batch, other);
        for (i, &row) in rows.iter().enumerate() {
            let (change, image) = (drawn.change(5, row), given.inputs.column(i).to_vec());
            let Change { shift, map, .. } = &change;
            for at in 0..channels * height * width {
                let (plane, y, x) = (at / (height * width), at / width % height, at % width);
                let moved = displacement(&change, &blends(), [y, x]);
                let from = [
                    y as f64 + moved[0] - shift[0] - 3.0,
                    x as f64 + moved[1] - shift[1] - 4.0,
                ];
                let place = [
                    3.0 + (map[0][0] * from[0] + map[0][1] * from[1]),
                    4.0 + (map[1][0] * from[0] + map[1][1] * from[1]),
                ];
                let plane = &image[plane * height * width..][..height * width];
                let want = between(plane, (height, width), place);
                assert_eq!(
                    batch[[at, i]],
                    want,
                    "{shift:?} {distort} {warp}: {row} {at}"
                );
            }
        }
    }
}

/// Every shift occurs, each about equally often. Images move by it, and what leaves one edge does not return.
#[test]
fn images_move_by_shifts_that_depend_on_seed_epoch_and_sample_alone() {
    let mut met = std::collections::BTreeMap::new();
    for sample in 0..900 {
        let shift = SMALL.change(2, sample).shift.map(|pixels| pixels as isize);
        *met.entry(shift).or_insert(0) += 1;
    }
    assert_eq!(met.len(), 9);
    assert!(met.values().all(|&times| times > 60), "{met:?}");
    assert!((0..20).any(|sample| SMALL.change(2, sample) != SMALL.change(3, sample)));
    let pixel = |c: usize, y: usize, x: usize| (c * 12 + y * 4 + x + 1) as f64;
    let rows: Vec<usize> = (0..20).collect();
    let mut batch = counted(24);
    SMALL.apply(&pool(1), &mut batch, &rows, (5, -7.0));
    for sample in rows {
        let [down, right] = SMALL.change(5, sample).shift.map(|pixels| pixels as isize);
        for at in 0..24 {
            let (y, x) = ((at / 4 % 3) as isize - down, (at % 4) as isize - right);
            let inside = (0..3).contains(&y) && (0..4).contains(&x);
            let want = if inside {
                pixel(at / 12, y as usize, x as usize)
            } else {
                -7.0
            };
            assert_eq!(batch.inputs[[at, sample]], want, "{sample} {at}");
        }
    }
}

/// In late epochs images are shifted as before and not distorted.
#[test]
fn images_are_distorted_in_the_first_epochs_alone() {
    let early = Augment {
        distort: 0.2,
        warp: 2.0,
        epochs: Some(3),
        ..SMALL
    };
    let always = Augment {
        epochs: None,
        ..early
    };
    for sample in 0..20 {
        assert_eq!(early.change(2, sample), always.change(2, sample));
        assert_ne!(early.change(2, sample).map, SMALL.change(2, sample).map);
        assert_eq!(early.change(3, sample), SMALL.change(3, sample));
    }
}

/// If its node values are a linear function of their places, so is the field at its pixels: cubic B-splines preserve
/// linear functions. Drawn values stay within their bound, and so do their blends.
#[test]
fn fields_of_displacements_are_blended_smoothly() {
    let nodes = nodes(15);
    let linear = |y: f64, x: f64| [1.0 + 0.5 * y - 0.25 * x, 2.0 - y + 0.125 * x];
    let place = |node: usize| (node as f64 - 1.0) * PITCH as f64;
    let change = Change {
        shift: [0.0; 2],
        map: [[1.0, 0.0], [0.0, 1.0]],
        field: (0..nodes * nodes)
            .map(|at| linear(place(at / nodes), place(at % nodes)))
            .collect(),
        nodes,
    };
    let drawn = Augment {
        warp: 2.0,
        image: (1, 15, 15),
        ..SMALL
    };
    let drawn = drawn.change(3, 4);
    let largest = |field: &[[f64; 2]]| field.iter().flatten().fold(0.0, |m, d| d.abs().max(m));
    assert!((1.5..2.0).contains(&largest(&drawn.field)));
    let (blends, mut seen) = (blends(), Vec::new());
    for (y, x) in (0..15).flat_map(|y| (0..15).map(move |x| (y, x))) {
        let [[a, b], [c, d]] = [
            displacement(&change, &blends, [y, x]),
            linear(y as f64, x as f64),
        ];
        assert!((a - c).abs() < 1e-12 && (b - d).abs() < 1e-12, "{y} {x}");
        seen.push(displacement(&drawn, &blends, [y, x]));
    }
    let steps = seen.windows(2).enumerate().filter(|(at, _)| at % 15 < 14);
    let steps: Vec<[f64; 2]> = steps
        .map(|(_, pair)| [0, 1].map(|i| pair[1][i] - pair[0][i]))
        .collect();
    assert!((0.3..2.0).contains(&largest(&seen)), "{}", largest(&seen));
    assert!(largest(&steps) < 0.5, "{}", largest(&steps));
}

/// Bilinear interpolation is exact for an image that is linear in its rows and columns, as long as it stays inside: the
/// distorted image is that linear function at the places read from. The entries of E fill their range independently.
#[test]
fn images_are_distorted_about_their_centre() {
    let wide = Augment {
        distort: 0.2,
        image: (1, 9, 9),
        ..SMALL
    };
    let drawn: Vec<[f64; 4]> = (0..900)
        .map(|sample| {
            let [[a, b], [c, d]] = wide.change(2, sample).map;
            [a - 1.0, b, c, d - 1.0]
        })
        .collect();
    for entry in 0..4 {
        let of = |f: fn(f64, f64) -> f64| drawn.iter().map(|e| e[entry]).fold(0.0, f);
        assert!((-0.2..-0.18).contains(&of(f64::min)) && (0.18..0.2).contains(&of(f64::max)));
    }
    assert!(drawn.iter().all(|[a, b, c, d]| a != b && b != c && c != d));
    let mut batch = counted(81);
    let rows: Vec<usize> = (0..20).collect();
    wide.apply(&pool(2), &mut batch, &rows, (5, -7.0));
    let mut inside = 0;
    for sample in rows {
        let change = wide.change(5, sample);
        let [[a, b], [c, d]] = change.map;
        for (at, &seen) in batch.inputs.column(sample).iter().enumerate() {
            let (y, x) = ((at / 9) as f64, (at % 9) as f64);
            let (down, right) = (y - change.shift[0] - 4.0, x - change.shift[1] - 4.0);
            let (y, x) = (4.0 + a * down + b * right, 4.0 + c * down + d * right);
            if (0.0..=8.0).contains(&y) && (0.0..=8.0).contains(&x) {
                assert!((seen - (9.0 * y + x + 1.0)).abs() < 1e-9, "{sample} {at}");
                inside += 1;
            } else if !(-1.0..9.0).contains(&y) || !(-1.0..9.0).contains(&x) {
                assert_eq!(seen, -7.0, "{sample} {at}");
            }
        }
    }
    assert!(inside > 900, "{inside}");
}
