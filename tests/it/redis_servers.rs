//! Real Redis servers for the tests, on loopback, each in a folder of its own: alone, over TLS with an ACL user, behind
//! Sentinel, in a Cluster. Each ends with the value that stands for it.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::Port;

/// A running `redis-server` (or Sentinel), killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
    pub(crate) folder: TempDir,
}

impl Server {
    /// A server without persistence; `options` are those of redis.conf.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::on(free_port(), options)
    }

    /// The same on a port that is known beforehand.
    pub(crate) fn on(port: u16, options: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::run(Command::new("redis-server").arg("--port").arg(port.to_string()).args(options), port, folder)
    }

    fn run(command: &mut Command, port: u16, folder: TempDir) -> Self {
        let process = command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed (apt-get install redis-server redis-sentinel redis-tools)");
        let server = Self { process, port, folder };
        wait_for("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A client beneath the store.
    pub(crate) fn raw(&self) -> redis::Connection {
        raw(&self.url())
    }

    /// As a machine that loses power.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("the server was running");
        self.process.wait().expect("the server has ended");
    }

    /// As a machine that hangs: connections stay open and nothing answers.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("the server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that the store reaches over TLS only, with a client certificate and an ACL user that may do no more than
/// the store's documentation says.
pub(crate) struct Secured {
    pub(crate) server: Server,
    pub(crate) tls_port: u16,
    certificates: TempDir,
}

impl Secured {
    pub(crate) fn start() -> Self {
        let certificates = TempDir::new().expect("a temporary folder");
        write_certificates(&certificates);
        let file = |name: &str| certificates.path().join(name).display().to_string();
        fs::write(
            file("users.acl"),
            "user default off\n\
             user keyferry on >kf:secret resetchannels ~keyferry:* &keyferry:* -@all \
             +get +set +del +pttl +eval +scan +ping +publish +subscribe\n\
             user tester on >tester ~* &* +@all\n",
        )
        .expect("a file");
        let tls_port = free_port();
        let server = Server::start(&[
            "--tls-port",
            &tls_port.to_string(),
            "--tls-cert-file",
            &file("server.pem"),
            "--tls-key-file",
            &file("server.key"),
            "--tls-ca-cert-file",
            &file("ca.pem"),
            "--tls-auth-clients",
            "yes",
            "--aclfile",
            &file("users.acl"),
        ]);
        wait_for("the server listens for TLS", || TcpStream::connect(("127.0.0.1", tls_port)).is_ok());
        Self { server, tls_port, certificates }
    }

    /// `ca.pem`, `client.pem`, `client.key`, and those of another authority under `other-ca.pem`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://keyferry:kf%3Asecret@localhost:{}", self.tls_port)
    }

    pub(crate) fn raw(&self) -> redis::Connection {
        raw(&format!("redis://tester:tester@127.0.0.1:{}", self.server.port))
    }
}

fn write_certificates(folder: &TempDir) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let authority = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), Issuer::new(params, key))
    };
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("a file");
    let (ca, issuer) = authority("tests");
    write("ca.pem", ca);
    write("other-ca.pem", authority("others").0);
    for name in ["server", "client"] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        write(&format!("{name}.pem"), params.signed_by(&key, &issuer).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

/// A master with one replica, both with a password, watched by one Sentinel without one.
pub(crate) struct Watched {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    pub(crate) sentinel: Server,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let login = ["--requirepass", "secret", "--masterauth", "secret", "--repl-diskless-sync-delay", "0"];
        let master = Server::start(&login);
        let port = master.port.to_string();
        let replica = Server::start(&[&login[..], &["--replicaof", "127.0.0.1", &port]].concat());
        wait_for("the replica follows", || {
            let mut connection = raw(&format!("redis://:secret@127.0.0.1:{}", replica.port));
            let info: String = redis::cmd("INFO").arg("replication").query(&mut connection).expect("an answer");
            info.contains("master_link_status:up")
        });
        let sentinel_port = free_port();
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        fs::write(
            &file,
            format!(
                "port {sentinel_port}\nsentinel monitor mymaster 127.0.0.1 {port} 1\n\
                 sentinel auth-pass mymaster secret\nsentinel down-after-milliseconds mymaster 1000\n\
                 sentinel failover-timeout mymaster 4000\n"
            ),
        )
        .expect("a file");
        let sentinel = Server::run(Command::new("redis-sentinel").arg(&file), sentinel_port, folder);
        wait_for("the Sentinel knows the replica", || {
            let mut command = redis::cmd("SENTINEL");
            let known: Vec<redis::Value> =
                command.arg("replicas").arg("mymaster").query(&mut sentinel.raw()).expect("an answer");
            known.len() == 1
        });
        Self { master, replica, sentinel }
    }

    /// With a first Sentinel that is not there.
    pub(crate) fn url(&self) -> String {
        format!("redis-sentinel://:secret@127.0.0.1:{},127.0.0.1:{}/mymaster", free_port(), self.sentinel.port)
    }
}

/// Three masters that share the slots.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<_> = (0..3)
            .map(|_| {
                let bus = free_port().to_string();
                Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"])
            })
            .collect();
        let status = Command::new("redis-cli")
            .args(["--cluster-yes", "--cluster", "create"])
            .args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)))
            .stdout(Stdio::null())
            .status()
            .expect("redis-cli is installed");
        assert!(status.success(), "redis-cli makes the cluster");
        wait_for("every node sees the cluster", || {
            nodes.iter().all(|node| {
                let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.raw()).expect("an answer");
                info.contains("cluster_state:ok")
            })
        });
        Self { nodes }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{},127.0.0.1:{}", self.nodes[0].port, self.nodes[1].port)
    }

    /// The node that has this key, and another one.
    pub(crate) fn owner_and_other(&self, name: &str) -> (&Server, &Server) {
        let is_owner = |node: &&Server| redis::cmd("GET").arg(name).query::<redis::Value>(&mut node.raw()).is_ok();
        let owner = self.nodes.iter().find(is_owner).expect("a node owns each slot");
        let other = self.nodes.iter().find(|node| node.port != owner.port).expect("there are three");
        (owner, other)
    }
}

/// A client beneath the store, at a URL.
pub(crate) fn raw(url: &str) -> redis::Connection {
    redis::Client::open(url).expect("a URL").get_connection().expect("the server runs")
}

/// A port that nothing listens on, and that no other test takes while this process runs.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<Vec<Port>> = Mutex::new(Vec::new());
    let port = Port::reserve();
    let number = port.number();
    TAKEN.lock().expect("a push does not panic").push(port);
    number
}

/// Looks again and again, for at most twenty seconds.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
