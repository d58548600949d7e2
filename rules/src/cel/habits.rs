//! What people write out of habit from other languages, and how CEL says it.

/// What to write instead of a token that the parser did not expect. `before` is the word before it.
pub(super) fn of_token(token: &str, before: &str) -> Option<&'static str> {
    if let Some(help) = of_word(token).or_else(|| of_word(before)) {
        return Some(help);
    }
    Some(match token {
        "=" | "===" if before.ends_with('=') => "equal is written `==`",
        "=" => "compare with `==`",
        ">" if before.ends_with('<') => "not equal is written `!=`",
        "=<" => "less or equal is written `<=`",
        "=>" | "->" => "a macro takes a name and an expression, as `filter(v, v.score > 7.0)`",
        "&" => "and is written `&&`",
        "|" => "or is written `||`",
        ";" => "an expression ends without a mark",
        _ if token.contains(is_unseen) => {
            "it looks like a space or like nothing: write a plain space, or remove it"
        }
        "“" | "”" | "„" | "‘" | "’" | "`" => "texts are written in `\"` or `'`",
        "s" | "m" | "h" | "d" | "w" | "ms" | "days" | "hours"
            if before.ends_with(|last: char| last.is_ascii_digit()) =>
        {
            "write durations as `duration(\"72h\")`"
        }
        _ => return None,
    })
}

/// Whether a character is none that is seen, and no space of the language.
pub(super) fn is_unseen(character: char) -> bool {
    let is_space = character.is_whitespace() && !character.is_ascii();
    is_space
        || matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
        )
}

fn of_word(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "and is written `&&`",
        "or" => "or is written `||`",
        "not" => "not is written `!`",
        "is" => "equal is written `==`",
        "if" | "then" | "else" => "a choice is written `condition ? this : that`",
        "none" | "nil" | "undefined" => "what may be absent is asked for with `has(...)`",
        _ => return None,
    })
}

/// What to read instead of a field that a record does not have.
pub(super) fn of_field(record: &str, name: &str) -> Option<&'static str> {
    Some(match (record, name) {
        ("Vulnerability" | "Overridden", "name") => {
            "`package` is what it was found in, `id` is its own name"
        }
        _ => return None,
    })
}

/// What to call instead of a function that does not exist here.
pub(super) fn of_function(name: &str) -> Option<&'static str> {
    Some(match name {
        "len" | "length" => "it is `size()`",
        "count" => "write `filter(v, condition).size()`",
        "any" | "some" => "it is `exists(v, condition)`",
        "every" | "forall" | "forEach" => "it is `all(v, condition)`",
        "none" => "write `!...exists(v, condition)`",
        "find" | "findAll" | "where" | "select" => "it is `filter(v, condition)`",
        "includes" | "has_key" | "hasKey" => {
            "it is `contains()` for texts, `in` for lists and maps"
        }
        "match" | "regex" | "regexMatch" | "test" => "it is `matches(pattern)`",
        "lower" | "toLower" | "toLowerCase" | "lowercase" => "it is `lowerAscii()`",
        "upper" | "toUpper" | "toUpperCase" | "uppercase" => "it is `upperAscii()`",
        "starts_with" | "hasPrefix" => "it is `startsWith()`",
        "ends_with" | "hasSuffix" => "it is `endsWith()`",
        "getDays" | "getWeeks" | "days" | "inDays" => {
            "compare it with a duration: three days are `duration(\"72h\")`"
        }
        "version" | "semVer" | "parseVersion" => "it is `semver(text)`",
        _ => return None,
    })
}
