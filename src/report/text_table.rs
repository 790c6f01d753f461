//! Tables of text for the screen and the log: aligned columns without borders, by comfy-table.

pub use comfy_table::CellAlignment;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

/// Returns `rows` as lines that begin with two blanks, each column as wide as its widest cell and aligned as `columns` says.
/// Empty where there are no rows.
#[must_use]
pub fn text_table<const N: usize>(
    columns: [CellAlignment; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    table_of(&columns, rows.into_iter().map(Vec::from))
}

/// Returns `rows` as `text_table` does, where the number of columns is known only when the program runs.
#[must_use]
pub fn table_of(columns: &[CellAlignment], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).add_rows(rows);
    for (column, alignment) in table.column_iter_mut().zip(columns) {
        column.set_padding((2, 0)).set_cell_alignment(*alignment);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use CellAlignment::{Left, Right};

    #[test]
    fn columns_are_as_wide_as_their_widest_cells_and_lines_end_with_them() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["", "min", ""]), row(["forward, σ", "12.5", "a note"])];
        let table = text_table([Left, Right, Left], rows);
        assert_eq!(table, "               min\n  forward, σ  12.5  a note\n");
        assert_eq!(text_table([Left; 2], []), "");
    }
}
