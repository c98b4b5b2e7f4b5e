//! docs/providers.md against the program: every block of TOML loads, every example passes, every key is there, and what
//! only that page has taught works at a real server.

use keyferry::config::{self, LoadRequest};

use super::Desk;

const PAGE: &str = include_str!("../../../docs/providers.md");

/// The blocks that are whole files, by their name, and those that are a part of one.
fn blocks() -> (Vec<(&'static str, &'static str)>, Vec<&'static str>) {
    let texts = PAGE.split("```toml\n").skip(1).map(|text| text.split("```").next().unwrap_or_default());
    let mut files = Vec::new();
    let mut parts = Vec::new();
    for text in texts {
        match text.lines().next().and_then(|line| line.strip_prefix("# ")) {
            Some(name) if name.ends_with(".toml") => files.push((name, text)),
            _ => parts.push(text),
        }
    }
    (files, parts)
}

#[test]
fn every_block_of_toml_loads() {
    let (files, parts) = blocks();
    assert!(files.len() >= 6 && parts.len() >= 6, "{} and {}", files.len(), parts.len());
    let load = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("providers")).expect("the folder can be written");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("the folder can be written");
        }
        let environment = vec![("ACME_CLIENT_SECRET".to_owned(), "secret".to_owned())];
        let request = LoadRequest { directory: folder.path().to_owned(), environment, ..LoadRequest::default() };
        config::load(request).unwrap_or_else(|problems| panic!("{files:?}: {problems}"))
    };
    let (configuration, providers): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| *name == "config.toml");
    for file in &providers {
        load(&[*file]);
    }
    let acme = *providers.iter().rfind(|(name, _)| *name == "providers/acme.toml").expect("acme");
    for part in configuration {
        let ready = load(&[acme, part]).integrations;
        assert!(ready.iter().any(|one| one.name.as_str() == "acme" && one.missing.is_none()));
    }
    // A part is what one adds to a file that is there.
    for part in parts {
        load(&[acme, ("providers/part.toml", &format!("extends = \"acme\"\n{part}"))]);
    }
}

#[tokio::test]
async fn every_example_passes() {
    let (files, parts) = blocks();
    let examples: Vec<_> = files.into_iter().filter(|(name, _)| name.starts_with("providers/")).collect();
    assert!(examples.len() >= 5);
    for (name, text) in &examples {
        let printed = Desk::new().file(name, text).test(name).await;
        assert_eq!(printed.code, 0, "{name}: {}{}", printed.out, printed.err);
    }
    let acme = examples.iter().rfind(|(name, _)| *name == "providers/acme.toml").expect("acme");
    for part in parts {
        let desk = Desk::new().file(acme.0, acme.1).file("providers/part.toml", &format!("extends = \"acme\"\n{part}"));
        let printed = desk.test("part").await;
        assert_eq!(printed.code, 0, "{part}: {}{}", printed.out, printed.err);
    }
}

/// Every key but those of [items], which have a page of their own.
#[test]
fn every_key_is_explained() {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let reference = PAGE.split("## Every key").nth(1).expect("the section");
    let keys = config::provider_keys().into_iter().map(|key| key.path);
    let keys = keys.filter(|path| !path.starts_with("items") && !path.starts_with("api.retry") && !path.ends_with('>'));
    let missing: Vec<String> = keys
        .filter(|path| {
            let name = last(path);
            let written = [
                format!("`{name}`"),
                format!(".{name}`"),
                format!("`{name}."),
                format!("[{path}]"),
                format!("[{path}."),
            ];
            !written.iter().any(|written| reference.contains(written))
        })
        .collect();
    assert!(missing.is_empty(), "docs/providers.md has no {missing:?}");
}
