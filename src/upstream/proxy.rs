//! The HTTP proxy of `[net] proxy`, through which everything outbound goes by CONNECT when it is set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::SetupError;
use crate::model::Secret;

/// Where the proxy is and how we log in there.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    host: String,
    port: u16,
    authorization: Option<Secret>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the port is 80 when none is written.
    pub(super) fn parse(text: &str) -> Result<Self, SetupError> {
        let url = Url::parse(text).map_err(|_| SetupError::Proxy("it is not a URL"))?;
        if url.scheme() != "http" {
            return Err(SetupError::Proxy("only http:// proxies are spoken to"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(SetupError::Proxy("it names no host")),
        };
        let authorization = (!url.username().is_empty()).then(|| {
            let mut login: Vec<u8> = percent_decode_str(url.username()).collect();
            login.push(b':');
            login.extend(percent_decode_str(url.password().unwrap_or_default()));
            Secret::new(format!("Basic {}", STANDARD.encode(login)))
        });
        Ok(Self { host, port: url.port().unwrap_or(80), authorization })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its URL, without the login.
    pub(super) fn url(&self) -> String {
        if self.host.contains(':') {
            format!("http://[{}]:{}", self.host, self.port)
        } else {
            format!("http://{}:{}", self.host, self.port)
        }
    }

    /// The value of `Proxy-Authorization`, Basic as RFC 7617 has it.
    pub(super) fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        fn check(text: &str, expected: Option<(&str, u16, Option<&str>)>) {
            let proxy = Proxy::parse(text).ok();
            let found =
                proxy.as_ref().map(|proxy| (proxy.host(), proxy.port(), proxy.authorization().map(Secret::expose)));
            assert_eq!(found, expected, "{text}");
        }
        check("http://proxy.internal:3128", Some(("proxy.internal", 3128, None)));
        check("http://[::1]", Some(("::1", 80, None)));
        check("http://us%20er:p%40ss@10.0.0.1:8080/", Some(("10.0.0.1", 8080, Some("Basic dXMgZXI6cEBzcw=="))));
        check("https://proxy.internal", None);
        check("socks5://proxy.internal", None);
        check("proxy.internal:3128", None);
    }
}
