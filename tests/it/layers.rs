//! The order of layers: a module may name only those to its left. And the two things that each have one place: reading
//! the clock and reading the environment.

use std::path::{Path, PathBuf};

/// From the bottom up. `lib.rs` names them all and is left out.
const ORDER: [&str; 15] = [
    "model",
    "mapping",
    "items",
    "route",
    "oauth",
    "provider",
    "clock",
    "telemetry",
    "store",
    "upstream",
    "broker",
    "server",
    "config",
    "app",
    "cli",
];

/// What only some files may say, and which.
const ONE_PLACE: [(&str, &[&str]); 5] = [
    ("SystemTime::now", &["clock"]),
    ("env::var", &["config", "main"]),
    ("env::vars", &["config", "main"]),
    ("env::var_os", &["config", "main"]),
    ("env::vars_os", &["config", "main"]),
];

#[test]
fn each_module_names_only_lower_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources are there");
    let mut violations = Vec::new();
    for path in &files {
        let relative = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).expect("a source file");
        violations.extend(violations_in(&relative, &text));
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn the_test_itself_can_fail() {
    fn check(file: &str, text: &str, expected: &[&str]) {
        assert_eq!(violations_in(file, text), expected, "{file}: {text}");
    }
    check("model/name.rs", "use crate::mapping::Path;", &["model/name.rs names `mapping`"]);
    check("oauth.rs", "use crate::{model::Secret, store::Store};", &["oauth.rs names `store`"]);
    check("oauth.rs", "use crate::{\n    mapping::{Path, Template},\n    broker,\n};", &["oauth.rs names `broker`"]);
    check("oauth/token.rs", "fn f() { crate::server::run() }", &["oauth/token.rs names `server`"]);
    check("oauth/token.rs", "// crate::server is not named here", &[]);
    check("oauth/token.rs", "use crate::model::Secret; use super::Client; use crate::oauth::Client;", &[]);
    check("server.rs", "let now = SystemTime::now();", &["server.rs says `SystemTime::now`"]);
    check("server.rs", "std::env::var_os(\"HOME\")", &["server.rs says `env::var_os`"]);
    check("clock.rs", "SystemTime::now()", &[]);
    check("nowhere.rs", "", &["nowhere.rs belongs to no layer"]);
    check("main.rs", "use keyferry::cli; std::env::vars()", &[]);
}

fn violations_in(file: &str, text: &str) -> Vec<String> {
    let module = file.split(['/', '.']).next().unwrap_or_default();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut violations = Vec::new();
    for (words, places) in ONE_PLACE {
        let says = code.match_indices(words).any(|(at, _)| {
            let after = code[at + words.len()..].chars().next();
            !after.is_some_and(|next| next.is_alphanumeric() || next == '_')
        });
        if says && !places.contains(&module) {
            violations.push(format!("{file} says `{words}`"));
        }
    }
    if matches!(module, "lib" | "main") {
        return violations;
    }
    let Some(rank) = ORDER.iter().position(|layer| *layer == module) else {
        violations.push(format!("{file} belongs to no layer"));
        return violations;
    };
    for name in named_modules(&code) {
        if ORDER.iter().position(|layer| *layer == name).is_none_or(|other| other > rank) {
            violations.push(format!("{file} names `{name}`"));
        }
    }
    violations
}

/// The modules behind each `crate::`, whether one or a list in braces.
fn named_modules(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        // `pub(in crate::config)` and `$crate::` name nothing that is used.
        if code[..at].ends_with("(in ") {
            continue;
        }
        let rest = &code[at + found.len()..];
        let word =
            |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if !rest.starts_with('{') {
            names.push(word(rest));
            continue;
        }
        let mut depth = 0;
        let mut begins = false;
        for (position, character) in rest.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if begins && !character.is_whitespace() {
                names.push(word(&rest[position..]));
            }
            begins = depth == 1 && (character == '{' || character == ',' || begins && character.is_whitespace());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
