//! From a configuration and the data's shape to each kind of forward map.

use crate::config::{ModelKind, OutputKind, RecurrenceOf, Resolved};
use crate::data::observed::ObservationTable;
use crate::data::recall::Task;
use crate::data::shape::DataShape;
use crate::error::Result;
use crate::forward::activation::Output;
use crate::forward::cart_pole::CartPole;
use crate::forward::conv::Convolutional;
use crate::forward::dense::Dense;
use crate::forward::joint_prior::JointPrior;
use crate::forward::layers::{ImageShape, Layer};
use crate::forward::process::{Process, Simulator};
use crate::forward::recurrent::Recurrent;

/// Refuses keys of networks that other kinds of model have no use for.
pub(super) fn check_network_keys(resolved: &Resolved) -> Result<()> {
    let model = &resolved.config.model;
    let refuse = |key: &str, allowed: &str| Err(resolved.error(key, allowed));
    let scaled = matches!(model.kind, ModelKind::Dense | ModelKind::Recurrent);
    if !scaled && model.prior_scale.iter().any(|&scale| scale != 1.0) {
        let allowed = "must be 1 but for model.kind = \"dense\" or \"recurrent\"";
        return refuse("model.prior_scale", allowed);
    }
    let recurs = model.recurrence.iter().any(|&mean| mean != 0.0);
    if model.kind != ModelKind::Recurrent && recurs {
        let allowed = "must be 0 but for model.kind = \"recurrent\"";
        return refuse("model.recurrence", allowed);
    }
    if model.recurrence_of == RecurrenceOf::Shift && !recurs {
        let allowed = "\"shift\" needs model.recurrence above 0 for a layer";
        return refuse("model.recurrence_of", allowed);
    }
    Ok(())
}

/// The activation of the last layer.
fn output(resolved: &Resolved, shape: DataShape) -> Output {
    match (resolved.config.model.output, shape.classes) {
        (OutputKind::Softmax, _) | (OutputKind::Auto, true) => Output::Softmax,
        (OutputKind::Identity, _) | (OutputKind::Auto, false) => Output::Identity,
    }
}

/// The shape of one sample, where it has rows and columns.
fn image(shape: DataShape) -> Option<ImageShape> {
    let (channels, height, width) = shape.image?;
    Some(ImageShape {
        channels,
        height,
        width,
    })
}

pub(super) fn dense(resolved: &Resolved, shape: DataShape) -> Result<Dense> {
    let model = &resolved.config.model;
    let layers = &model.layers;
    if layers.first() != Some(&shape.features) || layers.last() != Some(&shape.outputs) {
        let (d, c) = (shape.features, shape.outputs);
        return Err(resolved.error(
            "model.layers",
            format!("must begin with {d} and end with {c} for this data"),
        ));
    }
    let output = output(resolved, shape);
    let scales = list(
        resolved,
        "model.prior_scale",
        &model.prior_scale,
        (layers.len() - 1, "one for each layer"),
    )?;
    let network = Dense::new(layers.clone(), model.activation, output).with_scales(scales);
    Ok(if resolved.config.run.mixed() {
        network.in_mixed_precision()
    } else {
        network
    })
}

/// The `count` numbers that `key`, whose `numbers` are one for all or that many, gives; `each` says of what.
fn list(
    resolved: &Resolved,
    key: &str,
    numbers: &[f64],
    (count, each): (usize, &str),
) -> Result<Vec<f64>> {
    match numbers {
        &[number] => Ok(vec![number; count]),
        numbers if numbers.len() == count => Ok(numbers.to_vec()),
        _ => Err(resolved.error(key, format!("must be one number or {count}, {each}"))),
    }
}

pub(super) fn cart_pole(resolved: &Resolved, shape: DataShape) -> Result<CartPole> {
    if resolved.config.model.output == OutputKind::Softmax {
        let allowed = "must be \"identity\" or \"auto\": a policy's one output has no softmax";
        return Err(resolved.error("model.output", allowed));
    }
    dense(resolved, shape).map(CartPole::new)
}

pub(super) fn convolutional(resolved: &Resolved, shape: DataShape) -> Result<Convolutional> {
    let model = &resolved.config.model;
    let refuse = |why: String| resolved.error("model.network", format!("must {why}"));
    let layers: Vec<Layer> = model
        .network
        .iter()
        .map(|text| text.parse().map_err(refuse))
        .collect::<Result<_>>()?;
    let c = shape.outputs;
    if layers.last() != Some(&Layer::Dense { units: c }) {
        return Err(refuse(format!("end with \"dense {c}\" for this data")));
    }
    let image = image(shape).ok_or_else(|| {
        resolved.error(
            "model.kind",
            "\"conv\" needs images, or arrays N x rows x columns: the samples of this data have no height and width",
        )
    })?;
    let network = Convolutional::new(image, &layers, model.activation, output(resolved, shape));
    Ok(match network.map_err(refuse)? {
        network if resolved.config.run.mixed() => network.in_mixed_precision(),
        network => network,
    })
}

pub(super) fn recurrent(resolved: &Resolved, shape: DataShape) -> Result<Recurrent> {
    let model = &resolved.config.model;
    let d = shape.features;
    let steps = match (model.sequence_steps, image(shape)) {
        // A row of an image with several channels is not consecutive.
        (0, Some(image)) if image.channels == 1 => image.height,
        (steps, _) if steps > 0 && d.is_multiple_of(steps) => steps,
        (0, _) => {
            let allowed =
                format!("must be a divisor of the {d} inputs: these are no rows of grey images");
            return Err(resolved.error("model.sequence_steps", allowed));
        }
        _ => {
            let allowed = format!(
                "must be a divisor of the {d} inputs of a sample, or 0 for an image's rows"
            );
            return Err(resolved.error("model.sequence_steps", allowed));
        }
    };
    let maps = (model.activation, output(resolved, shape));
    let (units, outputs) = (model.units.clone(), shape.outputs);
    let network = Recurrent::new(steps, d / steps, units, outputs, maps);
    Ok(in_precision(with_prior(network, resolved)?, resolved))
}

/// The network with the prior of the run.
fn with_prior(network: Recurrent, resolved: &Resolved) -> Result<Recurrent> {
    let model = &resolved.config.model;
    let count = model.units.len();
    let each = "of each layer's input and hidden weights, then of the output's";
    let scales = list(
        resolved,
        "model.prior_scale",
        &model.prior_scale,
        (2 * count + 1, each),
    )?;
    let each = "one for each layer";
    let recurrence = list(
        resolved,
        "model.recurrence",
        &model.recurrence,
        (count, each),
    )?;
    let shift = match model.recurrence_of {
        RecurrenceOf::Identity => 0,
        RecurrenceOf::Shift => 1,
    };
    Ok(network.with_prior(scales, recurrence, shift))
}

/// The network, in mixed precision where the run is.
fn in_precision(network: Recurrent, resolved: &Resolved) -> Recurrent {
    if resolved.config.run.mixed() {
        network.in_mixed_precision()
    } else {
        network
    }
}

/// A network that answers at the last steps of a task.
pub(super) fn recalling(resolved: &Resolved, shape: DataShape, task: Task) -> Result<Recurrent> {
    let model = &resolved.config.model;
    let maps = (model.activation, output(resolved, shape));
    let ((steps, inputs), (answers, numbers)) = (task.steps(), task.answers());
    let network = Recurrent::new(steps, inputs, model.units.clone(), numbers, maps);
    let network = with_prior(network.answering(answers), resolved)?;
    Ok(in_precision(network, resolved))
}

/// A network that sees one step a sample.
pub(super) fn one_step(resolved: &Resolved, shape: DataShape) -> Result<Recurrent> {
    let model = &resolved.config.model;
    let maps = (model.activation, output(resolved, shape));
    let network = Recurrent::new(1, shape.features, model.units.clone(), shape.outputs, maps);
    with_prior(network, resolved)
}

/// Refuses a command of a model that starts none.
pub(crate) fn refuse_command(resolved: &Resolved) -> Result<()> {
    if resolved.config.model.command.is_empty() {
        return Ok(());
    }
    let allowed = "must be [] but for model.kind = \"process\": nothing else is started";
    Err(resolved.error("model.command", allowed))
}

/// The simulator that `resolved` starts, for the observations of `table`; nothing is started yet.
pub(crate) fn simulator(resolved: &Resolved, table: &ObservationTable) -> Result<Process> {
    let model = &resolved.config.model;
    if model.command.first().is_none_or(String::is_empty) {
        let allowed =
            "must be the words that start your simulator, as in [\"python3\", \"model.py\"]";
        return Err(resolved.error("model.command", allowed));
    }
    let (command, folder) = resolved.command();
    let simulator = Simulator {
        command,
        folder,
        timeout: model.timeout.0,
        numbered: model.numbered,
        set: None,
    };
    let prior = JointPrior::of_simulator(resolved)?;
    Ok(Process::new(simulator, prior, table.outputs.clone()).with_sets(&table.sets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PRESETS;
    use crate::data::catalogue;
    use crate::forward::ForwardMap;

    fn map(source: &str, sets: &[&str]) -> Result<Box<dyn ForwardMap<f32>>> {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let resolved = Resolved::new(source, &sets)?;
        let known = catalogue::find(&resolved.config.data.name)?;
        let (channels, height, width) = known.shape;
        let shape = DataShape {
            train: known.samples.0,
            test: known.samples.1,
            features: channels * height * width,
            outputs: known.classes,
            classes: true,
            image: Some(known.shape),
        };
        crate::forward::of(&resolved, shape, (None, &1.into()))
    }

    fn refused(sets: &[&str]) -> String {
        let error = map("digits", sets).err().expect("refused");
        assert_eq!(error.exit_code(), 2);
        let line = error.to_string();
        assert!(
            !line.contains('\n') && line.starts_with("--set: model."),
            "{line}"
        );
        line
    }

    #[test]
    fn each_presets_network_has_the_parameters_stated_for_it() {
        for (preset, parameters) in [
            ("dnn1", 7_850),
            ("dnn2", 79_510),
            ("dnn3", 266_610),
            ("dnn4", 573_910),
            ("cnn-mnist", 10_658),
            ("cnn1", 42_806),
            ("cnn2", 128_102),
            ("cnn3", 462_534),
            ("rnn", 4_362),
            ("fashion-heaviside", 79_510),
            ("fashion-relu", 79_510),
        ] {
            assert!(PRESETS.iter().any(|p| p.name == preset), "{preset}");
            assert_eq!(
                map(preset, &[]).unwrap().parameters(),
                parameters,
                "{preset}"
            );
        }
        // What exercises the SVHN networks where SVHN's files can't be had.
        assert_eq!(
            map("cnn1", &["data.name=mnist-32"]).unwrap().parameters(),
            42_806
        );
    }

    #[test]
    fn networks_that_do_not_fit_are_refused_in_one_line() {
        let conv = |layers: &str| refused(&["model.kind=conv", &format!("model.network={layers}")]);
        assert!(conv("[\"conf 3\", \"dense 10\"]").contains("not \"conf 3\""));
        assert!(conv("[\"conv 3\"]").contains("end with \"dense 10\""));
        assert!(conv("[\"pool 9\", \"dense 10\"]").contains("8 x 8"));
        assert!(conv("[\"dense 9\", \"pool 2\", \"dense 10\"]").contains("after a dense"));
        assert!(conv("[]").contains("a list of at least 1"));
        assert!(conv("3").contains("a list of at least 1"));
        assert!(refused(&["model.prior_scale=[1, 1, 1]"]).contains("one number or 2"));
        assert!(refused(&["model.kind=conv", "model.prior_scale=2"]).contains("must be 1 but for"));
        assert!(refused(&["model.recurrence=1"]).contains("must be 0 but for"));
        let shift = refused(&["model.recurrence_of=shift"]);
        assert!(
            shift.contains("model.recurrence_of = \"shift\"")
                && shift.contains("needs model.recurrence above 0")
        );
        let two = |set: &str| refused(&["model.kind=recurrent", "model.units=[4, 3]", set]);
        assert!(two("model.recurrence=[0, 0, 1]").contains("must be one number or 2"));
        assert!(two("model.recurrence=1.5").contains("a number from 0 to 1"));
        assert!(two("model.prior_scale=[1, 1]").contains("must be one number or 5"));
        let steps = |steps: &str| refused(&["model.kind=recurrent", steps]);
        assert!(steps("model.sequence_steps=3").contains("divisor of the 64 inputs"));
        assert!(refused(&["model.units=[]"]).contains("at least 1 integers"));
        assert!(
            map(
                "digits",
                &["model.kind=recurrent", "model.sequence_steps=16"]
            )
            .is_ok()
        );
        let colour = map("cnn1", &["model.kind=recurrent"])
            .err()
            .expect("refused");
        assert!(colour.to_string().contains("3072"), "{colour}");
    }
}
