//! Which endpoint a path of the admin listener means, and whether it is for the operator alone. The path is matched
//! exactly as sent.

/// What a request on the admin listener is for.
#[derive(Debug, PartialEq)]
pub(crate) enum AdminEndpoint<'a> {
    /// `/healthz`.
    Health,
    /// `/readyz`.
    Readiness,
    /// `/metrics`.
    Metrics,
    /// `/openapi.json`.
    OpenApi,
    /// `/reload`.
    Reload,
    /// `/connections`.
    Connections,
    /// `/connections/{id}`.
    Connection(&'a str),
    /// `/people`.
    People,
    /// `/store/rekey`.
    Rekey,
}

impl<'a> AdminEndpoint<'a> {
    /// From the path; `None` when nothing is there.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/metrics" => Self::Metrics,
            "/openapi.json" => Self::OpenApi,
            "/reload" => Self::Reload,
            "/connections" => Self::Connections,
            "/people" => Self::People,
            "/store/rekey" => Self::Rekey,
            _ => Self::Connection(path.strip_prefix("/connections/").filter(|id| !id.contains('/'))?),
        })
    }

    /// The methods that the endpoint knows, for 405's `Allow`.
    pub(crate) fn methods(&self) -> &'static str {
        match self {
            Self::Health | Self::Readiness | Self::Metrics | Self::OpenApi | Self::Connections => "GET, HEAD",
            Self::Reload | Self::Rekey => "POST",
            Self::Connection(_) => "GET, HEAD, DELETE",
            Self::People => "DELETE",
        }
    }

    /// Whether it needs the admin key. Health and metrics are asked for by machines, and tell of nobody.
    pub(crate) fn is_for_the_operator(&self) -> bool {
        match self {
            Self::Health | Self::Readiness | Self::Metrics | Self::OpenApi => false,
            Self::Reload | Self::Connections | Self::Connection(_) | Self::People | Self::Rekey => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        fn check(path: &str, expected: Option<AdminEndpoint<'_>>) {
            assert_eq!(AdminEndpoint::parse(path), expected, "{path}");
        }
        check("/healthz", Some(AdminEndpoint::Health));
        check("/connections", Some(AdminEndpoint::Connections));
        check("/connections/con_1", Some(AdminEndpoint::Connection("con_1")));
        check("/connections/", Some(AdminEndpoint::Connection("")));
        check("/connections/a/b", None);
        check("/store/rekey", Some(AdminEndpoint::Rekey));
        check("/store", None);
        check("/healthz/", None);
        check("/Healthz", None);
        check("/", None);
    }
}
