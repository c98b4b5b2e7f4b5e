//! How Keyferry is deployed, as far as files alone can show it: their configurations are good, what they say of each
//! other is so, and whoever stops the process waits long enough. `tests/run image` builds and runs them.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use keyferry::config::{self, Config, LoadRequest};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Process, peers};

const LIMIT: Duration = Duration::from_secs(30);

/// What a token request that is under way may add to the drain, by default: four times `net.token_timeout`.
const LONGEST_DUTY: Duration = Duration::from_secs(80);

const DOCKERFILE: &str = include_str!("../../Dockerfile");
const UNIT: &str = include_str!("../../deploy/systemd/keyferry.service");

/// The folder that images read, and the secrets of each way to run them.
const IMAGE_CONFIG: &str = "/etc/keyferry";
const SECRETS: [&str; 3] = ["/run/secrets/keyferry", "/run/credentials/keyferry.service", "/run/secrets"];

#[test]
fn the_image_is_what_its_users_take_it_for() {
    let last_stage = DOCKERFILE.split("\nFROM scratch\n").nth(1).expect("it ends in an empty image");
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        &format!("org.opencontainers.image.version=\"{version}\""),
        "USER 65532:65532",
        "EXPOSE 8080",
        "VOLUME /data",
        "STOPSIGNAL SIGTERM",
        "CMD [\"/keyferry\", \"healthcheck\", \"--address\", \"127.0.0.1:8081\"]",
        "CMD [\"serve\", \"--config\", \"/etc/keyferry/config.toml\"]",
    ] {
        assert!(last_stage.contains(line), "the image has no `{line}`");
    }
    // It is asked where the admin listener is by default.
    let default = config::load(LoadRequest { directory: "/nonexistent".into(), ..LoadRequest::default() });
    let admin = default.expect("the defaults").server.admin_listen.expect("an admin listener");
    assert_eq!(admin.to_string(), "127.0.0.1:8081");
    // The toolchain of the image is the one that everything else is checked with.
    let toolchain = include_str!("../../rust-toolchain.toml");
    let (_, image) = DOCKERFILE.split_once("FROM rust:").expect("a toolchain");
    let release = image.split('-').next().expect("a version");
    assert!(toolchain.contains(&format!("channel = \"{release}.")), "the image builds with {release}");
    // What the context brings is what the Dockerfile copies.
    let context = include_str!("../../.dockerignore").lines().filter_map(|line| line.strip_prefix('!'));
    for path in context {
        let copied =
            DOCKERFILE.lines().any(|line| line.starts_with("COPY ") && line.split(' ').any(|word| word == path));
        assert!(copied, "{path} is in the context for nothing");
    }
}

#[test]
fn compose() {
    let compose = &yaml("compose.yaml")[0];
    let services = &compose["services"];
    let keyferry = &services["keyferry"];
    for (name, service) in services.as_object().expect("services") {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]), "{name}");
        // Reached from this machine alone, and by way of Keyferry alone.
        let ports = service["ports"].as_array().cloned().unwrap_or_default();
        assert!(name == "keyferry" || ports.is_empty(), "{name} is reached around Keyferry");
        assert!(ports.iter().all(|port| port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:"))), "{ports:?}");
    }
    assert_eq!(services["provider"]["network_mode"], "service:keyferry");
    assert_eq!(services["provider"]["image"], services["app"]["image"]);
    // What Keyferry needs while it drains is stopped after it. Whoever shares its network would be stopped before it.
    for name in ["app", "redis"] {
        assert!(!keyferry["depends_on"][name].is_null() && services[name]["network_mode"].is_null(), "{name}");
    }
    let example = services["app"]["build"].as_str().expect("a folder");
    let image = fs::read_to_string(root(example).join("Dockerfile")).expect("a Dockerfile");
    assert!(image.contains("CMD [\"python3\", \"/app/app.py\"]"), "{image}");

    let volumes = keyferry["volumes"].as_array().expect("volumes");
    assert_eq!(volumes[0], json!(format!("./{example}:{IMAGE_CONFIG}:ro")));
    let environment = keyferry["environment"].as_object().expect("variables").iter();
    // Unset, a variable of the person who types is what stands behind `:-`.
    let plain = |value: &str| match value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(rest) => rest.split_once(":-").expect("a default").1.to_owned(),
        None => value.to_owned(),
    };
    let environment = environment.map(|(name, value)| (name.clone(), plain(value.as_str().expect("text")))).collect();
    let text = fs::read_to_string(root(example).join("config.toml")).expect("a configuration");
    let config = loaded(&text, &root(example).join("providers"), environment);
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(keyferry["environment"]["KEYFERRY_APP__UPSTREAM"], "http://app:3000");
    assert_eq!(services["app"]["environment"]["HOST"], "0.0.0.0");
    let grace = keyferry["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s')).expect("seconds");
    waits_long_enough(Duration::from_secs(grace.parse().expect("a number")), &config);
}

#[test]
fn kubernetes() {
    let documents: Vec<Value> = ["configmap", "secret", "deployment", "service", "networkpolicy"]
        .iter()
        .flat_map(|file| yaml(&format!("deploy/kubernetes/{file}.yaml")))
        .collect();
    let of_kind = |kind: &str| documents.iter().filter(|document| document["kind"] == kind).collect::<Vec<_>>();
    let [deployment] = of_kind("Deployment")[..] else { panic!("one deployment") };
    let pod = &deployment["spec"]["template"]["spec"];
    let [keyferry, application] = &pod["containers"].as_array().expect("containers")[..] else { panic!("two") };

    // As the image is.
    assert_eq!(keyferry["image"], format!("keyferry:{}", env!("CARGO_PKG_VERSION")));
    let user = pod["securityContext"]["runAsUser"].as_u64().expect("a user");
    assert!(DOCKERFILE.contains(&format!("USER {user}:")));
    for container in [keyferry, application] {
        let confined = &container["securityContext"];
        assert_eq!(confined["readOnlyRootFilesystem"], true);
        assert_eq!(confined["allowPrivilegeEscalation"], false);
        assert_eq!(confined["capabilities"]["drop"], json!(["ALL"]));
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let command = keyferry[probe]["exec"]["command"].as_array().expect("a command");
        assert_eq!(
            command[..4],
            json!(["/keyferry", "healthcheck", "--address", "127.0.0.1:8081"]).as_array().unwrap()[..]
        );
        // Only where requests are sent depends on the store: none that is away is mended by a restart.
        assert_eq!(command.get(4), (probe != "readinessProbe").then_some(&json!("--live")), "{command:?}");
        // Longer than the command itself waits.
        assert_eq!(keyferry[probe]["timeoutSeconds"], 6);
    }

    // What is named is there.
    let mount = |name: &str| {
        let mounts = keyferry["volumeMounts"].as_array().expect("mounts");
        mounts.iter().find(|mount| mount["name"] == name).unwrap_or_else(|| panic!("no {name}"))["mountPath"].clone()
    };
    assert_eq!((mount("config"), mount("secrets")), (json!(IMAGE_CONFIG), json!(SECRETS[0])));
    let [map] = of_kind("ConfigMap")[..] else { panic!("one configuration") };
    let text = map["data"]["config.toml"].as_str().expect("a configuration");
    let secret = |name: &str| {
        let secrets = of_kind("Secret");
        let secret = secrets.iter().find(|secret| secret["metadata"]["name"] == name).expect(name);
        secret["stringData"].as_object().expect("secrets").clone()
    };
    for name in text.split(&format!("file:{}/", SECRETS[0])).skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(secret("keyferry").contains_key(name), "the Secret has no {name}");
    }
    // Each container has its own secrets alone, and what stands for them in the files is refused.
    let secret_of = |container: &Value| {
        let volumes = pod["volumes"].as_array().expect("volumes");
        let mounted = |volume: &&Value| {
            let mounts = container["volumeMounts"].as_array().expect("mounts");
            !volume["secret"].is_null() && mounts.iter().any(|mount| mount["name"] == volume["name"])
        };
        volumes.iter().filter(mounted).map(|volume| volume["secret"]["secretName"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(secret_of(keyferry), [json!("keyferry")]);
    assert_eq!(secret_of(application), [json!("reading-list")]);
    assert!(secret("reading-list").contains_key("caller-key"));
    let request = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.toml"), text).expect("a configuration");
        config::load(LoadRequest { directory: folder.path().to_owned(), ..LoadRequest::default() })
    };
    let refused = request(text).expect_err("placeholders").to_string();
    assert!(refused.contains("callers.reading-list.key_hash"), "{refused}");
    let filled = text.replace("sha256:replace-me", &format!("sha256:{}", "0".repeat(64)));
    let config = loaded(&filled, Path::new(""), Vec::new());
    let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    waits_long_enough(Duration::from_secs(grace), &config);
    assert!(!config.server.drain_delay.is_zero(), "the Service goes on to send requests for a while");
    // The application is there for as long as Keyferry may hand requests to it, and then has time to go by itself.
    let held_back =
        Duration::from_secs(application["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("seconds"));
    let handed_over = config.server.drain_delay + config.server.drain;
    assert!(
        held_back > handed_over && Duration::from_secs(grace) > held_back + Duration::from_secs(30),
        "{held_back:?}"
    );
    assert!(keyferry["lifecycle"].is_null(), "Keyferry is told at once");

    // The way in, from the Service to the listener.
    let port = config.server.listen.port();
    assert_eq!(keyferry["ports"], json!([{ "name": "http", "containerPort": port }]));
    let [service] = of_kind("Service")[..] else { panic!("one service") };
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "http");
    let [policy] = of_kind("NetworkPolicy")[..] else { panic!("one policy") };
    assert_eq!(policy["spec"]["ingress"][0]["ports"], json!([{ "protocol": "TCP", "port": port }]));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &service["spec"]["selector"],
        &policy["spec"]["podSelector"]["matchLabels"],
        &of_kind("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
}

#[test]
fn the_unit() {
    let value = |key: &str| {
        let line = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("the unit has no {key}"))
    };
    let text = fs::read_to_string(root("deploy/systemd/config.toml")).expect("a configuration");
    let config = loaded(&text, Path::new(""), Vec::new());
    assert_eq!(value("ExecStart"), format!("/usr/bin/keyferry serve --config {IMAGE_CONFIG}/config.toml"));
    assert!(text.contains(&format!("\"file:/var/lib/{}/keyferry.redb\"", value("StateDirectory"))), "{text}");
    let credential = value("LoadCredential").split(':').next().expect("a name");
    assert!(text.contains(&format!("\"file:{}/{credential}\"", SECRETS[1])), "{text}");
    waits_long_enough(Duration::from_secs(value("TimeoutStopSec").parse().expect("seconds")), &config);
}

/// `Type=notify`: what a supervisor hears from the start to the end.
#[tokio::test]
async fn a_supervisor_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let heard = || {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let config = folder.path().join("config.toml");
    let written =
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"\"\ndrain = \"1s\"\n[store]\nurl = \"memory:\"\n";
    fs::write(&config, written).expect("the folder can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyferry"));
    command.args(["serve", "--config"]).arg(&config).env_clear().env("NOTIFY_SOCKET", &path);
    let mut keyferry = Process::start("keyferry", command);

    assert_eq!(heard(), "READY=1\nSTATUS=serving");
    keyferry.signal(Signal::HUP);
    let reloading = heard();
    let since = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(since.parse::<u64>().is_ok_and(|since| since > 0), "{reloading}");
    assert!(heard().starts_with("READY=1\nSTATUS=serving, with the configuration"), "the reload is over");

    fs::write(&config, format!("{written}[sever]\n")).expect("the folder can be written");
    assert!(heard().starts_with("RELOADING=1\n"), "an edited file is one more");
    assert!(heard().starts_with("READY=1\nSTATUS=serving; the configuration has mistakes"), "the one before stays");

    keyferry.signal(Signal::TERM);
    let stopping = heard();
    let longest = stopping.rsplit_once("EXTEND_TIMEOUT_USEC=").expect("how long").1;
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert!(longest.parse::<u64>().is_ok_and(|longest| longest > 1_000_000), "{stopping}");
    assert!(keyferry.wait(LIMIT).await.success(), "{}", keyferry.stderr());
}

/// The configuration, which has no mistake and nothing that deserves a look, with its secrets in a folder of the test.
fn loaded(text: &str, providers: &Path, environment: Vec<(String, String)>) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = folder.path().to_str().expect("a path");
    let here = |text: &str| SECRETS.iter().fold(text.to_owned(), |text, place| text.replace(place, secrets));
    let environment: Vec<_> = environment.into_iter().map(|(name, value)| (name, here(&value))).collect();
    let text = here(text);
    let all: String =
        environment.iter().map(|(_, value)| value.as_str()).chain([text.as_str()]).collect::<Vec<_>>().join("\n");
    for name in all.split(&format!("file:{secrets}/")).skip(1).filter_map(|rest| rest.split('"').next()) {
        let name = name.lines().next().expect("a name");
        fs::write(folder.path().join(name), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n").expect("a secret");
    }
    fs::write(folder.path().join("config.toml"), text).expect("a configuration");
    if providers.is_dir() {
        std::os::unix::fs::symlink(providers, folder.path().join("providers")).expect("a link");
    }
    let request = LoadRequest { directory: folder.path().to_owned(), environment, ..LoadRequest::default() };
    let config = config::load(request).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config
}

fn waits_long_enough(grace: Duration, config: &Config) {
    let needed = config.server.drain_delay + config.server.drain + LONGEST_DUTY;
    assert!(grace >= needed, "{grace:?} are granted, and {needed:?} may be needed");
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    let output = Command::new(peers(".venv/bin/python"))
        .args(["-c", "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"])
        .arg(root(path))
        .stderr(Stdio::inherit())
        .output()
        .expect("`tests/run tools` installs what the tests need");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
