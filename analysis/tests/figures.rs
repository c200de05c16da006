//! Figures from outside: well-formed, the same each time, honest about what cannot be drawn.

#![allow(clippy::cast_precision_loss)] // counts in made-up data are small

mod made_up;

use made_up::{
    HOSTILE, ablation, allocation, attention, budget, cells, cost, entropy, needle, pareto, sweep,
    token_text,
};
use proptest::prelude::*;
use smartkv_analysis::figure::{
    Attention, BudgetTrace, Draw, Estimate, Figure, FigureError, Pareto, SweepPoint, Width,
};

/// One of each kind, and the shapes that tend to break: one point, all equal, none above zero,
/// thousands of tokens.
fn all() -> Vec<(&'static str, Box<dyn Draw>)> {
    let point = |x: f64, y: f64| SweepPoint {
        x,
        y: Estimate::between(y, y - 1.0, y + 1.0),
    };
    vec![
        (
            "pareto",
            Box::new(pareto(&[(0.2, 0.3), (0.4, 1e-5), (0.3, 0.2)])),
        ),
        ("pareto of one point", Box::new(pareto(&[(0.2, 0.3)]))),
        ("pareto of equal points", Box::new(pareto(&[(0.2, 0.3); 5]))),
        ("needle", Box::new(needle(Some(0.5), 5, 6))),
        ("needle of one", Box::new(needle(Some(1.0), 1, 1))),
        ("needle not run", Box::new(needle(None, 2, 2))),
        (
            "needle of many lengths",
            Box::new(needle(Some(0.0), 40, 90)),
        ),
        ("allocation", Box::new(allocation(4, 100, 4))),
        ("allocation of one", Box::new(allocation(1, 1, 0))),
        ("allocation of many", Box::new(allocation(80, 9000, 16))),
        ("tokens", Box::new(token_text(30, 3.0))),
        ("mean bits of tokens", Box::new(token_text(3, 3.25))),
        (
            "ablation",
            Box::new(ablation(Estimate::between(-0.1, -0.2, 0.1))),
        ),
        (
            "ablation of nothing",
            Box::new(ablation(Estimate::exact(0.0))),
        ),
        (
            "cost",
            Box::new(cost(5e6, Some(Estimate::between(2.0, 1.0, 3.0)))),
        ),
        ("cost of nothing", Box::new(cost(0.0, None))),
        ("attention", Box::new(attention(0.1, 20))),
        ("entropy", Box::new(entropy(Some(1.5)))),
        ("entropy of zero", Box::new(entropy(Some(0.0)))),
        (
            "budget",
            Box::new(budget(
                (0..9000).map(|i| 0.3 - f64::from(i) * 1e-5).collect(),
            )),
        ),
        ("budget of one token", Box::new(budget(vec![0.0]))),
        (
            "sweep",
            Box::new(sweep(vec![point(1.0, 2.0), point(3.0, 1.0)])),
        ),
        ("sweep of one point", Box::new(sweep(vec![point(1.0, 2.0)]))),
    ]
}

/// Parses the figure and looks for what no figure may hold.
fn check(name: &str, figure: &Figure) {
    let svg = figure.svg();
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(
        document
            .descendants()
            .all(|node| !node.has_tag_name("script")),
        "{name}"
    );
    let (width, height) = figure.size();
    assert!(
        width.is_finite() && height.is_finite() && height > 20.0,
        "{name}: {height}"
    );
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        for attribute in node
            .attributes()
            .filter(|a| !["href", "font-family"].contains(&a.name()))
        {
            let value = attribute.value();
            assert!(
                !value.contains("NaN") && !value.contains("inf"),
                "{name}: {value}"
            );
        }
        let place = |name: &str| {
            node.attribute(name)
                .and_then(|value| value.parse::<f64>().ok())
        };
        for (at, end) in [("x", width), ("y", height)] {
            let at = place(at).unwrap_or(0.0);
            assert!(at >= 0.0 && at <= end, "{name}: {at} of {end} in {node:?}");
        }
    }
}

#[test]
fn every_figure_is_well_formed_and_stays_on_its_page() {
    for (name, data) in all() {
        let figure = data
            .draw()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        check(name, &figure);
        assert_eq!(figure.cells(), cells(), "{name}");
        let document = roxmltree::Document::parse(figure.svg()).unwrap();
        let metadata = document
            .descendants()
            .find(|node| node.has_tag_name("metadata"));
        let of: Vec<&str> = metadata
            .unwrap()
            .descendants()
            .filter(roxmltree::Node::is_text)
            .filter_map(|n| n.text())
            .collect();
        assert_eq!(of, cells(), "{name}");
    }
}

#[test]
fn every_figure_has_the_same_bytes_each_time() {
    for (name, data) in all() {
        let (first, again) = (data.draw().unwrap(), data.draw().unwrap());
        assert_eq!(first.svg(), again.svg(), "{name}");
        assert!(first.pdf().unwrap() == again.pdf().unwrap(), "{name}");
        assert!(
            first.png(72.0).unwrap() == again.png(72.0).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn text_is_text() {
    let figure = pareto(&[(0.2, 0.3), (0.4, 1e-5)]).draw().unwrap();
    let document = roxmltree::Document::parse(figure.svg()).unwrap();
    let text: Vec<String> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .map(|node| {
            node.descendants()
                .filter_map(|n| n.text().filter(|_| n.is_text()))
                .collect()
        })
        .collect();
    for expected in [
        "The title",
        "Live bytes (share of f16)",
        "Mean KL (nats)",
        "Pareto front",
        "10−1",
    ] {
        assert!(
            text.iter().any(|text| text == expected),
            "`{expected}` in {text:?}"
        );
    }
    assert!(
        text.iter().any(|text| text.starts_with("</text><script>")),
        "{text:?}"
    );
}

#[test]
fn a_pdf_embeds_its_font_and_can_be_searched() {
    let pdf = pareto(&[(0.2, 0.3)]).draw().unwrap().pdf().unwrap();
    let text = String::from_utf8_lossy(&pdf);
    for part in [
        "%PDF-",
        "/FontFile2",
        "/ToUnicode",
        "LiberationSans",
        "/MediaBox [0 0 240",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("CreationDate"), "a clock in the file");
    // The map from glyphs to characters names each character of the title.
    for character in "The title".chars() {
        assert!(
            text.contains(&format!("> <{:04X}>", u32::from(character))),
            "{character}"
        );
    }
}

#[test]
fn a_png_has_the_size_of_its_resolution() {
    let figure = pareto(&[(0.2, 0.3)]).draw().unwrap();
    let png = figure.png(144.0).unwrap();
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!(u32::from_be_bytes(png[16..20].try_into().unwrap()), 480);
    let comment = format!("Cells\0\0\0\0\0{}", cells().join(" "));
    assert!(
        png.windows(comment.len())
            .any(|window| window == comment.as_bytes())
    );
    for resolution in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        assert!(figure.png(resolution).is_err(), "{resolution}");
    }
}

#[test]
fn html_is_escaped_and_loads_nothing() {
    let mut text = token_text(3, 2.0);
    text.title = Some(HOSTILE.to_owned());
    let html = text.html().unwrap();
    assert!(html.contains("default-src 'none'"));
    assert!(html.contains("title=\"2 bits, score 0.2500\""));
    assert!(
        html.contains("&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;")
    );
    assert!(html.contains("&lt;cell &amp; &#39;one&#39;&gt;"));
    for forbidden in ["<script", "src=", "href=", "url(", "\u{0}", "\u{1b}"] {
        assert!(!html.contains(forbidden), "{forbidden:?}");
    }
    assert_eq!(html, text.html().unwrap());
}

#[test]
fn what_cannot_be_drawn_is_an_error_that_names_it() {
    let nan = f64::NAN;
    let many = |mut data: Pareto| {
        data.series.push(data.series[0].clone());
        data
    };
    let ragged = {
        let mut data = needle(Some(0.5), 3, 3);
        data.panels[1].scores[2].pop();
        data
    };
    let floor = |floor| Attention {
        floor: Some(floor),
        ..attention(0.1, 3)
    };
    let failing: Vec<(Box<dyn Draw>, &str)> = vec![
        (Box::new(pareto(&[])), "has no points"),
        (
            Box::new(pareto(&[(0.1, nan)])),
            "is NaN, expected a finite number",
        ),
        (
            Box::new(pareto(&[(f64::INFINITY, 0.1)])),
            "the cost of point 0",
        ),
        (
            Box::new(pareto(&[(0.1, 0.0)])),
            "expected more than 0 on a logarithmic axis",
        ),
        (Box::new(pareto(&[(1e200, 0.1)])), "expected at most 1e100"),
        (
            Box::new(many(pareto(&[(0.1, 0.1)]))),
            "two series are named",
        ),
        (
            Box::new(needle(Some(1.5), 2, 2)),
            "is 1.5, expected a share from 0 to 1",
        ),
        (Box::new(needle(Some(0.5), 0, 2)), "has no depths"),
        (
            Box::new(ragged),
            "row 2 of `other` has 2 entries, expected 3",
        ),
        (Box::new(allocation(2, 3, 17)), "is 17, expected 0 to 16"),
        (Box::new(allocation(2, 0, 4)), "has no tokens"),
        (Box::new(allocation(0, 0, 4)), "has no layers"),
        (Box::new(token_text(0, 4.0)), "has no tokens"),
        (Box::new(token_text(1, -1.0)), "is -1, expected 0 to 16"),
        (Box::new(token_text(200_000, 4.0)), "do not fit in 14400 pt"),
        (
            Box::new(ablation(Estimate::between(1.0, 2.0, 3.0))),
            "a value within its interval",
        ),
        (Box::new(cost(-1.0, None)), "`Payload` of"),
        (Box::new(cost(nan, None)), "is NaN"),
        (Box::new(attention(0.0, 4)), "has no values above zero"),
        (Box::new(attention(0.1, 0)), "has no blocks"),
        (
            Box::new(attention(0.1, 2001)),
            "2001 by 2001 blocks do not fit",
        ),
        (Box::new(floor(0.0)), "the floor of the colours is 0"),
        (Box::new(entropy(None)), "has no values"),
        (Box::new(entropy(Some(nan))), "a value of layer 0 is NaN"),
        (Box::new(budget(vec![])), "has no tokens"),
        (Box::new(budget(vec![0.1, nan])), "at token 1 is NaN"),
        (Box::new(sweep(vec![])), "has no points"),
    ];
    for (data, expected) in failing {
        let error = data
            .draw()
            .err()
            .unwrap_or_else(|| panic!("drawn: {expected}"));
        let said = error.to_string();
        assert!(
            said.contains(expected),
            "`{said}` does not say `{expected}`"
        );
    }
}

#[test]
fn errors_say_what_to_do() {
    let error = pareto(&[(0.1, 0.0)]).draw().unwrap_err();
    assert!(matches!(error, FigureError::NotPositive { .. }));
    assert!(
        error.hints()[0].contains("linear axis"),
        "{:?}",
        error.hints()
    );
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let figure = pareto(&[(0.2, 0.3)]).draw().unwrap();
    figure.write_svg(&folder.path().join("a.svg")).unwrap();
    figure.write_pdf(&folder.path().join("a.pdf")).unwrap();
    figure
        .write_png(&folder.path().join("a.png"), 100.0)
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("a.svg")).unwrap(),
        figure.svg()
    );
    let missing = folder.path().join("no such folder").join("a.svg");
    let error = figure.write_svg(&missing).unwrap_err();
    assert!(error.to_string().contains("no such folder"), "{error}");
    assert!(
        figure
            .write_png(&folder.path().join("b.png"), -1.0)
            .is_err()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn data_survive_json() {
    let data = pareto(&[(0.2, 0.3), (0.4, 1e-5)]);
    let text = serde_json::to_string(&data).unwrap();
    assert_eq!(serde_json::from_str::<Pareto>(&text).unwrap(), data);
    let short = r#"{"series":[{"name":"a","shares":[0.5]}],"cells":[]}"#;
    let trace: BudgetTrace = serde_json::from_str(short).unwrap();
    assert_eq!(trace.width, Width::Single);
}

/// Numbers of every size, among them those that break arithmetic.
fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -1e3..1e3_f64,
        (-300.0..100.0_f64).prop_map(|power| 10.0_f64.powf(power)),
        Just(0.0),
        Just(f64::MIN_POSITIVE),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the numbers: a figure on its page or an error, never a panic.
    #[test]
    fn any_points_are_drawn_or_refused(
        points in proptest::collection::vec((any_number(), any_number()), 0..6)
    ) {
        if let Ok(figure) = pareto(&points).draw() {
            check("pareto", &figure);
        }
        let points = points.iter().map(|&(x, y)| SweepPoint { x, y: Estimate::exact(y) }).collect();
        if let Ok(figure) = sweep(points).draw() {
            check("sweep", &figure);
        }
    }

    /// The same of bars.
    #[test]
    fn any_bars_are_drawn_or_refused(
        value in any_number(), half in any_number(), bytes in any_number()
    ) {
        let estimate = Estimate::between(value, value - half, value + half);
        if let Ok(figure) = ablation(estimate).draw() {
            check("ablation", &figure);
        }
        if let Ok(figure) = cost(bytes, Some(estimate)).draw() {
            check("cost", &figure);
        }
        if let Ok(figure) = budget(vec![value, half]).draw() {
            check("budget", &figure);
        }
        if let Ok(figure) = attention(value.abs(), 2).draw() {
            check("attention", &figure);
        }
        if let Ok(figure) = entropy(Some(value)).draw() {
            check("entropy", &figure);
        }
    }
}
