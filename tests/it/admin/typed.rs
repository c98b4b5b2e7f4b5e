use std::process::Command;

use serde_json::Value;

use super::{PATIENCE, Scene};
use crate::cli::Typed;
use crate::support::{Person, Process, peers};

/// Runs a command at a terminal with its standard output in a file, waits for the question, types an answer, and ends as
/// the command does.
const TERMINAL: &str = r"
import os, pty, sys
process, terminal = pty.fork()
if process == 0:
    os.dup2(os.open('out', os.O_WRONLY | os.O_CREAT), 1)
    os.execv(sys.argv[2], sys.argv[2:])
said = b''
while b'[y/N]' not in said:
    said += os.read(terminal, 1024)
os.write(terminal, sys.argv[1].encode() + b'\n')
try:
    while more := os.read(terminal, 1024):
        said += more
except OSError:
    pass  # how Linux says that the other end is closed
sys.stdout.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
";

#[tokio::test]
async fn the_operators_commands() {
    let scene = Scene::over("url = \"memory:\"\n").await;
    for (integration, person) in [("acme", Person::ADA), ("acme", Person::BOB), ("other", Person::ADA)] {
        scene.keyferry.connect(integration, person).await;
    }
    let url = format!("http://{}", scene.keyferry.admin());
    let typed = |arguments: &[&str]| {
        let typed = Typed::new(arguments).environment("KEYFERRY_ADMIN_URL", &url);
        typed.environment("KEYFERRY_ADMIN_KEY", &scene.admin_key)
    };
    let id_of = async |query: &str| scene.list(query).await[0]["connection"].as_str().expect("an id").to_owned();
    let ada = id_of("user=ada&integration=acme").await;

    let (code, out, err) = typed(&["connections", "list"]).run().await;
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 4), "{out}");
    assert!(out.starts_with("CONNECTION ") && out.contains(&ada), "{out}");
    let (_, out, _) = typed(&["connections", "list", "--user", "ada", "--integration", "acme", "--json"]).run().await;
    let line: Value = serde_json::from_str(out.trim()).expect("one line of JSON");
    assert_eq!(line["connection"], ada.as_str());
    let (code, out, err) = typed(&["connections", "list", "--status", "disconnected"]).run().await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "There are no such connections.\n"));
    let (code, out, _) = typed(&["connections", "show", &ada]).run().await;
    assert!(code == 0 && out.contains("user_id        ada\n") && out.contains("status         active\n"), "{out}");

    // The address may come from the configuration, and the key by a flag.
    let config = format!("[server]\nadmin_listen = \"{}\"\n", scene.keyferry.admin());
    let by_config = Typed::new(&["connections", "show", &ada, "--key", &scene.admin_key, "--json"]).config(&config);
    assert_eq!(by_config.run().await.0, 0);

    // Nothing is ended without a word.
    let (code, _, err) = typed(&["connections", "disconnect", &ada]).run().await;
    assert!(code == 1 && err.contains("pass --yes"), "{err}");
    let (code, _, err) = typed(&["people", "delete", "--org", "analytical", "--user", "bob"]).run().await;
    assert!(code == 1 && err.contains("pass --yes"), "{err}");
    let arguments = ["connections", "disconnect", &ada, "--admin-url", &url, "--key", &scene.admin_key];
    let (code, out, said) = at_a_terminal("n", &arguments).await;
    assert!(code == 1 && said.contains("user ada of organisation analytical at `acme`"), "{said}");
    assert!(out.is_empty() && said.contains("nothing was changed"), "{out}{said}");
    assert_eq!(scene.list("status=active").await.len(), 3);
    let (code, out, said) = at_a_terminal("y", &arguments).await;
    assert!(code == 0 && out.starts_with(&format!("Disconnected: {ada}")), "{out}{said}");
    scene.keyferry.call("acme", "/api/me", Person::ADA).await.expect_problem(424, "not_connected");
    // There is nothing left to ask about.
    let (code, out, err) = typed(&["connections", "disconnect", &ada]).run().await;
    assert!(code == 0 && out.starts_with(&format!("Disconnected already: {ada}")), "{out}{err}");
    let other = id_of("integration=other").await;
    let (code, out, err) = typed(&["connections", "disconnect", &other, "--yes"]).run().await;
    assert!(code == 0 && out.contains(&other), "{out}{err}");

    let nobody = ["people", "delete", "--org", "analytical", "--user", "zoe", "--json", "--admin-url", &url];
    let (code, out, said) = at_a_terminal("y", &[&nobody[..], &["--key", &scene.admin_key]].concat()).await;
    assert!(code == 0 && said.contains("kept of user zoe of organisation analytical? [y/N]"), "{said}");
    let deleted: Value = serde_json::from_str(&out).expect("the file is the JSON object");
    assert_eq!((&deleted["user_id"], &deleted["connections"]), (&Value::from("zoe"), &Value::from(0)));
    let (code, out, err) = typed(&["people", "delete", "--org", "analytical", "--user", "ada", "--yes"]).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    let said =
        "user ada of organisation analytical: 2 connections, 0 sessions, 0 authorizations under way, 0 unconfirmed";
    assert!(out.contains(said), "{out}");

    let (code, out, err) = typed(&["store", "rekey"]).run().await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("Every record is sealed with the newest store key: ") && out.contains(", 0 sealed anew"),
        "{out}"
    );

    // What may be wrong is told with what to do.
    let (code, _, err) = Typed::new(&["store", "rekey", "--admin-url", &url]).run().await;
    assert!(code == 1 && err.contains("401 unauthenticated") && err.contains("KEYFERRY_ADMIN_KEY"), "{err}");
    let key = scene.keyferry.api_key().expect("a caller's key");
    let (code, _, err) = Typed::new(&["connections", "list", "--admin-url", &url, "--key", key]).run().await;
    assert!(code == 1 && err.contains("server.admin_key_hash") && !err.contains(key), "{err}");
    let (code, _, err) = Typed::new(&["connections", "list", "--admin-url", "http://127.0.0.1:1"]).run().await;
    assert!(code == 1 && err.contains("nothing answers at http://127.0.0.1:1"), "{err}");
    let (code, _, err) = typed(&["connections", "show", "con_00000000000000000000000000"]).run().await;
    assert!(code == 1 && err.contains("No connection has this id."), "{err}");
    let off = "[server]\nadmin_listen = \"\"\n";
    for arguments in [&["connections", "list"][..], &["healthcheck"]] {
        let (code, _, err) = Typed::new(arguments).config(off).run().await;
        assert!(code == 1 && err.contains("server.admin_listen is \"\""), "{err}");
    }
}

/// Exit code, standard output, and everything that stands on the terminal.
async fn at_a_terminal(answer: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(peers(".venv/bin/python"));
    command.env_clear().current_dir(folder.path()).args(["-c", TERMINAL, answer, env!("CARGO_BIN_EXE_keyferry")]);
    command.args(arguments);
    let mut process = Process::start("keyferry at a terminal", command);
    let status = process.wait(PATIENCE).await;
    let out = std::fs::read_to_string(folder.path().join("out")).expect("a file");
    (status.code().expect("an exit code"), out, format!("{}{}", process.stdout(), process.stderr()))
}
