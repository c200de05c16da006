use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

fn read(flags: &Flags, vars: &[(&str, &str)]) -> Option<Settings> {
    let value = |name: &str| {
        let found = vars.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Settings::from_vars(flags, value)
}

fn flag(mode: Option<Mode>) -> Flags {
    Flags {
        wandb: Some(mode),
        ..Flags::default()
    }
}

#[test]
fn nothing_is_tracked_unless_asked_for() {
    let off = Flags::default();
    assert!(read(&off, &[]).is_none());
    assert!(read(&off, &[("WANDB_API_KEY", KEY), ("WANDB_PROJECT", "p")]).is_none());
    assert!(read(&off, &[("WANDB_MODE", "disabled"), ("WANDB_RUN_ID", "x")]).is_none());
    assert!(read(&off, &[("WANDB_MODE", "")]).is_none());
    assert!(read(&off, &[("WANDB_MODE", "onlin")]).is_none());
    assert!(read(&flag(None), &[("WANDB_MODE", "disabled")]).is_none());
    assert!(read(&flag(Some(Mode::Disabled)), &[("WANDB_MODE", "online")]).is_none());

    for vars in [
        [("WANDB_MODE", "offline")],
        [("WANDB_MODE", "online")],
        [("WANDB_RUN_ID", "abc")],
        [("WANDB_SWEEP_ID", "abc")],
    ] {
        let settings = read(&off, &vars).unwrap();
        assert!(!settings.online, "no key: {vars:?}");
    }
    assert!(read(&flag(None), &[]).is_some());
    let named = Flags {
        project: Some("p".to_owned()),
        ..Flags::default()
    };
    assert!(read(&named, &[]).is_some());
    assert!(read(&named, &[("WANDB_MODE", "disabled")]).is_none());
}

#[test]
fn a_key_makes_it_online_unless_told_otherwise() {
    let key = ("WANDB_API_KEY", KEY);
    assert!(read(&flag(None), &[key]).unwrap().online);
    assert!(
        read(&flag(Some(Mode::Online)), &[key, ("WANDB_MODE", "offline")])
            .unwrap()
            .online
    );
    assert!(
        !read(&flag(None), &[key, ("WANDB_MODE", "offline")])
            .unwrap()
            .online
    );
    let no_network = Flags {
        no_network: true,
        ..flag(Some(Mode::Online))
    };
    assert!(!read(&no_network, &[key]).unwrap().online);
    let without = read(&flag(Some(Mode::Online)), &[]).unwrap();
    assert!(without.problems[0].contains("WANDB_API_KEY"), "{without:?}");
    // Without being told to be online, being offline is no problem.
    assert!(read(&flag(None), &[]).unwrap().problems.is_empty());
    let settings = read(&flag(None), &[key]).unwrap();
    assert!(!format!("{settings:?}").contains(KEY));
}

#[test]
fn the_netrc_file_is_asked_where_no_variable_holds_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap();
    let entry = format!("machine api.wandb.ai login user password {KEY}\n");
    std::fs::write(dir.path().join(".netrc"), &entry).unwrap();
    let found = read(&flag(None), &[("HOME", home)]).unwrap();
    assert_eq!(found.key, Some(Token::new(KEY)));
    assert!(found.online);
    let won = read(&flag(None), &[("HOME", home), ("WANDB_API_KEY", "x")]).unwrap();
    assert_eq!(won.key, Some(Token::new("x")));
    // The key of one server never goes to another.
    let other = ("WANDB_BASE_URL", "https://other.example");
    assert_eq!(
        read(&flag(None), &[("HOME", home), other]).unwrap().key,
        None
    );
    let file = dir.path().join("elsewhere");
    std::fs::write(&file, entry.replace("api.wandb.ai", "127.0.0.1:8080")).unwrap();
    let local = [
        ("NETRC", file.to_str().unwrap()),
        ("WANDB_BASE_URL", "http://127.0.0.1:8080/"),
    ];
    let local = read(&flag(None), &local).unwrap();
    assert_eq!(local.key, Some(Token::new(KEY)));
    assert_eq!(local.base_url, "http://127.0.0.1:8080");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let key = ("WANDB_API_KEY", KEY);
    let base = |url| read(&flag(None), &[key, ("WANDB_BASE_URL", url)]).unwrap();
    for url in [
        "http://127.0.0.1:1",
        "http://localhost",
        "http://[::1]:80",
        "https://w.example/api",
    ] {
        assert!(base(url).online, "{url}");
    }
    for url in [
        "http://w.example",
        "http://127.0.0.1.example",
        "ftp://localhost",
        "w.example",
    ] {
        let refused = base(url);
        assert!(!refused.online, "{url}");
        assert!(
            refused.problems[0].contains("expected https"),
            "{refused:?}"
        );
    }
    // An address with a password is used without it, and never shown.
    let with = base("https://me:secret@w.example/");
    assert_eq!(with.base_url, "https://w.example");
    assert!(!format!("{:?}", base("http://me:secret@w.example")).contains("secret"));
}

#[test]
fn flags_win_over_variables_and_those_over_defaults() {
    let plain = read(&flag(None), &[]).unwrap();
    assert_eq!(plain.project, "smartkv");
    assert_eq!(plain.dir, PathBuf::from("wandb"));
    assert_eq!(plain.resume, Resume::Overwrite);

    let vars = [
        ("WANDB_PROJECT", "p"),
        ("WANDB_ENTITY", "e"),
        ("WANDB_RUN_GROUP", "g"),
        ("WANDB_JOB_TYPE", "j"),
        ("WANDB_NAME", "n"),
        ("WANDB_NOTES", "o"),
        ("WANDB_TAGS", "a, b,,"),
        ("WANDB_RUN_ID", "r"),
        ("WANDB_RESUME", "must"),
        ("WANDB_DIR", "/d"),
    ];
    let set = read(&flag(None), &vars).unwrap();
    let text = |value: &str| Some(value.to_owned());
    assert_eq!((set.project.as_str(), set.entity), ("p", text("e")));
    assert_eq!((set.group, set.job_type), (text("g"), text("j")));
    assert_eq!((set.name, set.notes), (text("n"), text("o")));
    assert_eq!(
        (set.run_id, set.tags),
        (text("r"), vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(
        (set.resume, set.dir),
        (Resume::Must, PathBuf::from("/d/wandb"))
    );

    let flags = Flags {
        project: text("P"),
        entity: text("E"),
        group: text("G"),
        name: text("N"),
        tags: vec!["T".to_owned()],
        ..flag(None)
    };
    let won = read(&flags, &vars).unwrap();
    assert_eq!((won.project.as_str(), &won.entity), ("P", &text("E")));
    assert_eq!((&won.group, &won.name), (&text("G"), &text("N")));
    assert_eq!(won.tags, ["T"]);
    // A sweep has its place already.
    let swept = read(&flags, &[&vars[..], &[("WANDB_SWEEP_ID", "s")]].concat()).unwrap();
    assert_eq!((swept.project.as_str(), swept.entity), ("p", text("e")));
    assert_eq!(swept.name, text("N"));
}

#[test]
fn what_cannot_be_used_is_said_and_not_used() {
    let long = "x".repeat(129);
    for id in ["../../etc/x", "a/b", ".", "a b", "ü", long.as_str()] {
        let settings = read(&flag(None), &[("WANDB_RUN_ID", id)]).unwrap();
        assert_eq!(settings.run_id, None);
        assert!(settings.problems[0].contains("cannot name a run"));
    }
    let settings = read(&flag(None), &[("WANDB_RESUME", "yes")]).unwrap();
    assert!(settings.problems[0].contains("allow, must, never"));
    let settings = read(&flag(None), &[("WANDB_MODE", "onlin")]).unwrap();
    assert!(settings.problems[0].contains("online, offline or disabled"));
}
