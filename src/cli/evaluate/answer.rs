//! The answer of a simulator's run as text.

use eki_mpi::files::numbers::number;
use eki_mpi::report::assess::Answer;
use eki_mpi::report::text_table::CellAlignment::{Left, Right};
use eki_mpi::report::text_table::text_table;

/// The largest number of parameters in the table.
const SHOWN: usize = 100;

/// Returns what a simulator's members are, and a table of its parameters.
pub fn table(answer: &Answer) -> String {
    let found = &answer.members;
    let mut text = format!(
        "the {} final members are {}\n",
        found.counted,
        found.are.words()
    );
    let heading = [
        "parameter",
        "mean",
        "±",
        "deviation",
        "±",
        "5 %",
        "16 %",
        "50 %",
        "84 %",
        "95 %",
        "contraction",
    ];
    let rows = found.parameters.iter().take(SHOWN).map(|of| {
        let shown = |x: Option<f64>, digits| x.map_or("-".to_owned(), |x| number(x, digits));
        let quantiles = of.quantiles.map_or([None; 5], |all| all.map(Some));
        let [a, b, c, d, e] = quantiles.map(|x| shown(x, 5));
        [
            of.name.clone(),
            shown(Some(of.mean), 5),
            shown(of.mean_error, 2),
            shown(of.deviation, 3),
            shown(of.deviation_error, 2),
            a,
            b,
            c,
            d,
            e,
            shown(of.contraction, 3),
        ]
    });
    let rows = std::iter::once(heading.map(str::to_owned)).chain(rows);
    let mut columns = [Right; 11];
    columns[0] = Left;
    text += &text_table(columns, rows);
    let rest = found.parameters.len().saturating_sub(SHOWN);
    if rest > 0 {
        text += &format!("  and {rest} more in final/parameters.csv\n");
    }
    for (what, which) in &answer.notes {
        text += &format!("{what}: {which}\n");
    }
    text
}
