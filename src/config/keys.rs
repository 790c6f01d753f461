//! Every configuration key: its kind, its default, and what it means. The one list that checks, documents and completes.

use toml::Table;

use super::Kind;

/// A configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path, as in `ensemble.members`.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// What it means, with its unit.
    pub about: &'static str,
}

/// The table of all keys with their defaults.
pub(super) fn defaults() -> Table {
    let mut table = Table::new();
    for key in KEYS {
        let value = format!("v = {}", key.default)
            .parse::<Table>()
            .expect("defaults are TOML")
            .remove("v");
        super::place(&mut table, key.path, value.expect("just parsed"));
    }
    table
}

const fn key(path: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key {
        path,
        kind,
        default,
        about,
    }
}

/// Every key there is.
pub const KEYS: &[Key] = &[
    key(
        "seed",
        Kind::Integer(0),
        "1",
        "seed of every random number of the run",
    ),
    key(
        "model.kind",
        Kind::Choice(&[
            "dense",
            "conv",
            "recurrent",
            "linear",
            "cart-pole",
            "process",
        ]),
        "\"dense\"",
        "the forward map; cart-pole: episodes under a policy that is a dense network",
    ),
    key(
        "model.layers",
        Kind::Sizes(2),
        "[64, 32, 10]",
        "widths of a dense network or policy, inputs first, outputs last",
    ),
    key(
        "model.network",
        Kind::Texts,
        "[\"conv 8\", \"pool 2\", \"dense 10\"]",
        "layers of a convolutional network: \"conv OUT [SIDE]\", \"pool SIDE [STRIDE]\", last \"dense N\"",
    ),
    key(
        "model.units",
        Kind::Sizes(1),
        "[32]",
        "units of each layer of a recurrent network",
    ),
    key(
        "model.steps",
        Kind::Integer(0),
        "0",
        "steps a recurrent network cuts each sample into; 0: the rows of an image. A series is one step a sample",
    ),
    key(
        "model.activation",
        Kind::Choice(&["relu", "tanh", "heaviside"]),
        "\"relu\"",
        "of the hidden layers",
    ),
    key(
        "model.prior_scale",
        Kind::Variances,
        "[1.0]",
        "the prior's deviation in units of Glorot's, for all layers or each (dense networks only)",
    ),
    key(
        "model.output",
        Kind::Choice(&["auto", "softmax", "identity"]),
        "\"auto\"",
        "of the last layer; auto: softmax for classes, identity for values",
    ),
    key(
        "model.command",
        Kind::Words,
        "[]",
        "the words that start a simulator of one's own, from the folder the run is started in",
    ),
    key(
        "model.prior",
        Kind::Entries(
            "[\"growth lognormal 1.0 0.5\", \"k[10] normal 0 1\", \"share uniform 0 1\"]",
        ),
        "[]",
        "a simulator's parameters: NAME normal MEAN DEVIATION, NAME lognormal MEAN DEVIATION, NAME uniform LOWER UPPER",
    ),
    key(
        "model.timeout",
        Kind::Duration,
        "\"never\"",
        "a member fails whose simulation takes longer",
    ),
    key(
        "model.probe",
        Kind::Bool,
        "true",
        "ask a simulator once before anything is written; false where one answer takes too long for that",
    ),
    key(
        "data.name",
        Kind::Text,
        "\"digits\"",
        "the data set or series (see `eki-mpi data list`), or a synthetic problem: elliptic, random, cart-pole; a task of long memory: adding, copying; or observations",
    ),
    key(
        "data.observations",
        Kind::Text,
        "\"\"",
        "the file of the numbers a simulator should give: .npy, or text with blanks, commas or line ends between",
    ),
    key(
        "data.batch",
        Kind::Integer(1),
        "600",
        "samples assimilated at one step m",
    ),
    key(
        "data.shuffle",
        Kind::Bool,
        "true",
        "a new order of the samples each epoch, or the file's order",
    ),
    key(
        "data.scale",
        Kind::Choice(&["unit", "standard"]),
        "\"unit\"",
        "inputs to 0..1, or to mean 0 and deviation 1",
    ),
    key(
        "data.limit",
        Kind::Integer(0),
        "0",
        "take only the first so many training samples; 0: all",
    ),
    key(
        "data.length",
        Kind::Integer(2),
        "100",
        "steps T that a task of long memory (adding, copying) spans",
    ),
    key(
        "data.examples",
        Kind::Integer(1),
        "10000",
        "training examples drawn of such a task",
    ),
    key(
        "data.window",
        Kind::Integer(1),
        "1",
        "values of a series that a step is given, the newest first",
    ),
    key(
        "data.validation",
        Kind::Integer(0),
        "0",
        "judge on the last so many training samples, held out, instead of the test set; 0: no",
    ),
    key(
        "data.augment",
        Kind::Integer(0),
        "0",
        "shift each training image by up to so many pixels up or down and left or right, anew in each epoch; 0: no",
    ),
    key(
        "method.kind",
        Kind::Choice(&["eki", "sgd", "momentum-sgd", "ogd"]),
        "\"eki\"",
        "ensemble Kalman inversion, or to compare with it, gradient descent from one draw of the prior (needs a program \
         built with --features gradients; of ensemble.* it takes initial alone)",
    ),
    key(
        "method.loss",
        Kind::Choice(&["cross-entropy", "least-squares", "zero-one"]),
        "\"cross-entropy\"",
        "Psi; zero-one: 1 for each sample classified wrong, which has no gradient in the network's outputs",
    ),
    key(
        "method.noise",
        Kind::Variances,
        "[1.0]",
        "the diagonal of Gamma in the least-squares loss, squared units of the outputs",
    ),
    key(
        "method.delta",
        Kind::Above(0.0),
        "0.005",
        "added to probabilities in the cross-entropy's gradient -y/(z + delta)",
    ),
    key(
        "method.momentum",
        Kind::Bool,
        "false",
        "extrapolate by Nesterov's momentum (MEKI)",
    ),
    key(
        "method.momentum_coefficient",
        Kind::Within(0.0, 1.0),
        "0.0",
        "a constant coefficient; 0: Nesterov's n/(n+3), in momentum-sgd 0.9",
    ),
    key(
        "method.momentum_restart",
        Kind::Bool,
        "true",
        "start momentum anew at each epoch's re-randomisation, or carry the mean's on (new members joining always start it)",
    ),
    key(
        "method.step",
        Kind::Choice(&["adaptive", "fixed"]),
        "\"adaptive\"",
        "h_n = h / (||D||_F + epsilon), or h_n = h",
    ),
    key(
        "method.rate",
        Kind::Above(0.0),
        "0.1",
        "the learning rate of gradient descent, by which the batch's mean gradient is multiplied",
    ),
    key("method.h", Kind::Above(0.0), "2.0", "the step length h"),
    key(
        "method.h_decay",
        Kind::Above(0.0),
        "1.0",
        "h, or the learning rate, is multiplied by this over each epoch",
    ),
    key(
        "method.h_shape",
        Kind::Choice(&["level", "cosine"]),
        "\"level\"",
        "h as it stands, or falling to 0 at the run's last step as (1 + cos)/2 (an extension of the publication)",
    ),
    key(
        "method.epsilon",
        Kind::Above(0.0),
        "0.5",
        "epsilon of the adaptive step",
    ),
    key(
        "method.form",
        Kind::Choice(&["auto", "explicit", "factored", "mean"]),
        "\"auto\"",
        "of the update; auto: mean if re-randomised at each step, explicit if K >= J/2, else factored",
    ),
    key(
        "method.fail_beyond",
        Kind::Above(1.0),
        "1e9",
        "a member fails whose outputs' norm is over so many times the median",
    ),
    key(
        "method.covariance",
        Kind::Choice(&["parameters", "sums"]),
        "\"parameters\"",
        "of outputs with the parameters as drawn, or by way of each layer's sums, which are far fewer (low-rank draws only; an extension of the publication)",
    ),
    key(
        "method.second_moment",
        Kind::Within(0.0, 1.0),
        "0.0",
        "decay of the second moments that scale the mean's move parameter by parameter; 0: none (mean form only; an extension of the publication)",
    ),
    key("ensemble.members", Kind::Integer(2), "200", "J"),
    key(
        "ensemble.initial",
        Kind::Text,
        "\"prior\"",
        "drawn from the prior, or an .npy file, J x P",
    ),
    key(
        "ensemble.centre",
        Kind::Choice(&["zero", "prior"]),
        "\"zero\"",
        "centre of the initial ensemble: 0, or one draw of the prior, members about it with gamma",
    ),
    key(
        "ensemble.rerandomise",
        Kind::Choice(&["never", "epoch", "step"]),
        "\"never\"",
        "redraw members about their mean (EKI(R))",
    ),
    key(
        "ensemble.gamma",
        Kind::AtLeast(0.0),
        "1.0",
        "re-randomisation's covariance in units of the prior's",
    ),
    key(
        "ensemble.gamma_decay",
        Kind::Above(0.0),
        "1.0",
        "gamma is multiplied by this over each epoch",
    ),
    key(
        "ensemble.draw",
        Kind::Choice(&["full", "low-rank"]),
        "\"full\"",
        "each weight in full, or each weight matrix by low rank (mean form only; an extension of the publication)",
    ),
    key(
        "ensemble.rank",
        Kind::Integer(1),
        "1",
        "the rank of low-rank draws",
    ),
    key(
        "ensemble.grow_to",
        Kind::Integer(0),
        "0",
        "members at the last epoch, growing evenly from epoch to epoch; 0: no growth",
    ),
    key(
        "ensemble.average",
        Kind::Within(0.0, 1.0),
        "0.0",
        "decay of the mean's average over steps, which is then the run's result; 0: none (mean form only; an extension of the publication)",
    ),
    key(
        "run.epochs",
        Kind::Integer(1),
        "10",
        "passes over the training data",
    ),
    key(
        "run.steps",
        Kind::Integer(0),
        "0",
        "steps instead of epochs; 0: by epochs",
    ),
    key(
        "run.stop_at_misfit",
        Kind::AtLeast(0.0),
        "0.0",
        "end once the members' misfit, root mean square in deviations of the noise, is at most this; 0: by steps alone",
    ),
    key(
        "run.precision",
        Kind::Choice(&["single", "double"]),
        "\"single\"",
        "of parameters, outputs and update",
    ),
    key(
        "run.evaluate_every",
        Kind::Integer(0),
        "1",
        "epochs between evaluations on the test set; 0: at the end alone",
    ),
    key(
        "run.best",
        Kind::Choice(&["evaluation", "end", "never"]),
        "\"end\"",
        "when all members are judged to find the best",
    ),
    key(
        "run.report_every",
        Kind::Integer(1),
        "1",
        "steps between lines of metrics.jsonl",
    ),
    key(
        "run.hang_timeout",
        Kind::Duration,
        "\"30min\"",
        "when no step ends for so long, the ranks that hang are named",
    ),
    key(
        "run.on_hang",
        Kind::Choice(&["warn", "abort"]),
        "\"warn\"",
        "whether the run then waits on or ends",
    ),
    key(
        "checkpoint.every",
        Kind::Duration,
        "\"15min\"",
        "time between checkpoints; there is always one at a stop and at the end",
    ),
    key(
        "checkpoint.every_steps",
        Kind::Integer(0),
        "0",
        "steps between checkpoints besides; 0: by time alone",
    ),
    key(
        "checkpoint.keep",
        Kind::Integer(1),
        "2",
        "generations kept, the older against damage to the newer",
    ),
    key(
        "checkpoint.on_error",
        Kind::Choice(&["continue", "stop"]),
        "\"continue\"",
        "whether the run goes on without, or stops, when a checkpoint or metrics.jsonl cannot be written",
    ),
    key(
        "output.ensemble",
        Kind::Bool,
        "false",
        "write final/ensemble.npy, J x P",
    ),
];
