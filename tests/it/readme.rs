//! The README against the program: every key is explained, and every TOML block is one that loads.

use std::path::Path;

use keyferry::config::{self, LoadRequest};

const README: &str = include_str!("../../README.md");
const ITEMS: &str = include_str!("../../docs/items.md");

#[test]
fn every_key_of_the_configuration_is_explained() {
    let rows: String = README.lines().filter(|line| line.starts_with("| `")).collect();
    let missing: Vec<String> = config::keys()
        .into_iter()
        .filter(|key| !key.kind.is_table() && !rows.contains(&format!("`{}`", key.path)))
        .map(|key| key.path)
        .collect();
    assert!(missing.is_empty(), "the README's table has no {missing:?}");
}

#[test]
fn no_key_is_explained_that_is_not_there() {
    let keys = config::keys();
    let table = README.split("## Configuration").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    for path in rows.flat_map(|row| row.split('|').nth(1).expect("a cell").split(',')) {
        let path = path.trim().trim_matches('`');
        assert!(keys.iter().any(|key| key.path == path), "the README explains `{path}`, which is no key");
    }
}

#[test]
fn every_block_of_toml_loads() {
    let blocks: Vec<String> = README.split("```toml\n").skip(1).map(block).collect();
    assert_eq!(blocks.len(), 3);
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("config.toml"), &blocks[0]);
    std::fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
    write(&folder.path().join("providers/acme.toml"), &blocks[1]);
    let secret = ("HUBSPOT_CLIENT_SECRET".to_owned(), "secret".to_owned());
    let request =
        LoadRequest { directory: folder.path().to_owned(), environment: vec![secret], ..LoadRequest::default() };
    let config = config::load(request).expect("the README's own configuration");
    let ready = |name: &str| config.integrations.iter().any(|one| one.name.as_str() == name && one.missing.is_none());
    assert!(ready("hubspot") && config.warnings.is_empty(), "{:?}", config.warnings);
    assert!(config.integrations.iter().any(|one| one.name.as_str() == "acme"));

    write(&folder.path().join("config.toml"), &blocks[2]);
    let request = LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() };
    let app = config::load(request).expect("in front of an application").server.app;
    assert!(app.upstream.is_some() && app.identity.is_some());
}

/// What docs/items.md teaches is a provider whose items can be loaded.
#[test]
fn the_example_of_items_loads() {
    let blocks: Vec<String> = ITEMS.split("```toml\n").skip(1).map(block).collect();
    assert_eq!(blocks.len(), 1);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
    write(&folder.path().join("providers/acme.toml"), &blocks[0]);
    let request = LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() };
    let config = config::load(request).expect("the page's own provider");
    let acme = config.integrations.iter().find(|one| one.name.as_str() == "acme").expect("acme");
    assert!(!acme.provider.items.is_empty());
}

/// Every key of `[items]`, and of `[api]` about retries, is on the page.
#[test]
fn every_key_of_items_is_explained() {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let of_items = config::provider_keys().into_iter().map(|key| key.path);
    let of_items = of_items.filter(|path| path.starts_with("items.streams") || path.starts_with("api.retry"));
    let missing: Vec<String> = of_items.filter(|path| !ITEMS.contains(&last(path))).collect();
    assert!(missing.is_empty(), "docs/items.md has no {missing:?}");
}

/// The lines up to the fence, without the indentation of a list.
fn block(text: &str) -> String {
    text.lines()
        .take_while(|line| !line.trim().starts_with("```"))
        .map(|line| format!("{}\n", line.trim_start()))
        .collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the folder can be written");
}
