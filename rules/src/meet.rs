//! Whether two shapes of repository names have a name in common: what a pattern matches, or what a
//! template may give.

/// What one character of a name may be, or some in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    /// This one.
    Character(char),
    /// Any one but a slash.
    OneInPart,
    /// Any number of them, or none, without a slash.
    SomeInPart,
    /// Any number of them, or none.
    Some,
}

impl Glyph {
    fn repeats(self) -> bool {
        matches!(self, Glyph::SomeInPart | Glyph::Some)
    }

    /// Whether one character may be both.
    fn agrees_with(self, other: Glyph) -> bool {
        match (self, other) {
            (Glyph::Character(one), Glyph::Character(other)) => one == other,
            (Glyph::Character(one), Glyph::OneInPart | Glyph::SomeInPart)
            | (Glyph::OneInPart | Glyph::SomeInPart, Glyph::Character(one)) => one != '/',
            _ => true,
        }
    }
}

/// Whether some text has both shapes.
pub(crate) fn meet(left: &[Glyph], right: &[Glyph]) -> bool {
    // Whether a text may have come so far in both: each step leads to the right or down.
    let mut reached = vec![vec![false; right.len() + 1]; left.len() + 1];
    reached[0][0] = true;
    for row in 0..=left.len() {
        for column in 0..=right.len() {
            if !reached[row][column] {
                continue;
            }
            let (one, other) = (left.get(row), right.get(column));
            if one.is_some_and(|one| one.repeats()) {
                reached[row + 1][column] = true;
            }
            if other.is_some_and(|other| other.repeats()) {
                reached[row][column + 1] = true;
            }
            if let (Some(one), Some(other)) = (one, other)
                && one.agrees_with(*other)
            {
                let down = usize::from(!one.repeats());
                let right = usize::from(!other.repeats());
                reached[row + down][column + right] = true;
            }
        }
    }
    reached[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::meet;
    use crate::pattern::RepositoryPattern;

    fn check(left: &str, right: &str) -> bool {
        let shape = |text: &str| text.parse::<RepositoryPattern>().unwrap().shape();
        let found = meet(&shape(left), &shape(right));
        assert_eq!(
            found,
            meet(&shape(right), &shape(left)),
            "{left} and {right}"
        );
        found
    }

    #[test]
    fn patterns_meet_where_one_name_matches_both() {
        for (left, right) in [
            ("prod/*", "prod/*"),
            ("prod/**", "prod/a/*"),
            ("**", "a"),
            ("**/b", "a/**"),
            ("a*c", "ab*"),
            ("*/x-*", "**-y"),
            ("a*", "a"),
            ("h.example:5000/**", "**/app"),
        ] {
            assert!(check(left, right), "{left} and {right}");
        }
    }

    #[test]
    fn patterns_do_not_meet_where_no_name_can_match_both() {
        for (left, right) in [
            ("prod/*", "production/*"),
            ("prod/*", "prod/a/*"),
            ("prod", "prod/*"),
            ("*", "a/b"),
            ("a*b", "a/b"),
            ("h.example/**", "prod/**"),
            ("**-x", "**-y"),
        ] {
            assert!(!check(left, right), "{left} and {right}");
        }
    }
}
