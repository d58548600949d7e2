//! Near misses: which of the known words a writer may have meant.
//!
//! Used by every diagnostic that refuses a word, so that all of them suggest alike.

/// The known word nearest to `word`, if it is near enough to be a slip of the hand.
///
/// Case does not count. Of several equally near words the first in `known` wins.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word_folded = word.to_lowercase();
    // A third of the word may be wrong: more than that and the suggestion is a guess.
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = edit_distance(&word_folded, &candidate.to_lowercase());
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, &from) in left.iter().enumerate() {
        let mut current = Vec::with_capacity(right.len() + 1);
        current.push(row + 1);
        for (column, &to) in right.iter().enumerate() {
            let replaced = last[column] + usize::from(from != to);
            let mut least = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && from == right[column - 1] && left[row - 1] == to;
            if swapped {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = last;
        last = current;
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const WORDS: [&str; 5] = ["scan", "scanners", "soak", "severity", "separate"];

    #[test]
    fn one_slip_is_enough_to_be_understood() {
        for (written, meant) in [
            ("scn", "scan"),
            ("scann", "scan"),
            ("sacn", "scan"),
            ("scanner", "scanners"),
            ("Severity", "severity"),
            ("seperate", "separate"),
        ] {
            assert_eq!(nearest(written, WORDS), Some(meant), "{written}");
        }
    }

    #[test]
    fn an_unrelated_word_gets_no_suggestion() {
        for written in ["", "colour", "x", "promotion"] {
            assert_eq!(nearest(written, WORDS), None, "{written}");
        }
    }
}
