//! The settings of a run as a structure: a section a type, a word a variant. `KEYS` says what each means.

use serde::{Deserialize, Serialize};

use super::duration::Interval;

/// Every setting of a run, as `config.toml` in the run's folder holds it. `KEYS` says what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Config {
    pub seed: u64,
    pub model: Model,
    pub data: Data,
    pub method: Method,
    pub ensemble: Ensemble,
    pub run: Run,
    pub checkpoint: Checkpoint,
    pub output: Output,
}

/// The forward map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Model {
    pub kind: ModelKind,
    pub layers: Vec<usize>,
    pub network: Vec<String>,
    pub units: Vec<usize>,
    pub sequence_steps: usize,
    pub activation: Activation,
    pub prior_scale: Vec<f64>,
    pub recurrence: Vec<f64>,
    pub recurrence_of: RecurrenceOf,
    pub output: OutputKind,
    pub command: Vec<String>,
    pub prior: Vec<String>,
    pub timeout: Interval,
    pub numbered: bool,
    pub probe: bool,
}

/// The activation of hidden units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
    /// 1 if x > 0, else 0: no gradient passes it.
    Heaviside,
}

/// Kinds of forward map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum ModelKind {
    Dense,
    Conv,
    Recurrent,
    Linear,
    Process,
    AskTell,
    CartPole,
}

impl ModelKind {
    /// Whether the forward map is the user's own, for one set of observations.
    #[must_use]
    pub fn simulates(self) -> bool {
        matches!(self, Self::Process | Self::AskTell)
    }
}

/// What a recurrent network's hidden weights have for mean, times `recurrence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum RecurrenceOf {
    Identity,
    Shift,
}

/// What the last layer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OutputKind {
    Auto,
    Softmax,
    Identity,
}

/// What is fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Data {
    pub name: String,
    pub observations: String,
    pub batch: usize,
    pub shuffle: bool,
    pub scale: Scale,
    pub limit: usize,
    pub length: usize,
    pub examples: usize,
    pub lags: usize,
    pub validation: usize,
    pub augment: usize,
    pub affine: f64,
    pub elastic: f64,
    pub deformation_epochs: u64,
}

/// Scaling of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Scale {
    Unit,
    Standard,
}

/// How it is fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Method {
    pub kind: MethodKind,
    pub loss: LossKind,
    pub noise: Vec<f64>,
    pub delta: f64,
    pub momentum: bool,
    pub momentum_coefficient: f64,
    pub momentum_of: MomentumOf,
    pub momentum_restart: bool,
    pub step: StepKind,
    pub rate: f64,
    pub clip: f64,
    pub h: f64,
    pub h_decay: f64,
    pub h_schedule: HSchedule,
    pub perturb: bool,
    pub tikhonov: f64,
    pub epsilon: f64,
    pub form: FormKind,
    pub outlier_ratio: f64,
    pub covariance: Covariance,
    pub localisation_exponent: usize,
    pub rms_decay: f64,
}

/// What momentum carries on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum MomentumOf {
    Members,
    Mean,
}

/// How h changes over a run, beside its decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum HSchedule {
    Level,
    Cosine,
    Misfit,
}

/// What stands for the parameters in their covariance with the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Covariance {
    Parameters,
    Sums,
}

/// Kinds of method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum MethodKind {
    Eki,
    Kalman,
    Sgd,
    MomentumSgd,
    Ogd,
}

/// Kinds of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum LossKind {
    CrossEntropy,
    LeastSquares,
    ZeroOne,
}

/// How h_n of "eki" follows from h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum StepKind {
    Adaptive,
    Fixed,
}

/// The form of the update, or the choice of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum FormKind {
    Auto,
    Explicit,
    Factored,
    Mean,
}

/// The members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ensemble {
    pub members: usize,
    pub initial: String,
    pub centre: InitialCentre,
    pub rerandomise: Rerandomise,
    pub rerandomise_every: u64,
    pub gamma: f64,
    pub gamma_decay: f64,
    pub draw: DrawKind,
    pub rank: usize,
    pub active_layers: Vec<usize>,
    pub whiten: f64,
    pub inflation: f64,
    pub grow_to: usize,
    pub polyak_decay: f64,
}

impl Ensemble {
    /// Whether the members of every step are drawn anew.
    #[must_use]
    pub fn redrawn_each_step(&self) -> bool {
        self.rerandomise == Rerandomise::Step && self.rerandomise_every == 1
    }
}

/// Where the initial ensemble is centred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum InitialCentre {
    Zero,
    Prior,
}

/// When members are redrawn about their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Rerandomise {
    Never,
    Epoch,
    Step,
}

/// How members are drawn about the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum DrawKind {
    Full,
    LowRank,
}

/// How long, in what precision, judged how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Run {
    pub epochs: u64,
    pub steps: u64,
    pub stop_at_misfit: f64,
    pub end_time: f64,
    pub precision: Precision,
    pub evaluate_every: u64,
    pub best: Best,
    pub report_every: u64,
    pub hang_timeout: Interval,
    pub on_hang: OnHang,
}

impl Run {
    /// Whether products are of bfloat16.
    #[must_use]
    pub fn mixed(&self) -> bool {
        self.precision == Precision::Mixed
    }
}

/// What is done about a rank that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OnHang {
    Warn,
    Abort,
}

/// When the state is saved, and how many times over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Checkpoint {
    pub every: Interval,
    pub every_steps: u64,
    pub keep: usize,
    pub on_error: OnError,
    pub fallback: String,
    pub wait: Interval,
}

/// What is done when a checkpoint cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OnError {
    Continue,
    Stop,
}

/// The number type of parameters and updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Precision {
    Single,
    /// Single, but for products of bfloat16.
    Mixed,
    Double,
}

/// When the best member is looked for on the test set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Best {
    Evaluation,
    End,
    Never,
}

/// What is written at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Output {
    pub ensemble: bool,
}
