//! One connection to Redis, multiplexed: any number of calls at once, and a call that is dropped half-way never shifts
//! the answers of the others. It tries nothing twice; that is `link`'s to decide.

use ::redis::aio::MultiplexedConnection;
use ::redis::cluster_async::ClusterConnection;
use ::redis::cluster_routing::{MultipleNodeRoutingInfo, ResponsePolicy, RoutingInfo, SingleNodeRoutingInfo};
use ::redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd, from_redis_value, pipe};

#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all nodes of a cluster.
    Cluster(ClusterConnection),
}

/// What an error says about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not carried out, and may be sent again.
    NotRun,
    /// Nobody knows whether it was carried out.
    Unknown,
    /// The server refuses it, and will again.
    Refused,
}

impl Connection {
    pub(super) async fn query(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => match command.query_async(connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                    asked(connection, command, error).await
                }
                answer => answer,
            },
        }
    }

    /// Sends a command to one node of a cluster, by `host:port`; outside of a cluster to the only one.
    pub(super) async fn query_node(&mut self, node: &str, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => {
                let route = by_address(node).ok_or_else(no_address)?;
                connection.route_command(command.clone(), RoutingInfo::SingleNode(route)).await?.extract_error()
            }
        }
    }

    /// The nodes that hold keys, as `host:port` in order; one without a name outside of a cluster.
    pub(super) async fn nodes(&mut self) -> RedisResult<Vec<String>> {
        match self {
            Self::Single(_) => Ok(vec![String::new()]),
            Self::Cluster(connection) => {
                // An answer by node carries the addresses that the client knows the nodes by.
                let everywhere =
                    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, Some(ResponsePolicy::Special)));
                let answer = connection.route_command(cmd("PING"), everywhere).await?;
                let answers: Vec<(String, Value)> = from_redis_value(answer)?;
                let mut nodes: Vec<_> = answers.into_iter().map(|(address, _)| address).collect();
                nodes.sort_unstable();
                Ok(nodes)
            }
        }
    }
}

/// A key that is on its way to another node is there for whoever says ASKING just before. The pair goes as a pipeline,
/// so that no other call's command comes between.
async fn asked(connection: &mut ClusterConnection, command: &Cmd, error: RedisError) -> RedisResult<Value> {
    let Some(route) = error.redirect_node().and_then(|(address, _slot)| by_address(address)) else {
        return Err(error);
    };
    let mut both = pipe();
    both.cmd("ASKING").ignore().add_command(command.clone());
    let answers = connection.route_pipeline(both, 0, 2, route).await?;
    answers.into_iter().next_back().ok_or(error)?.extract_error()
}

fn by_address(address: &str) -> Option<SingleNodeRoutingInfo> {
    let (host, port) = address.rsplit_once(':')?;
    Some(SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? })
}

fn no_address() -> RedisError {
    RedisError::from((ErrorKind::ClusterConnectionNotFound, "the node has no address"))
}

impl Verdict {
    pub(super) fn of(error: &RedisError) -> Self {
        /// What a server says that is starting, failing over, or without its replicas.
        const NOT_NOW: &[&str] =
            &["ASK", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MOVED", "NOREPLICAS", "READONLY", "TRYAGAIN"];
        match error.kind() {
            ErrorKind::ClusterConnectionNotFound => Self::NotRun,
            ErrorKind::Io | ErrorKind::Parse => Self::Unknown,
            // Redis 6 hides the code of an error inside of a script in its text.
            _ if error.code().is_some_and(|code| NOT_NOW.contains(&code))
                || error.detail().is_some_and(|detail| detail.contains("-READONLY")) =>
            {
                Self::NotRun
            }
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use ::redis::parse_redis_value;

    use super::*;

    #[test]
    fn verdicts() {
        fn check(answer: &str, expected: Verdict) {
            let error = parse_redis_value(answer.as_bytes()).and_then(Value::extract_error).expect_err(answer);
            assert_eq!(Verdict::of(&error), expected, "{answer:?}");
        }
        check("-READONLY You can't write against a read only replica.\r\n", Verdict::NotRun);
        check("-ERR Error running script: @user_script:1: -READONLY You can't write\r\n", Verdict::NotRun);
        check("-LOADING Redis is loading the dataset in memory\r\n", Verdict::NotRun);
        check("-MOVED 3999 127.0.0.1:6381\r\n", Verdict::NotRun);
        check("-CLUSTERDOWN The cluster is down\r\n", Verdict::NotRun);
        check("-NOREPLICAS Not enough good replicas to write.\r\n", Verdict::NotRun);
        check("-NOPERM this user has no permissions\r\n", Verdict::Refused);
        check("-OOM command not allowed when used memory > 'maxmemory'.\r\n", Verdict::Refused);
        check("-WRONGTYPE Operation against a key\r\n", Verdict::Refused);
    }

    #[test]
    fn a_broken_connection_leaves_it_open() {
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::TimedOut] {
            assert_eq!(Verdict::of(&RedisError::from(io::Error::from(kind))), Verdict::Unknown);
        }
    }
}
