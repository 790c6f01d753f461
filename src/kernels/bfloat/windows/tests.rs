//! Windows of pairs, compared with their definition, for every way in which they are summed.

use super::*;
use crate::kernels::bfloat::pair_of;

/// Returns a number between -1 and 1, with sixteen bits of precision more than bfloat16 has.
fn number(i: usize) -> f32 {
    ((i * 7919 + 31) % 1999) as f32 / 1000.0 - 1.0
}

const SHAPE: WindowShape = WindowShape {
    height: 2,
    length: 21,
    down: 40,
    along: 7,
};

type Way = fn(&WindowSums, &mut Sums);

/// Returns the sums of `units` units at `places` places.
fn sums(by: Way, units: usize, places: usize) -> Sums {
    let pairs = |i: usize| pair_of(number(2 * i), number(2 * i + 1));
    let inputs: Vec<u32> = (0..(100 + BEYOND) * LANES).map(pairs).collect();
    let mut weights = vec![u32::MAX; SHAPE.weights(units)];
    SHAPE.put_weights(units, &mut weights, |unit, run, k| {
        pairs(5000 + (unit * 2 + run) * 21 + k)
    });
    let bias = |i: usize| {
        if i / LANES < units {
            number(i / LANES)
        } else {
            0.0
        }
    };
    let biases: Vec<f32> = (0..UNITS * LANES).map(bias).collect();
    let mut found = Sums([[[f32::NAN; LANES]; UNITS]; PLACES]);
    by(
        &WindowSums {
            shape: SHAPE,
            weights: &weights,
            biases: &biases,
            units,
            inputs: &inputs,
            first: 3,
            places,
        },
        &mut found,
    );
    found
}

fn here(window: &WindowSums, sums: &mut Sums) {
    Summer::ready().sum(window, sums);
}

#[test]
fn sums_are_those_of_the_rounded_numbers() {
    let half = |i: usize| f64::from(f32::from_bits(pair_of(number(i), 0.0) << 16));
    for by in [here as Way, plain as Way] {
        for (units, places) in [(16, 4), (12, 3), (5, 1), (1, 2)] {
            let found = sums(by, units, places);
            for (place, found) in found.0[..places].iter().enumerate() {
                for (o, found) in found[..units].iter().enumerate() {
                    for (i, &found) in found.iter().enumerate() {
                        let mut want = f64::from(number(o));
                        for (run, k) in SHAPE.terms() {
                            let row = 3 + place * 7 + run * 40 + k;
                            let (a, b) = (5000 + (o * 2 + run) * 21 + k, row * LANES + i);
                            want += half(2 * a) * half(2 * b) + half(2 * a + 1) * half(2 * b + 1);
                        }
                        assert!((f64::from(found) - want).abs() < 1e-4, "{units} {o} {i}");
                    }
                }
            }
            // The unit that completes the pair of an odd last unit.
            if units % 2 == 1 {
                assert_eq!(found.0[0][units], [0.0; LANES]);
            }
        }
    }
}

/// Runs only on processors that have the instruction.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_instruction_and_its_replacement_give_the_same_bits() {
    use crate::kernels::bfloat::dot;
    if !dot::is_available() {
        eprintln!("skipped: this processor has no AVX-512 BF16");
        return;
    }
    let (fast, slow) = (sums(dot::window_sums, 16, 4), sums(plain, 16, 4));
    assert_eq!(fast.0, slow.0);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn rows_are_rounded_alike_with_the_instruction_and_without() {
    if !crate::kernels::bfloat::dot::is_available() {
        eprintln!("skipped: this processor has no AVX-512 BF16");
        return;
    }
    let mut given = sums(plain, 16, 4);
    for last in [0.5, f32::NAN, -f32::NAN, f32::NEG_INFINITY] {
        given.0[2][7][5] = last;
        for in_order in [false, true] {
            let [mut fast, mut slow] = [[1_u32; 4 * 9 * LANES]; 2];
            let rows = |out| PutRows {
                sums: &given.0,
                units: 16,
                in_order,
                out,
                along: 9,
            };
            rows(&mut fast).put();
            rows(&mut slow).put_plainly();
            assert_eq!(fast, slow);
        }
    }
}

#[test]
fn order_is_that_of_numbers_and_undoes_itself() {
    let rising = [
        f32::NEG_INFINITY,
        -3.0,
        -1.0,
        -1e-30,
        -0.0,
        0.0,
        1e-30,
        0.5,
        7.0,
        f32::INFINITY,
        f32::NAN,
    ];
    for two in rising.windows(2) {
        let [less, more] = [two[0], two[1]].map(|x| ordered(pair_of(x, -x)));
        assert!((less as i16) < more as i16, "{two:?}");
        assert_eq!(ordered(less), pair_of(two[0], -two[0]));
        if !two[1].is_nan() {
            assert!((less >> 16) as i16 > (more >> 16) as i16, "{two:?}");
        }
    }
}
