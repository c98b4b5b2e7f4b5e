//! The documentation against the program: every fenced block of every page is loaded, run, sent or compared, or says why it is
//! not (`block` has the rule); the reference of config.toml is what the readers say; the tests that a page names are there.

pub(crate) mod block;
mod same; // what is written against what came, where `…` stands for anything
mod walk; // a page's commands and requests, one after the other, as a newcomer types them

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use keyferry::config::{self, Config, LoadRequest, Problems, config_reference, keys, provider_keys};

use self::block::{Block, Page, repository};
use crate::support::peers;

/// A fence that is known, and what stands in the place of a language where something is done with a block.
const FENCES: [&str; 20] = [
    "toml config",
    "toml provider",
    "toml part",
    "toml keys",
    "sh",
    "sh serve",
    "sh stopped",
    "sh container",
    "text output",
    "text picture",
    "text returned",
    "json answer",
    "json item",
    "http request",
    "http answer",
    "js snippet",
    "python snippet",
    "html snippet",
    "yaml snippet",
    "mermaid",
];

/// Those that only a walk of their page accounts for.
const WALKED: [&str; 9] = [
    "sh",
    "sh serve",
    "sh stopped",
    "text output",
    "text returned",
    "json answer",
    "json item",
    "http request",
    "http answer",
];

#[test]
fn every_block_is_accounted_for() {
    let mut faults = Vec::new();
    let pages = Page::all();
    assert!(pages.len() >= 12, "not all pages are found");
    for page in &pages {
        let is_walked = walk::PAGES.contains(&page.path.as_str());
        for block in &page.blocks {
            let fence = block.fence();
            let known = FENCES.contains(&fence.as_str());
            if !known && block.reason().is_none() {
                let rule = "tests/it/documentation/block.rs has the marks, `shown: REASON` among them";
                faults.push(format!("{}: what is to be done with a block of `{fence}`? {rule}", block.place));
            }
            if WALKED.contains(&fence.as_str()) && !is_walked {
                let rule = "add the page to tests/it/documentation/walk.rs, or say why it is not run: `shown: REASON`";
                faults.push(format!("{}: nobody runs this block; {rule}", block.place));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Also of those that are run elsewhere or nowhere.
#[test]
fn every_block_is_its_language() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut faults = Vec::new();
    for block in Page::all().into_iter().flat_map(|page| page.blocks) {
        let (interpreter, read_yaml) =
            (peers(".venv/bin/python"), "import sys, yaml; yaml.safe_load(open(sys.argv[1]))");
        let interpreter = interpreter.to_str().expect("a path of text");
        let (name, text, checker) = match (block.language.as_str(), block.mark.as_str()) {
            ("sh" | "bash", _) => ("block.sh", block.text.clone(), vec!["bash", "-n"]),
            ("js", _) => ("block.mjs", block.text.clone(), vec!["node", "--check"]),
            ("html", "snippet") => ("block.mjs", scripts(&block.text), vec!["node", "--check"]),
            ("yaml", _) => ("block.yaml", block.text.clone(), vec![interpreter, "-c", read_yaml]),
            ("python", _) => ("block.py", block.text.clone(), vec!["python3", "-m", "py_compile"]),
            _ => continue,
        };
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        let mut command = Command::new(checker[0]);
        let said = command.args(&checker[1..]).arg(&path).stdin(Stdio::null()).output().expect("the checker starts");
        if !said.status.success() {
            faults.push(format!("{}: {}", block.place, String::from_utf8_lossy(&said.stderr)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What stands in the script elements of a snippet.
fn scripts(html: &str) -> String {
    let inside = html.split("<script").skip(1).filter_map(|rest| rest.split_once('>')?.1.split("</script>").next());
    inside.collect()
}

#[test]
fn every_block_of_toml_loads() {
    let mut count = 0;
    for page in Page::all() {
        let providers = page.of("toml provider");
        for block in page.of("toml config") {
            let files = providers.iter().map(|block| (block.file(), block.text.as_str()));
            let config = load(&block.text, files).unwrap_or_else(|problems| panic!("{}: {problems}", block.place));
            assert!(config.warnings.is_empty(), "{}: {:?}", block.place, config.warnings);
            count += 1;
        }
        for block in &providers {
            load("", [(block.file(), block.text.as_str())])
                .unwrap_or_else(|problems| panic!("{}: {problems}", block.place));
            count += 1;
        }
        for block in page.of("toml part") {
            let acme = providers.iter().rfind(|block| block.file() == "providers/acme.toml").expect("a whole file");
            let part = format!("extends = \"acme\"\n{}", block.text);
            load("", [(acme.file(), acme.text.as_str()), ("providers/part.toml", &part)])
                .unwrap_or_else(|problems| panic!("{}: {problems}", block.place));
            count += 1;
        }
    }
    assert!(count >= 25, "only {count} blocks of TOML");
}

/// Reads a configuration in a folder of its own, where every secret that a page refers to is there.
fn load<'a>(config: &str, providers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
    fs::write(folder.path().join("config.toml"), config).expect("the folder can be written");
    for (name, text) in providers {
        fs::write(folder.path().join(name), text).expect("the folder can be written");
    }
    load_in(folder.path())
}

fn load_in(folder: &Path) -> Result<Config, Problems> {
    // 32 bytes, all of them zero.
    let store_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let environment = [
        ("ACME_CLIENT_SECRET", "secret"),
        ("ACME_EU_CLIENT_SECRET", "secret"),
        ("COLLECTOR_TOKEN", "secret"),
        ("HUBSPOT_CLIENT_SECRET", "secret"),
        ("KEYFERRY_STORE_KEY", store_key),
        ("REDIS_PASSWORD", "secret"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    config::load(LoadRequest { directory: folder.to_owned(), environment, ..LoadRequest::default() })
}

#[test]
fn the_reference_is_what_the_program_says() {
    let path = "docs/configuration.md";
    let page = fs::read_to_string(repository().join(path)).expect("the page");
    assert!(page == config_reference(&page), "{path} is not what the readers read; write it anew: tests/run reference");
}

/// The values that the reference shows are ones that can stand there, all of them together: a login of either kind.
#[test]
fn the_examples_of_the_reference_load() {
    let blocks = Page::read("docs/configuration.md").blocks;
    let shown: Vec<&Block> = blocks.iter().filter(|block| block.mark == "keys").collect();
    assert!(shown.len() >= 12, "{}", shown.len());
    let folder = tempfile::tempdir().expect("a folder");
    for made in ["providers", "tls"] {
        fs::create_dir(folder.path().join(made)).expect("the folder can be written");
    }
    for file in
        ["corporate-ca.pem", "redis-ca.pem", "redis-client.pem", "redis-client.key", "tls/cert.pem", "tls/key.pem"]
    {
        fs::write(folder.path().join(file), "").expect("the folder can be written");
    }
    // What the example's integration needs its provider to be.
    let acme = "[oauth]\nauthorization_endpoint = \"https://{subdomain}.acme.example/authorize\"\n\
                token_endpoint = \"https://{subdomain}.acme.example/token\"\n\
                [oauth.capture.callback]\nlocation = { param = \"location\", map = { eu = \"eu\", us = \"us\" } }\n\
                [variables.subdomain]\npattern = \"[a-z]+\"\n[api]\nbase_url = \"https://api.acme.example\"\n";
    fs::write(folder.path().join("providers/acme.toml"), acme).expect("the folder can be written");
    for left_out in ["[app.identity]\n", "[app.identity.jwt]\n"] {
        let texts = shown.iter().filter(|block| !block.text.starts_with(left_out));
        let text: String = texts.map(|block| block.text.as_str()).collect();
        let text = text.replace(
            "\"file:/run/secrets/store-key-new\", \"file:/run/secrets/store-key\"",
            "\"env:KEYFERRY_STORE_KEY\"",
        );
        fs::write(folder.path().join("config.toml"), &text).expect("the folder can be written");
        if let Err(problems) = load_in(folder.path()) {
            panic!("without {left_out}{problems}");
        }
    }
    let written: BTreeSet<&str> = shown.iter().flat_map(|block| block.text.lines()).collect();
    for key in keys().iter().filter(|key| !key.kind.is_table()) {
        let name = key.path.rsplit('.').next().unwrap_or_default();
        assert!(written.iter().any(|line| line.starts_with(name)), "no example of {}", key.path);
    }
}

/// Every key of `[items]`, and of `[api]` about retries, is on the page.
#[test]
fn every_key_of_items_is_explained() {
    let page = fs::read_to_string(repository().join("docs/items.md")).expect("the page");
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let of_items = provider_keys().into_iter().map(|key| key.path);
    let of_items = of_items.filter(|path| path.starts_with("items.streams") || path.starts_with("api.retry"));
    let missing: Vec<String> = of_items.filter(|path| !page.contains(&last(path))).collect();
    assert!(missing.is_empty(), "docs/items.md has no {missing:?}");
}

/// Every code that an answer may have is a row of the table of errors, and one of what an operator does about it.
#[test]
fn every_error_is_explained() {
    let of = |document: &str| {
        let path = repository().join(format!("src/server/openapi/{document}.json"));
        let text = fs::read_to_string(path).expect("the document");
        let mut codes = BTreeSet::new();
        gather_codes(&serde_json::from_str(&text).expect("JSON"), &mut codes);
        codes
    };
    let (callers, operators) = (of("integrations"), of("admin"));
    assert!(callers.len() >= 20, "{callers:?}");
    let all = callers.union(&operators).cloned().collect();
    let tables = [("docs/calling.md", "## Errors", callers), ("docs/operations.md", "## Troubleshooting", all)];
    for (path, section, codes) in tables {
        let page = fs::read_to_string(repository().join(path)).expect("the page");
        let table = page.split(section).nth(1).expect("the section");
        let missing: Vec<_> = codes.iter().filter(|code| !table.contains(&format!("`{code}`"))).collect();
        assert!(missing.is_empty(), "{path} does not explain {missing:?}");
    }
}

/// The words of every member `code` and of every header `Keyferry-Error`: an `enum`, or a `const`.
fn gather_codes(document: &serde_json::Value, codes: &mut BTreeSet<String>) {
    match document {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                let schema = if name == "Keyferry-Error" { &value["schema"] } else { value };
                if name == "code" || name == "Keyferry-Error" {
                    let words = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
                    codes.extend(words.filter_map(|word| word.as_str()).map(str::to_owned));
                }
                gather_codes(value, codes);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| gather_codes(value, codes)),
        _ => {}
    }
}

/// `docs/security.md` names the tests that show its promises.
#[test]
fn the_tests_that_are_named_are_there() {
    let page = fs::read_to_string(repository().join("docs/security.md")).expect("the page");
    let program = std::env::current_exe().expect("this program");
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output().expect("it lists its tests");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let tests: BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() >= 60, "{}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "docs/security.md names tests that are not there: {missing:?}");
}

/// Where a link of a page leads within the repository, something is; and a place in it that is named too.
#[test]
fn every_link_leads_somewhere() {
    let mut faults = Vec::new();
    for page in Page::all() {
        let text = fs::read_to_string(repository().join(&page.path)).expect("the page");
        let folder = Path::new(&page.path).parent().expect("a folder");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (path, place) = target.split_once('#').unwrap_or((target, ""));
            let path =
                if path.is_empty() { repository().join(&page.path) } else { repository().join(folder).join(path) };
            match fs::read_to_string(&path) {
                Ok(there) if !place.is_empty() && !headings(&there).iter().any(|heading| heading == place) => {
                    faults.push(format!("{}: {target} has no such heading", page.path));
                }
                Ok(_) => {}
                Err(_) if path.exists() => {}
                Err(_) => faults.push(format!("{}: {target} is not there", page.path)),
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The headings as forges name them.
fn headings(page: &str) -> Vec<String> {
    let of = |line: &str| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect();
        kept.replace(' ', "-")
    };
    page.lines().filter(|line| line.starts_with('#')).map(of).collect()
}
