//! Asking a child: again where it has ended between two questions, and of a new child where it may have been out of step.

use std::time::{Duration, Instant};

use super::Process;
use super::child::Child;
use super::failure::Failure;
use super::halt::Wait;
use super::protocol::{numbers, question};

/// Children that ended between two questions, and were started anew.
#[derive(Clone, Debug, Default)]
pub struct Renewed {
    /// Their number.
    pub count: u64,
    /// How the last process ended.
    pub how: String,
}

impl Process {
    /// Starts one child, of the first set of observations if there are sets.
    ///
    /// # Errors
    /// A program that is not there or may not be run.
    pub fn start(&self) -> std::io::Result<Child> {
        match self.sets.first() {
            Some(part) => part.process.start(),
            None => self.starter.start(),
        }
    }

    /// The outputs at the parameters `u`, P numbers in their own units, and the child that answered, where it may be
    /// asked again. A new child is asked where there is none, and where it has ended between two questions.
    ///
    /// The result holds why there are none.
    pub fn ask(
        &self,
        child: Option<Child>,
        u: &[f64],
    ) -> (Result<Vec<f64>, Failure>, Option<Child>) {
        let mut child = child;
        loop {
            let mut asked = match child.take().map_or_else(|| self.start(), Ok) {
                Ok(asked) => asked,
                Err(error) => return (Err(Failure::Lost(error)), None),
            };
            let answer = self.answer(&mut asked, &question(u));
            if let Err(Failure::Ended {
                between: true, how, ..
            }) = &answer
            {
                let mut renewed = self.renewed.lock().expect("no thread panicked");
                renewed.count += 1;
                renewed.how.clone_from(how);
                continue;
            }
            let spared = answer.as_ref().err().is_none_or(Failure::spares_the_child);
            return (answer, spared.then_some(asked));
        }
    }

    /// Asks as `ask` does. A new child is asked once more where `child` was ended from outside, and where it had answered before and gave no
    /// numbers now: a line that nobody asked for may have come first. If it did, the result is `Failure::Misplaced`.
    pub fn ask_again(
        &self,
        child: Option<Child>,
        u: &[f64],
    ) -> (Result<Vec<f64>, Failure>, Option<Child>) {
        let used = child.is_some();
        let (answer, child) = self.ask(child, u);
        match answer {
            Err(Failure::Ended { killed: true, .. }) => self.ask(None, u),
            Err(Failure::Garbled(what)) if used => match self.ask(None, u) {
                (Ok(_), child) => (Err(Failure::Misplaced(what)), child),
                failed => failed,
            },
            answer => (answer, child),
        }
    }

    /// Returns how often a child that had answered was started anew for the next question, and how the last of them had ended.
    #[must_use]
    pub fn renewed(&self) -> Renewed {
        self.renewed.lock().expect("no thread panicked").clone()
    }

    /// The outputs that `child` answers to `question`, a whole line without its number.
    fn answer(&self, child: &mut Child, question: &str) -> Result<Vec<f64>, Failure> {
        let deadline = |t| Instant::now().checked_add(t);
        self.answer_by(child, question, self.simulator.timeout.and_then(deadline))
    }

    /// Answers as `answer` does, within `patience`.
    ///
    /// # Errors
    /// Why there are none.
    pub fn answer_within(
        &self,
        child: &mut Child,
        question: &str,
        patience: Duration,
    ) -> Result<Vec<f64>, Failure> {
        self.answer_by(child, question, Instant::now().checked_add(patience))
    }

    fn answer_by(
        &self,
        child: &mut Child,
        question: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<f64>, Failure> {
        let halt = self.halt.get();
        let wait = Wait { deadline, halt };
        if !self.simulator.numbered {
            return numbers(&child.ask(question, wait)?, &self.outputs);
        }
        let number = (child.answered() + 1).to_string();
        let line = child.ask(&format!("{number} {question}"), wait)?;
        let (first, rest) = line.split_once([' ', '\t', ',']).unwrap_or((&line, ""));
        if first == number {
            return numbers(rest.trim(), &self.outputs);
        }
        if first.parse().is_ok_and(|n: u64| n < child.answered()) {
            return Err(Failure::Unasked(line));
        }
        let first: String = first.chars().take(60).collect();
        Err(Failure::Garbled(format!(
            "begins with {first:?}, and the question's number is {number} (model.numbered = true)"
        )))
    }
}
