//! Words that needle keys are made of: `adjective-noun`.

/// First halves of keys.
pub(super) const ADJECTIVES: [&str; 40] = [
    "amber", "brave", "calm", "clever", "crisp", "curious", "dusty", "eager", "early", "faint",
    "gentle", "glossy", "golden", "grand", "hollow", "honest", "humble", "icy", "jolly", "keen",
    "lively", "lonely", "loud", "mellow", "misty", "narrow", "noble", "pale", "polite", "proud",
    "quiet", "rapid", "rusty", "shiny", "silent", "smooth", "steady", "tender", "vivid", "wild",
];

/// Second halves of keys.
pub(super) const NOUNS: [&str; 40] = [
    "anchor", "basket", "beacon", "bridge", "candle", "canyon", "carpet", "castle", "cavern",
    "compass", "copper", "feather", "forest", "fountain", "garden", "glacier", "hammer", "harbor",
    "island", "kettle", "ladder", "lantern", "lemon", "meadow", "mirror", "mountain", "orchard",
    "pebble", "pepper", "pillow", "planet", "ribbon", "river", "saddle", "shadow", "spider",
    "thunder", "valley", "violin", "window",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_distinct_lower_case_and_never_part_of_each_other() {
        for list in [ADJECTIVES, NOUNS] {
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
            for word in list {
                assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
                let inside = list.iter().filter(|other| other.contains(word)).count();
                assert_eq!(inside, 1, "{word}");
            }
        }
    }
}
