//! Prompt formats: texts with the columns of a row in braces, as Python's `str.format` fills them.

use crate::error::Result;
use crate::tasks::columns::Row;

/// The column that holds what is compressed.
const CONTEXT: &str = "context";

/// A prompt format, cut where the context ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    before: Vec<Piece>,
    after: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Column(String),
}

impl Format {
    /// Reads a format; what is wrong with it otherwise.
    pub(super) fn parse(format: &str) -> std::result::Result<Self, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = format;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            // Doubled braces stand for themselves.
            if let Some(after) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let (column, after) = after
                .split_once('}')
                .filter(|_| brace == "{")
                .ok_or("a brace without its counterpart")?;
            if column.is_empty() || column.contains(['{', ':', '!', '.', '[']) {
                return Err(format!("`{{{column}}}` is not a column"));
            }
            pieces.push(Piece::Text(std::mem::take(&mut text)));
            pieces.push(Piece::Column(column.to_owned()));
            rest = after;
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        let context = Piece::Column(CONTEXT.to_owned());
        let Some(end) = pieces.iter().rposition(|piece| *piece == context) else {
            return Err("`{context}` is not in it".to_owned());
        };
        let after = pieces.split_off(end + 1);
        let before = pieces;
        Ok(Self { before, after })
    }

    /// The prompt of `row` up to the end of its context, and what follows.
    pub(super) fn fill(&self, row: &Row) -> Result<(String, String)> {
        Ok((fill(&self.before, row)?, fill(&self.after, row)?))
    }
}

fn fill(pieces: &[Piece], row: &Row) -> Result<String> {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => Ok(text.as_str()),
        Piece::Column(column) => row.text(column),
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_those_of_python() {
        let format = Format::parse("{{a}} {context} {input}.").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        let column = |name: &str| Piece::Column(name.to_owned());
        assert_eq!(format.before, [text("{a} "), column("context")]);
        assert_eq!(format.after, [text(" "), column("input"), text(".")]);
        for (wrong, why) in [
            ("{input}", "`{context}` is not in it"),
            ("{context", "a brace without its counterpart"),
            ("} {context}", "a brace without its counterpart"),
            ("{} {context}", "`{}` is not a column"),
            ("{context:>9}", "`{context:>9}` is not a column"),
        ] {
            assert_eq!(Format::parse(wrong).unwrap_err(), why, "{wrong}");
        }
    }
}
