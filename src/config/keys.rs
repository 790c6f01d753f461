//! Every configuration key: its kind, its default, and what it means. The one list that checks, documents and completes.

use super::key::{Key, keys};
use super::value::Kind::{
    Above, AtLeast, Between, Bool, Choice, Duration, Entries, Integer, Shares, Sizes, Text, Texts,
    Variances, Within, Words,
};

/// The most of what a data set, a batch or a network may count: beyond it sizes no longer fit the machine's integers.
const MOST: i64 = 100_000_000;
/// The most steps or epochs that a key may count.
const LONGEST: i64 = 1_000_000_000_000_000;

/// Every key there is.
pub const KEYS: &[Key] = keys! {
    "seed": Integer(0), "1",
        "seed of every random number of the run";
    "model.kind": Choice(&["dense", "conv", "recurrent", "linear", "cart-pole", "process", "ask-tell"]),
        "\"dense\"",
        "the forward map; cart-pole: episodes under a policy that is a dense network; process: a program that the run asks; \
         ask-tell: outputs that you bring, step by step";
    "model.layers": Sizes(2), "[64, 32, 10]",
        "widths of a dense network or policy, inputs first, outputs last";
    "model.network": Texts, "[\"conv 8\", \"pool 2\", \"dense 10\"]",
        "layers of a convolutional network: \"conv OUT [SIDE]\", \"pool SIDE [STRIDE]\", last \"dense N\"";
    "model.units": Sizes(1), "[32]",
        "units of each layer of a recurrent network";
    "model.sequence_steps": Between(0, MOST), "0",
        "steps a recurrent network cuts each sample into; 0: the rows of an image. A series is one step a sample";
    "model.activation": Choice(&["relu", "tanh", "heaviside"]), "\"relu\"",
        "of the hidden layers";
    "model.prior_scale": Variances, "[1.0]",
        "the prior's deviation in units of Glorot's, for all layers or each; of a recurrent network for all or each \
         layer's input and hidden weights and the output's; of no convolutional one";
    "model.recurrence": Shares, "[0.0]",
        "the prior's mean of a recurrent network's hidden weights, times the identity or a shift, for all layers or each; \
         1: states last";
    "model.recurrence_of": Choice(&["identity", "shift"]), "\"identity\"",
        "identity: each unit keeps its state; shift: it hands it to the next, the last to the first, so that when a state \
         began is told by where it is";
    "model.output": Choice(&["auto", "softmax", "identity"]), "\"auto\"",
        "of the last layer; auto: softmax for classes, identity for values";
    "model.command": Words, "[]",
        "the words that start a simulator of one's own, from the folder the run is started in";
    "model.prior": Entries("[\"growth lognormal 1.0 0.5\", \"k[10] normal 0 1\", \"share uniform 0 1\"]"), "[]",
        "a simulator's parameters: NAME normal MEAN DEVIATION, NAME lognormal MEAN DEVIATION, NAME uniform LOWER \
         UPPER";
    "model.timeout": Duration, "\"never\"",
        "a member fails whose simulation takes longer";
    "model.numbered": Bool, "false",
        "each question to a simulator begins with a number that its answer repeats: no answer is taken for another's";
    "model.probe": Bool, "true",
        "ask a simulator once before anything is written; false where one answer takes too long for that";
    "data.name": Text, "\"digits\"",
        "the data set or series (see `eki-mpi data list`), or a synthetic problem: elliptic, random, cart-pole; a \
         task of long memory: adding, copying; or observations";
    "data.observations": Text, "\"\"",
        "the file of the numbers a simulator should give: .npy, or text with blanks, commas or line ends between";
    "data.batch": Between(1, MOST), "600",
        "samples assimilated at one step m";
    "data.shuffle": Bool, "true",
        "a new order of the samples each epoch, or the file's order";
    "data.scale": Choice(&["unit", "standard"]), "\"unit\"",
        "inputs to 0..1, or to mean 0 and deviation 1";
    "data.limit": Between(0, MOST), "0",
        "take only the first so many training samples; 0: all";
    "data.length": Between(2, MOST), "100",
        "steps T that a task of long memory (adding, copying) spans";
    "data.examples": Between(1, MOST), "10000",
        "training examples drawn of such a task";
    "data.lags": Between(1, MOST), "1",
        "values of a series that a step is given, the newest first";
    "data.validation": Between(0, MOST), "0",
        "judge on the last so many training samples, held out, instead of the test set; 0: no";
    "data.augment": Between(0, MOST), "0",
        "shift each training image by up to so many pixels up or down and left or right, anew in each epoch; 0: no";
    "data.affine": Within(0.0, 1.0), "0.0",
        "turn, stretch and shear each training image anew in each epoch, by a 2 x 2 matrix about its centre whose entries \
         are within so much of the identity's; 0: no";
    "data.elastic": AtLeast(0.0), "0.0",
        "displace each training image's pixels anew in each epoch by a smooth field, cubic B-splines through numbers within \
         so many pixels of 0 at every sixth; 0: no";
    "data.deformation_epochs": Between(0, LONGEST), "0",
        "distort and warp images in the first so many epochs alone; 0: in all";
    "method.kind": Choice(&["eki", "kalman", "sgd", "momentum-sgd", "ogd"]), "\"eki\"",
        "ensemble Kalman inversion; kalman: with D times the Kalman gain, the discrete filter's step with noise method.noise / h; \
         or to compare with them, gradient descent from one draw of the prior (needs a \
         program built with --features gradients; of ensemble.* it takes initial alone)";
    "method.loss": Choice(&["cross-entropy", "least-squares", "zero-one"]), "\"cross-entropy\"",
        "Psi; zero-one: 1 for each sample classified wrong, which has no gradient in the network's outputs";
    "method.noise": Variances, "[1.0]",
        "the diagonal of Gamma in the least-squares loss, squared units of the outputs; must be given for a simulator: the \
         variance of its observations' errors";
    "method.delta": Above(0.0), "0.005",
        "added to probabilities in the cross-entropy's gradient -y/(z + delta)";
    "method.momentum": Bool, "false",
        "extrapolate by Nesterov's momentum (MEKI)";
    "method.momentum_coefficient": Within(0.0, 1.0), "0.0",
        "a constant coefficient; 0: Nesterov's n/(n+3), in momentum-sgd 0.9";
    "method.momentum_of": Choice(&["members", "mean"]), "\"members\"",
        "what momentum carries on: each member, or their mean alone, deviations moving as without (an extension of \
         the publication)";
    "method.momentum_restart": Bool, "true",
        "start momentum anew at each re-randomisation that is not every step's, or carry the mean's on (new members \
         joining always start it)";
    "method.step": Choice(&["adaptive", "fixed"]), "\"adaptive\"",
        "of \"eki\": h_n = h / (||D||_F + epsilon), or h_n = h";
    "method.rate": Above(0.0), "0.1",
        "the learning rate of gradient descent, by which the batch's mean gradient is multiplied";
    "method.clip": AtLeast(0.0), "0.0",
        "gradient descent's gradients that are longer than this are cut to it, as recurrent nets need; 0: none";
    "method.h": Above(0.0), "2.0",
        "the step length h";
    "method.h_decay": Above(0.0), "1.0",
        "h, or the learning rate, is multiplied by this over each epoch";
    "method.h_schedule": Choice(&["level", "cosine", "misfit"]), "\"level\"",
        "h as it stands; or falling to 0 at the run's last step as (1 + cos)/2 (an extension of the publication); or, with \
         the Kalman gain and least squares, what the members' misfits Phi allow of it: min(1, max(K / (2 mean Phi), \
         sqrt(K / (2 var Phi)))) (Iglesias & Yang, Inverse Problems 37 (2021) 025008)";
    "method.perturb": Bool, "false",
        "add to the observations, for each member at each step, noise of its own of variance Gamma / h (with the Kalman gain \
         and least squares): h = 1/N for N steps then leaves a sample of the posterior";
    "method.tikhonov": AtLeast(0.0), "0.0",
        "weight of the prior beside one set of observations: the misfit that members lower is Phi + this / 2 times the squared \
         distance from the prior's mean in its deviations (TEKI: Chada, Stuart & Tong, SIAM J. Numer. Anal. 58 (2020) 1263); \
         1: towards the posterior's mode; 0: the observations alone";
    "method.epsilon": Above(0.0), "0.5",
        "epsilon of the adaptive step";
    "method.form": Choice(&["auto", "explicit", "factored", "mean"]), "\"auto\"",
        "of the update; auto: mean if re-randomised at each step, explicit if K >= J/2, else factored";
    "method.outlier_ratio": Above(1.0), "1e9",
        "a member fails whose distance from the observations is over so many times the members' median, the observations' own \
         size and the noise (networks, and other losses than least squares: whose outputs' norm is over so many times the median)";
    "method.covariance": Choice(&["parameters", "sums"]), "\"parameters\"",
        "of outputs with the parameters as drawn, or by way of each layer's sums, which are far fewer (low-rank \
         draws only; an extension of the publication)";
    "method.localisation_exponent": Between(0, 100), "0",
        "sampling error correction (Lee 2021, arXiv:2105.11341): each correlation r of a parameter with an output is taken times \
         |r| to this power; 0: none (factored form, which auto then is)";
    "method.rms_decay": Within(0.0, 1.0), "0.0",
        "decay of the second moments that scale the mean's move parameter by parameter; 0: none (mean form only; an \
         extension of the publication)";
    "ensemble.members": Integer(2), "200",
        "J";
    "ensemble.initial": Text, "\"prior\"",
        "drawn from the prior, or an .npy file, J x P; of a simulator in the parameters' own units, also a .csv file that names \
         its columns (a run's final/ensemble.csv)";
    "ensemble.centre": Choice(&["zero", "prior"]), "\"zero\"",
        "centre of the initial ensemble: 0, or one draw of the prior, members about it with gamma";
    "ensemble.rerandomise": Choice(&["never", "epoch", "step"]), "\"never\"",
        "redraw members about their mean (EKI(R))";
    "ensemble.rerandomise_every": Between(1, LONGEST), "1",
        "epochs or steps from one such redraw to the next (more than 1 is an extension of the publication)";
    "ensemble.gamma": AtLeast(0.0), "1.0",
        "re-randomisation's covariance in units of the prior's";
    "ensemble.gamma_decay": Above(0.0), "1.0",
        "gamma is multiplied by this over each epoch";
    "ensemble.draw": Choice(&["full", "low-rank"]), "\"full\"",
        "each weight in full, or each weight matrix by low rank (mean form only; an extension of the publication)";
    "ensemble.rank": Between(1, MOST), "1",
        "the rank of low-rank draws";
    "ensemble.active_layers": Sizes(1), "[1]",
        "blocks of a convolutional network's layers with parameters that take turns: members of a step differ in one alone, \
         from the layer given, the first being 1, to before the next larger one given (mean form only; an extension of the \
         publication)";
    "ensemble.whiten": AtLeast(0.0), "0.0",
        "draws are spread so that each layer's sums differ alike whatever its inputs: multiplied by a root of the inverse of \
         these inputs' second moments, which are damped by this times their mean; 0: not (dense and convolutional networks, \
         full draws and the mean form only; an extension of the publication)";
    "ensemble.inflation": Above(0.0), "1.0",
        "members' deviations from their mean are multiplied by this after each step (not in the mean form); above 1 keeps \
         members from drawing together before the fit is reached";
    "ensemble.grow_to": Integer(0), "0",
        "members at the last epoch, growing evenly from epoch to epoch; 0: no growth";
    "ensemble.polyak_decay": Within(0.0, 1.0), "0.0",
        "decay of the mean's average over steps, which is then the run's result; 0: none (mean form only; an \
         extension of the publication)";
    "run.epochs": Integer(1), "10",
        "passes over the training data";
    "run.steps": Between(0, LONGEST), "0",
        "steps instead of epochs; 0: by epochs";
    "run.stop_at_misfit": AtLeast(0.0), "0.0",
        "end once the members' misfit, root mean square in deviations of the noise, is at most this; 0: by steps \
         alone";
    "run.end_time": AtLeast(0.0), "0.0",
        "end once the h of all steps with the Kalman gain add up to this, the last cut to fit: at 1 the members are, with \
         method.perturb, a sample of the posterior; 0: by steps alone";
    "run.precision": Choice(&["single", "mixed", "double"]), "\"single\"",
        "of parameters, outputs and update; mixed: single, but for products of bfloat16 in the update and in \
         networks' layers (of a series: the update alone)";
    "run.evaluate_every": Between(0, LONGEST), "1",
        "epochs between evaluations on the test set; 0: at the end alone";
    "run.best": Choice(&["evaluation", "end", "never"]), "\"end\"",
        "when all members are judged to find the best";
    "run.report_every": Between(1, LONGEST), "1",
        "steps between lines of metrics.jsonl";
    "run.hang_timeout": Duration, "\"30min\"",
        "when no step ends for so long, the ranks that hang are named";
    "run.on_hang": Choice(&["warn", "abort"]), "\"warn\"",
        "whether the run then waits on or ends";
    "checkpoint.every": Duration, "\"15min\"",
        "time between checkpoints; there is always one at a stop and at the end";
    "checkpoint.every_steps": Between(0, LONGEST), "0",
        "steps between checkpoints besides; 0: by time alone";
    "checkpoint.keep": Between(1, 1_000_000), "2",
        "generations kept, the older against damage to the newer";
    "checkpoint.on_error": Choice(&["continue", "stop"]), "\"continue\"",
        "whether the run goes on without, or stops, when a checkpoint or metrics.jsonl cannot be written";
    "checkpoint.fallback": Text, "\"\"",
        "a folder on another disk for the last state where the run's own disk is full; empty: none";
    "checkpoint.wait": Duration, "\"10min\"",
        "how long the last state is kept in memory where the disk is full; \"never\": not at all";
    "output.ensemble": Bool, "false",
        "write final/ensemble.npy, J x P";
};
