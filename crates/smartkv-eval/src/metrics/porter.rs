//! Porter's stemmer in the variant that `rouge_score` uses.
//!
//! The algorithm is that of Porter (1980), `An algorithm for suffix stripping`, with the
//! deviations of the Natural Language Toolkit's default mode (`NLTK_EXTENSIONS`): a list of
//! irregular words, `ies` and `ied` after one letter, `y` to `i` after consonants only, `logi`,
//! `bli` and `fulli` in step 2, and two-letter stems that take an `e`. Snowball's English stemmer
//! is a later algorithm and gives other stems.

/// Words with a stem of their own.
const IRREGULAR: [(&str, &str); 16] = [
    ("skies", "sky"),
    ("sky", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Steps 2 and 3: suffix and what replaces it, where the stem has a measure above 0.
const STEP_2: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];
const STEP_3: [(&str, &str); 7] = [
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];
/// Step 4: suffixes that go where the stem has a measure above 1.
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

/// The stem of a word in lower-case ASCII letters and digits; any other word is its own stem.
#[must_use]
pub fn stem(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return (*stem).to_owned();
    }
    let mut word = word.to_owned();
    if word.len() <= 2 || !word.bytes().all(plain) {
        return word;
    }
    step_1a(&mut word);
    step_1b(&mut word);
    step_1c(&mut word);
    step_2(&mut word);
    replace_first(&mut word, &STEP_3);
    step_4(&mut word);
    step_5(&mut word);
    word
}

/// Plurals.
fn step_1a(word: &mut String) {
    if word.ends_with("sses") || (word.ends_with("ies") && word.len() != 4) {
        cut(word, 2);
    } else if word.ends_with("ies") || (word.ends_with('s') && !word.ends_with("ss")) {
        cut(word, 1);
    }
}

/// Past tenses and present participles.
fn step_1b(word: &mut String) {
    if word.ends_with("ied") {
        let drop = if word.len() == 4 { 1 } else { 2 };
        return cut(word, drop);
    }
    if let Some(stem) = word.strip_suffix("eed") {
        if measure(stem) > 0 {
            cut(word, 1);
        }
        return;
    }
    let Some(stem) = ["ed", "ing"]
        .iter()
        .filter_map(|suffix| word.strip_suffix(suffix))
        .find(|stem| consonants(stem).contains(&false))
    else {
        return;
    };
    let keep = stem.len();
    word.truncate(keep);
    if ["at", "bl", "iz"].iter().any(|end| word.ends_with(end)) {
        word.push('e');
    } else if ends_double_consonant(word) {
        if !word.ends_with(['l', 's', 'z']) {
            cut(word, 1);
        }
    } else if measure(word) == 1 && ends_cvc(word) {
        word.push('e');
    }
}

/// `y` after a consonant that is not the whole stem.
fn step_1c(word: &mut String) {
    if let Some(stem) = word.strip_suffix('y')
        && stem.len() > 1
        && consonants(stem).last() == Some(&true)
    {
        cut(word, 1);
        word.push('i');
    }
}

fn step_2(word: &mut String) {
    if let Some(stem) = word.strip_suffix("alli")
        && measure(stem) > 0
    {
        // What is left can have another suffix of this step.
        cut(word, 2);
        return step_2(word);
    }
    if replace_first(word, &STEP_2) {
        return;
    }
    if word.ends_with("logi") && measure(&word[..word.len() - 3]) > 0 {
        cut(word, 1);
    }
}

fn step_4(word: &mut String) {
    let Some(stem) = STEP_4.iter().find_map(|suffix| {
        let stem = word.strip_suffix(suffix)?;
        Some((stem, *suffix))
    }) else {
        return;
    };
    let (stem, suffix) = stem;
    if measure(stem) > 1 && (suffix != "ion" || stem.ends_with(['s', 't'])) {
        let keep = stem.len();
        word.truncate(keep);
    }
}

/// A last `e`, then a last double `l`.
fn step_5(word: &mut String) {
    if let Some(stem) = word.strip_suffix('e') {
        let measured = measure(stem);
        if measured > 1 || (measured == 1 && !ends_cvc(stem)) {
            cut(word, 1);
        }
    }
    if word.ends_with("ll") && measure(&word[..word.len() - 1]) > 1 {
        cut(word, 1);
    }
}

/// Applies the first rule whose suffix fits, if its stem has a measure above 0; whether one fits.
fn replace_first(word: &mut String, rules: &[(&str, &str)]) -> bool {
    let Some((suffix, replacement)) = rules.iter().find(|(suffix, _)| word.ends_with(suffix))
    else {
        return false;
    };
    let keep = word.len() - suffix.len();
    if measure(&word[..keep]) > 0 {
        word.truncate(keep);
        word.push_str(replacement);
    }
    true
}

fn cut(word: &mut String, letters: usize) {
    word.truncate(word.len() - letters);
}

/// For each letter whether it is a consonant: not a vowel, nor a `y` after a consonant.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for letter in word.bytes() {
        flags.push(match letter {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => flags.last().is_none_or(|before| !before),
            _ => true,
        });
    }
    flags
}

/// How often a vowel is followed by a consonant.
fn measure(word: &str) -> usize {
    let flags = consonants(word);
    flags.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn ends_double_consonant(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.len() >= 2
        && bytes[bytes.len() - 1] == bytes[bytes.len() - 2]
        && consonants(word).last() == Some(&true)
}

/// Consonant, vowel, consonant other than w, x, y; or a word of a vowel and a consonant.
fn ends_cvc(word: &str) -> bool {
    match consonants(word).as_slice() {
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        [false, true] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn what_is_no_plain_word_stays() {
        for word in ["", "is", "Running", "d\u{e9}j\u{e0}s", "a b"] {
            assert_eq!(stem(word), word);
        }
    }
}
