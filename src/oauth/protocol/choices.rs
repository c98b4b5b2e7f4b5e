//! What a provider file chooses among where it says how OAuth is spoken: closed lists, each with its default first.

/// How a token is got (RFC 6749 section 1.3), and so whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantType {
    /// A person connects (RFC 6749 section 4.1).
    #[default]
    AuthorizationCode,
    /// The client has it by its own credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// The client has it for an assertion that it signs (RFC 7523 section 2.1).
    JwtBearer,
}

impl GrantType {
    /// Their names in `grant_type`.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("authorization_code", Self::AuthorizationCode),
        ("client_credentials", Self::ClientCredentials),
        ("urn:ietf:params:oauth:grant-type:jwt-bearer", Self::JwtBearer),
    ];

    /// The grant type of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, grant_type)| *grant_type)
    }

    /// Its name in `grant_type`.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Whether nobody connects: the client gets it for itself, and everybody's calls carry it.
    pub fn is_clients_own(self) -> bool {
        self != Self::AuthorizationCode
    }
}

/// Client authentication at the token endpoint (RFC 6749 section 2.3, RFC 7591 section 2). Never two at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_post`: id and secret in the body.
    #[default]
    ClientSecretPost,
    /// `client_secret_basic`: id and secret, form-encoded, in an `Authorization: Basic` header.
    ClientSecretBasic,
    /// `client_secret_jwt`: an assertion that the secret signs (RFC 7523 section 2.2).
    ClientSecretJwt,
    /// `private_key_jwt`: an assertion that a key of ours signs (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// `tls_client_auth`: the certificate of the connection, which an authority signed (RFC 8705 section 2.1).
    TlsClientAuth,
    /// `self_signed_tls_client_auth`: the certificate of the connection, which the provider knows (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
    /// `none`: a public client, which sends its id only.
    None,
}

impl AuthMethod {
    /// Whether the connection's own certificate says who we are (RFC 8705).
    pub fn is_by_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
    }
}

/// The method of a token request (RFC 6749 section 3.2 knows POST alone).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequestMethod {
    /// The default.
    Post,
    /// The parameters go into the query, the client secret among them.
    Get,
}

/// Body format of a token request or a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRequestFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    Form,
    /// A JSON object.
    Json,
    /// Parameters in the query of a request without a body.
    Query,
    /// Neither parameters nor a body nor its content type: what it is about stands in a header.
    Nothing,
}

/// PKCE (RFC 7636 section 4.2). `plain` cannot be configured: it protects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeChallengeMethod {
    /// The default.
    S256,
    /// Only where the provider refuses PKCE.
    None,
}

/// How scopes are written into the authorization URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeEncoding {
    /// Percent-encoded as any value.
    Percent,
    /// The separator stands as it is; the scopes are encoded.
    Raw,
}

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshMode {
    /// The old one stays unless the answer brings another.
    Keep,
    /// Each answer brings another, and the old one dies.
    Rotate,
    /// The answer holds no token: the old ones live on, and their life starts again.
    Extend,
    /// The provider does not refresh.
    None,
}
