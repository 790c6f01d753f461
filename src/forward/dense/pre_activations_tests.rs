//! What units give, by definition; and that it is the derivative of the expected outputs, which it never takes.

use super::*;
use crate::config::Activation;
use crate::forward::ForwardMap;
use crate::forward::activation::Output;
use crate::kernels::rng::{Key, Purpose};

fn normals(rows: usize, columns: usize, member: u64) -> Array2<f64> {
    let mut out = Array2::zeros((rows, columns));
    let key = Key {
        seed: 6,
        purpose: Purpose::Rerandomise,
        step: 1,
        member,
        block: 0,
    };
    key.fill_normal_f64(0, out.as_slice_mut().unwrap());
    out
}

struct Case {
    net: Dense,
    rank: usize,
    centre: Vec<f64>,
    inputs: Array2<f64>,
}

impl Case {
    fn new(widths: &[usize], rank: usize, m: usize) -> Self {
        let net = Dense::new(widths.to_vec(), Activation::Tanh, Output::Identity);
        let centre = normals(1, ForwardMap::<f64>::parameters(&net), 2);
        Self {
            net,
            rank,
            centre: centre
                .into_raw_vec_and_offset()
                .0
                .iter()
                .map(|x| 0.5 * x)
                .collect(),
            inputs: normals(widths[0], m, 3),
        }
    }

    /// The parameters' sums of members with `draws` and `weights`, unit by unit.
    fn sums(&self, draws: &Array2<f64>, weights: &Array2<f64>, spread: f64) -> Vec<f64> {
        let (map, m): (&dyn PreActivations<f64>, _) = (&self.net, self.inputs.ncols());
        let mut shared = vec![0.0; map.shared(m)];
        map.share(&self.centre, self.inputs.view(), &mut shared);
        let about = About {
            centre: &self.centre,
            shared: &shared,
            spread,
            rank: self.rank,
        };
        let width = map.gives(m).iter().sum();
        let mut total = vec![0.0; width];
        for start in (0..draws.nrows()).step_by(UNIT) {
            let unit = start..(start + UNIT).min(draws.nrows());
            let members = (
                draws.slice(s![unit.clone(), ..]),
                weights.slice(s![unit, ..]),
            );
            let mut given = vec![f64::NAN; width];
            let mut scratch = vec![f64::NAN; map.sums_scratch(m, self.rank)];
            map.unit_sums(
                &about,
                members,
                self.inputs.view(),
                &mut given,
                &mut scratch,
            );
            total
                .iter_mut()
                .zip(given)
                .for_each(|(total, x)| *total += x);
        }
        let mut sums = vec![f64::NAN; self.centre.len()];
        map.assemble(self.inputs.view(), &total, &mut sums);
        sums
    }

    /// The same by definition, from members written out.
    fn by_definition(&self, draws: &Array2<f64>, weights: &Array2<f64>, spread: f64) -> Vec<f64> {
        let (rank, mut sums) = (self.rank, vec![0.0; self.centre.len()]);
        let about = About {
            centre: &self.centre,
            shared: &[],
            spread,
            rank,
        };
        let mut member = self.centre.clone();
        for (draw, weights) in draws.rows().into_iter().zip(weights.rows()) {
            let draw = draw.to_slice().unwrap();
            LowRank::<f64>::member(&self.net, &about, draw, &mut member);
            for (x, &w) in self.inputs.columns().into_iter().zip(weights) {
                let mut h = x.to_vec();
                for layer in layers(&self.net, rank) {
                    let (a, b) = (&draw[layer.left(rank)], &draw[layer.right(rank)]);
                    let t: Vec<f64> = a
                        .chunks(layer.fan_in)
                        .map(|a| {
                            a.iter().zip(&h).map(|(a, h)| a * h).sum::<f64>() / (rank as f64).sqrt()
                        })
                        .collect();
                    let scale = w / (h.iter().map(|h| h * h).sum::<f64>() + 1.0);
                    h.push(1.0);
                    let mut z = vec![0.0; layer.fan_out];
                    for o in 0..layer.fan_out {
                        let own: f64 = t
                            .iter()
                            .enumerate()
                            .map(|(r, t)| t * b[r * layer.fan_out + o])
                            .sum();
                        let own = own + draw[layer.bias(rank)][o];
                        for (i, h) in h.iter().enumerate() {
                            let at = layer.at + i * layer.fan_out + o;
                            sums[at] += scale * h * own;
                            z[o] += h * member[at];
                        }
                    }
                    h = z.into_iter().map(f64::tanh).collect();
                }
            }
        }
        sums
    }
}

#[test]
fn units_give_what_the_definition_says_and_failed_members_nothing() {
    for (widths, rank) in [(&[5, 4][..], 1), (&[5, 7, 3], 1), (&[5, 7, 6, 3], 2)] {
        let (case, n) = (Case::new(widths, rank, 9), UNIT + 6);
        let draws = normals(n, LowRank::<f64>::draws(&case.net, rank), 0);
        let mut weights = normals(n, 9, 1);
        weights.row_mut(3).fill(0.0);
        let found = case.sums(&draws, &weights, 0.3);
        let wanted = case.by_definition(&draws, &weights, 0.3);
        let worst = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        assert!(worst.fold(0.0, f64::max) < 1e-10, "{widths:?} {rank}");
    }
}

/// With small spread, (1/J) sum_k of it with w_ki = G_ki - Gbar_i is s times the derivative of sum_i G_i: nearly all of it
/// lies along the differences of the outputs at the centre, though J is a fraction of P. The plain estimate of as many
/// members is mostly noise.
#[test]
fn it_is_the_derivative_of_the_expected_outputs_where_members_are_fewer_than_parameters() {
    let (case, rank, m) = (Case::new(&[60, 8, 1], 1, 12), 1, 12);
    let (n, spread) = (192, 1e-3);
    let map: &dyn LowRank<f64> = &case.net;
    let p = map.parameters();
    assert!(2 * n < p);
    let outputs = |member: &[f64]| -> Vec<f64> {
        let group = map.group();
        let mut members = Array2::zeros((group, p));
        members
            .row_mut(0)
            .as_slice_mut()
            .unwrap()
            .copy_from_slice(member);
        let mut out = ndarray::Array3::zeros((group, 1, m));
        let mut scratch = vec![0.0; map.scratch(m)];
        map.evaluate(
            members.view(),
            case.inputs.view(),
            out.view_mut(),
            &mut scratch,
        );
        out.slice(s![0, 0, ..]).to_vec()
    };
    let mut deviations = vec![0.0; p];
    map.prior().deviations(0, 1.0, &mut deviations);
    let derivative: Vec<f64> = (0..p)
        .map(|i| {
            let total = |by: f64| {
                let mut moved = case.centre.clone();
                moved[i] += by;
                outputs(&moved).iter().sum::<f64>()
            };
            (total(1e-5) - total(-1e-5)) / 2e-5 * deviations[i]
        })
        .collect();
    let draws = normals(n, map.draws(rank), 0);
    let about = About {
        centre: &case.centre,
        shared: &[],
        spread,
        rank,
    };
    let (mut weights, mut members) = (Array2::zeros((n, m)), Array2::zeros((n, p)));
    for j in 0..n {
        let mut member = members.row_mut(j);
        let member = member.as_slice_mut().unwrap();
        map.member(&about, draws.row(j).to_slice().unwrap(), member);
        weights
            .row_mut(j)
            .assign(&ndarray::Array1::from(outputs(member)));
    }
    weights -= &weights.mean_axis(ndarray::Axis(0)).unwrap();
    weights /= n as f64 * spread;
    let cosine = |found: &[f64]| {
        let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        inner(found, &derivative) / (inner(found, found) * inner(&derivative, &derivative)).sqrt()
    };
    let found = case.sums(&draws, &weights, spread);
    let mut plain = vec![0.0; p];
    for (member, weights) in members.rows().into_iter().zip(weights.rows()) {
        for (i, plain) in plain.iter_mut().enumerate() {
            *plain += weights.sum() * (member[i] - case.centre[i]) / deviations[i];
        }
    }
    let (by_sums, plain) = (cosine(&found), cosine(&plain));
    assert!(by_sums > 0.9 && plain < 0.75, "{by_sums} {plain}");
}
