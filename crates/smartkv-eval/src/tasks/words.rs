//! Words that a tokenizer writes as one token.

use super::lexicon::NOUNS;
use crate::error::Result;
use crate::random::Draws;
use smartkv_host::tokenizer::Tokenizer;

/// Most words taken of a vocabulary: those with the lowest ids, which are the most common ones.
const MOST: usize = 4000;

/// Lower-case words that take one token after a space: common nouns first, then what else the
/// vocabulary has, most common first, beginnings of longer words among it.
pub(super) struct Words {
    words: Vec<String>,
    /// How many of them are nouns.
    nouns: usize,
}

impl Words {
    pub(super) fn single_tokens(tokenizer: &Tokenizer) -> Result<Self> {
        let mut words: Vec<String> = Vec::new();
        for noun in NOUNS.into_iter().chain(COMMON_NOUNS) {
            if tokenizer.encode(&format!(" {noun}"), false)?.len() == 1 {
                words.push(noun.to_owned());
            }
        }
        let nouns = words.len();
        for id in (0..tokenizer.vocab_size()).map_while(|id| u32::try_from(id).ok()) {
            let token = tokenizer.token(id).unwrap_or_default();
            // Byte-level and SentencePiece vocabularies write a leading space so.
            let Some(word) = token.strip_prefix(['Ġ', '▁']) else {
                continue;
            };
            let plain = word.bytes().all(|byte| byte.is_ascii_lowercase());
            if plain
                && (4..=8).contains(&word.len())
                && tokenizer.encode(&format!(" {word}"), false)? == [id]
                && !words[..nouns].iter().any(|noun| noun == word)
            {
                words.push(word.to_owned());
            }
            if words.len() >= MOST {
                break;
            }
        }
        Ok(Self { words, nouns })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// `count` different words, at most as many as there are: nouns as long as these suffice.
    pub(super) fn draw(&self, draws: &mut Draws, count: usize) -> Vec<&str> {
        let count = count.min(self.words.len());
        let mut left: Vec<&str> = self.iter().take(count.max(self.nouns)).collect();
        let draw = |_| left.swap_remove(draws.below(left.len()));
        (0..count).map(draw).collect()
    }
}

/// Nouns of four to seven letters, beside those that keys are made of.
#[rustfmt::skip]
const COMMON_NOUNS: [&str; 711] = [
    "account", "actor", "address", "advice", "agent", "album", "animal", "answer", "apple", "arch",
    "area", "army", "arrow", "artist", "aunt", "author", "award", "baby", "bacon", "baker", "ball",
    "band", "bank", "barn", "base", "bath", "beach", "bead", "beam", "bean", "bear", "beard",
    "beast", "bell", "belt", "bench", "berry", "bike", "bill", "bird", "blade", "block", "board",
    "boat", "body", "bone", "book", "boot", "border", "boss", "bowl", "brain", "bread", "brick",
    "bride", "brush", "bubble", "buddy", "bull", "bunny", "burger", "bush", "butter", "cable",
    "cage", "cake", "calf", "camp", "canal", "candy", "captain", "card", "cargo", "cart", "case",
    "cash", "cast", "cave", "cell", "chain", "chair", "chalk", "chart", "cheek", "cheese", "chef",
    "chess", "chest", "chicken", "child", "chin", "choir", "church", "circle", "city", "class",
    "clay", "clerk", "cliff", "cloth", "cloud", "club", "coach", "coal", "coast", "coat", "code",
    "coffee", "coin", "collar", "colony", "color", "column", "comb", "concert", "cook", "cord",
    "corn", "corner", "couch", "council", "country", "county", "couple", "court", "cousin",
    "cover", "cowboy", "crab", "craft", "crane", "crash", "cream", "crew", "crop", "cross",
    "crowd", "crown", "crust", "culture", "cycle", "dance", "date", "dawn", "dealer", "debt",
    "deck", "deer", "degree", "dentist", "desk", "device", "dinner", "dirt", "dish", "disk",
    "doctor", "doll", "dollar", "door", "dose", "dozen", "draft", "drama", "dream", "dress",
    "drink", "driver", "drop", "drum", "duck", "dust", "duty", "earth", "east", "echo", "edge",
    "editor", "effort", "empire", "energy", "error", "essay", "estate", "event", "exam", "expert",
    "fabric", "face", "fact", "factory", "fair", "family", "farm", "father", "faucet", "fence",
    "fiber", "field", "fight", "figure", "film", "fire", "fish", "flag", "flame", "flash", "fleet",
    "flight", "flock", "flood", "floor", "flour", "flower", "foam", "folder", "food", "foot",
    "force", "fork", "form", "frame", "freight", "friend", "frog", "front", "frost", "fruit",
    "fuel", "fund", "game", "garage", "garlic", "gate", "gear", "gene", "giant", "gift", "girl",
    "glass", "globe", "goal", "goat", "gold", "golf", "goose", "gown", "grade", "grain", "grass",
    "gravity", "group", "guard", "guest", "guide", "gulf", "habit", "hair", "hall", "hand", "harp",
    "hawk", "head", "heart", "heat", "heel", "height", "herb", "herd", "hero", "hill", "hint",
    "hobby", "hole", "home", "hook", "hope", "horn", "horse", "hose", "hotel", "house", "idea",
    "inch", "income", "infant", "iron", "item", "jazz", "jelly", "jewel", "joke", "journal",
    "judge", "juice", "jump", "jury", "kick", "king", "kite", "knee", "knife", "knight", "knot",
    "label", "labor", "lake", "lamb", "lamp", "land", "lane", "laser", "lawn", "lawyer", "layer",
    "lead", "leader", "leaf", "league", "leather", "lecture", "legend", "lens", "lesson", "letter",
    "level", "lime", "line", "lion", "list", "liver", "loan", "lobby", "lock", "lord", "loss",
    "lunch", "lung", "machine", "magic", "mail", "maker", "mall", "manager", "march", "mask",
    "mass", "master", "match", "mate", "meal", "meat", "medal", "meeting", "member", "memory",
    "menu", "metal", "meter", "method", "milk", "mill", "mind", "miner", "minute", "mission",
    "mixture", "mode", "model", "moment", "money", "month", "mood", "moon", "motor", "mouse",
    "mouth", "movie", "muscle", "music", "nail", "name", "nation", "nature", "neck", "nerve",
    "nest", "night", "node", "noise", "noon", "north", "nose", "note", "novel", "nurse", "object",
    "office", "opera", "option", "orbit", "order", "organ", "outfit", "oven", "owner", "pace",
    "pack", "page", "pain", "paint", "pair", "panel", "parade", "parent", "park", "party", "path",
    "peace", "peak", "pear", "person", "phone", "photo", "picture", "piece", "pier", "pile",
    "pine", "pipe", "pitch", "pizza", "place", "plan", "plane", "plant", "plate", "player", "plot",
    "plug", "poem", "poet", "point", "poker", "pole", "poll", "pond", "pool", "port", "post",
    "powder", "power", "prayer", "price", "pride", "prince", "prize", "process", "profit", "proof",
    "queen", "quest", "race", "rack", "radio", "rail", "rain", "ramp", "ranch", "range", "rate",
    "reader", "record", "reef", "region", "report", "reward", "rice", "ride", "ring", "risk",
    "road", "robot", "rock", "role", "roof", "room", "root", "rope", "rose", "route", "ruler",
    "rush", "sail", "salad", "sale", "salt", "sand", "sauce", "scale", "scene", "science", "scope",
    "score", "scout", "screen", "screw", "seal", "search", "season", "seat", "secret", "sector",
    "seed", "senator", "sense", "server", "shade", "shape", "share", "shark", "sheep", "sheet",
    "shelf", "shell", "shift", "ship", "shirt", "shoe", "shop", "shore", "shot", "shower", "side",
    "sign", "signal", "silk", "singer", "sister", "site", "size", "skill", "skin", "skirt",
    "sleep", "slice", "slide", "slope", "smile", "smoke", "snake", "snow", "soap", "soccer",
    "sock", "soil", "soldier", "song", "soul", "sound", "soup", "source", "south", "space",
    "speaker", "speech", "speed", "spell", "sphere", "spice", "spine", "spirit", "sport", "spot",
    "spring", "square", "stadium", "staff", "stage", "stair", "stamp", "star", "state", "station",
    "steam", "steel", "stem", "step", "stick", "stone", "store", "storm", "story", "stove",
    "stream", "street", "string", "studio", "study", "style", "sugar", "suit", "summer", "supper",
    "surface", "sweater", "symbol", "system", "table", "tail", "tale", "talent", "talk", "tank",
    "tape", "target", "task", "taste", "taxi", "teacher", "team", "tear", "tent", "term", "test",
    "text", "theater", "theme", "theory", "thread", "throat", "throne", "thumb", "tide", "time",
    "tire", "title", "tone", "tool", "tooth", "topic", "torch", "tour", "tower", "town", "track",
    "trade", "trail", "train", "trap", "tray", "treaty", "tree", "trend", "trial", "tribe",
    "trick", "trip", "troop", "truck", "trunk", "tube", "tune", "twin", "uncle", "union", "unit",
    "user", "value", "vase", "vein", "version", "video", "view", "visitor", "voice", "vote",
    "voyage", "wall", "waste", "watch", "water", "wave", "wealth", "weather", "wedding", "week",
    "weight", "west", "wheat", "wheel", "wife", "wind", "wine", "wing", "winner", "wire", "wolf",
    "woman", "wood", "wool", "word", "worker", "world", "worm", "wrist", "writer", "yard", "year",
    "youth", "zone",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn nouns_are_distinct_and_short() {
        let all: BTreeSet<&str> = NOUNS.into_iter().chain(COMMON_NOUNS).collect();
        assert_eq!(all.len(), NOUNS.len() + COMMON_NOUNS.len());
        for word in COMMON_NOUNS {
            assert!((4..=7).contains(&word.len()), "{word}");
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
        }
    }
}
