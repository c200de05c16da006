//! The types that a parameter of a plugin can have, as people and editors see them.

use crate::registry::Kind;
use serde_json::{Value, json};

/// The type of a field of a `#[config]`.
///
/// Numbers, `bool`, `String`, `Option<T>`, `Vec<T>`, `[T; N]`, boxed trackers, allocators and
/// strategies have it, and so does every fieldless enum with `#[config]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a parameter",
    label = "not the type of a parameter",
    note = "take a number, `bool`, `String`, `Option`, `Vec` or array of such, `Box<dyn Tracker>`, \
            or a fieldless enum with `#[config]`; or implement `smartkv_core::Parameter` for it"
)]
pub trait Parameter {
    /// Whether `#[range(…)]` means something: numbers, and lists and options of them.
    const NUMERIC: bool = false;
    /// Whether `null` is a value.
    const OPTIONAL: bool = false;
    /// The kind of plugin that a value is, or is a list of.
    const PLUGIN: Option<Kind> = None;

    /// The type in words: `integer`, `one of fast, exact`.
    fn type_name() -> String;

    /// JSON schema of a value. Plugins are references to the definitions of
    /// [`schema::document`](crate::schema::document).
    fn schema() -> Value;
}

macro_rules! integers {
    ($($int:ty: $schema:expr),* $(,)?) => {$(
        impl Parameter for $int {
            const NUMERIC: bool = true;
            fn type_name() -> String {
                "integer".to_string()
            }
            fn schema() -> Value {
                $schema
            }
        }
    )*};
}

// Limits that editors can check; beyond 32 bits JSON numbers are not exact anyway.
integers! {
    u8: json!({"type": "integer", "minimum": 0, "maximum": u8::MAX}),
    u16: json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}),
    u32: json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
    u64: json!({"type": "integer", "minimum": 0}),
    usize: json!({"type": "integer", "minimum": 0}),
    i8: json!({"type": "integer", "minimum": i8::MIN, "maximum": i8::MAX}),
    i16: json!({"type": "integer", "minimum": i16::MIN, "maximum": i16::MAX}),
    i32: json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
    i64: json!({"type": "integer"}),
}

macro_rules! floats {
    ($($float:ty),*) => {$(
        impl Parameter for $float {
            const NUMERIC: bool = true;
            fn type_name() -> String {
                "number".to_string()
            }
            fn schema() -> Value {
                json!({"type": "number"})
            }
        }
    )*};
}

floats!(f32, f64);

impl Parameter for bool {
    fn type_name() -> String {
        "true or false".to_string()
    }

    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl Parameter for String {
    fn type_name() -> String {
        "text".to_string()
    }

    fn schema() -> Value {
        json!({"type": "string"})
    }
}

impl<T: Parameter> Parameter for Option<T> {
    const NUMERIC: bool = T::NUMERIC;
    const OPTIONAL: bool = true;
    const PLUGIN: Option<Kind> = T::PLUGIN;

    fn type_name() -> String {
        format!("{} or null", T::type_name())
    }

    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "null"}]})
    }
}

impl<T: Parameter> Parameter for Vec<T> {
    const NUMERIC: bool = T::NUMERIC;
    const PLUGIN: Option<Kind> = T::PLUGIN;

    fn type_name() -> String {
        format!("list of {}", T::type_name())
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
}

impl<T: Parameter, const N: usize> Parameter for [T; N] {
    const NUMERIC: bool = T::NUMERIC;
    const PLUGIN: Option<Kind> = T::PLUGIN;

    fn type_name() -> String {
        format!("[{}]", vec![T::type_name(); N].join(", "))
    }

    fn schema() -> Value {
        json!({"type": "array", "items": T::schema(), "minItems": N, "maxItems": N})
    }
}

/// [`Parameter::type_name`] of an enum with these names and descriptions.
#[must_use]
pub fn choice_name(choices: &[(&str, &str)]) -> String {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    format!("one of {}", names.join(", "))
}

/// [`Parameter::schema`] of an enum with these names and descriptions.
#[must_use]
pub fn choice_schema(choices: &[(&str, &str)]) -> Value {
    let one = |(name, docs): &(&str, &str)| json!({"const": name, "description": docs});
    json!({"oneOf": choices.iter().map(one).collect::<Vec<_>>()})
}
