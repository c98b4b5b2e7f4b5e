//! Which Redis, and how to connect to it: the clients that the settings describe. It makes connections and keeps none.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ::redis::cluster::ClusterClient;
use ::redis::io::tcp::TcpSettings;
use ::redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::super::error::StoreError;
use super::super::location::{Location, RedisNodes};
use super::super::settings::{RedisTls, Settings};
use super::connection::Connection;

/// How long one server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

pub(super) enum Target {
    Standalone(Client),
    /// With the login for the Sentinels, and without, as many of them have none while their Redis has.
    Sentinel(Mutex<Vec<SentinelClient>>),
    Cluster {
        client: Box<ClusterClient>,
        /// For notifications, which any node passes on.
        nodes: Vec<Client>,
    },
}

impl Target {
    pub(super) fn new(settings: &Settings) -> Result<Self, StoreError> {
        Self::build(settings).map_err(|error| match error {
            BuildError::Sentence(sentence) => StoreError::Settings(sentence),
            BuildError::Redis(error) => StoreError::Settings(format!("store.url: {error}")),
        })
    }

    fn build(settings: &Settings) -> Result<Self, BuildError> {
        match &settings.location {
            Location::Redis(nodes) => {
                let server = Server::new(nodes, settings)?;
                Ok(Self::Standalone(server.client(&nodes.addresses[0])?))
            }
            Location::RedisSentinel { nodes, service } => {
                let server = Server::new(nodes, settings)?;
                let mut clients = vec![server.sentinel(nodes, service, true)?];
                if server.password.is_some() {
                    clients.push(server.sentinel(nodes, service, false)?);
                }
                Ok(Self::Sentinel(Mutex::new(clients)))
            }
            Location::RedisCluster(nodes) => {
                let server = Server::new(nodes, settings)?;
                let seeds = nodes.addresses.iter().map(|address| server.info(address));
                let mut builder = ClusterClient::builder(seeds.collect::<RedisResult<Vec<_>>>()?)
                    // The link decides what is sent again: the library would repeat a write that may have happened.
                    .retries(0)
                    .connection_timeout(CONNECT)
                    .response_timeout(settings.timeout)
                    .overall_response_timeout(None)
                    .tcp_settings(tcp());
                if let Some(certificates) = &server.certificates {
                    builder = builder.certs(certificates.clone());
                }
                let nodes = nodes.addresses.iter().map(|address| server.client(address));
                Ok(Self::Cluster { client: Box::new(builder.build()?), nodes: nodes.collect::<RedisResult<_>>()? })
            }
            Location::Memory | Location::File(_) => {
                Err(BuildError::Sentence("store.url is not a URL of Redis".to_owned()))
            }
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster { .. })
    }

    /// A new connection: to the server, to the master that the Sentinels name now, or to the cluster.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        let client = match self {
            Self::Standalone(client) => client.clone(),
            Self::Sentinel(sentinels) => master(&mut sentinels.lock().await).await?,
            Self::Cluster { client, .. } => {
                // Bounded, since it goes on from seed to seed.
                let connecting = timeout(2 * CONNECT, client.get_async_connection());
                return connecting.await.map_err(|_| slow())?.map(Connection::Cluster);
            }
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            // The link's deadline counts.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024);
        client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
    }

    /// Where to hear notifications. `turn` goes round the nodes of a cluster, so that a dead one is left.
    pub(super) async fn listener(&self, turn: usize) -> RedisResult<Client> {
        match self {
            Self::Standalone(client) => Ok(client.clone()),
            Self::Sentinel(sentinels) => master(&mut sentinels.lock().await).await,
            Self::Cluster { nodes, .. } => Ok(nodes[turn % nodes.len()].clone()),
        }
    }
}

/// Asks the Sentinels; the client checks that the server they name says it is a master.
async fn master(sentinels: &mut [SentinelClient]) -> RedisResult<Client> {
    let mut last = None;
    for sentinel in sentinels {
        match timeout(2 * CONNECT, sentinel.async_get_client()).await.map_err(|_| slow()).flatten() {
            Ok(client) => return Ok(client),
            // Only a login that the Sentinels do not want is a reason to come without it.
            Err(error) if last.is_none() && error.kind() != ErrorKind::AuthenticationFailed => return Err(error),
            Err(error) => last = Some(last.unwrap_or(error)),
        }
    }
    Err(last.unwrap_or_else(|| RedisError::from((ErrorKind::EmptySentinelList, "there are no Sentinels"))))
}

/// What the connections to all servers of a location have in common.
struct Server {
    tls: bool,
    login: RedisConnectionInfo,
    username: Option<String>,
    password: Option<String>,
    database: u16,
    certificates: Option<TlsCertificates>,
}

impl Server {
    fn new(nodes: &RedisNodes, settings: &Settings) -> Result<Self, BuildError> {
        let username = settings.username.clone().or_else(|| nodes.username.clone());
        let password = settings.password.as_ref().or(nodes.password.as_ref()).map(|secret| secret.expose().to_owned());
        if username.is_some() && password.is_none() {
            return Err(BuildError::Sentence(
                "store.username is set without a password; set store.password, for example \"env:REDIS_PASSWORD\""
                    .to_owned(),
            ));
        }
        let mut login = RedisConnectionInfo::default().set_db(nodes.database.into()).set_skip_set_lib_name();
        if let Some(username) = &username {
            login = login.set_username(username);
        }
        if let Some(password) = &password {
            login = login.set_password(password);
        }
        let certificates = certificates(nodes.tls, &settings.tls)?;
        Ok(Self { tls: nodes.tls, login, username, password, database: nodes.database, certificates })
    }

    fn client(&self, address: &(String, u16)) -> RedisResult<Client> {
        let info = self.info(address)?;
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    fn info(&self, address: &(String, u16)) -> RedisResult<ConnectionInfo> {
        let info = self.address(address).into_connection_info()?;
        Ok(info.set_tcp_settings(tcp()).set_redis_settings(self.login.clone()))
    }

    fn address(&self, (host, port): &(String, u16)) -> ConnectionAddr {
        match self.tls {
            true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host.clone(), *port),
        }
    }

    fn sentinel(&self, nodes: &RedisNodes, service: &str, has_login: bool) -> RedisResult<SentinelClient> {
        let addresses = nodes.addresses.iter().map(|address| self.address(address));
        let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
            .set_client_to_redis_db(self.database.into())
            .set_client_to_redis_tcp_settings(tcp())
            .set_client_to_sentinel_tcp_settings(tcp());
        if self.tls {
            builder =
                builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates.clone());
        }
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
            builder = if has_login { builder.set_client_to_sentinel_username(username) } else { builder };
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
            builder = if has_login { builder.set_client_to_sentinel_password(password) } else { builder };
        }
        builder.build()
    }
}

fn certificates(is_tls: bool, files: &RedisTls) -> Result<Option<TlsCertificates>, BuildError> {
    if *files == RedisTls::default() {
        return Ok(None);
    }
    if !is_tls {
        return Err(BuildError::Sentence(
            "store.ca_file, cert and key are for TLS, but store.url is without it; write rediss:// there".to_owned(),
        ));
    }
    let root_cert = files.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read("cert", cert)?, client_key: read("key", key)? })
        }
        (None, None) => None,
        _ => return Err(BuildError::Sentence("store.cert and store.key go together; set both or neither".to_owned())),
    };
    Ok(Some(TlsCertificates { client_tls, root_cert }))
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|error| {
        BuildError::Sentence(format!("store.{name}: the file {} cannot be read: {error}", path.display()))
    })
}

/// Commands are small and somebody waits for each, so none is held back to be sent with the next.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn slow() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// What is wrong with the settings.
enum BuildError {
    Sentence(String),
    Redis(RedisError),
}

impl From<RedisError> for BuildError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}
