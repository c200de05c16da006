//! Chat templates: a conversation to the text a model was trained on.

use crate::error::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::io;

/// The day templates are told it is. Some (Llama 3) print the date: a prompt that changes from
/// day to day cannot be compared, so it is the day those templates fall back to themselves.
const DAY: [(&str, &str); 9] = [
    ("%d", "26"),
    ("%m", "07"),
    ("%Y", "2024"),
    ("%y", "24"),
    ("%b", "Jul"),
    ("%B", "July"),
    ("%H", "00"),
    ("%M", "00"),
    ("%S", "00"),
];

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn of `role` saying `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// A model's chat template, a Jinja program.
#[derive(Debug)]
pub struct ChatTemplate {
    source: String,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// A template from its source; the texts of BOS and EOS are variables of it.
    ///
    /// The source is parsed when it is used: a model whose template is broken still measures.
    pub fn new(
        source: impl Into<String>,
        bos_token: impl Into<String>,
        eos_token: impl Into<String>,
    ) -> Self {
        Self {
            source: source.into(),
            bos_token: bos_token.into(),
            eos_token: eos_token.into(),
        }
    }

    /// The template as the model's files have it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation. `add_generation_prompt` ends it with the opening of the
    /// assistant's turn.
    ///
    /// # Errors
    /// A template that does not parse, or a conversation it refuses, with its message.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let variables = context! {
            messages => Serde(messages),
            add_generation_prompt,
            bos_token => self.bos_token.as_str(),
            eos_token => self.eos_token.as_str(),
        };
        let environment = environment().map_err(fail)?;
        environment
            .render_str(&self.source, variables)
            .map_err(fail)
    }
}

/// Jinja as `apply_chat_template` of transformers sets it up.
fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| {
        DAY.iter()
            .fold(format, |text, (code, value)| text.replace(code, value))
    });
    environment.add_filter("tojson", to_json);
    Ok(environment)
}

fn fail(error: minijinja::Error) -> Error {
    Error::Template(error.to_string())
}

/// `tojson` as Hugging Face defines it: Python's spacing, no HTML escapes.
fn to_json(value: Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = " ".repeat(width.min(64));
            let formatter = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, PythonSpacing)),
    };
    written.map_err(|error| {
        minijinja::Error::new(ErrorKind::BadSerialization, format!("tojson: {error}"))
    })?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// `json.dumps` puts a space after `:` and `,`.
struct PythonSpacing;

impl Formatter for PythonSpacing {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str) -> Result<String> {
        ChatTemplate::new(source, "<s>", "</s>").render(&[Message::new("user", " Hi <b> ")], true)
    }

    #[test]
    fn blocks_are_trimmed_like_hugging_face_does() {
        let source = "{{ bos_token }}\n  {% for m in messages %}\n[{{ m['role'] }}] {{ m.content.strip() }}\n  {% endfor %}\n{% if add_generation_prompt %}\nassistant:{% endif %}\n";
        assert_eq!(render(source).unwrap(), "<s>\n[user] Hi <b>\nassistant:");
    }

    #[test]
    fn python_methods_and_json_work() {
        assert_eq!(render("{{ messages[0].role.upper() }}").unwrap(), "USER");
        assert_eq!(
            render("{{ messages | tojson }}").unwrap(),
            r#"[{"role": "user", "content": " Hi <b> "}]"#
        );
        assert_eq!(
            render("{{ {'a': [1]} | tojson(indent=1) }}").unwrap(),
            "{\n \"a\": [\n  1\n ]\n}"
        );
    }

    #[test]
    fn the_date_is_fixed() {
        assert_eq!(
            render("{{ strftime_now('%d %b %Y') }}").unwrap(),
            "26 Jul 2024"
        );
    }

    #[test]
    fn a_refusal_carries_the_template_s_words() {
        let error = render("{{ raise_exception('roles must alternate') }}").unwrap_err();
        assert!(
            error.to_string().contains("roles must alternate"),
            "{error}"
        );
        assert!(render("{% for %}").is_err());
    }
}
