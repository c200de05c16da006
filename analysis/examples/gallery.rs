//! Draws every kind of figure from made-up numbers, to look at.
//!
//! `cargo run -p smartkv-analysis --example gallery -- FOLDER`
//!
//! Nothing here was measured: each title says so.

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // made-up, small

use smartkv_analysis::figure::{
    Ablation, AblationBar, Allocation, AllocationPanel, Attention, AttentionPanel, Axis,
    AxisFormat, AxisScale, Better, BudgetTrace, Cost, CostRow, Draw, Entropy, Estimate, Needle,
    NeedlePanel, Pareto, ParetoPoint, ParetoSeries, Sweep, SweepPoint, SweepSeries, TokenBits,
    TokenText, Trace, Width,
};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const NAMES: [&str; 6] = [
    "SmartKV",
    "KIVI",
    "ZipCache",
    "H2O",
    "Uniform INT4",
    "Random mix",
];
/// Dots per inch of the pictures.
const RESOLUTION: f64 = 200.0;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or("name the folder for the pictures")?;
    fs::create_dir_all(&folder)?;
    save(&folder, "pareto", &pareto(&NAMES, Width::Single))?;
    save(&folder, "needle", &needle(&NAMES[..4], Width::Double))?;
    save(&folder, "needle-one", &needle_of_one())?;
    save(&folder, "allocation", &allocation(512, 24, Width::Single))?;
    save(
        &folder,
        "allocation-long",
        &allocation(8192, 30, Width::Double),
    )?;
    let text = token_text();
    save(&folder, "tokens", &text)?;
    fs::write(folder.join("tokens.html"), text.html()?)?;
    save(&folder, "ablation", &ablation())?;
    save(&folder, "cost", &cost(Width::Single))?;
    save(&folder, "cost-wide", &cost(Width::Double))?;
    save(&folder, "attention", &attention(1))?;
    save(&folder, "attention-heads", &attention(12))?;
    save(&folder, "entropy", &entropy())?;
    save(&folder, "budget", &budget())?;
    save(&folder, "sweep", &sweep())?;
    save(&folder, "hard-names", &pareto(&hard_names(), Width::Single))?;
    save(&folder, "hard-one-point", &one_point())?;
    Ok(())
}

fn save(folder: &Path, name: &str, data: &dyn Draw) -> Result<(), Box<dyn Error>> {
    let figure = data.draw()?;
    figure.write_svg(&folder.join(format!("{name}.svg")))?;
    figure.write_pdf(&folder.join(format!("{name}.pdf")))?;
    figure.write_png(&folder.join(format!("{name}.png")), RESOLUTION)?;
    Ok(())
}

fn title(what: &str) -> String {
    format!("{what} (made-up data)")
}

fn cells() -> Vec<String> {
    vec!["0123456789abcdef0123456789abcdef".to_owned()]
}

/// A number from 0 to 1 that looks random, the same each time.
fn noise(seed: u32) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9) ^ 0x85eb_ca6b;
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    f64::from(bits ^ (bits >> 15)) / f64::from(u32::MAX)
}

fn pareto<S: AsRef<str>>(names: &[S], width: Width) -> Pareto {
    let point = |strategy: u32, step: u32| {
        let share = 0.14 + 0.1 * f64::from(step) + 0.03 * noise(strategy * 31 + step);
        let rank = f64::from(strategy % 6);
        let loss = (1.0 + 0.5 * rank)
            * 0.6
            * (-(11.0 - 0.9 * rank) * share).exp()
            * (0.8 + 0.4 * noise(strategy * 97 + step));
        let spread = 1.2 + 0.3 * noise(strategy + 7 * step);
        ParetoPoint {
            cost: Estimate::between(share, share - 0.012, share + 0.012),
            quality: Estimate::between(loss, loss / spread, loss * spread),
        }
    };
    let series = (0_u32..).zip(names).map(|(strategy, name)| ParetoSeries {
        name: name.as_ref().to_owned(),
        points: (0..5).map(|step| point(strategy, step)).collect(),
    });
    Pareto {
        title: Some(title("Divergence against memory")),
        cost: Axis::linear("Live bytes (share of f16)").with_format(AxisFormat::Percent),
        quality: Axis::log("Mean KL (nats)"),
        better: Better::Lower,
        series: series.collect(),
        front: true,
        width,
        cells: cells(),
    }
}

fn hard_names() -> Vec<String> {
    let long = "smartkv[bits=2,3,4,8; decay=0.95; realloc_every=16; sinks=4; recency=0.1]";
    let mut names = vec![
        long.to_owned(),
        "<script>alert('&')</script>\n\u{0}".to_owned(),
    ];
    names.extend((0..9).map(|index| format!("variant {index}")));
    names
}

fn one_point() -> Pareto {
    let mut pareto = pareto(&NAMES[..1], Width::Single);
    pareto.series[0].points.truncate(1);
    pareto.series[0].points[0].quality = Estimate::exact(0.01);
    pareto
}

fn needle(names: &[&str], width: Width) -> Needle {
    let score = |strategy: usize, depth: usize, context: usize| {
        let hard =
            strategy as f64 * 0.16 * context as f64 * (1.0 - (depth as f64 / 3.0 - 1.0).abs());
        let found =
            (1.0 - hard * 0.4 - 0.1 * strategy as f64 * noise((depth * 7 + context) as u32))
                .max(0.0);
        (strategy != 3 || context < 5).then_some((found * 20.0).round() / 20.0)
    };
    let panel = |(strategy, name): (usize, &&str)| NeedlePanel {
        name: (*name).to_owned(),
        scores: (0..7)
            .map(|depth| {
                (0..6)
                    .map(|context| score(strategy, depth, context))
                    .collect()
            })
            .collect(),
    };
    Needle {
        title: Some(title("Needle in a haystack")),
        contexts: vec![512, 1024, 2048, 4096, 8192, 16384],
        depths: (0..7).map(|depth| f64::from(depth) / 6.0).collect(),
        panels: names.iter().enumerate().map(panel).collect(),
        score: "Needles found".to_owned(),
        width,
        cells: cells(),
    }
}

fn needle_of_one() -> Needle {
    let mut needle = needle(&NAMES[..3], Width::Single);
    needle.panels.drain(..2);
    needle
}

fn allocation(tokens: usize, layers: u32, width: Width) -> Allocation {
    let bits = |layer: u32, token: usize, seed: u32| -> u8 {
        if token < 4 || token + 32 >= tokens {
            return 16;
        }
        let important =
            noise(token as u32 / 3) * 0.7 + noise(token as u32 * 131 + layer * 17 + seed) * 0.4;
        match important + 0.1 * (f64::from(layer) / 4.0).sin() {
            v if v > 0.93 => 8,
            v if v > 0.7 => 4,
            v if v > 0.5 => 3,
            v if v > 0.22 => 2,
            _ => 0,
        }
    };
    let panel = |name: &str, seed: u32| AllocationPanel {
        name: name.to_owned(),
        bits: (0..layers)
            .map(|layer| (0..tokens).map(|token| bits(layer, token, seed)).collect())
            .collect(),
    };
    Allocation {
        title: Some(title("Bits over tokens and layers")),
        first_token: 0,
        layers: (0..layers).collect(),
        panels: vec![panel("Keys", 1), panel("Values", 2)],
        width,
        cells: cells(),
    }
}

fn token_text() -> TokenText {
    let text = "The passkey for the <north> gate is 48151, and it is written on the back of the \
        map & nowhere else. The rest of this paragraph is filler: the sky is blue, the grass is \
        green, the sun is yellow, and so on and so forth, until the question comes.\n\
        What is the passkey for the north gate? Ответ: 48151.";
    let mut tokens: Vec<TokenBits> = Vec::new();
    for (index, word) in text.split_inclusive([' ', '\n']).enumerate() {
        let key = word.contains("48151") || word.contains("passkey") || word.contains("north");
        let score = if key { 0.9 } else { noise(index as u32) * 0.6 };
        let bits = match score {
            s if s > 0.8 => 8.0,
            s if s > 0.45 => 4.0,
            s if s > 0.25 => 3.0,
            s if s > 0.1 => 2.0,
            _ => 0.0,
        };
        tokens.push(TokenBits {
            text: word.to_owned(),
            bits,
            score: Some(score),
        });
    }
    TokenText {
        title: Some(title("Bits of each token")),
        tokens,
        width: Width::Single,
        cells: cells(),
    }
}

fn ablation() -> Ablation {
    let bar = |name: &str, value: f64, half: f64, mark: &str| AblationBar {
        name: name.to_owned(),
        effect: Estimate::between(value, value - half, value + half),
        mark: (!mark.is_empty()).then(|| mark.to_owned()),
    };
    Ablation {
        title: Some(title("What each component contributes")),
        effect: Axis::linear("Change of mean KL when removed (nats)"),
        better: Better::Higher,
        bars: vec![
            bar("attention tracking", 0.042, 0.006, "***"),
            bar("separate K and V bits", 0.021, 0.005, "***"),
            bar("sinks", 0.015, 0.007, "**"),
            bar("reallocation", 0.004, 0.005, "n.s."),
            bar("hysteresis", 0.0, 0.002, "n.s."),
            bar("recency bonus", -0.006, 0.004, "*"),
        ],
        width: Width::Single,
        cells: cells(),
    }
}

fn cost(width: Width) -> Cost {
    let row = |(index, name): (usize, &&str)| {
        let rank = index as f64;
        let base = 1_048_576.0 * (6.0 + rank * 0.9);
        let decode = 21.0 + rank * 3.0;
        CostRow {
            name: (*name).to_owned(),
            bytes: vec![
                base,
                base * 0.14,
                1_048_576.0,
                1_048_576.0 * 0.3 * (5.0 - rank),
            ],
            latency: vec![
                (index != 3).then(|| Estimate::between(14.0 + rank, 12.0 + rank, 17.0 + rank)),
                Some(Estimate::between(decode, decode - 1.5, decode + 2.5)),
            ],
        }
    };
    let name = |part: &str| part.to_owned();
    Cost {
        title: Some(title("Memory and latency")),
        parts: ["Payload", "Metadata", "Window", "Policy"]
            .map(name)
            .to_vec(),
        phases: ["Prefill", "Decode"].map(name).to_vec(),
        memory: "Live memory".to_owned(),
        latency: "Latency (ms/token)".to_owned(),
        rows: NAMES.iter().enumerate().map(row).collect(),
        width,
        cells: cells(),
    }
}

fn attention(panels: usize) -> Attention {
    let blocks = if panels == 1 { 64 } else { 32 };
    let value = |head: usize, query: usize, key: usize| {
        if key > query {
            return 0.0;
        }
        let distance = (query - key) as f64;
        let local = (-distance / (1.5 + head as f64)).exp();
        let sink = if key == 0 { 0.3 } else { 0.0 };
        let far = 0.004 * noise((head * 7919 + key * 31) as u32).powi(3);
        (local + sink + far + 1e-4) / (1.5 + head as f64)
    };
    let panel = |head: usize| AttentionPanel {
        name: if panels == 1 {
            "Layer 12, mean of heads".into()
        } else {
            format!("L{} H{}", head / 4 * 8, head % 4)
        },
        values: (0..blocks)
            .map(|query| (0..blocks).map(|key| value(head, query, key)).collect())
            .collect(),
    };
    Attention {
        title: Some(title("Attention")),
        panels: (0..panels).map(panel).collect(),
        label: "Mean attention mass".to_owned(),
        block: 16,
        floor: None,
        width: Width::Single,
        cells: cells(),
    }
}

fn entropy() -> Entropy {
    let value = |layer: u32, head: u32| {
        let early = (-f64::from(layer) / 6.0).exp() * 2.5;
        (layer != 5 || head != 3).then(|| 1.0 + early + 1.5 * noise(layer * 17 + head))
    };
    Entropy {
        title: Some(title("Entropy of attention")),
        values: (0..30)
            .map(|layer| (0..9).map(|head| value(layer, head)).collect())
            .collect(),
        label: "Entropy (nats)".to_owned(),
        width: Width::Single,
        cells: cells(),
    }
}

fn budget() -> BudgetTrace {
    let share = |strategy: usize, token: usize| match strategy {
        0 => 0.295 - 0.02 * ((token % 16) as f64 / 16.0),
        1 => 0.22 + 0.12 * (-(token as f64) / 300.0).exp() + 0.004 * ((token % 32) as f64 / 32.0),
        2 => 0.265 + 0.004 * noise(token as u32),
        _ => 0.3 * 900.0 / (900.0 + token as f64),
    };
    let series = ["SmartKV", "KIVI", "ZipCache", "H2O"]
        .iter()
        .enumerate()
        .map(|(index, name)| Trace {
            name: (*name).to_owned(),
            start: 0,
            shares: (0..1000).map(|token| share(index, token)).collect(),
            tokens: Vec::new(),
        });
    BudgetTrace {
        title: Some(title("Live bytes while decoding")),
        series: series.collect(),
        budget: Some(0.3),
        width: Width::Single,
        cells: cells(),
    }
}

fn sweep() -> Sweep {
    let point = |strategy: u32, step: u32| {
        let context = f64::from(512_u32 << step);
        let rate = 0.05 + 0.04 * f64::from(strategy);
        let value = 1.0 - rate * f64::from(step) - 0.04 * noise(strategy * 13 + step);
        let half = 0.02 + 0.01 * f64::from(step);
        SweepPoint {
            x: context,
            y: Estimate::between(value, value - half, value + half),
        }
    };
    let series = (0_u32..)
        .zip(&NAMES[..4])
        .map(|(strategy, name)| SweepSeries {
            name: (*name).to_owned(),
            points: (0..6).map(|step| point(strategy, step)).collect(),
        });
    Sweep {
        title: Some(title("Accuracy over context length")),
        x: Axis {
            scale: AxisScale::Log2,
            format: AxisFormat::Tokens,
            ..Axis::linear("Context length (tokens)")
        },
        y: Axis::linear("Accuracy").with_format(AxisFormat::Percent),
        series: series.collect(),
        width: Width::Single,
        cells: cells(),
    }
}
