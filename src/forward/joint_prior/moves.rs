//! Moves that show what parameters do to the outputs: one for each free parameter, and one for each field as a whole.

use super::{JointPrior, Place, Value};

impl JointPrior {
    /// The number of the parameter that the parameter number `i` is tied to, through others if need be; else `i` itself.
    #[must_use]
    pub fn source(&self, i: usize) -> usize {
        let Place::Single(mut single) = self.place(i) else {
            return i;
        };
        while let Value::Tied { to, .. } = self.parameters[single].value {
            single = to;
        }
        self.number(single)
    }

    /// The number of moves: of free parameters and of fields.
    #[must_use]
    pub fn moves(&self) -> usize {
        self.free_single().count() + self.fields.len()
    }

    /// The name of what the move number `i` moves, and its range from one standard deviation below its median to one above.
    #[must_use]
    pub fn moved(&self, i: usize) -> (String, (f64, f64)) {
        match self.free_single().nth(i) {
            Some(single) => {
                let number = self.number(single);
                (self.name(number).into_owned(), self.range(number, 1.0))
            }
            None => {
                let field = &self.fields[i - self.free_single().count()].field;
                let name = format!("{} (all cells)", field.name());
                (name, (field.value(-1.0), field.value(1.0)))
            }
        }
    }

    /// The parameters at the centre of the prior, but what the move number `moved` moves one standard deviation up, with what is
    /// tied to it.
    #[must_use]
    pub fn at_centre_but(&self, moved: usize) -> Vec<f64> {
        let count = self.free_single().count();
        let at = |i: usize| if i == moved { 1.0 } else { 0.0 };
        let single = self.at_standard((0..count).map(at));
        let mut next = count;
        self.with_fields(single, |field, out| {
            out.extend(std::iter::repeat_n(field.value(at(next)), field.cells()));
            next += 1;
        })
    }
}
