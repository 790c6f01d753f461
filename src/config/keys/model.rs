//! Keys of the forward map: `model.*`.

use serde::{Deserialize, Serialize};

use super::{MOST, NETWORKS, SIMULATORS};
use crate::config::duration::Interval;
use crate::config::key::{Key, Resume, section};
use crate::config::kinds::ModelKind;
use crate::config::scope::{EVERYWHERE, Scope};
use crate::config::value::Kind::{
    Between, Bool, Choice, Duration, Entries, Shares, Sizes, Text, Texts, Variances, Within, Words,
};
use crate::config::value::words;

/// The scope of keys of recurrent networks.
const RECURRENT: Scope = EVERYWHERE.models(&[ModelKind::Recurrent]);
/// The scope of keys of simulators that the run starts.
const PROCESS: Scope = EVERYWHERE.models(&[ModelKind::Process]);

section! {
    /// Settings of the forward map G.
    Model in "model" {
        /// Forward map G, which gives the outputs of a member's parameters.
        kind: ModelKind = "'dense'", Choice(ModelKind::WORDS), EVERYWHERE, Fixed;
        /// Widths of the layers of a dense network or of the cart-pole's policy: inputs first, outputs last.
        layers: Vec<usize> = "[64, 32, 10]", Sizes(2),
            EVERYWHERE.models(&[ModelKind::Dense, ModelKind::CartPole]), Fixed;
        /// Layers of a convolutional network in order: `conv OUT [SIDE]` (output channels, kernel side),
        /// `pool SIDE [STRIDE]` (maximum of square windows), and last one or more `dense N` (units).
        network: Vec<String> = "['conv 8', 'pool 2', 'dense 10']", Texts,
            EVERYWHERE.models(&[ModelKind::Conv]), Fixed;
        /// Units of each hidden layer of a recurrent network.
        units: Vec<usize> = "[32]", Sizes(1), RECURRENT, Fixed;
        /// Time steps into which a recurrent network cuts each sample; 0 takes the rows of an image as steps. A series has one
        /// time step a sample.
        sequence_steps: usize = "0", Between(0, MOST), RECURRENT, Fixed;
        /// Activation function of the hidden layers.
        activation: Activation = "'relu'", Choice(Activation::WORDS), NETWORKS, Fixed;
        /// Standard deviation of the prior of the weights and biases, in units of Glorot's: one number for all layers or one for
        /// each. A recurrent network takes one for each layer's input weights, each layer's hidden weights and the output layer.
        prior_scale: Vec<f64> = "[1.0]", Variances,
            EVERYWHERE.models(&[ModelKind::Dense, ModelKind::Recurrent]), Fixed;
        /// Mean of the prior of a recurrent network's hidden weights, as a multiple of the matrix that model.recurrence_of names:
        /// one number for all layers or one for each. With 1 the hidden state lasts.
        recurrence: Vec<f64> = "[0.0]", Shares, RECURRENT, Fixed;
        /// Matrix whose multiple by model.recurrence is the prior mean of a recurrent network's hidden weights.
        recurrence_of: RecurrenceOf = "'identity'", Choice(RecurrenceOf::WORDS), RECURRENT, Fixed;
        /// Output function of a network's last layer.
        output: OutputKind = "'auto'", Choice(OutputKind::WORDS), NETWORKS, Fixed;
        /// Command that starts a simulator: the program and its arguments. It is started in the folder where the run is. Where
        /// observations stand in sets, `{set}` in a word becomes the name of the set that the process is for.
        command: Vec<String> = "[]", Words, PROCESS, Fixed;
        /// Prior of each parameter of a simulator, in its own unit: `NAME LAW NUMBERS`; `NAME[N]` stands for N parameters with the
        /// same prior. Laws: `normal MEAN DEVIATION`; `lognormal MEAN DEVIATION` (of the parameter itself);
        /// `lognormal of log MEAN DEVIATION` (of its natural logarithm); `uniform LOWER UPPER`; `loguniform LOWER UPPER`;
        /// `truncnormal MEAN DEVIATION LOWER UPPER` (of the normal law before it is cut); `triangular LOWER MODE UPPER`;
        /// `bounded MEAN DEVIATION LOWER UPPER` (of the parameter itself; the logit of its place between the bounds is normal, or
        /// with `-inf` or `inf` for one bound the logarithm of its distance from the other); `fixed VALUE`;
        /// `tied OTHER FACTOR` (a number or a ratio such as `1/3`, times the parameter OTHER). A Gaussian random field on a grid of 1 to 3
        /// sides is one entry: `NAME[NX,NY] matern NU LENGTH MEAN DEVIATION`, or `matern of log`, whose logarithm is the field;
        /// LENGTH in cells, one or one for each side (`10,4`), and after the numbers `modes N` for its N leading Karhunen-Loeve modes
        /// instead of circulant embedding. A file `prior.csv` holds a line for
        /// each, under the column names `name`, `law` and what the laws take: `mean`, `deviation`, `lower`, `mode`, `upper`,
        /// `value`, `other`, `factor`, `nu`, `length`, `modes`; fields that a law does not take are empty, and an empty bound is infinite.
        prior: Vec<String> = "[]",
            Entries("[\"growth lognormal 1.0 0.5\", \"k[10] normal 0 1\", \"share uniform 0 1\"]"),
            SIMULATORS, Fixed;
        /// File with the correlation matrix of parameters of model.prior: a .csv table whose first line names its columns, and whose
        /// rows stand in their order or begin with a name under `name`; or numbers alone, in text or an .npy array, over all free
        /// parameters in their order. It
        /// correlates the standard normal variables behind the laws (a Gaussian copula): for normal priors the parameters themselves,
        /// for lognormal ones their logarithms. Parameters that a table does not name are independent.
        prior_correlation: String = "''", Text, SIMULATORS, Fixed;
        /// File with the covariance matrix of parameters of model.prior, like model.prior_correlation. Only of normal priors, and of
        /// lognormal ones, whose logarithms it is of; its diagonal must hold their variances.
        prior_covariance: String = "''", Text, SIMULATORS, Fixed;
        /// Largest share of its outputs that a member may lack (NaN, or an empty field) without having failed: there it takes the
        /// mean of the members that have them.
        missing: f64 = "0.0", Within(0.0, 1.0), SIMULATORS, Fixed;
        /// Longest time that one simulation may take; a member whose simulation takes longer has failed.
        timeout: Interval = "'never'", Duration, PROCESS, MayChange;
        /// Begin each question to a simulator with a number that its answer repeats, so that no answer can be taken for another's.
        numbered: bool = "false", Bool, PROCESS, Fixed;
        /// Run a simulator once before anything is written, to find faults early; turn off where one simulation takes too long
        /// for that.
        probe: bool = "true", Bool, PROCESS, Fixed;
    }
}

words! {
    /// Activation functions of hidden units.
    Activation {
        /// max(x, 0).
        Relu = "relu",
        /// tanh x.
        Tanh = "tanh",
        /// 1 if x > 0, else 0: gradient descent cannot train it.
        Heaviside = "heaviside",
    }
}

words! {
    /// Matrices that may be the prior mean of a recurrent network's hidden weights.
    RecurrenceOf {
        /// Each unit keeps its state.
        Identity = "identity",
        /// Each unit hands its state to the next one and the last to the first, so that the place of a state shows its age.
        Shift = "shift",
    }
}

words! {
    /// Output functions of a network.
    OutputKind {
        /// Softmax for classes, the identity for values.
        Auto = "auto",
        /// Probabilities of classes.
        Softmax = "softmax",
        /// The last layer's sums.
        Identity = "identity",
    }
}
