//! Small tasks on a tiny model.

mod common;

use common::{Grid, SpoilsLater, prose, tiny_long};
use smartkv_core::MeasuredHook;
use smartkv_eval::task::{Ask, NoData, NoJournal, Side};
use smartkv_eval::tasks::{Hay, MultiKey};
use smartkv_eval::{Haystack, NoProgress, Task, TaskOptions, TaskRun};

#[test]
fn one_of_several_keys_is_asked_for_and_all_values_are_choices() {
    let model = tiny_long("multikey");
    let haystack = Haystack {
        name: "mill".into(),
        text: prose(3),
    };
    let options = TaskOptions::default();
    for hay in [Hay::Prose, Hay::Noise] {
        let task = MultiKey {
            keys: vec![2, 5],
            samples: 3,
            length: 1200,
            haystack: hay,
        };
        let run = TaskRun {
            model: &model,
            task: &task,
            options: &options,
            data: &NoData,
            haystack: &haystack,
            exact_prefill: true,
        };
        let cx = run.context().unwrap();
        for (part, keys) in task.parts(&cx).unwrap().iter().zip([2, 5]) {
            for sample in task.samples(part, &cx).unwrap() {
                let sample = sample.unwrap();
                let tokens = cx.tokens(&sample).unwrap();
                assert!((1080..=1200).contains(&tokens), "{tokens}");
                let Ask::Choose(choices) = &sample.ask else {
                    panic!("{:?}", sample.ask);
                };
                assert_eq!(choices.len(), keys);
                let places = choices
                    .iter()
                    .map(|choice| sample.context.matches(choice.as_str()));
                assert!(places.into_iter().all(|found| found.count() == 1));
                let right = format!(" {}", sample.answers[0]);
                assert_eq!(sample.gold.text(), Some(&right));
                assert!(choices.contains(&right));
                // The key that is asked for has that value.
                let key = sample.question.split(" for ").nth(1).unwrap();
                let key = key.split(" mentioned").next().unwrap();
                let needle = format!("One of the special magic numbers for {key} is:{right}.");
                assert_eq!(sample.context.matches(&needle).count(), 1);
            }
        }
        let caches: [Box<dyn MeasuredHook>; 2] = [
            Box::new(SpoilsLater::new(&model, Grid(0.0))),
            Box::new(SpoilsLater::new(&model, Grid(0.0))),
        ];
        let mut sides = caches.map(|cache| Side {
            name: "cache".into(),
            cache,
        });
        let (result, _) = run.run(&mut sides, &mut NoJournal, &NoProgress).unwrap();
        for record in &result.samples {
            let [reference, same] = &record.attempts[..] else {
                panic!("two caches were asked");
            };
            assert_eq!(reference.text, same.text);
            assert!([0.0, 1.0].contains(&reference.score));
            let right = reference.text.trim() == record.answers[0];
            assert_eq!(reference.score > 0.5, right);
            assert!(reference.details.contains_key("exact_match"));
        }
    }
}
