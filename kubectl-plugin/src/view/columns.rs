//! Aligned columns: every column is as wide as its widest cell and two spaces; the last one is not padded.

use super::text::{Paint, Text};

const GAP: usize = 2;

/// Renders rows of cells, one line each, every line ended. Rows may differ in length; cells that are not the last of
/// their row are padded.
#[must_use]
pub fn render(rows: &[Vec<Text>], paint: Paint) -> String {
    let widths = widths(rows);
    let mut text = String::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            text.push_str(&cell.paint(paint));
            if index + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', widths[index] + GAP - cell.width()));
            }
        }
        text.push('\n');
    }
    text
}

fn widths(rows: &[Vec<Text>]) -> Vec<usize> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (index, cell) in row.iter().enumerate() {
            widths[index] = widths[index].max(cell.width());
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_last_cell_keeps_the_padding_of_the_one_before() {
        let rows = [["NAME", "AGE", "INFO"], ["a", "10m", ""]].map(|row| row.map(Text::plain).to_vec());
        assert_eq!(render(&rows, Paint::Plain), "NAME  AGE  INFO\na     10m  \n");
    }
}
