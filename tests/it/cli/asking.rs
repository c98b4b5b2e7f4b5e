use serde_json::json;

use super::Typed;
use crate::support::{Configuration, Keyferry, Scripted};

#[tokio::test]
async fn no_proxy_of_the_environment_gets_the_key() {
    let proxy = Scripted::start().await;
    for arguments in [&["connections", "list", "--admin-url"][..], &["items", "acme", "--url"]] {
        let typed = Typed::new(&[arguments, &["http://127.0.0.1:1", "--key", "kf_canary"]].concat());
        let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let typed = variables.iter().fold(typed, |typed, name| typed.environment(name, &proxy.url("")));
        let (code, _, err) = typed.run().await;
        assert!(code == 1 && err.contains("nothing answers at http://127.0.0.1:1"), "{err}");
    }
    assert_eq!(proxy.requests(), [""; 0]);
}

#[tokio::test]
async fn a_key_is_what_stands_before_the_line_break() {
    let sidecar = Scripted::start().await;
    let commands = [
        (["connections", "list", "--admin-url"], "KEYFERRY_ADMIN_KEY", "/connections"),
        (["items", "acme", "--url"], "KEYFERRY_KEY", "/integrations/acme/items"),
    ];
    for (arguments, variable, path) in commands {
        let url = sidecar.url("");
        let typed = || Typed::new(&[&arguments[..], &[&url]].concat());
        let check = async |key: &str, expected: Option<&str>| {
            sidecar.json(path, &json!({ "problems": [], "connections": [] }));
            let (code, _, err) = typed().environment(variable, key).run().await;
            let [request] = &sidecar.requests()[..] else { panic!("{code} {err}") };
            let sent = request.lines().find_map(|line| line.strip_prefix("authorization: "));
            assert_eq!(sent, expected, "{key:?}");
        };
        check("kf_canary\n", Some("Bearer kf_canary")).await;
        check("kf_canary \r\n\n", Some("Bearer kf_canary")).await;
        check("\n", None).await;
        check("", None).await;

        let (code, _, err) = typed().environment(variable, "kf_can\nary").run().await;
        assert!(code == 2 && err.contains(variable) && err.contains("line break") && !err.contains("ary"), "{err}");
        assert_eq!(sidecar.requests(), [""; 0]);
    }
}

#[tokio::test]
async fn a_page_of_connections_may_hold_much_of_each() {
    let sidecar = Scripted::start().await;
    let value = "x".repeat(8 << 10);
    let connection = |number: u32| json!({ "connection": format!("con_{number}"), "captured": { "answer": value } });
    let page: Vec<_> = (0..200).map(connection).collect();
    sidecar.json("/connections", &json!({ "connections": page }));
    let (code, out, err) = Typed::new(&["connections", "list", "--admin-url", &sidecar.url("")]).run().await;
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 201));
}

#[tokio::test]
async fn an_empty_address_is_none() {
    let config = "[server]\nadmin_listen = \"127.0.0.1:1\"\n";
    let typed = Typed::new(&["connections", "list"]).config(config).environment("KEYFERRY_ADMIN_URL", "");
    let (code, _, err) = typed.run().await;
    assert!(code == 1 && err.contains("nothing answers at http://127.0.0.1:1"), "{err}");
}

#[tokio::test]
async fn only_the_address_is_read_of_a_configuration() {
    let keyferry = Keyferry::start(Configuration::new()).await;
    let admin = keyferry.admin().to_string();
    // What only the process has, and what somebody is about to write.
    let elsewhere = "lisen = 1\nlisten = \"nowhere\"\n[store]\nurl = \"redis://127.0.0.1:1\"\n\
                     [integrations.unheard-of]\nclient_id = 1\n[nothing]\n";
    let by_file = format!("[server]\nadmin_listen = \"{admin}\"\n{elsewhere}");
    let by_variable = format!("[server]\nadmin_listen = \"127.0.0.1:1\"\n{elsewhere}");
    let (code, _, err) = Typed::new(&["check"]).config(&by_file).run().await;
    assert!(code == 2 && err.contains("KEYFERRY_STORE_KEY"), "{err}");
    let commands: [(&[&str], i32, &str); 4] = [
        (&["healthcheck"], 0, ""),
        (&["connections", "list"], 1, "403 forbidden"),
        (&["people", "delete", "--org", "a", "--user", "b", "--yes"], 1, "403 forbidden"),
        (&["store", "rekey"], 1, "403 forbidden"),
    ];
    for (arguments, expected, said) in commands {
        let typed = || Typed::new(arguments);
        let (code, _, err) = typed().config(&by_file).run().await;
        assert!(code == expected && err.contains(said), "{arguments:?}: {code} {err}");
        let typed_so = typed().config(&by_variable).environment("KEYFERRY_SERVER__ADMIN_LISTEN", &admin);
        let (code, _, err) = typed_so.environment("KEYFERRY_SERVER____", "odd").run().await;
        assert!(code == expected && err.contains(said), "{arguments:?}: {code} {err}");

        let check = async |config: &str, expected: &str| {
            let (code, _, err) = typed().config(config).run().await;
            assert!(code == 2 && err.starts_with("config: 1 mistake\n") && err.contains(expected), "{code} {err}");
        };
        check("[server]\nlisen = 1\nadmin_listen = \"nowhere\"\n", "server.admin_listen").await;
        check("server = 1\n", "config.toml  server  ").await;
        check("[server\n", "is not TOML").await;
        let (code, _, err) = typed().environment("KEYFERRY_SERVER__ADMIN_LISTEN", "nowhere").run().await;
        assert!(code == 2 && err.contains("environment variable KEYFERRY_SERVER__ADMIN_LISTEN"), "{code} {err}");
    }
}
