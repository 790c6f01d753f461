//! The files of an ask/tell run: the parameters it asks for, and the outputs that the user writes (`forward::ask_tell`).
//!
//! ```text
//! RUN/ask/step-00000003/parameters.csv    the run's: a line of names, then one for each member
//! RUN/ask/step-00000003/sets.txt          the run's, where it assimilates sets of observations in batches: the names of this step's sets, a line each
//! RUN/ask/step-00000003/outputs.csv       the user's: a line for each, K numbers or "failed: why", the last with its line end
//! RUN/ask/now                             a link to the folder whose outputs are waited for; else absent
//! ```
//!
//! With sets a line of outputs holds those of the first set, then those of the second, each in the order of the table of observations.
//!
//! The run never changes outputs, nor parameters once they are answered, so that all of them stay for other uses.

use std::path::{Path, PathBuf};

use crate::data::observed::ObservedOutputs;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::files::bounded;
use crate::files::numbers;
use crate::files::table::quoted;
use crate::forward::process::{Failure, numbers as numbers_in};

/// The folder of questions in a run's folder.
const FOLDER: &str = "ask";
/// The link to the questions that are open.
const NOW: &str = "now";
/// The members' parameters, written by the run.
pub const PARAMETERS: &str = "parameters.csv";
/// The sets of observations that are asked for.
pub const SETS: &str = "sets.txt";
/// The members' outputs, written by the user.
pub const OUTPUTS_FILE: &str = "outputs.csv";

/// The most bytes of parameters that are read.
const LONGEST: u64 = 1 << 36;

/// A member's parameters, P numbers, and its outputs, None where it failed.
pub type Answer = (Vec<f64>, Option<Vec<f64>>);

/// Returns the folder of the questions of `step` of the run in `run`.
fn place(run: &Path, step: u64) -> PathBuf {
    run.join(FOLDER).join(format!("step-{step:08}"))
}

/// The link to the questions that are open of the run in `run`.
#[must_use]
pub fn now(run: &Path) -> PathBuf {
    run.join(FOLDER).join(NOW)
}

/// Reads the answers to `step` of the run in `run`: for each question of `parameters` numbers its `outputs`, those that are observed.
/// Empty if there is no file yet.
///
/// # Errors
/// Answers that are not as many as the questions, a line that is none, or a last line without its end, which may be cut; a
/// file that cannot be read.
pub fn told(
    run: &Path,
    step: u64,
    (parameters, outputs): (usize, &ObservedOutputs),
) -> Result<Vec<Answer>> {
    let folder = place(run, step);
    let (asked, told) = (folder.join(PARAMETERS), folder.join(OUTPUTS_FILE));
    if !told.exists() {
        return Ok(Vec::new());
    }
    let text = bounded::text(&asked, LONGEST)?;
    // The names come first, whatever they are.
    let (_, questions) = text.split_once('\n').unwrap_or_default();
    let questions = numbers::lines(questions).map(|(place, line)| {
        numbers_in(line, &parameters.into()).map_err(|why| wrong(&asked, place + 1, &why))
    });
    let questions: Vec<Vec<f64>> = questions.collect::<Result<_>>()?;
    let most = (questions.len() + 1).saturating_mul(4096 + 64 * outputs.total());
    let text = bounded::text(&told, most.max(1 << 20) as u64)?;
    if !text.ends_with(['\n', '\r']) {
        let why =
            "is not complete: its last line has no line end, so it may be cut within a number";
        return Err(Error::data(&told, why));
    }
    // A line that is none says more than that there is one too many.
    let lines: Vec<(usize, &str)> = numbers::lines(&text).collect();
    let answers =
        lines.iter().map(
            |(place, line)| match numbers_in(line.trim_matches(' '), outputs) {
                Ok(numbers) => Ok(Some(numbers)),
                Err(Failure::Declared(_) | Failure::NotFinite(_)) => Ok(None),
                Err(why) => Err(wrong(&told, *place, &why)),
            },
        );
    let answers: Vec<Option<Vec<f64>>> = answers
        .collect::<Result<_>>()
        .map_err(|error| indexed(&told, &lines, outputs.total()).unwrap_or(error))?;
    if answers.len() != questions.len() {
        let why = format!(
            "has {} lines of outputs, and {PARAMETERS} beside it asks for {}: one each, in its order",
            answers.len(),
            questions.len()
        );
        return Err(Error::data(&told, why));
    }
    Ok(questions.into_iter().zip(answers).collect())
}

/// The refusal of `lines` that each hold one number more than the `outputs`, the first of which counts them.
fn indexed(path: &Path, lines: &[(usize, &str)], outputs: usize) -> Option<Error> {
    let first = |(_, line): &(usize, &str)| {
        let fields = numbers::fields(line, None).ok()?;
        fields.first()?.filter(|_| fields.len() == outputs + 1)
    };
    let firsts: Vec<f64> = lines.iter().map(first).collect::<Option<_>>()?;
    numbers::number_rows(&firsts).then(|| {
        let why =
            "has a first column that counts its lines: write the outputs alone, without an index";
        Error::data(path, why)
    })
}

fn wrong(path: &Path, place: usize, why: &Failure) -> Error {
    let why = why.to_string();
    let why = why.strip_prefix("answered a line that ").unwrap_or(&why);
    Error::data(path, format!("line {place} {why}"))
}

/// Asks for the outputs at `questions`, parameters called `names`, that `step` of the run in `run` needs.
///
/// # Errors
/// A file that cannot be written; outputs that are there already, of something else.
pub fn ask(
    files: &Files,
    (run, step): (&Path, u64),
    names: impl Iterator<Item = impl AsRef<str>>,
    questions: &[Vec<f64>],
    sets: Option<&[&str]>,
) -> Result<()> {
    let folder = place(run, step);
    let told = folder.join(OUTPUTS_FILE);
    if told.exists() {
        let why = format!(
            "holds outputs of other parameters than step {step} asks for now: move it out of {}",
            folder.display()
        );
        return Err(Error::data(&told, why));
    }
    files.create_folder(&run.join(FOLDER))?;
    files.create_folder(&folder)?;
    let mut text = String::new();
    for (i, name) in names.enumerate() {
        text += if i > 0 { "," } else { "" };
        text += &quoted(name.as_ref());
    }
    text.push('\n');
    for question in questions {
        let words: Vec<String> = question.iter().map(|x| format!("{x:?}")).collect();
        text += &words.join(",");
        text.push('\n');
    }
    if let Some(sets) = sets {
        let names = sets.join("\n") + "\n";
        files.write_whole(&folder.join(SETS), names.as_bytes())?;
    }
    files.write_whole(&folder.join(PARAMETERS), text.as_bytes())?;
    let target = folder.file_name().unwrap_or_default();
    files.link(Path::new(target), &now(run))
}

/// Removes the link to open questions.
///
/// # Errors
/// A link that cannot be removed.
pub fn close(files: &Files, run: &Path) -> Result<()> {
    files.remove(&now(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_reads_back_to_the_bit_whatever_it_is_called() {
        let run = tempfile::tempdir().unwrap();
        let questions = [vec![0.1 + 0.2, -0.0], vec![f64::MIN_POSITIVE, 1e300]];
        let names = ["# 1", "b"];
        ask(
            &Files::default(),
            (run.path(), 7),
            names.iter(),
            &questions,
            None,
        )
        .unwrap();
        assert_eq!(told(run.path(), 7, (2, &1.into())).unwrap(), []);
        std::fs::write(now(run.path()).join(OUTPUTS_FILE), "1\nfailed: why # not\n").unwrap();
        let told = told(run.path(), 7, (2, &1.into())).unwrap();
        let outputs = [Some(vec![1.0]), None];
        for ((found, question), output) in told.iter().zip(&questions).zip(&outputs) {
            let bits = |u: &[f64]| u.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!((bits(&found.0), &found.1), (bits(question), output));
        }
        let again = ask(
            &Files::default(),
            (run.path(), 7),
            names.iter(),
            &questions[..1],
            None,
        );
        assert!(again.unwrap_err().to_string().contains("move it out of"));
        close(&Files::default(), run.path()).unwrap();
        assert!(!now(run.path()).exists() && place(run.path(), 7).exists());
    }
}
