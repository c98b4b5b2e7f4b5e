//! The JSON Schemas: kept in `schemas/` as the program prints them, named by the first line of every file that people
//! write, and held against those files, and against mistakes, by a linter that nobody here wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use keyferry::config::{config_schema, provider_schema};
use serde_json::Value;

use crate::support::{Process, peers};

const LIMIT: Duration = Duration::from_secs(90);

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schemas() -> [(&'static str, Value); 2] {
    [("config", config_schema()), ("provider", provider_schema())]
}

#[test]
fn what_is_kept_is_what_is_read() {
    for (name, schema) in schemas() {
        let path = repository().join(format!("schemas/{name}.schema.json"));
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let is_same = kept == format!("{schema:#}\n");
        assert!(
            is_same,
            "schemas/{name}.schema.json is not what the readers read; write it anew: `tests/run reference`"
        );
    }
}

/// The files of the repository that people write, each with the name of its schema.
fn written() -> Vec<(PathBuf, &'static str)> {
    let toml = |folder: PathBuf| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
    };
    let mut all: Vec<(PathBuf, &str)> =
        toml(repository().join("providers")).into_iter().map(|path| (path, "provider")).collect();
    all.push((repository().join("config.toml"), "config"));
    for example in fs::read_dir(repository().join("examples")).expect("the examples") {
        let example = example.expect("an example").path();
        all.extend(toml(example.clone()).into_iter().map(|path| (path, "config")));
        all.extend(toml(example.join("providers")).into_iter().map(|path| (path, "provider")));
    }
    all
}

#[test]
fn every_file_names_its_schema_first() {
    let all = written();
    assert!(all.len() > 15, "{all:?}");
    for (path, schema) in all {
        let text = fs::read_to_string(&path).expect("a file");
        let below = path.parent().expect("a folder").strip_prefix(repository()).expect("below the repository");
        let up = "../".repeat(below.components().count());
        let expected = format!("#:schema {up}schemas/{schema}.schema.json");
        assert_eq!(text.lines().next(), Some(expected.as_str()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_linter_takes_every_file() {
    let paths: Vec<PathBuf> = written().into_iter().map(|(path, _)| path).collect();
    let (code, said) = lint(&paths).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("total={}", paths.len())), "{said}");
}

/// One mistake in each file; the linter finds each of them, and nothing wrong with what is about it.
#[tokio::test]
async fn a_linter_refuses_mistakes() {
    const OAUTH: &str = "[oauth]\nissuer = 'https://as.example'\n";
    const API: &str = "[api]\nbase_url = 'https://api.example'\n";
    const STREAM: &str = "[[items.streams]]\nname = 'a'\npath = '/a'\nrecords = '$[*]'\n";
    let provider = |rest: &str| format!("{OAUTH}{API}{rest}");
    let mistakes = [
        ("provider", format!("{OAUTH}{API}[oath]\n"), "'oath' was unexpected"),
        ("provider", format!("{OAUTH}scope = ['x']\n{API}"), "'scope' was unexpected"),
        ("provider", format!("{OAUTH}refresh = 'sometimes'\n{API}"), "is not one of"),
        ("provider", format!("{OAUTH}scopes = 'x'\n{API}"), "is not of type \"array\""),
        ("provider", format!("{OAUTH}grace = 'soon'\n{API}"), "is not valid under any"),
        ("provider", format!("{OAUTH}token_endpoint = 'as.example/token'\n{API}"), "does not match"),
        ("provider", format!("{OAUTH}[oauth.capture.token]\nteam = 'team.id'\n{API}"), "is not valid under any"),
        ("provider", format!("{OAUTH}[oauth.capture.callback.dc]\ndefault = 'x'\n{API}"), "\"param\" is a required"),
        ("provider", OAUTH.to_owned(), "\"api\" is a required property"),
        ("provider", format!("{OAUTH}[api]\nquery = {{}}\n"), "\"base_url\" is a required property"),
        ("provider", provider("rate = { limit = 3 }\n"), "\"per\" is a required property"),
        ("provider", provider("rate = { limit = 0, per = '1s' }\n"), "less than the minimum"),
        ("provider", provider("retry = { on = [99] }\n"), "less than the minimum"),
        ("provider", provider("[variables.x]\nformat = 'email'\n"), "is not one of"),
        ("provider", provider("[items]\n"), "\"streams\" is a required property"),
        ("provider", provider(STREAM), "\"item\" is a required property"),
        ("provider", provider(&format!("{STREAM}item = {{ name = '$.n' }}\n")), "\"id\" is a required property"),
        ("provider", provider(&format!("{STREAM}item = {{ id = {{ pat = '$.id' }} }}\n")), "is not valid under any"),
        ("provider", provider("[items.defaults]\nrecord = '$'\n"), "'record' was unexpected"),
        ("config", "[server]\nlisten = 8080\n".to_owned(), "is not of type \"string\""),
        ("config", "[server]\nlisten = 'here'\n".to_owned(), "does not match"),
        ("config", "[server.limits]\nheaders = '100'\n".to_owned(), "is not of type \"integer\""),
        ("config", "[net]\nallow_htp = true\n".to_owned(), "'allow_htp' was unexpected"),
        ("config", "[log]\nformat = 'xml'\n".to_owned(), "is not one of"),
        ("config", "[integrations.x]\nsecret = 'a'\n".to_owned(), "'secret' was unexpected"),
        ("config", "[callers.x]\norgs = ['*']\n".to_owned(), "\"key_hash\" is a required property"),
        ("config", "[server.tls]\ncert = 'a'\n".to_owned(), "\"key\" is a required property"),
    ];
    // What a file is not held to: what it has from another file, or from the defaults of its own list.
    let good = [
        ("provider", "extends = 'google'\n[api]\nquery = {}\n[oauth.capture.token.x]\npattern = 'a'\n".to_owned()),
        (
            "provider",
            provider(
                "[items.defaults]\nrecords = '$[*]'\nitem = { id = '$.id' }\n[[items.streams]]\nname = 'a'\npath = '/a'\n",
            ),
        ),
        (
            "provider",
            provider(
                "[oauth.sunset]\ndate = 2027-02-16\nnote = 'x'\n[oauth.capture.token]\na = '$.a'\nb = { path = '$.b' }\n",
            ),
        ),
        ("config", "[server]\nadmin_listen = ''\ndrain = 30\ndrain_delay = '1m 30s'\n".to_owned()),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut paths = Vec::new();
    for (number, (schema, text)) in mistakes
        .iter()
        .map(|(schema, text, _)| (schema, text))
        .chain(good.iter().map(|(schema, text)| (schema, text)))
        .enumerate()
    {
        let path = folder.path().join(format!("{number:02}.toml"));
        fs::write(&path, format!("#:schema ./{schema}.schema.json\n{text}")).expect("the folder can be written");
        paths.push(path);
    }
    for (name, schema) in schemas() {
        fs::write(folder.path().join(format!("{name}.schema.json")), schema.to_string()).expect("a file");
    }
    let (_, said) = lint(&paths).await;
    for (path, (_, text, expected)) in paths.iter().zip(&mistakes) {
        let name = path.display().to_string();
        let own: Vec<&str> = said.split("\n\n").filter(|part| part.contains(&name)).collect();
        assert!(own.iter().any(|part| part.contains(expected)), "{text}\n{own:?}\n{said}");
    }
    for (path, (_, text)) in paths[mistakes.len()..].iter().zip(&good) {
        assert!(!said.contains(&path.display().to_string()), "{text}\n{said}");
    }
}

/// Exit code, and all that it says.
async fn lint(paths: &[PathBuf]) -> (i32, String) {
    let mut command = Command::new("node");
    command.arg(peers("node_modules/@taplo/cli/dist/cli.js")).args(["lint", "--colors", "never"]).args(paths);
    let mut process = Process::start("taplo", command);
    process.close_stdin();
    let status = process.wait(LIMIT).await;
    (status.code().expect("an exit code"), format!("{}\n{}", process.stdout(), process.stderr()))
}
