//! torchtext's tokenizer `basic_english`, which the paper's sentences were taken apart with.

/// What torchtext's `_basic_english_normalize` replaces by what, one after the other over the whole (lower-case) line.
const REPLACEMENTS: [(&str, &str); 11] = [
    ("'", " '  "),
    ("\"", ""),
    (".", " . "),
    ("<br />", " "),
    (",", " , "),
    ("(", " ( "),
    (")", " ) "),
    ("!", " ! "),
    ("?", " ? "),
    (";", " "),
    (":", " "),
];

/// The tokens of a sentence, in order: lower case; `'` `.` `,` `(` `)` `!` `?` are tokens of their own; `"` is removed; `;` `:` and
/// `<br />` become spaces.
///
/// ```
/// use curvefleet_worker::data::import::tokenize::basic_english;
/// assert_eq!(basic_english("Don't say \"no\"!"), ["don", "'", "t", "say", "no", "!"]);
/// ```
pub fn basic_english(sentence: &str) -> Vec<String> {
    let mut line = sentence.to_lowercase();
    for (pattern, replacement) in REPLACEMENTS {
        if line.contains(pattern) {
            line = line.replace(pattern, replacement);
        }
    }
    line.split(is_python_space).filter(|token| !token.is_empty()).map(str::to_string).collect()
}

/// White space as Python's `str.split()` has it: Unicode's, and the four ASCII separators U+001C to U+001F.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::basic_english;

    #[test]
    fn each_rule_of_torchtext() {
        assert_eq!(
            basic_english("You can now install TorchText using pip!"),
            ["you", "can", "now", "install", "torchtext", "using", "pip", "!"]
        );
        assert_eq!(basic_english("it's 3.5, (ok)?"), ["it", "'", "s", "3", ".", "5", ",", "(", "ok", ")", "?"]);
        assert_eq!(basic_english("a;b:c<br />d\te"), ["a", "b", "c", "d", "e"]);
        assert_eq!(basic_english("a\"b\" e-mail #1 50%"), ["ab", "e-mail", "#1", "50%"]);
        assert_eq!(basic_english("..."), [".", ".", "."]);
        assert_eq!(basic_english("STRASSE Ünder\u{1f}x\u{a0}y"), ["strasse", "ünder", "x", "y"]);
    }

    #[test]
    fn rules_apply_in_torchtexts_order() {
        // The quotation mark goes first, so what is left is a line break tag after all.
        assert_eq!(basic_english("a<br \"/>b"), ["a", "b"]);
        assert_eq!(basic_english("a<br/>b"), ["a<br/>b"]);
    }

    #[test]
    fn nothing_gives_no_tokens() {
        assert!(basic_english("").is_empty());
        assert!(basic_english(" \" ; : ").is_empty());
    }
}
