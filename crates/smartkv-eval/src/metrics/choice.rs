//! Multiple choice: the letter an answer settles on.

/// The letter of an answer among the first `choices` of the alphabet.
///
/// The rules, the first that applies: the answer is one letter, in any case; a letter in
/// parentheses, `(B)`; a letter followed by `)`, `.` or `:`, `B.`; a capital letter that stands
/// alone. Of several, the first. `None` if there is none; an `A` before a lower-case word is
/// an article, `A dog`. `ZeroSCROLLS` scores its choices (quality, A to D) by accuracy but does
/// not publish how it reads them: these rules are ours.
#[must_use]
pub fn choice_letter(answer: &str, choices: u8) -> Option<char> {
    let among = |c: char| c.is_ascii_uppercase() && c as u8 - b'A' < choices;
    let bare = answer.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    if let (Some(only), 1) = (bare.chars().next(), bare.chars().count()) {
        return Some(only.to_ascii_uppercase()).filter(|&c| among(c));
    }
    let alone = standing_alone(answer, among);
    let first = |fits: fn(&&Standing) -> bool| alone.iter().find(fits).map(|found| found.letter);
    first(|found| (found.before, found.after) == ('(', ')'))
        .or_else(|| first(|found| matches!(found.after, ')' | '.' | ':')))
        .or_else(|| first(|found| !found.article))
}

/// A letter that is a word of its own.
struct Standing {
    before: char,
    letter: char,
    after: char,
    /// An `A` before a lower-case word.
    article: bool,
}

fn standing_alone(answer: &str, among: impl Fn(char) -> bool) -> Vec<Standing> {
    // A space stands for each end.
    let padded: Vec<char> = [' ']
        .into_iter()
        .chain(answer.chars())
        .chain([' '])
        .collect();
    // An apostrophe or hyphen makes the letter a part of a word.
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '-');
    padded
        .windows(3)
        .zip(2..)
        .filter(|(w, _)| among(w[1]) && !joins(w[0]) && !joins(w[2]))
        .map(|(w, after)| {
            let next = padded[after..].iter().find(|c| !c.is_whitespace());
            Standing {
                before: w[0],
                letter: w[1],
                after: w[2],
                article: w[1] == 'A' && w[2] == ' ' && next.is_some_and(|c| c.is_lowercase()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::choice_letter;

    #[test]
    fn letters_are_found_where_people_write_them() {
        for (answer, letter) in [
            ("B", Some('B')),
            (" (c) ", Some('C')),
            ("d.", Some('D')),
            ("E", None),
            ("The answer is (B), not A.", Some('B')),
            ("C: because A is wrong", Some('C')),
            ("I think it is B", Some('B')),
            ("A good dog. The answer is D", Some('D')),
            ("A good dog", None),
            ("A", Some('A')),
            ("Plan B-52, B's", None),
            ("Because", None),
            ("", None),
            ("\u{e9}A\u{e9} B", Some('B')),
        ] {
            assert_eq!(choice_letter(answer, 4), letter, "{answer}");
        }
        assert_eq!(choice_letter("B", 0), None);
        assert_eq!(choice_letter("Z", 255), Some('Z'));
    }
}
