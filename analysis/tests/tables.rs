//! Tables as text: what stands in them, and names that no format can be broken with.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{Filled, printed, sweep};
use serde_json::{Value, json};
use smartkv_analysis::measure::Better;
use smartkv_analysis::table::{
    Column, Entry, Format, Number, Style, Table, csv, latex, markdown, provenance, typst,
};
use smartkv_analysis::tables::{Kind, Options, tables};
use smartkv_stats::{Bootstrap, Interval};

const FORMATS: [Format; 4] = [Format::Markdown, Format::Latex, Format::Csv, Format::Typst];

fn options() -> Options {
    Options {
        bootstrap: Bootstrap {
            resamples: 500,
            ..Bootstrap::default()
        },
        ..Options::default()
    }
}

fn number(value: f64, ends: Option<(f64, f64)>) -> Number {
    let interval = ends.map(|(low, high)| Interval {
        low,
        high,
        level: 0.95,
    });
    Number::new(value, Style::Plain, &["id".to_string()]).within(interval)
}

fn table_of(rows: Vec<Vec<Entry>>) -> Table {
    Table {
        name: "t".into(),
        title: "A title".into(),
        columns: vec![
            Column::text("name"),
            Column {
                better: Better::Lower,
                ..Column::number("loss", "nats")
            },
        ],
        rows,
        notes: vec!["A note.".into()],
    }
}

/// Every character that means something to one of the formats.
const HOSTILE: &str = "a_b%c&d#e,f\"g\"|h\\i$j*k~l^m{n}[o]<p>@q`r'--s é π 汉\n=t";

#[test]
fn hostile_names_stay_names() {
    let row = vec![Entry::text(HOSTILE), Entry::Number(number(1.0, None))];
    let table = table_of(vec![row]);
    let expected = [
        r#"| a\_b%c\&d\#e,f"g"\|h\\i\$j\*k\~l^m\{n\}\[o\]\<p\>@q\`r'--s é π 汉 =t | 1.000 |"#,
        r"a\_b\%c\&d\#e,f\char34{}g\char34{}\textbar{}h\textbackslash{}i\$j{*}k\textasciitilde{}l\textasciicircum{}m\{n\}{[}o{]}\textless{}p\textgreater{}@q\char96{}r\char39{}-{}-s é π 汉 =t & 1.000 \\",
        "\"a_b%c&d#e,f\"\"g\"\"|h\\i$j*k~l^m{n}[o]<p>@q`r'--s é π 汉\n=t\",1\r\n",
        r#""a_b%c&d#e,f\"g\"|h\\i$j*k~l^m{n}[o]<p>@q`r'--s é π 汉 =t", "1.000","#,
    ];
    for (format, expected) in FORMATS.into_iter().zip(expected) {
        let text = format.write(&table);
        assert!(text.contains(expected), "{format:?}:\n{text}");
    }
    // A first cell that begins so would be an argument of the line break before it.
    assert_eq!(latex::escape("*[x"), "{*}{[}x");
    assert_eq!(latex::escape("a---b – c"), "a-{}-{}-b \\textendash{} c");
    assert_eq!(markdown::escape("a|b\r\nc"), "a\\|b  c");
    assert_eq!(csv::escape(" x"), "\" x\"");
    assert_eq!(typst::string("\\\""), r#""\\\"""#);
}

#[test]
fn numbers_with_their_intervals() {
    let spread = number(-0.012_345, Some((-0.014, 0.002))).spread(Some(0.001));
    let table = table_of(vec![
        vec![Entry::text("a"), Entry::Number(spread)],
        vec![Entry::text("b"), Entry::nothing()],
        vec![Entry::text("c"), Entry::Number(number(1.0 / 3.0, None))],
    ]);
    let texts = FORMATS.map(|format| format.write(&table));
    for (text, expected) in texts.iter().zip([
        "| a | -0.0123 ± 0.0010 \\[-0.0140, 0.0020\\] |",
        "a & $-$0.0123 $\\pm$ 0.0010 {[}$-$0.0140, 0.0020{]} \\\\",
        "name,loss (nats),loss sd (nats),loss low (nats),loss high (nats)\r\na,-0.012345,0.001,-0.014,0.002\r\nb,,,,\r\nc,0.3333333333333333,,,\r\n",
        "\"a\", \"−0.0123\" + \" ± 0.0010 [−0.0140, 0.0020]\",",
    ]) {
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(provenance::of(&table).numbers.len(), 2);
}

#[test]
fn the_best_are_bold_and_ties_with_them() {
    let entry = |value| Entry::Number(number(value, None));
    let mut table = table_of(vec![
        vec![Entry::text("a"), entry(0.123_41)],
        vec![Entry::text("b"), entry(0.123_40)],
        vec![Entry::text("c"), entry(0.2)],
        vec![Entry::text("alone"), entry(0.01)],
    ]);
    table.mark_best(&["x", "x", "x", "y"].map(String::from));
    let text = Format::Markdown.write(&table);
    assert!(
        text.contains("| a | **0.1234** |\n| b | **0.1234** |\n| c | 0.2000 |"),
        "{text}"
    );
    assert!(text.contains("| alone | 0.01000 |"), "{text}");
    assert!(
        Format::Latex
            .write(&table)
            .contains("a & \\textbf{0.1234} \\\\")
    );
    assert!(
        Format::Typst
            .write(&table)
            .contains("\"a\", strong(\"0.1234\"),")
    );
    table.columns[1].better = Better::Higher;
    for row in &mut table.rows {
        if let Entry::Number(number) = &mut row[1] {
            number.best = false;
        }
    }
    table.mark_best(&["x", "x", "x", "y"].map(String::from));
    assert!(
        Format::Markdown
            .write(&table)
            .contains("| c | **0.2000** |")
    );
}

#[test]
fn every_kind_in_every_format() {
    let filled = sweep();
    let study = filled.study("budget");
    for kind in Kind::ALL {
        let made = tables(&study, kind, &options()).unwrap();
        for table in &made {
            assert!(
                table
                    .rows
                    .iter()
                    .all(|row| row.len() == table.columns.len()),
                "{kind:?}"
            );
            assert!(!table.rows.is_empty() && !table.notes.is_empty());
            let notes = table.notes.join(" ");
            assert!(
                notes.contains("8 windows of essays, 512 tokens prefilled and 64 scored"),
                "{notes}"
            );
            for format in FORMATS {
                let text = format.write(table);
                assert!(text.lines().count() > table.rows.len(), "{text}");
            }
            // Every number says which records it is from, and they are there.
            for number in provenance::of(table).numbers {
                assert!(!number.cells.is_empty());
                for id in number.cells {
                    assert!(filled.layout().cell(id).is_file(), "{id}");
                }
            }
        }
        let again = tables(&study, kind, &options()).unwrap();
        assert_eq!(made, again);
    }
}

fn find<'a>(table: &'a Table, wanted: &[&str]) -> &'a [Entry] {
    let says = |row: &&Vec<Entry>| {
        let texts = row.iter().zip(wanted);
        texts
            .clone()
            .all(|(entry, want)| matches!(entry, Entry::Text(text) if text == want))
    };
    table
        .rows
        .iter()
        .find(says)
        .unwrap_or_else(|| panic!("no row {wanted:?}"))
}

fn value(table: &Table, row: &[Entry], column: &str) -> f64 {
    let place = table.columns.iter().position(|known| known.name == column);
    match &row[place.expect("a column")] {
        Entry::Number(number) => number.value,
        Entry::Text(text) => panic!("{column} is `{text}`"),
    }
}

#[test]
fn regret_is_the_difference_to_the_oracle() {
    let study = sweep().study("budget");
    let table = &tables(&study, Kind::Regret, &options()).unwrap()[0];
    let row = find(table, &["kl_mean", "0.3", "smartkv"]);
    let kl = |file: &str| printed(file)["quality"]["kl_mean"].as_f64().unwrap();
    let expected = kl("smartkv-0.3-s0") - kl("oracle-0.3-s0");
    assert!((value(table, row, "regret") - expected).abs() < 1e-12);
    assert!(
        table.title.contains("strategy=smartkv-oracle"),
        "{}",
        table.title
    );
}

#[test]
fn p_values_are_corrected_over_the_table() {
    let study = sweep().study("budget");
    let table = &tables(&study, Kind::Compare, &options()).unwrap()[0];
    let place = |name: &str| table.columns.iter().position(|c| c.name == name).unwrap();
    let (raw, holm) = (place("p"), place("p (Holm)"));
    let pairs = table
        .rows
        .iter()
        .filter_map(|row| match (&row[raw], &row[holm]) {
            (Entry::Number(raw), Entry::Number(holm)) => Some((raw.value, holm.value)),
            _ => None,
        });
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let expected = smartkv_stats::holm(&pairs.iter().map(|(raw, _)| *raw).collect::<Vec<_>>());
    assert!(pairs.len() > 10);
    assert_eq!(
        pairs.iter().map(|(_, holm)| *holm).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn an_ablation_says_what_is_above_one_percent() {
    let mut filled = Filled::new();
    for (variant, file) in [
        ("full", "smartkv-0.3-s0"),
        ("same", "smartkv-0.3-s1"),
        ("random", "random-0.3-s0"),
    ] {
        filled.cell(
            variant,
            &json!({"variant": variant, "seed": 0}),
            printed(file),
            0,
        );
    }
    filled.plan("a", &["variant", "seed"], &json!({"variant": "full"}));
    let table = &tables(&filled.study("a"), Kind::Ablation, &options()).unwrap()[0];
    let verdict = table.columns.iter().position(|one| one.name == "above 1%");
    let verdict = verdict.expect("a column");
    let above = |variant: &str| match &find(table, &["kl_mean", variant])[verdict] {
        Entry::Text(text) => text.clone(),
        Entry::Number(_) => panic!("{variant}"),
    };
    assert_eq!(
        (above("same"), above("random")),
        ("no".into(), "yes".into())
    );
    assert!(value(table, find(table, &["kl_mean", "random"]), "change") > 5.0);
}

#[test]
fn tasks_have_tables_too() {
    let mut filled = Filled::new();
    for strategy in ["tasks-uniform-2", "tasks-uniform-4"] {
        filled.cell(
            strategy,
            &json!({"strategy": strategy, "seed": 0}),
            printed(strategy),
            0,
        );
    }
    filled.plan("p", &["strategy", "seed"], &Value::Null);
    let study = filled.study("p");
    let table = &tables(&study, Kind::Summary, &options()).unwrap()[0];
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "strategy",
            "seeds",
            "units",
            "ratio",
            "score.assoc_recall",
            "score.ruler"
        ]
    );
    let front = tables(&study, Kind::Front, &options()).unwrap();
    assert_eq!(front.len(), 2);
    let error = tables(&study, Kind::Compare, &options()).unwrap_err();
    assert!(error.to_string().contains("names no baseline") && !error.hints().is_empty());
    let error = tables(&study, Kind::Regret, &options()).unwrap_err();
    assert!(error.to_string().contains("oracle"), "{error}");
}
