use super::*;
use crate::forward::ForwardMap;
use crate::forward::testing::{apply, check, close, evaluate, numbers};

fn net(steps: usize, inputs: usize, units: &[usize], outputs: usize) -> Recurrent {
    let maps = (Activation::Tanh, Output::Softmax);
    Recurrent::new(steps, inputs, units.to_vec(), outputs, maps)
}

/// The outputs of one sample, straight from the definition.
fn plain(net: &Recurrent, u: &[f64], x: &[f64], output: Output) -> Vec<f64> {
    let mut states: Vec<Vec<f64>> = net.body.units.iter().map(|&n| vec![0.0; n]).collect();
    for t in 0..net.body.steps {
        let mut below = x[t * net.body.inputs..(t + 1) * net.body.inputs].to_vec();
        let mut at = 0;
        for state in &mut states {
            let (a, b) = (below.len(), state.len());
            let (w, v) = (&u[at..at + a * b], &u[at + a * b..at + (a + b) * b]);
            let bias = &u[at + (a + b) * b..at + (a + b + 1) * b];
            let sum = |j: usize| {
                let inputs: f64 = (0..a).map(|i| w[i * b + j] * below[i]).sum();
                let hidden: f64 = (0..b).map(|i| v[i * b + j] * state[i]).sum();
                apply(net.body.activation, bias[j] + inputs + hidden)
            };
            *state = (0..b).map(sum).collect();
            below = state.clone();
            at += (a + b + 1) * b;
        }
    }
    let head = &u[net.body.parameters()..];
    crate::forward::testing::dense(head, states.last().unwrap(), net.head.width(), output)
}

#[test]
fn outputs_are_the_definitions_in_both_precisions() {
    for (units, outputs) in [(vec![5], 3), (vec![7, 9], 1), (vec![13, 4, 6], 2)] {
        for activation in [Activation::Tanh, Activation::Relu] {
            for output in [Output::Softmax, Output::Identity] {
                let net = Recurrent::new(5, 3, units.clone(), outputs, (activation, output));
                check(&net, 51, |u, x| plain(&net, u, x, output), 1e-4);
            }
        }
    }
}

#[test]
fn the_publications_network_has_the_parameters_it_states() {
    let net = net(28, 28, &[32, 32], 10);
    assert_eq!(ForwardMap::<f32>::parameters(&net), 4362);
    assert_eq!(ForwardMap::<f32>::prior(&net).parameters(), 4362);
    let step = 28.0 * 32.0 + 3.0 * 32.0 * 32.0;
    assert!(close(
        ForwardMap::<f32>::flops(&net, 600),
        2.0 * 600.0 * (28.0 * step + 320.0),
        1e-15
    ));
}

/// Rows of the hidden weights: the prior's mean is on their diagonals, or beside them, and nowhere else.
#[test]
fn the_priors_mean_is_the_identity_or_a_shift_where_states_are_to_last() {
    let net = net(3, 2, &[2, 3], 1);
    let prior = ForwardMap::<f64>::prior(&net);
    assert_eq!(prior.mean::<f64>(0..32), [0.0; 32]);
    let net = net.with_prior(vec![1.0, 2.0, 1.0, 0.5, 3.0], vec![0.0, 0.75], 0);
    let mean: Vec<f64> = ForwardMap::<f64>::prior(&net).mean(0..32);
    // Layer 1: 2 x 2, 2 x 2, 2; layer 2: 2 x 3, 3 x 3, 3; the output 3 + 1.
    let hidden = 10 + 6;
    for (at, value) in mean.iter().enumerate() {
        let diagonal = (hidden..hidden + 9).contains(&at) && (at - hidden).is_multiple_of(4);
        assert_eq!(*value, if diagonal { 0.75 } else { 0.0 }, "{at}");
    }
    // Shifted: each unit's state goes to the next, the last one's to the first.
    let shifted = net.clone().with_prior(vec![1.0; 5], vec![0.0, 0.75], 1);
    let mean: Vec<f64> = ForwardMap::<f64>::prior(&shifted).mean(0..32);
    let places = mean.iter().enumerate().filter(|(_, value)| **value != 0.0);
    let places: Vec<usize> = places.map(|(at, _)| at - hidden).collect();
    assert_eq!(places, [1, 3 + 2, 6]);
    let mut deviations = [0.0; 32];
    ForwardMap::<f64>::prior(&net).deviations(0, 1.0, &mut deviations);
    let glorot = |a: f64, b: f64| (2.0 / (a + b)).sqrt();
    let expected = [
        (0, glorot(2.0, 2.0)),
        (4, 2.0 * glorot(2.0, 2.0)),
        (8, glorot(2.0, 2.0)),
        (10, glorot(2.0, 3.0)),
        (16, 0.5 * glorot(3.0, 3.0)),
        (31, 3.0 * glorot(3.0, 1.0)),
    ];
    for (at, deviation) in expected {
        assert!((deviations[at] - deviation).abs() < 1e-15, "{at}");
    }
}

/// Each answer is that of the network whose last step it is.
#[test]
fn answers_at_the_last_steps_are_those_of_shorter_sequences() {
    let long = net(6, 3, &[5, 4], 2).answering(3);
    let p = ForwardMap::<f64>::parameters(&long);
    let (u, x) = (numbers(2, p, 1), numbers(18, 21, 2));
    let all = evaluate::<f64>(&long, &u, &x);
    assert_eq!(all.dim(), (2, 6, 21));
    for (answer, steps) in [4, 5, 6].into_iter().enumerate() {
        let short = net(steps, 3, &[5, 4], 2);
        let x = x.slice(s![..3 * steps, ..]).to_owned();
        let one = evaluate::<f64>(&short, &u, &x);
        assert_eq!(one, all.slice(s![.., 2 * answer..2 * answer + 2, ..]));
    }
}

#[test]
fn a_nan_among_the_parameters_reaches_the_outputs() {
    let net = net(3, 2, &[4, 5], 3);
    let p = ForwardMap::<f32>::parameters(&net);
    let mixed = net.clone().in_mixed_precision();
    for at in 0..p {
        let mut u = numbers(1, p, 1);
        u[[0, at]] = f64::NAN;
        let x = numbers(6, 7, 2);
        for out in [
            evaluate::<f64>(&net, &u, &x),
            evaluate::<f32>(&net, &u, &x),
            evaluate::<f32>(&mixed, &u, &x),
        ] {
            assert!((0..7).all(|i| out.slice(s![0, .., i]).iter().any(|z| z.is_nan())));
        }
    }
}

/// Of numbers that bfloat16 holds, and whose sums it holds, outputs in mixed precision are the definition's: of any
/// count of inputs and units, steps answered, places that are not four and a last one that is not full.
#[test]
fn mixed_precision_rounds_operands_alone() {
    for (inputs, units, answers) in [
        (1, vec![1], 1),
        (3, vec![5], 4),
        (28, vec![32, 32], 1),
        (31, vec![7, 33, 16], 2),
        (2, vec![17, 50], 3),
    ] {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Heaviside] {
            let maps = (activation, Output::Identity);
            let net = Recurrent::new(4, inputs, units.clone(), 3, maps).answering(answers);
            let mixed = net.clone().in_mixed_precision();
            let (p, d) = (ForwardMap::<f32>::parameters(&net), 4 * inputs);
            // Few weights are not zero, so that sums stay short.
            let few = numbers(2, p, 1).mapv(|x| if x.abs() < 0.05 { x.signum() } else { 0.0 });
            for m in [1, 37, 64, 149] {
                let whole = numbers(d, m, 2).mapv(|x| (2.0 * x).round());
                let got = evaluate::<f32>(&mixed, &few, &whole);
                if activation != Activation::Tanh {
                    assert_eq!(got, evaluate::<f64>(&net, &few, &whole), "{units:?} {m}");
                }
                // Others are rounded.
                let (members, inputs) = (numbers(2, p, 1) / 8.0, numbers(d, m, 2));
                let got = evaluate::<f32>(&mixed, &members, &inputs);
                let want = evaluate::<f32>(&net, &members, &inputs);
                let scale = want.iter().fold(0.1, |most: f64, x| most.max(x.abs()));
                if activation != Activation::Heaviside {
                    assert!(got != want || units == [1], "{units:?} {m}"); // one unit may rest
                    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 0.03 * scale;
                    assert!(got.iter().zip(&want).all(near), "{units:?} {m}");
                }
            }
        }
    }
}
