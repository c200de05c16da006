//! `#[range(…)]`: the numbers that a parameter takes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, Ident, RangeLimits, Result};

/// `0.0..1.0`, `1..`, `..=5`, `above 0.0`, `above 0.0..=1.0`.
struct Range {
    from: Option<Expr>,
    above: bool,
    to: Option<Expr>,
    below: bool,
}

impl Parse for Range {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let fork = input.fork();
        let above = fork.parse::<Ident>().is_ok_and(|word| word == "above");
        if above {
            input.parse::<Ident>()?;
        }
        match input.parse::<Expr>()? {
            Expr::Range(range) if !above || range.start.is_some() => Ok(Self {
                from: range.start.map(|expr| *expr),
                above,
                below: range.end.is_some() && matches!(range.limits, RangeLimits::HalfOpen(_)),
                to: range.end.map(|expr| *expr),
            }),
            from if above && !matches!(from, Expr::Range(_)) => Ok(Self {
                from: Some(from),
                above,
                to: None,
                below: false,
            }),
            other => {
                let message = "expected a range: `0.0..1.0`, `1..`, `..=5` or `above 0.0..=1.0`";
                Err(syn::Error::new_spanned(other, message))
            }
        }
    }
}

/// Removes the attribute and gives the value it stands for.
pub(crate) fn take(attrs: &mut Vec<Attribute>) -> Result<Option<TokenStream>> {
    let Some(index) = attrs.iter().position(|attr| attr.path().is_ident("range")) else {
        return Ok(None);
    };
    let Range {
        from,
        above,
        to,
        below,
    } = attrs.remove(index).parse_args()?;
    let end = |limit: Option<Expr>, none: TokenStream| match limit {
        Some(limit) => quote!((#limit) as f64),
        None => none,
    };
    let from = end(from, quote!(f64::NEG_INFINITY));
    let to = end(to, quote!(f64::INFINITY));
    Ok(Some(quote!(::smartkv_core::Range {
        from: #from,
        above: #above,
        to: #to,
        below: #below,
    })))
}
