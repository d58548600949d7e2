//! Mutants: small mistakes put into a clause, of which a good test finds every one.

use weir_rules::rule::Rule;

use super::coverage::is_constant;

/// A rule file with one mistake in it.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The clause as it is.
    pub clause: String,
    /// The clause with the mistake.
    pub mutated: String,
    /// The whole file with the mistake.
    pub text: String,
}

/// Every mutant of the rule whose file, without a byte order mark, is `text`.
pub fn mutants(rule: &Rule, text: &str) -> Vec<Mutant> {
    let mut found = Vec::new();
    for clause in rule
        .program
        .clauses()
        .iter()
        .filter(|clause| !is_constant(&clause.text))
    {
        let (start, end) = (clause.span.start as usize, clause.span.end as usize);
        let parts = (text.get(..start), text.get(start..end), text.get(end..));
        let (Some(before), Some(written), Some(after)) = parts else {
            continue;
        };
        let mut changed = vec![format!("!({written})"), "true".to_owned()];
        changed.extend(slips(written));
        found.extend(changed.into_iter().map(|mutated| Mutant {
            clause: clause.text.clone(),
            text: format!("{before}{mutated}{after}"),
            mutated,
        }));
    }
    found
}

/// The operators that are mistaken for one another; longer ones first.
const OPERATORS: [(&str, &str); 8] = [
    ("<=", "<"),
    (">=", ">"),
    ("==", "!="),
    ("!=", "=="),
    ("<", "<="),
    (">", ">="),
    (".all(", ".exists("),
    (".exists(", ".all("),
];

/// `clause` with one operator exchanged or one number off by one, at each place in turn.
fn slips(clause: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut quote: Option<char> = None;
    let mut skip_until = 0;
    let mut before = ' ';
    for (at, character) in clause.char_indices() {
        if at < skip_until {
            before = character;
            continue;
        }
        let rest = clause.get(at..).unwrap_or("");
        match quote {
            Some(_) if character == '\\' => skip_until = at + 2,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None if rest.starts_with("//") => {
                skip_until = at + rest.find('\n').unwrap_or(rest.len());
            }
            None => {
                let operator = OPERATORS
                    .iter()
                    .find(|(operator, _)| rest.starts_with(operator));
                if let Some((operator, other)) = operator {
                    found.push(replaced(clause, at, operator.len(), other));
                    skip_until = at + operator.len();
                } else if character.is_ascii_digit() && !is_word(before) {
                    let length = rest.find(|next: char| !is_word(next)).unwrap_or(rest.len());
                    let number = rest.get(..length).unwrap_or("");
                    if let Ok(number) = number.parse::<i64>() {
                        let other = number.saturating_add(1).to_string();
                        found.push(replaced(clause, at, length, &other));
                    }
                    skip_until = at + length;
                }
            }
        }
        before = character;
    }
    found
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.')
}

fn replaced(text: &str, at: usize, length: usize, other: &str) -> String {
    let before = text.get(..at).unwrap_or("");
    let after = text.get(at + length..).unwrap_or("");
    format!("{before}{other}{after}")
}

#[cfg(test)]
mod tests {
    use super::slips;

    #[test]
    fn each_operator_and_number_slips_once() {
        for (clause, expected) in [
            (
                "scan.critical == 0",
                &["scan.critical != 0", "scan.critical == 1"][..],
            ),
            ("a <= 10", &["a < 10", "a <= 11"]),
            (
                "x.all(i, i > 2)",
                &["x.exists(i, i > 2)", "x.all(i, i >= 2)", "x.all(i, i > 3)"],
            ),
            (r#"tag.name == "a<1\"==""#, &[r#"tag.name != "a<1\"==""#]),
            ("a1.b2 // < 3", &[]),
            ("score < 7.5", &["score <= 7.5"]),
        ] {
            assert_eq!(slips(clause), expected, "{clause}");
        }
    }
}
