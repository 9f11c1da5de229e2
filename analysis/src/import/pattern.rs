//! Which file holds which run: a pattern over the files' paths, such as `sim{seed}/processing curve sim_KNN_{condition}.csv`.

/// The layout of the paper's authors: a folder for each simulation, a file for each pair of classes.
pub const AUTHORS: &str = "sim{seed}/processing curve sim_KNN_{condition}.csv";

/// A pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(Field),
}

/// What a part of a path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Seed,
    Condition,
    Model,
    Any,
}

/// What a file's path says about its run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The condition, as in the path.
    pub condition: String,
    /// The model; `None` where the pattern does not ask for it.
    pub model: Option<String>,
    /// The seed.
    pub seed: u64,
}

impl Pattern {
    /// Reads a pattern: text as it is, and the fields `{seed}` (a whole number), `{condition}`, `{model}` and `{any}`, none of which
    /// spans folders.
    ///
    /// # Errors
    /// In half a sentence, if a field is unknown or there twice, `{condition}` or `{seed}` is missing, or two fields touch.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| format!("`{{{after}` has no `}}` that ends its field"))?;
            let field = match name {
                "seed" => Field::Seed,
                "condition" => Field::Condition,
                "model" => Field::Model,
                "any" => Field::Any,
                _ => {
                    return Err(format!(
                        "there is no field `{{{name}}}`; there are {{seed}}, {{condition}}, {{model}} and {{any}}"
                    ));
                }
            };
            if field != Field::Any && pieces.contains(&Piece::Field(field)) {
                return Err(format!("the field {{{name}}} is there twice"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Literal(before.to_string()));
            } else if matches!(pieces.last(), Some(Piece::Field(_))) {
                return Err(format!(
                    "the field {{{name}}} touches the one before it, so that nothing tells where it begins"
                ));
            }
            pieces.push(Piece::Field(field));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_string()));
        }
        for (field, name) in [(Field::Seed, "{seed}"), (Field::Condition, "{condition}")] {
            if !pieces.contains(&Piece::Field(field)) {
                return Err(format!("the field {name} is missing"));
            }
        }
        Ok(Pattern { pieces })
    }

    /// What a path (with `/` between folders) says; `None` where it is none of the pattern's.
    pub fn read(&self, path: &str) -> Option<Named> {
        let mut found = Vec::new();
        if !matches(&self.pieces, path, &mut found) {
            return None;
        }
        let text = |field: Field| found.iter().find(|(known, _)| *known == field).map(|(_, text)| *text);
        Some(Named {
            condition: text(Field::Condition)?.to_string(),
            model: text(Field::Model).map(str::to_string),
            seed: text(Field::Seed)?.parse().ok()?,
        })
    }
}

/// Matches pieces against a path; each field takes as little as lets the rest match.
fn matches<'a>(pieces: &[Piece], path: &'a str, found: &mut Vec<(Field, &'a str)>) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return path.is_empty() };
    let field = match piece {
        Piece::Literal(text) => return path.strip_prefix(text.as_str()).is_some_and(|path| matches(rest, path, found)),
        Piece::Field(field) => *field,
    };
    let fits = |c: char| if field == Field::Seed { c.is_ascii_digit() } else { c != '/' };
    for (place, c) in path.char_indices() {
        if !fits(c) {
            return false;
        }
        let end = place + c.len_utf8();
        found.push((field, &path[..end]));
        if matches(rest, &path[end..], found) {
            return true;
        }
        found.pop();
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_layout_is_read() {
        let pattern = Pattern::parse(AUTHORS).unwrap();
        let found = pattern.read("sim12/processing curve sim_KNN_Class0-Class3.csv").unwrap();
        assert_eq!((found.condition.as_str(), found.model, found.seed), ("Class0-Class3", None, 12));
        for other in [
            "sim12/processing curve sim_SVC_Class0-Class3.csv",
            "simx/processing curve sim_KNN_Class0-Class3.csv",
            "sim12/processing curve sim_KNN_.csv",
            "deeper/sim12/processing curve sim_KNN_Class0-Class3.csv",
            "sim99999999999999999999/processing curve sim_KNN_Class0-Class3.csv",
        ] {
            assert_eq!(pattern.read(other), None, "{other}");
        }
    }

    #[test]
    fn fields_take_what_lets_the_rest_match() {
        let pattern = Pattern::parse("{any}/{model}_{condition}_{seed}.csv").unwrap();
        let found = pattern.read("x/lstm_a_b-c_7.csv").unwrap();
        assert_eq!((found.model.as_deref(), found.condition.as_str(), found.seed), (Some("lstm"), "a_b-c", 7));
    }

    #[test]
    fn wrong_patterns_say_why() {
        for (pattern, reason) in [
            ("{condition}.csv", "{seed} is missing"),
            ("{seed}.csv", "{condition} is missing"),
            ("{seed}{condition}", "touches"),
            ("{seed}-{seed}-{condition}", "twice"),
            ("{seed}-{epoch}", "no field `{epoch}`"),
            ("{seed}-{condition", "no `}`"),
        ] {
            let found = Pattern::parse(pattern).unwrap_err();
            assert!(found.contains(reason), "{pattern}: {found}");
        }
    }
}
