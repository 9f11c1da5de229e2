//! Notes below a table: sentences that many rows share, which would make a column of their own too wide to read.

use maud::{Markup, html};

/// The distinct sentences of a table, numbered from 1 in the order of the rows.
pub(super) struct Notes<'a> {
    sentences: Vec<&'a str>,
}

impl<'a> Notes<'a> {
    /// The notes of rows, each with its reasons.
    pub(super) fn of(rows: impl Iterator<Item = Vec<&'a str>>) -> Notes<'a> {
        let mut sentences = Vec::new();
        for sentence in rows.flatten() {
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        Notes { sentences }
    }

    /// The numbers of a row's notes.
    pub(super) fn marks(&self, reasons: &[&str]) -> String {
        let number =
            |reason: &&str| self.sentences.iter().position(|sentence| sentence == reason).map(|place| place + 1);
        reasons.iter().filter_map(number).map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The list below the table.
    pub(super) fn list(&self) -> Markup {
        html! {
            @if !self.sentences.is_empty() {
                ol class="notes" { @for sentence in &self.sentences { li { (sentence) } } }
            }
        }
    }
}
