//! Common words that keys are made of: `adjective-noun`.
//!
//! RULER draws its words from the lists of the Python package `wonderwords`, some thousands of
//! them. These are words of our own choosing, few enough to read: a pair of them names one needle
//! among tens of thousands.

/// First halves of keys.
pub(super) const ADJECTIVES: [&str; 120] = [
    "amber", "ancient", "bitter", "blunt", "bold", "brave", "bright", "broad", "busy", "calm",
    "careful", "cheerful", "chilly", "clever", "clumsy", "compact", "cosmic", "crimson", "crisp",
    "curious", "dainty", "daring", "dense", "distant", "dreamy", "dusty", "eager", "early",
    "earnest", "elegant", "faint", "famous", "fancy", "fearless", "fierce", "fluffy", "fragile",
    "frosty", "generous", "gentle", "glossy", "golden", "grand", "grateful", "happy", "hasty",
    "hidden", "hollow", "honest", "humble", "icy", "idle", "jagged", "jolly", "joyful", "keen",
    "kind", "lazy", "lively", "lonely", "loud", "lucky", "magenta", "mellow", "merry", "mighty",
    "misty", "modest", "muddy", "narrow", "nimble", "noble", "odd", "orange", "pale", "patient",
    "peaceful", "plain", "playful", "polite", "precise", "prickly", "proud", "purple", "quaint",
    "quiet", "radiant", "rapid", "rough", "royal", "salty", "sharp", "shiny", "shy", "silent",
    "sleepy", "slender", "smooth", "snowy", "solemn", "spotless", "steady", "stormy", "stubborn",
    "sturdy", "subtle", "sunny", "sweet", "swift", "tender", "thirsty", "tidy", "tiny", "tough",
    "tranquil", "trusty", "upbeat", "vast", "velvet", "vivid",
];

/// Second halves of keys.
pub(super) const NOUNS: [&str; 255] = [
    "acorn", "airport", "almond", "anchor", "apricot", "attic", "autumn", "badger", "bakery",
    "balcony", "balloon", "bamboo", "banjo", "barley", "barrel", "basket", "beacon", "beaver",
    "blanket", "blossom", "bottle", "bracelet", "branch", "breeze", "bridge", "bucket", "buffalo",
    "button", "cabin", "cactus", "camera", "candle", "canoe", "canyon", "caravan", "carpet",
    "carrot", "castle", "cattle", "cavern", "cellar", "chapel", "cherry", "chimney", "circus",
    "clarinet", "clock", "clover", "cobweb", "coconut", "comet", "compass", "cookie", "copper",
    "coral", "cottage", "cradle", "crayon", "cricket", "crystal", "cupboard", "curtain", "daisy",
    "desert", "diamond", "dolphin", "donkey", "dragon", "drawer", "drummer", "eagle", "elbow",
    "engine", "falcon", "farmer", "feather", "fiddle", "finger", "flute", "forest", "fossil",
    "fountain", "fox", "freckle", "gallery", "garden", "gazelle", "ginger", "giraffe", "glacier",
    "glove", "goblet", "gorilla", "granite", "grape", "guitar", "hammer", "hamster", "harbor",
    "harvest", "hedgehog", "helmet", "heron", "hockey", "honey", "horizon", "iceberg", "insect",
    "iris", "island", "ivory", "jacket", "jaguar", "jasmine", "jersey", "jigsaw", "jungle",
    "kangaroo", "kettle", "kitchen", "kiwi", "koala", "ladder", "lagoon", "lantern", "lavender",
    "lemon", "leopard", "library", "lilac", "lizard", "lobster", "locket", "magnet", "maple",
    "marble", "market", "meadow", "melon", "meteor", "mirror", "mitten", "monkey", "mosaic",
    "mountain", "muffin", "museum", "napkin", "needle", "nickel", "notebook", "nutmeg", "oasis",
    "ocean", "octopus", "olive", "onion", "opal", "orchard", "orchid", "otter", "oyster", "paddle",
    "palace", "panda", "panther", "paper", "parcel", "parrot", "peacock", "peanut", "pebble",
    "pelican", "pencil", "penguin", "pepper", "piano", "picnic", "pigeon", "pillow", "pilot",
    "pirate", "planet", "pocket", "potato", "prairie", "pumpkin", "puppet", "puzzle", "pyramid",
    "quartz", "quilt", "rabbit", "raccoon", "radish", "raven", "ribbon", "river", "rocket",
    "rooster", "saddle", "saffron", "sailor", "salmon", "sandal", "satchel", "school", "scooter",
    "seagull", "shadow", "shelter", "shovel", "silver", "skate", "sparrow", "spider", "spoon",
    "squirrel", "stable", "statue", "summit", "sunset", "swallow", "tablet", "teapot", "temple",
    "thunder", "ticket", "tiger", "timber", "toast", "tomato", "trumpet", "tulip", "tunnel",
    "turtle", "umbrella", "unicorn", "valley", "vessel", "village", "violin", "volcano", "wagon",
    "walnut", "walrus", "whale", "whistle", "willow", "window", "winter", "wizard", "yogurt",
    "zebra", "zipper",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_distinct_lower_case_and_never_part_of_each_other() {
        let all: BTreeSet<&str> = ADJECTIVES.into_iter().chain(NOUNS).collect();
        assert_eq!(all.len(), ADJECTIVES.len() + NOUNS.len());
        for word in &all {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            let inside = all.iter().filter(|other| other.contains(word)).count();
            assert_eq!(inside, 1, "{word}");
        }
    }
}
