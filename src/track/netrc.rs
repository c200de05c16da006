//! Keys in `~/.netrc`, where `wandb login` puts them.

/// The password of the entry `machine`, or of the `default` entry.
pub(super) fn password(text: &str, machine: &str) -> Option<String> {
    let mut tokens = tokens(text).into_iter();
    let (mut ours, mut is_default) = (false, false);
    let mut fallback = None;
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "machine" => {
                ours = tokens.next().as_deref() == Some(machine);
                is_default = false;
            }
            "default" => (ours, is_default) = (false, true),
            "login" | "user" | "account" => drop(tokens.next()),
            "password" => {
                let password = tokens.next().filter(|password| !password.is_empty());
                if ours && password.is_some() {
                    return password;
                }
                if is_default {
                    fallback = fallback.or(password);
                }
            }
            _ => {}
        }
    }
    fallback
}

/// Words as a shell would split them; comments and macros are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut in_macro = false;
    for line in text.lines() {
        // A macro lasts to the next empty line.
        in_macro &= !line.trim().is_empty();
        if in_macro {
            continue;
        }
        in_macro = line.trim_start().starts_with("macdef");
        if !in_macro {
            all.extend(words(line));
        }
    }
    all
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            None if letter == '#' && word.is_none() => return words,
            Some(_) | None => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::password;

    const FILE: &str = "
# written by hand
machine example.org login me password other
macdef init
machine 127.0.0.1:18080 password of-a-macro

machine api.wandb.ai
  login user
  password '0123#4'   # a comment
machine 127.0.0.1:18080 login user password \"local key\"
machine empty login user
";

    #[test]
    fn finds_the_password_of_a_machine() {
        assert_eq!(password(FILE, "api.wandb.ai").as_deref(), Some("0123#4"));
        assert_eq!(
            password(FILE, "127.0.0.1:18080").as_deref(),
            Some("local key")
        );
        assert_eq!(password(FILE, "empty"), None);
        assert_eq!(password(FILE, "unknown"), None);
        let default = format!("default login me password all\n{FILE}");
        assert_eq!(password(&default, "unknown").as_deref(), Some("all"));
        assert_eq!(
            password(&default, "api.wandb.ai").as_deref(),
            Some("0123#4")
        );
        assert_eq!(password("machine", "x"), None);
    }
}
