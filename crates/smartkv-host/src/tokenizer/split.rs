//! How a text is cut into words before the merges: by the names GGUF files use.

use tokenizers::SplitDelimiterBehavior::Isolated;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

/// GPT-2's words: contractions, then runs of letters, digits, others, each with a leading space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// Llama 3's words: digits in threes, line breaks kept with what they end.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen's words: as Llama 3's, but every digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A family of pre-tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// GPT-2.
    Gpt2,
    /// Every digit alone, then GPT-2.
    Digits,
    /// Llama 3.
    Llama3,
    /// Qwen 2 and 3.
    Qwen2,
    /// What llama.cpp assumes when a file does not say.
    Default,
}

/// Every name that is understood, with its family.
pub(super) const FAMILIES: [(&str, Family); 15] = [
    ("default", Family::Default),
    ("gpt-2", Family::Gpt2),
    ("phi-2", Family::Gpt2),
    ("mpt", Family::Gpt2),
    ("olmo", Family::Gpt2),
    ("smollm", Family::Digits),
    ("starcoder", Family::Digits),
    ("refact", Family::Digits),
    ("command-r", Family::Digits),
    ("codeshell", Family::Digits),
    ("llama-bpe", Family::Llama3),
    ("llama3", Family::Llama3),
    ("llama-v3", Family::Llama3),
    ("falcon3", Family::Llama3),
    ("qwen2", Family::Qwen2),
];

impl Family {
    /// The family called `name`.
    pub(super) fn of(name: &str) -> Option<Self> {
        FAMILIES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(_, family)| family)
    }

    /// The pre-tokenizer: words, then their bytes written as letters.
    pub(super) fn build(self) -> tokenizers::Result<Sequence> {
        let bytes = |regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, regex));
        let split = |pattern: &str| -> tokenizers::Result<PreTokenizerWrapper> {
            let pattern = SplitPattern::Regex(pattern.into());
            Ok(Split::new(pattern, Isolated, false)?.into())
        };
        // `ByteLevel` brings GPT-2's pattern itself when asked to.
        Ok(Sequence::new(match self {
            Self::Gpt2 => vec![bytes(true)],
            Self::Digits => vec![Digits::new(true).into(), bytes(true)],
            Self::Llama3 => vec![split(LLAMA3)?, bytes(false)],
            Self::Qwen2 => vec![split(QWEN2)?, bytes(false)],
            Self::Default => vec![
                split(r"[\p{P}\$\+<=>\^~\|]+")?,
                split(GPT2)?,
                split(r"\p{N}+")?,
                split("[0-9][0-9][0-9]")?,
                bytes(false),
            ],
        }))
    }

    /// Whether a word that is a token as a whole skips the merges.
    pub(super) fn ignores_merges(self) -> bool {
        self == Self::Llama3
    }

    /// Whether a BOS is put before a text when the file does not say.
    pub(super) fn adds_bos(self) -> bool {
        self == Self::Llama3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    fn words(family: Family, text: &str) -> Vec<String> {
        let mut pieces = PreTokenizedString::from(text);
        family.build().unwrap().pre_tokenize(&mut pieces).unwrap();
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits
            .into_iter()
            .map(|(_, (start, end), _)| text[start..end].to_string())
            .collect()
    }

    #[test]
    fn families_differ_where_they_should() {
        let text = "I'll pay 12345  times, ok?\n\nYES";
        assert_eq!(
            words(Family::Gpt2, text),
            [
                "I", "'ll", " pay", " 12345", " ", " times", ",", " ok", "?", "\n", "\n", "YES"
            ]
        );
        assert_eq!(
            words(Family::Digits, text),
            [
                "I", "'ll", " pay", " ", "1", "2", "3", "4", "5", " ", " times", ",", " ok", "?",
                "\n", "\n", "YES"
            ]
        );
        assert_eq!(
            words(Family::Llama3, text),
            [
                "I", "'ll", " pay", " ", "123", "45", " ", " times", ",", " ok", "?\n\n", "YES"
            ]
        );
        assert_eq!(
            words(Family::Qwen2, text),
            [
                "I", "'ll", " pay", " ", "1", "2", "3", "4", "5", " ", " times", ",", " ok",
                "?\n\n", "YES"
            ]
        );
        assert_eq!(
            words(Family::Default, text),
            [
                "I", "'", "ll", " pay", " ", "123", "45", " ", " times", ",", " ok", "?", "\n",
                "\n", "YES"
            ]
        );
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = FAMILIES.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        assert_eq!(Family::of("sentencepiece"), None);
    }
}
