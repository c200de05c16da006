//! Rotary position embedding as configs write it: `rope_theta` and `rope_scaling`, or both in
//! `rope_parameters`, as transformers 5 does.

use super::super::config::Config;
use super::super::{Rope, RopeScaling};
use crate::error::{Error, Result};

const DEFAULT_BASE: f64 = 10_000.0;

/// Kinds of scaling, by the names configs use.
const KINDS: [&str; 7] = [
    "default", "linear", "dynamic", "yarn", "longrope", "su", "llama3",
];

/// The one rotation of a model whose context is `context`.
pub(super) fn of(config: Config<'_>, context: usize) -> Result<Rope> {
    let parameters = parameters(config)?;
    rope(config, parameters, base(config, parameters)?, None, context)
}

/// Phi 3 keeps the original context beside the parameters, and knows one kind of scaling, under
/// several names.
pub(super) fn of_phi3(config: Config<'_>, context: usize) -> Result<Rope> {
    let parameters = parameters(config)?;
    let kind = parameters.map_or(Ok(None), kind_of)?;
    let kind = kind.map(|kind| match kind {
        "yarn" => "longrope",
        other => other,
    });
    let given = Given {
        kind,
        original_context: config.count("original_max_position_embeddings")?,
    };
    let base = base(config, parameters)?;
    rope(config, parameters, base, Some(given), context)
}

/// The rotations of Gemma 3: of layers that see everything, then of those with a window.
pub(super) fn of_gemma3(config: Config<'_>, context: usize) -> Result<[Rope; 2]> {
    let nested = config.object("rope_parameters")?;
    let of_layers = |kind: &str| nested.map_or(Ok(None), |nested| nested.object(kind));
    let (global, local) = (
        of_layers("full_attention")?,
        of_layers("sliding_attention")?,
    );
    let theta = |own: Option<Config<'_>>, key: &str, default: f64| -> Result<f64> {
        let own = own.map_or(Ok(None), |own| own.number("rope_theta"))?;
        Ok(own.or(config.number(key)?).unwrap_or(default))
    };
    let scaled = match global {
        Some(global) => Some(global),
        None => config.object("rope_scaling")?,
    };
    let bases = [
        theta(global, "rope_theta", 1_000_000.0)?,
        theta(local, "rope_local_base_freq", DEFAULT_BASE)?,
    ];
    Ok([
        rope(config, scaled, bases[0], None, context)?,
        rope(config, local, bases[1], None, context)?,
    ])
}

/// What a config says elsewhere than in its RoPE parameters.
struct Given<'a> {
    kind: Option<&'a str>,
    original_context: Option<usize>,
}

fn parameters(config: Config<'_>) -> Result<Option<Config<'_>>> {
    match config.object("rope_scaling")? {
        Some(scaling) => Ok(Some(scaling)),
        None => config.object("rope_parameters"),
    }
}

fn base(config: Config<'_>, parameters: Option<Config<'_>>) -> Result<f64> {
    let inside = parameters.map_or(Ok(None), |p| p.number("rope_theta"))?;
    let outside = config.number("rope_theta")?;
    // Files with both objects keep the base in the second.
    let second = config.object("rope_parameters")?;
    let second = second.map_or(Ok(None), |p| p.number("rope_theta"))?;
    Ok(outside.or(inside).or(second).unwrap_or(DEFAULT_BASE))
}

fn kind_of<'a>(parameters: Config<'a>) -> Result<Option<&'a str>> {
    match parameters.text("rope_type")? {
        Some(kind) => Ok(Some(kind)),
        None => parameters.text("type"),
    }
}

fn rope(
    config: Config<'_>,
    parameters: Option<Config<'_>>,
    base: f64,
    given: Option<Given<'_>>,
    context: usize,
) -> Result<Rope> {
    for object in [Some(config), parameters].into_iter().flatten() {
        let key = "partial_rotary_factor";
        if let Some(part) = object.number(key)?.filter(|&part| part != 1.0) {
            return Err(Error::unsupported(config.path(), key, part, &["1"]));
        }
    }
    let scaling = match parameters {
        Some(parameters) => scaling(parameters, given, context)?,
        None => RopeScaling::None,
    };
    Ok(Rope {
        base,
        interleaved: false,
        scaling,
    })
}

fn scaling(
    parameters: Config<'_>,
    given: Option<Given<'_>>,
    context: usize,
) -> Result<RopeScaling> {
    let path = parameters.path();
    let number = |key: &str| {
        let missing = || Error::file(path, format!("RoPE scaling lacks `{key}`"));
        parameters.number(key)?.ok_or_else(missing)
    };
    let (kind, outside) = given.map_or((None, None), |g| (g.kind, g.original_context));
    let kind = match kind {
        Some(kind) => kind,
        None => kind_of(parameters)?.unwrap_or("default"),
    };
    let inside = parameters.count("original_max_position_embeddings")?;
    let original = outside.or(inside);
    let original_context = original.unwrap_or(context);
    // A context of 0 is refused later.
    #[expect(clippy::cast_precision_loss, reason = "contexts are far below 2^52")]
    let stretched = context as f64 / original_context.max(1) as f64;
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear {
            factor: number("factor")?,
        }),
        // Transformers measures against the context that the config grants.
        "dynamic" => Ok(RopeScaling::Dynamic {
            factor: number("factor")?,
            original_context: context,
        }),
        "yarn" => {
            let factor = parameters.number("factor")?.unwrap_or(stretched);
            Ok(RopeScaling::Yarn {
                factor,
                magnitude: yarn_magnitude(parameters, factor)?,
                beta_fast: parameters.number("beta_fast")?.unwrap_or(32.0),
                beta_slow: parameters.number("beta_slow")?.unwrap_or(1.0),
                original_context,
                truncate: parameters.flag("truncate")?.unwrap_or(true),
            })
        }
        "longrope" | "su" => {
            let factors = |key: &str| {
                let missing = || Error::file(path, format!("RoPE scaling lacks `{key}`"));
                parameters.numbers(key)?.ok_or_else(missing)
            };
            let factor = parameters.number("factor")?.unwrap_or(stretched);
            let magnitude = parameters.number("attention_factor")?;
            Ok(RopeScaling::Long {
                short: factors("short_factor")?,
                long: factors("long_factor")?,
                magnitude: magnitude
                    .unwrap_or_else(|| RopeScaling::long_magnitude(factor, original_context)),
                original_context,
            })
        }
        "llama3" => {
            let missing = "RoPE scaling lacks `original_max_position_embeddings`";
            Ok(RopeScaling::Llama3 {
                factor: number("factor")?,
                low_freq_factor: number("low_freq_factor")?,
                high_freq_factor: number("high_freq_factor")?,
                original_context: original.ok_or_else(|| Error::file(path, missing))?,
            })
        }
        other => Err(Error::unsupported(path, "RoPE scaling", other, &KINDS)),
    }
}

/// The factor on rotated queries and keys: given, or made of what is.
fn yarn_magnitude(parameters: Config<'_>, factor: f64) -> Result<f64> {
    if let Some(given) = parameters.number("attention_factor")? {
        return Ok(given);
    }
    let scales = [
        parameters.number("mscale")?,
        parameters.number("mscale_all_dim")?,
    ];
    let of = |scale: f64| 1.0 + scale * (RopeScaling::yarn_magnitude(factor) - 1.0);
    Ok(match scales {
        [Some(scale), Some(all)] if scale != 0.0 && all != 0.0 => of(scale) / of(all),
        _ => of(1.0),
    })
}
