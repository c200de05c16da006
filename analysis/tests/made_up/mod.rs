//! Small figures of each kind, with names that could break out of markup.

use smartkv_analysis::figure::{
    Ablation, AblationBar, Allocation, AllocationPanel, Attention, AttentionPanel, Axis, Better,
    BudgetTrace, Cost, CostRow, Entropy, Estimate, Needle, NeedlePanel, Pareto, ParetoPoint,
    ParetoSeries, Sweep, SweepPoint, SweepSeries, TokenBits, TokenText, Trace, Width,
};

/// A name with everything that could break out of markup.
pub(crate) const HOSTILE: &str = "</text><script>alert(\"1\")</script>&amp;'\u{0}\u{1b}\n]]>--";
pub(crate) const CELL: &str = "<cell & 'one'>";

pub(crate) fn cells() -> Vec<String> {
    vec![
        CELL.to_owned(),
        "0123456789abcdef0123456789abcdef".to_owned(),
    ]
}

pub(crate) fn pareto(values: &[(f64, f64)]) -> Pareto {
    let point = |(cost, quality): &(f64, f64)| ParetoPoint {
        cost: Estimate::exact(*cost),
        quality: Estimate::exact(*quality),
    };
    let points = values.iter().map(point).collect();
    Pareto {
        title: Some("The title".to_owned()),
        cost: Axis::linear("Live bytes (share of f16)"),
        quality: Axis::log("Mean KL (nats)"),
        better: Better::Lower,
        series: vec![ParetoSeries {
            name: HOSTILE.to_owned(),
            points,
        }],
        front: true,
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn sweep(points: Vec<SweepPoint>) -> Sweep {
    Sweep {
        title: None,
        x: Axis::linear("x"),
        y: Axis::linear("y"),
        series: vec![SweepSeries {
            name: HOSTILE.to_owned(),
            points,
        }],
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn needle(score: Option<f64>, depths: usize, contexts: usize) -> Needle {
    let panel = |name: &str| NeedlePanel {
        name: name.to_owned(),
        scores: vec![vec![score; contexts]; depths],
    };
    Needle {
        title: None,
        contexts: (1..=contexts as u64).map(|index| index * 1024).collect(),
        depths: (0..depths)
            .map(|depth| depth as f64 / depths as f64)
            .collect(),
        panels: vec![panel(HOSTILE), panel("other")],
        score: "Found".to_owned(),
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn allocation(layers: u32, tokens: usize, bits: u8) -> Allocation {
    Allocation {
        title: None,
        first_token: 0,
        layers: (0..layers).collect(),
        panels: vec![AllocationPanel {
            name: HOSTILE.to_owned(),
            bits: vec![vec![bits; tokens]; layers as usize],
        }],
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn token_text(count: usize, bits: f64) -> TokenText {
    let token = TokenBits {
        text: HOSTILE.to_owned(),
        bits,
        score: Some(0.25),
    };
    TokenText {
        title: None,
        tokens: vec![token; count],
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn ablation(effect: Estimate) -> Ablation {
    let bar = AblationBar {
        name: HOSTILE.to_owned(),
        effect,
        mark: Some("***".to_owned()),
    };
    Ablation {
        title: None,
        effect: Axis::linear("Change of mean KL (nats)"),
        better: Better::Lower,
        bars: vec![bar],
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn cost(bytes: f64, latency: Option<Estimate>) -> Cost {
    Cost {
        title: None,
        parts: vec!["Payload".to_owned(), "Metadata".to_owned()],
        phases: vec!["Decode".to_owned()],
        memory: "Memory".to_owned(),
        latency: "Latency (ms)".to_owned(),
        rows: vec![CostRow {
            name: HOSTILE.to_owned(),
            bytes: vec![bytes, 1.0],
            latency: vec![latency],
        }],
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn attention(value: f64, blocks: usize) -> Attention {
    let panel = |name: &str| AttentionPanel {
        name: name.to_owned(),
        values: vec![vec![value; blocks]; blocks],
    };
    Attention {
        title: None,
        panels: vec![panel(HOSTILE), panel("other")],
        label: "Mass".to_owned(),
        block: 1,
        floor: None,
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn entropy(value: Option<f64>) -> Entropy {
    Entropy {
        title: Some(HOSTILE.to_owned()),
        values: vec![vec![value; 3]; 4],
        label: "Entropy (nats)".to_owned(),
        width: Width::Single,
        cells: cells(),
    }
}

pub(crate) fn budget(shares: Vec<f64>) -> BudgetTrace {
    BudgetTrace {
        title: None,
        series: vec![Trace {
            name: HOSTILE.to_owned(),
            start: 0,
            shares,
            tokens: Vec::new(),
        }],
        budget: Some(0.3),
        width: Width::Single,
        cells: cells(),
    }
}
