//! Low-rank members against members written in full.

use super::*;
use crate::config::Activation;
use crate::forward::activation::Output;
use crate::forward::conv::Convolutional;
use crate::forward::dense::Dense;
use crate::forward::layers::ImageShape;
use ndarray::{Array2, Array3, s};

fn normals(rows: usize, columns: usize, member: u64) -> Array2<f64> {
    let mut out = Array2::zeros((rows, columns));
    let purpose = crate::kernels::rng::Purpose::Rerandomise;
    let key = crate::kernels::rng::Key {
        seed: 5,
        purpose,
        step: 1,
        member,
        block: 0,
    };
    key.fill_normal_f64(0, out.as_slice_mut().unwrap());
    out
}

/// Two convolutions on 2 x 5 x 4 pixels, more channels than taps in one and fewer in the other, and dense layers.
fn convolutional() -> Convolutional {
    let shape = ImageShape {
        channels: 2,
        height: 5,
        width: 4,
    };
    let layers = ["conv 21", "pool 2", "conv 3", "dense 7", "dense 3"];
    let layers: Vec<_> = layers.iter().map(|text| text.parse().unwrap()).collect();
    Convolutional::new(shape, &layers, Activation::Tanh, Output::Softmax).unwrap()
}

/// A low-rank member is an ordinary member: evaluating it written out in full gives the same outputs.
#[test]
fn low_rank_outputs_are_those_of_the_members_written_out() {
    let nets = [(vec![6, 4], 1), (vec![6, 70, 3], 1), (vec![6, 7, 5, 3], 3)];
    for (layers, rank) in nets {
        let net = Dense::new(layers, Activation::Tanh, Output::Softmax);
        outputs_are_of_members_written_out(&net, rank);
    }
    outputs_are_of_members_written_out(&convolutional(), 1);
    outputs_are_of_members_written_out(&convolutional(), 2);
}

fn outputs_are_of_members_written_out(map: &dyn LowRank<f64>, rank: usize) {
    let (n, m, p) = (5, 11, map.parameters());
    let (draws, inputs) = (
        normals(n, map.draws(rank), 0),
        normals(map.features(), m, 1),
    );
    let centre = normals(1, p, 2).into_raw_vec_and_offset().0;
    let mut shared = vec![0.0; map.shared(m)];
    map.share(&centre, inputs.view(), &mut shared);
    let about = About {
        centre: &centre,
        shared: &shared,
        spread: 0.3,
        rank,
    };
    let mut low = Array3::zeros((n, map.outputs(), m));
    let mut scratch = vec![f64::NAN; map.low_rank_scratch(n, m, rank)];
    map.evaluate_low_rank(
        &about,
        draws.view(),
        inputs.view(),
        &mut scratch,
        &mut |j, out| {
            low.slice_mut(s![j, .., ..]).assign(&out);
        },
    );
    let group = map.group();
    for j in 0..n {
        let mut members = Array2::zeros((group, p));
        let row = draws.row(j);
        map.member(
            &about,
            row.to_slice().unwrap(),
            members.row_mut(0).as_slice_mut().unwrap(),
        );
        let mut out = Array3::zeros((group, map.outputs(), m));
        let mut scratch = vec![f64::NAN; map.scratch(m)];
        map.evaluate(members.view(), inputs.view(), out.view_mut(), &mut scratch);
        let difference = &out.slice(s![0, .., ..]) - &low.slice(s![j, .., ..]);
        assert!(
            difference.iter().all(|d| d.abs() < 1e-12),
            "{j} {difference}"
        );
    }
}

/// The sum over members of c_k (u_k - centre), part by part, is that of the members written out.
#[test]
fn accumulated_parts_are_the_sum_over_members() {
    let net = Dense::new(vec![300, 9, 4], Activation::Relu, Output::Identity);
    parts_are_the_sum_over_members(&net);
    parts_are_the_sum_over_members(&convolutional());
}

fn parts_are_the_sum_over_members(map: &dyn LowRank<f64>) {
    let (rank, n) = (2, 7);
    let (draws, p) = (normals(n, map.draws(rank), 3), map.parameters());
    let c = normals(1, n, 4).into_raw_vec_and_offset().0;
    let quantum = Quantum::new(1e3, 10);
    let mut sums = vec![0.0; p];
    let mut covered = 0;
    for (part, (at, length)) in map.parts().into_iter().enumerate() {
        assert_eq!(at, covered);
        covered += length;
        map.accumulate(
            part,
            (draws.view(), rank),
            &c,
            quantum,
            &mut sums[at..at + length],
            &mut Vec::new(),
        );
    }
    assert_eq!(covered, p);
    let centre = vec![0.0; p];
    let about = About {
        centre: &centre,
        shared: &[],
        spread: 1.0,
        rank,
    };
    let mut deviations = vec![0.0; p];
    map.prior().deviations(0, 1.0, &mut deviations);
    let mut want = vec![0.0; p];
    for (row, c) in draws.rows().into_iter().zip(&c) {
        let mut member = vec![0.0; p];
        map.member(&about, row.to_slice().unwrap(), &mut member);
        for ((want, x), deviation) in want.iter_mut().zip(&member).zip(&deviations) {
            *want += c * x / deviation;
        }
    }
    assert!(want.iter().zip(&sums).all(|(a, b)| (a - b).abs() < 1e-10));
}
