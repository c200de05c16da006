use super::*;
use serde_json::Value;

fn history(key: &str, value: &str) -> Kind {
    let item = |key: &str, value: &str| proto::Item {
        key: key.to_owned(),
        value_json: value.to_owned(),
    };
    Kind::History(proto::History {
        item: vec![
            item(key, value),
            item("_step", "2"),
            item("_runtime", "0.5"),
        ],
        step: Some(proto::Step { num: 2 }),
    })
}

fn lines(body: &Value, file: &str) -> (u64, usize) {
    let part = &body["files"][file];
    let count = part["content"].as_array().map_or(0, Vec::len);
    (part["offset"].as_u64().unwrap_or(0), count)
}

/// Sends all there is and gives the bodies.
fn drain(batch: &mut Batch) -> Vec<Value> {
    let mut bodies = Vec::new();
    while batch.has_news() {
        let stream = batch.stream();
        let (with_summary, end) = (stream.summary.is_some(), stream.exit_code.is_some());
        let body = stream.body();
        assert!(body.to_string().len() <= MOST_BYTES);
        batch.arrived(with_summary);
        bodies.push(body);
        if end {
            return bodies;
        }
    }
    bodies
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_counted() {
    let mut batch = Batch::default();
    batch.take(history("x", &format!("\"{}\"", "y".repeat(LONGEST_LINE))));
    batch.take(history("x", "1"));
    assert_eq!((batch.skipped, batch.is_full()), (1, false));
    let bodies = drain(&mut batch);
    assert_eq!(bodies.len(), 1);
    assert_eq!(lines(&bodies[0], "wandb-history.jsonl"), (0, 1));
}

#[test]
fn what_does_not_fit_goes_with_the_next_request() {
    let mut batch = Batch::default();
    let half = format!("\"{}\"", "y".repeat(LONGEST_LINE / 2));
    batch.take(history("x", &half));
    assert!(!batch.is_full());
    batch.take(history("x", &half));
    assert!(batch.is_full());
    batch.exit_code = Some(3);
    let bodies = drain(&mut batch);
    assert_eq!(bodies.len(), 2);
    assert_eq!(lines(&bodies[0], "wandb-history.jsonl"), (0, 1));
    assert_eq!(bodies[0].get("complete"), None, "the end goes last");
    assert_eq!(lines(&bodies[1], "wandb-history.jsonl"), (1, 1));
    assert_eq!(bodies[1]["exitcode"], 3);
}

#[test]
fn a_summary_without_room_beside_the_lines_goes_alone() {
    let mut batch = Batch::default();
    let half = format!("\"{}\"", "y".repeat(LONGEST_LINE * 6 / 10));
    batch.take(history("x", &half));
    let update = vec![proto::Item {
        key: "s".to_owned(),
        value_json: half.clone(),
    }];
    batch.take(Kind::Summary(proto::Items { update }));
    batch.exit_code = Some(0);
    let bodies = drain(&mut batch);
    assert_eq!(bodies.len(), 2);
    assert_eq!(lines(&bodies[0], "wandb-summary.json"), (0, 0));
    assert_eq!(lines(&bodies[1], "wandb-summary.json"), (0, 1));
    assert_eq!(bodies[1]["complete"], true);

    let mut batch = Batch::default();
    let update = vec![proto::Item {
        key: "s".to_owned(),
        value_json: format!("\"{}\"", "y".repeat(LONGEST_LINE)),
    }];
    batch.take(Kind::Summary(proto::Items { update }));
    batch.exit_code = Some(0);
    let bodies = drain(&mut batch);
    assert_eq!((bodies.len(), batch.skipped), (1, 1));
    assert_eq!(bodies[0]["complete"], true, "the end arrives all the same");
}

#[test]
fn a_resumed_run_goes_on_with_steps_and_times() {
    let held = Held {
        history: 5,
        step: 7,
        runtime: 9.0,
        summary: [("old".to_owned(), "NaN".to_owned())].into(),
        ..Held::default()
    };
    let mut batch = Batch::after(Some(held), None);
    batch.take(history("x", "NaN"));
    let body = batch.stream().body();
    assert_eq!(
        body["files"]["wandb-history.jsonl"],
        serde_json::json!({"offset": 5, "content": [r#"{"x":NaN,"_step":9,"_runtime":9.5}"#]})
    );
    assert_eq!(batch.summary(), r#"{"old":NaN,"_wandb":{"runtime":0}}"#);
}
