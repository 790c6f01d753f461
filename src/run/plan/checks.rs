//! Checks of a configuration against itself, its data and its size.

use super::length;
use crate::config::{
    Config, Conflict, DrawKind, FormKind, Inflation, Localise, LossKind, ModelKind, OutputKind,
    Precision, Rerandomise, Resolved, Scale, keys,
};
use crate::data::catalogue;
use crate::data::noise::{Gamma, Noise};
use crate::data::shape::DataShape;
use crate::error::Result;
use crate::files::numbers::number;
use crate::method::EACH_STEP;

/// The most numbers an ensemble or its outputs may hold, J x P and J x K: beyond it sizes no longer fit the machine's integers.
const LARGEST_ENSEMBLE: usize = 1 << 48;
/// The most members J, for the same reason: a matrix may have J x J numbers.
const MOST_MEMBERS: usize = 1_000_000_000;
/// The most parameters P, for the same reason: every thread holds as many.
const MOST_PARAMETERS: usize = 1 << 40;

/// Refuses sizes that no machine has room for, before they are multiplied: P `parameters`, K `outputs`.
pub(super) fn check_size(resolved: &Resolved, parameters: usize, outputs: usize) -> Result<()> {
    let ensemble = &resolved.config.ensemble;
    if parameters > MOST_PARAMETERS {
        let key = match resolved.config.model.kind {
            ModelKind::Conv => "model.network",
            ModelKind::Recurrent => "model.units",
            _ => "model.layers",
        };
        let allowed =
            format!("has {parameters} parameters, and at most {MOST_PARAMETERS} are allowed");
        return Err(resolved.error(key, allowed));
    }
    let most = MOST_MEMBERS.min(LARGEST_ENSEMBLE / parameters.max(outputs).max(1));
    let allowed =
        format!("must be at most {most} with {parameters} parameters and {outputs} outputs");
    if ensemble.members > most {
        return Err(resolved.error("ensemble.members", allowed));
    }
    if ensemble.grow_to > most {
        return Err(resolved.error("ensemble.grow_to", allowed));
    }
    if ensemble.rank > parameters {
        return Err(resolved.error(
            "ensemble.rank",
            format!("must be at most the {parameters} parameters"),
        ));
    }
    Ok(())
}

pub(super) fn check_method(resolved: &Resolved, data: DataShape) -> Result<()> {
    let config = &resolved.config;
    let (method, ensemble) = (&config.method, &config.ensemble);
    let loss = method.loss.of_targets(data.classes);
    if loss != LossKind::LeastSquares && !data.classes {
        return Err(resolved.error(
            "method.loss",
            "must be \"least-squares\": this data has values, not classes",
        ));
    }
    if loss == LossKind::CrossEntropy && config.model.output == OutputKind::Identity {
        return Err(resolved.error(
            "method.loss",
            "must be \"least-squares\" or \"zero-one\": cross-entropy needs softmax outputs",
        ));
    }
    if config.model.kind == ModelKind::CartPole && config.data.scale != Scale::Unit {
        return Err(resolved.error(
            "data.scale",
            "must be \"unit\": episodes start from states in their own units",
        ));
    }
    let one_set = config.model.kind.has_one_set();
    if config.run.stop_at_misfit > 0.0 && !one_set {
        return Err(resolved.error(
            "run.stop_at_misfit",
            "needs one set of observations: model.kind = \"process\", \"ask-tell\" or \"linear\"",
        ));
    }
    if method.tikhonov > 0.0 {
        let sound = one_set && loss == LossKind::LeastSquares;
        if !sound || method.perturb {
            return Err(resolved.error(
                "method.tikhonov",
                "needs one set of observations (model.kind = \"process\", \"ask-tell\" or \"linear\"), least squares, and method.perturb = false, whose members hold the prior already",
            ));
        }
    }
    let by_correlations = matches!(
        method.localise,
        Localise::Sec(_) | Localise::Threshold(_) | Localise::Fisher
    );
    if by_correlations && config.run.mixed() {
        return Err(resolved.error(
            "method.localise",
            "by correlations needs the factored form of \"eki\" or \"kalman\", not in mixed precision",
        ));
    }
    if method.localise == Localise::Fisher && ensemble.members < 4 {
        return Err(resolved.error(
            "method.localise",
            "\"fisher\" needs ensemble.members of at least 4",
        ));
    }
    if method.form == FormKind::Mean && !ensemble.redrawn_each_step() {
        return Err(resolved.error("method.form", format!("\"mean\" needs {EACH_STEP}")));
    }
    check_inflation(resolved)?;
    if ensemble.second_order_exact && ensemble.redrawn_each_step() {
        return Err(resolved.error(
            "ensemble.second_order_exact",
            "must be false where members are redrawn at each step",
        ));
    }
    length::check_list(resolved)?;
    check_acceptance(resolved, one_set)?;
    check_momentum(resolved, one_set)?;
    check_precision(resolved)?;
    if ensemble.grow_to != 0 && ensemble.grow_to < ensemble.members {
        return Err(resolved.error("ensemble.grow_to", "must be 0 or at least ensemble.members"));
    }
    Ok(())
}

/// Refuses steps that are taken back where misfits before and after are not of the same observations and kind of members.
fn check_acceptance(resolved: &Resolved, one_set: bool) -> Result<()> {
    let (method, ensemble) = (&resolved.config.method, &resolved.config.ensemble);
    if !method.accept {
        return Ok(());
    }
    let needs = if !one_set {
        "one set of observations (model.kind = \"process\", \"ask-tell\" or \"linear\")"
    } else if method.kind.is_gradient_descent() {
        "a method with an ensemble"
    } else if method.momentum {
        "method.momentum = false"
    } else if ensemble.rerandomise != Rerandomise::Never {
        "ensemble.rerandomise = \"never\""
    } else if ensemble.grow_to > ensemble.members {
        "ensemble.grow_to = 0"
    } else if method.h.list().is_some() {
        "one number as method.h (with run.end_time = 1 the steps still add up to 1)"
    } else {
        return Ok(());
    };
    Err(resolved.error("method.accept", format!("needs {needs}")))
}

/// Refuses momentum that starts anew by misfits, where these are not of the same observations.
fn check_momentum(resolved: &Resolved, one_set: bool) -> Result<()> {
    let method = &resolved.config.method;
    let needs = if !one_set {
        "one set of observations (model.kind = \"process\", \"ask-tell\" or \"linear\")"
    } else if !method.momentum {
        "method.momentum = true"
    } else {
        return Ok(());
    };
    match method.momentum_adaptive {
        true => Err(resolved.error("method.momentum_adaptive", format!("needs {needs}"))),
        false => Ok(()),
    }
}

/// Refuses inflation where it has no meaning.
fn check_inflation(resolved: &Resolved) -> Result<()> {
    let (method, ensemble) = (&resolved.config.method, &resolved.config.ensemble);
    let refuse = |allowed: &str| Err(resolved.error("ensemble.inflation", allowed));
    if !ensemble.inflation.is_none() && ensemble.redrawn_each_step() {
        return refuse(
            "must be 1 where members are redrawn at each step, as then ensemble.gamma says how far they lie apart",
        );
    }
    let adaptive = matches!(ensemble.inflation, Inflation::Adaptive { .. });
    if adaptive && method.loss != LossKind::LeastSquares {
        return refuse("\"adaptive\" needs method.loss = \"least-squares\"");
    }
    if adaptive && resolved.config.data.conflict == Conflict::Drop {
        return refuse(
            "\"adaptive\" needs data.conflict = \"warn\": its target is a misfit of all observations",
        );
    }
    Ok(())
}

/// Refuses noise that is not of so many `outputs`, or that the precision cannot hold.
pub(super) fn check_noise(resolved: &Resolved, noise: &Noise, outputs: usize) -> Result<()> {
    let key = "method.noise";
    let variances = match &noise.gamma {
        Gamma::Diagonal(variances) => variances,
        Gamma::Correlated(covariance) if covariance.outputs() == outputs => return Ok(()),
        Gamma::Correlated(covariance) => {
            let given = covariance.outputs();
            let allowed = format!("is of {given} outputs, and there are {outputs}");
            return Err(resolved.error(key, allowed));
        }
    };
    if ![1, outputs].contains(&variances.len()) {
        let allowed = format!("must be one number or {outputs}, one for each output");
        return Err(resolved.error(key, allowed));
    }
    match variances.iter().any(|variance| !fits_single(*variance)) {
        true if resolved.config.run.precision != Precision::Double => {
            Err(resolved.error(key, single_allowed()))
        }
        _ => Ok(()),
    }
}

/// Returns true if EKI moves the mean alone.
fn in_mean_form(config: &Config) -> bool {
    config.ensemble.redrawn_each_step()
        && matches!(config.method.form, FormKind::Auto | FormKind::Mean)
}

/// Mixed precision, where something of the run would be in it.
fn check_precision(resolved: &Resolved) -> Result<()> {
    let config = &resolved.config;
    let knows = match config.model.kind {
        ModelKind::Dense | ModelKind::CartPole | ModelKind::Conv => true,
        // A series is learned one value at a time: there is no product.
        ModelKind::Recurrent => !catalogue::is_series(&config.data.name),
        _ => false,
    };
    let nothing = config.ensemble.draw == DrawKind::LowRank
        && config.model.kind == ModelKind::Dense
        || in_mean_form(config) && !knows;
    if config.run.mixed() && nothing {
        return Err(resolved.error(
            "run.precision",
            "\"mixed\" needs the explicit or factored form of \"eki\" or \"kalman\", or a network that learns no series, of full draws where it is dense",
        ));
    }
    Ok(())
}

/// Refuses numbers that single precision cannot hold: what would become infinite, or 0.
pub(super) fn check_magnitudes(resolved: &Resolved) -> Result<()> {
    if resolved.config.run.precision == Precision::Double {
        return Ok(());
    }
    let table = toml::Table::try_from(&resolved.config).expect("a configuration is a table");
    // Those of a run's length and of failed members are compared in double precision.
    let kept = |path: &str| path.starts_with("run.") || path == "method.outlier_ratio";
    for key in keys().filter(|key| !kept(key.path)) {
        let (section, name) = key.path.split_once('.').unwrap_or_default();
        let value = table.get(section).and_then(|section| section.get(name));
        let one = value.and_then(toml::Value::as_float);
        let many = value.and_then(toml::Value::as_array).into_iter().flatten();
        let mut numbers = one
            .into_iter()
            .chain(many.filter_map(toml::Value::as_float));
        if numbers.any(|x| !fits_single(x)) {
            return Err(resolved.error(key.path, single_allowed()));
        }
    }
    Ok(())
}

/// The sizes of numbers other than 0 that single precision holds.
const SINGLE: std::ops::RangeInclusive<f64> = f32::MIN_POSITIVE as f64..=f32::MAX as f64;

/// Returns true if single precision holds `x`.
fn fits_single(x: f64) -> bool {
    x == 0.0 || SINGLE.contains(&x.abs())
}

/// The range of single precision, in words.
fn single_allowed() -> String {
    format!(
        "must be 0 or from {} to {} in size, which single precision holds: run.precision = \"double\" holds more",
        number(*SINGLE.start(), 3),
        number(*SINGLE.end(), 3)
    )
}
