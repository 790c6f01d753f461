//! Where a configuration's data comes from, how much of it is taken, and what does not fit together.

use crate::config::{MethodKind, ModelKind, OWN_SERIES, Resolved};
use crate::data::Dataset;
use crate::data::augment::Augment;
use crate::data::catalogue;
use crate::data::recall::Task;
use crate::data::shape::DataShape;
use crate::error::Result;
use crate::files::numbers::number;
use crate::parallel::memory;

/// The problems that come from no published set, each with the kinds of model that take it and how these are written: drawn
/// from the seed, or from the user's own file.
const UNPUBLISHED: [(&str, Takes, &str); 4] = [
    ("elliptic", is_linear, "\"linear\""),
    ("random", is_linear, "\"linear\""),
    ("cart-pole", is_cart_pole, "\"cart-pole\""),
    ("observations", ModelKind::simulates, SIMULATORS),
];

/// Returns true for a kind of model that takes a problem's data.
type Takes = fn(ModelKind) -> bool;

fn is_linear(kind: ModelKind) -> bool {
    kind == ModelKind::Linear
}

fn is_cart_pole(kind: ModelKind) -> bool {
    kind == ModelKind::CartPole
}

/// The kinds whose forward map is the user's.
const SIMULATORS: &str = "\"process\" or \"ask-tell\"";

/// Examples of a task that it is judged on.
pub(crate) const TEST_EXAMPLES: usize = 1000;

/// The task of long memory that `resolved` names, if it names one.
pub(crate) fn task(resolved: &Resolved) -> Result<Option<Task>> {
    let (model, data) = (&resolved.config.model, &resolved.config.data);
    let Some(task) = Task::find(&data.name, data.length) else {
        return Ok(None);
    };
    let (steps, _) = task.steps();
    let refuse = |key: &str, allowed: String| Err(resolved.error(key, allowed));
    if model.kind != ModelKind::Recurrent {
        return refuse(
            "model.kind",
            "must be \"recurrent\" for a task of long memory".to_owned(),
        );
    }
    if ![0, steps].contains(&model.sequence_steps) {
        return refuse(
            "model.sequence_steps",
            format!("must be 0 or the task's {steps} steps"),
        );
    }
    for (key, value) in [
        ("data.limit", data.limit),
        ("data.validation", data.validation),
    ] {
        if value > 0 {
            return refuse(
                key,
                "must be 0: data.examples says how many examples are drawn".to_owned(),
            );
        }
    }
    Ok(Some(task))
}

/// The published set that `resolved` names; None for a problem of `UNPUBLISHED`.
pub(crate) fn known_source(resolved: &Resolved) -> Result<Option<&'static catalogue::Source>> {
    let config = &resolved.config;
    let name = config.data.name.as_str();
    let kind = config.model.kind;
    if let Some((_, needed, words)) = UNPUBLISHED.iter().find(|(known, ..)| *known == name) {
        if needed(kind) {
            return Ok(None);
        }
        return Err(resolved.error("data.name", format!("needs model.kind = {words}")));
    }
    if name == OWN_SERIES {
        return Ok(None);
    }
    let takes: Vec<&str> = UNPUBLISHED
        .iter()
        .filter(|(_, needed, _)| needed(kind))
        .map(|(known, ..)| *known)
        .collect();
    if let [_, ..] = takes[..] {
        let allowed = format!("must be {} for this model.kind", takes.join(" or "));
        return Err(resolved.error("data.name", allowed));
    }
    if !config.data.observations.is_empty() {
        return Err(resolved.error(
            "data.observations",
            format!("needs model.kind = {SIMULATORS}"),
        ));
    }
    catalogue::find(name).map(Some).map_err(|_| {
        let known: Vec<&str> = catalogue::SOURCES
            .iter()
            .map(|s| s.name)
            .chain(UNPUBLISHED.map(|(name, ..)| name))
            .chain(["adding", "copying"])
            .collect();
        resolved.error("data.name", format!("must be one of {}", known.join(", ")))
    })
}

/// Returns the number of `n` training samples that are fitted, and of the last ones that are held out for validation.
pub(crate) fn split(resolved: &Resolved, n: usize) -> Result<(usize, usize)> {
    let data = &resolved.config.data;
    if data.validation >= n {
        return Err(resolved.error(
            "data.validation",
            format!("must be less than the {n} training samples"),
        ));
    }
    let kept = n - data.validation;
    if data.limit > kept {
        return Err(resolved.error("data.limit", format!("must be at most {kept}")));
    }
    let kept = if data.limit > 0 { data.limit } else { kept };
    Ok((kept, data.validation))
}

/// Returns the number of values of a series of `n` that are predicted one step ahead: all but the first, or data.limit of them.
pub(crate) fn predicted(resolved: &Resolved, n: usize) -> Result<usize> {
    let config = &resolved.config;
    let refuse = |key: &str, allowed: &str| Err(resolved.error(key, allowed));
    if config.model.kind != ModelKind::Recurrent {
        return refuse("model.kind", "must be \"recurrent\" for a series");
    }
    if config.data.shuffle {
        return refuse(
            "data.shuffle",
            "must be false: a series is taken in its order",
        );
    }
    if config.method.kind == MethodKind::MomentumSgd {
        return refuse("method.kind", "must be eki, sgd or ogd for a series");
    }
    if config.data.validation > 0 {
        return refuse(
            "data.validation",
            "must be 0: each value of a series is predicted before it is assimilated",
        );
    }
    if n < 2 || config.data.limit >= n {
        let most = n.saturating_sub(1);
        return refuse(
            "data.limit",
            &format!("must be at most {most}, for a series of {n} values"),
        );
    }
    Ok(match config.data.limit {
        0 => n - 1,
        limit => limit,
    })
}

/// Returns the shape of a series of `n` values.
pub(crate) fn series_shape(resolved: &Resolved, n: usize) -> Result<DataShape> {
    let kept = predicted(resolved, n)?;
    Ok(DataShape {
        train: kept,
        test: kept,
        features: resolved.config.data.lags,
        outputs: 1,
        classes: false,
        image: None,
    })
}

/// Returns the samples of `dataset` that `resolved` keeps, and those that it holds out in place of the test set.
pub(crate) fn cut(resolved: &Resolved, mut dataset: Dataset) -> Result<Dataset> {
    let Dataset { train, test } = &mut dataset;
    let n = train.len();
    let (kept, held_out) = split(resolved, n)?;
    if held_out > 0 {
        *test = train.select(&(n - held_out..n).collect::<Vec<_>>());
    }
    if kept < n {
        *train = train.select(&(0..kept).collect::<Vec<_>>());
    }
    Ok(dataset)
}

/// Refuses a data set of `samples` of `numbers` each, sized by `key`, which this host has no memory for: all numbers are held
/// in double precision, and once more while they are sent to all ranks.
pub(crate) fn check_room(
    resolved: &Resolved,
    key: &str,
    (samples, numbers): (usize, usize),
) -> Result<()> {
    let needed = 16.0 * samples as f64 * numbers as f64;
    match memory::memory_of_host().map(|limit| limit.bytes) {
        Some(host) if needed > host as f64 => {
            let gib = |bytes: f64| number(bytes / f64::from(1 << 30), 3);
            let allowed = format!(
                "{samples} samples of {numbers} numbers need {} GiB, and this host has {}",
                gib(needed),
                gib(host as f64)
            );
            Err(resolved.error(key, allowed))
        }
        _ => Ok(()),
    }
}

/// Returns the augmentation of training images of `shape`, if any.
pub(super) fn augment(resolved: &Resolved, shape: DataShape) -> Result<Option<Augment>> {
    let config = &resolved.config;
    let (shift, distort, warp) = (config.data.augment, config.data.affine, config.data.elastic);
    let keys = [
        ("data.augment", shift > 0),
        ("data.affine", distort > 0.0),
        ("data.elastic", warp > 0.0),
    ];
    let Some((key, _)) = keys.into_iter().find(|(_, asked)| *asked) else {
        return Ok(None);
    };
    let (image, side) = shape
        .image
        .map(|image| (image, image.1.min(image.2)))
        .filter(|&(_, side)| side > 1)
        .ok_or_else(|| resolved.error(key, "must be 0: the samples of this data are no images"))?;
    for (key, pixels) in [("data.augment", shift as f64), ("data.elastic", warp)] {
        if pixels >= side as f64 {
            let allowed = format!("must be less than the {side} pixels of an image's side");
            return Err(resolved.error(key, allowed));
        }
    }
    Ok(Some(Augment {
        seed: config.seed,
        shift,
        distort,
        warp,
        epochs: Some(config.data.deformation_epochs).filter(|&epochs| epochs > 0),
        image,
    }))
}
