//! What the attributes refuse, in the words an author reads.

use crate::{config, register};
use proc_macro2::TokenStream;

#[track_caller]
fn refused(result: syn::Result<TokenStream>, part: &str) {
    let error = result.expect_err("accepted").to_string();
    assert!(error.contains(part), "no `{part}` in: {error}");
}

fn configured(text: &str) -> syn::Result<TokenStream> {
    config::expand(text.parse().unwrap())
}

fn registered(args: &str) -> syn::Result<TokenStream> {
    let item = "impl Strategy for S { fn layout(&self) {} }"
        .parse()
        .unwrap();
    register::expand("Strategy", args.parse().unwrap(), item)
}

#[test]
fn what_is_documented_expands() {
    configured("/// S.\nstruct S { /// A.\n#[default(1)] #[range(1..)] a: usize }").unwrap();
    configured("/// S.\nstruct S;").unwrap();
    configured("/// E.\nenum E { /// A.\n#[default] A, /// B.\nB }").unwrap();
    registered("\"s-1\", family = \"f\", paper = \"p\", storage = \"simulated\",").unwrap();
}

#[test]
fn every_parameter_is_documented_or_the_build_fails() {
    refused(
        configured("/// S.\nstruct S { a: usize }"),
        "missing doc comment: it is the manual of this parameter",
    );
    refused(
        configured("/// S.\nstruct S { ///\na: usize }"),
        "missing doc comment",
    );
    refused(configured("struct S;"), "its first line is the summary");
    refused(
        configured("/// E.\nenum E { /// A.\nA, B }"),
        "missing doc comment: it is the manual of this choice",
    );
}

#[test]
fn what_has_no_place_in_a_file_is_refused() {
    refused(
        configured("/// S.\nstruct S<T> { /// A.\na: T }"),
        "cannot be generic",
    );
    refused(configured("/// S.\nstruct S(u8);"), "expected named fields");
    refused(
        configured("/// E.\nenum E { /// A.\nA(u8) }"),
        "variants without fields",
    );
    refused(configured("/// F.\nfn f() {}"), "a struct or an enum");
}

#[test]
fn ranges_are_ranges() {
    for range in ["3", "", "above ..4", "a, b"] {
        let text = format!("/// S.\nstruct S {{ /// A.\n#[range({range})] a: u8 }}");
        assert!(configured(&text).is_err(), "{range}");
    }
    for range in [
        "0..1",
        "..=5",
        "1..",
        "-1.0..=1.0",
        "above 0.0",
        "above 0..=N",
    ] {
        let text = format!("/// S.\nstruct S {{ /// A.\n#[range({range})] a: u8 }}");
        assert!(configured(&text).is_ok(), "{range}");
    }
}

#[test]
fn registrations_say_what_they_take() {
    refused(registered("\"Upper\""), "lower-case ASCII");
    refused(
        registered("\"s\", familly = \"f\""),
        "expected `family`, `paper` or `storage`",
    );
    refused(
        registered("\"s\", storage = \"zip\""),
        "expected \"packed\" or \"simulated\"",
    );
    let item: TokenStream = "impl Tracker for T {}".parse().unwrap();
    let args: TokenStream = "\"t\"".parse().unwrap();
    refused(
        register::expand("Strategy", args, item.clone()),
        "expected `impl Strategy for …`",
    );
    let args = "\"t\", storage = \"packed\"".parse().unwrap();
    refused(
        register::expand("Tracker", args, item),
        "only strategies store something",
    );
}
