//! What to cite, as BibTeX: the paper that the method is from, the program, and the study itself.

use std::fmt::Write;

use curvefleet_proto::plan::run::NUMBERS_VERSION;

use super::Contents;

/// The file that holds the entries.
pub const FILE: &str = "references.bib";

/// The entries. `time` is the report's name; a year at its beginning is the study's.
pub(super) fn bibtex(contents: &Contents, time: &str) -> String {
    let results = &contents.results;
    let version = env!("CARGO_PKG_VERSION");
    let year = time.get(..5).and_then(|head| head.strip_suffix('-')).filter(|year| year.parse::<u16>().is_ok());
    let year = year.map(|year| format!("  year    = {{{year}}},\n")).unwrap_or_default();
    let mut entries = format!(
        "@article{{jiang-dale-2025,\n  author  = {{Jiang, Y. and Dale, R.}},\n  title   = {{Mapping the learning curves of deep learning networks}},\n  \
         journal = {{PLoS Computational Biology}},\n  year    = {{2025}},\n  doi     = {{10.1371/journal.pcbi.1012286}}\n}}\n\n\
         @software{{curvefleet,\n  author  = {{{{The curvefleet authors}}}},\n  title   = {{curvefleet: mapping learning curves at scale}},\n  \
         version = {{{version}}},\n  url     = {{{}}}\n}}\n\n",
        env!("CARGO_PKG_REPOSITORY"),
    );
    for stored in results.studies() {
        let study = &stored.study;
        let title = if study.description.is_empty() { &study.name } else { &study.description };
        let planned: usize = stored.planned.iter().map(|cell| cell.runs).sum();
        let done = if results.others.is_empty() {
            format!(", {} of them in the report", results.done())
        } else {
            String::new()
        };
        // Writing to a String cannot fail.
        let _ = write!(
            entries,
            "@misc{{study-{},\n  author  = {{YOUR NAMES}},\n  title   = {{Learning curves: {}}},\n{year}  note    = {{Study {} of {planned} runs{done}; curvefleet {version}, \
             numbers version {NUMBERS_VERSION}, study file SHA-256 {}}}\n}}\n\n",
            key(&study.name),
            escape(title),
            escape(&study.name),
            stored.sha256,
        );
    }
    entries.truncate(entries.trim_end().len());
    entries.push('\n');
    entries
}

/// A name as a BibTeX key: what is no letter, digit, hyphen or dot becomes a hyphen.
fn key(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' }).collect()
}

/// Text as TeX.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '\\' => escaped.push_str("\\textbackslash{}"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_an_entry() {
        assert_eq!(key("my study/2"), "my-study-2");
        assert_eq!(escape("50% of {a_b} & \\c"), "50\\% of \\{a\\_b\\} \\& \\textbackslash{}c");
    }
}
