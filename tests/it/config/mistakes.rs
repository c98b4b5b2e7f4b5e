//! A table of mistakes, each with the sentence that its operator reads. A case is a mistake only if something is said.

use proptest::prelude::*;

use super::{Folder, provider};
use crate::support::Keys;

/// Every case with what is said of it, for a snapshot.
fn sentences(cases: &[&str], folder: impl Fn(&str) -> Folder) -> String {
    let one = |case: &&str| {
        let mistakes = folder(case).mistakes();
        assert!(!mistakes.is_empty(), "no mistake is found in:\n{case}");
        format!("{}\n    {}\n", case.trim(), mistakes.replace('\n', "\n    "))
    };
    cases.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn in_config(cases: &[&str]) -> String {
    sentences(cases, Folder::with)
}

/// Cases that are keys of a provider file's `[oauth]`.
fn in_oauth(cases: &[&str]) -> String {
    sentences(cases, |case| Folder::empty().file("providers/acme.toml", &provider(case, "")))
}

/// Cases that are tables behind `[api]`, whose keys may come first.
fn in_tables(cases: &[&str]) -> String {
    sentences(cases, |case| Folder::empty().file("providers/acme.toml", &provider("", case)))
}

/// Cases that are whole provider files.
fn in_file(cases: &[&str]) -> String {
    sentences(cases, |case| Folder::empty().file("providers/acme.toml", case))
}

#[test]
fn server() {
    let sentences = in_config(&[
        "[server]\nlisten = 'localhost'",
        "[server]\nlisten = 8080",
        "[server]\nlisten = '0.0.0.0:8080'",
        "[server]\nlisten = '[::]:8080'",
        "[server]\nlisten = '[::ffff:0:0]:8080'",
        "[server]\nlisten = '[::ffff:192.0.2.1]:8080'",
        "[server]\nlisten = '192.168.1.7:0'",
        "[server]\nlisten = '127.0.0.1:9000'\nadmin_listen = '127.0.0.1:9000'",
        "[server]\nlisten = '127.0.0.1:9000'\nadmin_listen = '0.0.0.0:9000'",
        "[server]\nadmin_listen = 'off'",
        "[server]\npublic_url = 'https://keyferry.example'",
        "[server]\npublic_url = 'keyferry.example'",
        "[server]\npublic_url = 'ftp://localhost'",
        "[server]\npublic_url = 'http://localhost/?a=1'",
        "[server]\npublic_url = 'http://localhost/#a'",
        "[server]\npublic_url = 'http://me:canary@localhost/'",
        "[server]\npublic_url = 'me:canary@localhost'",
        "[server]\nlisten = '0.0.0.0:8080'\n[callers]",
        "[server]\nallowed_origins = ['*']",
        "[server]\nallowed_origins = ['http://localhost:3000/']",
        "[server]\nallowed_origins = ['https://app.example:443']",
        "[server]\nallowed_origins = ['null', 'localhost:3000']",
        "[server]\nallowed_origins = 'http://localhost:3000'",
        "[server]\nallowed_hosts = ['http://keyferry', 'a b', '*.example', 'keyferry:http']",
        "[server]\ntrusted_proxies = ['10.0.0.0/33', 'proxy']",
        "[server]\nbase_path = 'keyferry'",
        "[server]\nbase_path = '/keyferry/'",
        "[server]\nbase_path = '/a/../b'",
        "[server]\nadmin_key_hash = 'kf_canary'",
        "[server]\ndrain = 'soon'",
        "[server]\ndrain = -1",
        "[server.limits]\nheader_bytes = 1024\nheaders = 0\nconnections = 'many'\nidle = 0",
        "[server.limits]\nheader_byte = 9000",
        "[server.tls]\ncert = 'missing.pem'",
        "[server.tls]\ncert = '.'\nkey = 'config.toml'",
        "[server]\nproviders_dir = 'nowhere'",
        "[server]\nlistenn = '127.0.0.1:8080'",
        "[sever]\nlisten = '127.0.0.1:8080'",
        "server = 1",
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn net_store_and_log() {
    let sentences = in_config(&[
        "[net]\nca_file = 'nowhere.pem'",
        "[net]\nallow = ['*.internal', '10.0.0', '10.0.0.0/40', '']",
        "[net]\nallow_http = 'yes'",
        "[net]\nproxy = 'https://proxy:3128'",
        "[net]\nproxy = 'http://me:canary@proxy:3128?a=b'",
        "[net]\nproxy = 'env:NOT_SET'",
        "[net]\nproxy = 'http://proxy:3128/path'",
        "[net]\nconnect_timeout = 0\npool_idle_per_host = -1\ntoken_timeout = '1 fortnight'",
        "[store]\nurl = 'data/keyferry.redb'",
        "[store]\nurl = 'postgres://me:canary@host/db'",
        "[store]\nurl = 'redis://host'",
        "[store]\nurl = 'rediss://me:canary@host'\nkeys = []",
        "[store]\nurl = 'redis-sentinel://a,b'",
        "[store]\nkeys = ['canary']",
        "[store]\nkeys = ['env:NOT_SET']",
        "[store]\nkeys = ['env:KEYFERRY_STORE_KEY', 'file:old.key']",
        "[store]\nkeys = ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']",
        "[store]\nurl = 'redis://host'\npassword = 'env:NOT_SET'\nkeys = ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=']",
        "[store]\nprefix = 'a b'",
        "[store]\ncert = 'config.toml'",
        "[log]\nformat = 'xml'",
        "[log]\nlevel = 'verbose'",
        "[log]\nlevel = 'keyferry=loud'",
        "[log]\ncalls = 'some'\ncall_sample = 1.5\ncall_paths = 'no'\naudit = ''",
        "[log]\ncall_sample = 'half'\naudit = true",
        "[telemetry]\nendpoint = 'http://127.0.0.1:4318'",
        "[telemetry]\nsample = 0.5",
        "[telemetry]\notlp_endpoint = 'collector:4318'",
        "[telemetry]\notlp_endpoint = 'http://me:canary@collector:4318'",
        "[telemetry]\notlp_endpoint = 'http://collector:4318/v1/traces'",
        "[telemetry]\notlp_endpoint = 'http://collector:4318?key=canary'",
        "[telemetry]\notlp_endpoint = 'http://collector:4318'\nsample = 1.5",
        "[telemetry]\notlp_endpoint = 'http://collector:4318'\nsample = 'half'\nservice_name = ''",
        "[telemetry.headers]\nhost = 'canary'\n'a b' = 'canary'\nx = \"a\\nb\"\n[telemetry]\notlp_endpoint = 'http://collector:4318'",
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn app() {
    const JWT: &str =
        "[app.identity.jwt]\nissuer = 'https://login.example'\naudience = 'crm'\norg = '$.org'\nuser = '$.sub'";
    const WHOAMI: &str =
        "[app]\nupstream = 'http://app:3000'\n[app.identity]\nwhoami = '/me'\norg = '$.org'\nuser = '$.id'";
    let (with_jwt, with_whoami) = (|more| format!("{JWT}\n{more}"), |more| format!("{WHOAMI}\n{more}"));
    let composed = [
        with_whoami("cache = 'soon'"),
        with_whoami("cach = '5s'"),
        with_whoami(
            "[app.identity.jwt]\nissuer = 'https://login.example'\naudience = 'crm'\norg = '$.org'\nuser = '$.sub'",
        ),
        with_jwt("algorithms = ['HS256', 'none', 'rs256']"),
        with_jwt("algorithms = []"),
        with_jwt("cookie = 'a b'"),
        with_jwt("cookie = 'keyferry-0'"),
        with_jwt("jwks = 'http://keys.example'"),
        with_jwt("jwks = 'keys'"),
        with_jwt("jwk = 'https://login.example/keys'"),
    ];
    let cases = [
        "[app]\nupstream = 'app:3000'",
        "[app]\nupstream = 'ftp://app'",
        "[app]\nupstream = 'http://app:3000/base'",
        "[app]\nupstream = 'http://app:3000?a=b'",
        "[app]\nupstream = 'http://me:canary@app:3000'",
        "[app]\nupstream = 'http://127.1:3000'",
        "[app]\nupstreem = 'http://app:3000'",
        "[app]\nupstream = 'http://app:3000'\nrequire_store = 'no'",
        "[app]\nupstream = 'http://app:3000'\n[app.identity]",
        "[app]\nupstream = 'http://app:3000'\n[app.identity]\nwhoami = '/me'",
        "[app]\nupstream = 'http://app:3000'\n[app.identity]\nwhoami = 'http://app/me'\norg = ''\nuser = 'id'",
        "[app]\nupstream = 'http://app:3000'\n[app.identity]\nwhoami = '//app/me'\norg = '$['\nuser = '$..'",
        "[app.identity]\nwhoami = '/me'\norg = 'default'\nuser = '$.id'",
        "[app.identity.jwt]",
        "[app.identity.jwt]\nissuer = 'login'\naudience = ''\norg = '$.org'\nuser = '$.sub'",
        "[app.identity.jwt]\nissuer = 'http://login.example'\naudience = []\norg = '$.org'\nuser = '$.sub'",
        "[app.identity]\norg = '$.org'\njwt = { issuer = 'https://login.example', audience = 'crm', org = '$.a', user = '$.b' }",
    ];
    let all: Vec<&str> = cases.into_iter().chain(composed.iter().map(String::as_str)).collect();
    insta::assert_snapshot!(in_config(&all));
}

#[test]
fn integrations() {
    let sentences = in_config(&[
        "[integrations.githb]\nclient_id = 'a'",
        "[integrations.code]\nprovider = 'githb'",
        "[integrations.something-else]\nclient_id = 'a'",
        "[integrations.GitHub]\nprovider = 'github'",
        "[integrations.sessions]\nprovider = 'github'",
        "[integrations.github]\nclientid = 'a'\nsecret = 'canary'",
        "[integrations.github]\nclient_id = 7",
        "[integrations.github]\nscopes = ['read user', '']",
        "[integrations.github]\nscopes = 'read:user'",
        "[integrations.github]\nvariables = { tenant = 'a' }",
        "[integrations.github]\nredirect_uri = ''",
        "[integrations.github]\nlimits = 'refuse'",
        "[integrations]\ngithub = 'a'",
    ]);
    insta::assert_snapshot!(sentences);
}

/// Keys that sign, each of them shown as what it is.
#[test]
fn keys_of_integrations() {
    let (rsa, ec) = (Keys::rsa(), Keys::ec("P-256"));
    let (other, secp) = (Keys::ec("P-384"), Keys::ec("secp256k1"));
    let json = |text: &str| serde_json::Value::from(text).to_string();
    let cases = [
        ("nothing of a key", json("canary")),
        ("an EC key", json(&ec.pem)),
        ("a key under a password", json(&rsa.encrypted)),
        ("an EC key in the form of SEC 1", json(&ec.older)),
        ("an EC key on another curve", json(&secp.pem)),
        ("a key for another curve", json(&other.pem)),
        ("JSON without a key", json("{\"client_id\":\"canary\"}")),
        ("JSON with half a key", json("{\"private_key\":\"-----BEGIN PRIVATE KEY-----\"}")),
    ];
    let said = |(what, key): &(&str, String)| {
        let config = format!("[integrations.acme]\nclient_id = 'a'\nprivate_key = {key}");
        let file = provider("token_endpoint_auth_method = 'private_key_jwt'", "");
        let mistakes = Folder::with(&config).file("providers/acme.toml", &file).mistakes();
        assert!(!mistakes.contains("canary") && !mistakes.contains("MII"), "{mistakes}");
        format!("{what}\n    {}\n", mistakes.replace('\n', "\n    "))
    };
    insta::assert_snapshot!(cases.iter().map(said).collect::<Vec<_>>().join("\n"));
    // The older form of an RSA key is read as it is, and one that is nowhere leaves the integration not configured.
    let load = |key: &str| {
        let config = format!("[integrations.acme]\nclient_id = 'a'\nprivate_key = {key}");
        let file = provider("token_endpoint_auth_method = 'private_key_jwt'", "");
        let config = Folder::with(&config).file("providers/acme.toml", &file).config();
        config.integrations.into_iter().find(|integration| integration.name.as_str() == "acme").expect("acme")
    };
    assert_eq!(load(&json(&rsa.older)).missing, None);
    let missing = load("'env:NOT_SET'").missing.expect("it is missing");
    assert!(missing.contains("`integrations.acme.private_key` has no value"), "{missing}");
}

#[test]
fn variables_of_integrations() {
    let file = "[oauth]\nauthorization_endpoint = 'https://{host}/authorize'\ntoken_endpoint = 'https://{host}/token'\n\
                issuer = '{root}/realms/main'\n[api]\nbase_url = 'https://{region}.acme.example/{account}'\n\
                [variables]\nhost = { source = 'operator' }\nroot = { source = 'operator' }\n\
                region = { enum = ['eu', 'us'] }\naccount = { pattern = '[0-9]+' }\n";
    let cases = [
        "variables = { host = 'evil.example/path' }",
        "variables = { host = 'localhost:8080' }",
        "variables = { root = 'http://acme.example' }",
        "variables = { root = 'acme.example' }",
        "variables = { root = 'https://me:canary@acme.example' }",
        "variables = { region = 'asia', account = '1a' }",
        "variables = { acount = '1' }",
        "variables = { account = 1 }",
    ];
    insta::assert_snapshot!(sentences(&cases, |case| {
        let config = format!("[integrations.acme]\nclient_id = 'a'\nclient_secret = 'b'\n{case}");
        Folder::with(&config).file("providers/acme.toml", file)
    }));
}

#[test]
fn client_secrets_by_value() {
    let file = provider(
        "",
        "[variables]\nplan = { enum = ['small', 'big'] }\naccount = { pattern = '[0-9]+' }\nkey = { secret = true }\n\
         [oauth.capture.callback]\nlocation = { param = 'location', map = { eu = 'europe' } }\n\
         [oauth.capture.token]\nteam = '$.team'",
    );
    let cases = [
        "client_secrets = 'canary'",
        "client_secrets.plan = 'canary'",
        "client_secrets.plan.big = 1",
        "client_secrets.plan.huge = 'canary'",
        "client_secrets.paln.big = 'canary'",
        "client_secrets.account.a1 = 'canary'",
        "client_secrets.location.eu = 'canary'",
        "client_secrets.team.blue = 'canary'",
        "client_secrets.key.a = 'canary'",
        "client_secrets = { plan = { big = 'canary' }, location = { europe = 'canary' } }",
    ];
    insta::assert_snapshot!(sentences(&cases, |case| {
        let config = format!("[integrations.acme]\nclient_id = 'a'\nclient_secret = 'b'\n{case}");
        Folder::with(&config).file("providers/acme.toml", &file)
    }));
}

#[test]
fn callers() {
    let hash = format!("sha256:{}", "0a".repeat(32));
    let scope = "orgs = ['*']\nusers = ['*']\nintegrations = ['github']";
    let with = |lines: &str| format!("[callers.crm]\n{lines}");
    let cases = [
        with(&format!("key = 'kf_canary'\n{scope}")),
        with(&format!("key_hash = 'kf_canary'\n{scope}")),
        with(&format!("key_hash = 'sha256:canary'\n{scope}")),
        with(&format!("key_hash = 'sha256:{}é'\n{scope}", "0a".repeat(31))),
        with(scope),
        with(&format!("key_hash = '{hash}'\norgs = []\nusers = []\nintegrations = []")),
        with(&format!("key_hash = '{hash}'\norgs = ['*', 'a']\nusers = ['']\nintegrations = ['githb', 'Git Hub']")),
        with(&format!("key_hash = '{hash}'\n{scope}\nmethods = ['get', 'GET /']")),
        with(&format!("key_hash = '{hash}'\n{scope}\n[callers.other]\nkey_hash = '{hash}'\n{scope}")),
        format!("[callers.CRM]\nkey_hash = '{hash}'\n{scope}"),
        format!("[server]\nlisten = '0.0.0.0:8080'\n[callers.crm]\nkey_hash = 'kf_canary'\n{scope}"),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_config(&cases));
}

#[test]
fn oauth_of_provider_files() {
    let sentences = in_oauth(&[
        "token_endpont = 'https://acme.example/token'",
        "refresh_endpoint = 'acme.example/token'",
        "refresh_endpoint = 'http://acme.example/token'",
        "refresh_endpoint = 'https://me:canary@acme.example/token'",
        "refresh_endpoint = 'https://acme.example/token#a'",
        "issuer = 'https://acme.example/?a=1'",
        "revocation_endpoint = 'https://acme.example/{access_token}'",
        "revocation_endpoint = 'https://acme.example/{client_secret}'",
        "revocation_endpoint = 'https://acme.example/{account'",
        "token_endpoint_auth_method = 'client_secret_query'",
        "token_endpoint_auth_method = 'private_key_jwt'\nclient_assertion = { alg = 'HS256' }",
        "token_endpoint_auth_method = 'client_secret_jwt'\nclient_assertion = { alg = 'RS256' }",
        "token_endpoint_auth_method = 'private_key_jwt'\n\
         client_assertion = { alg = 'none', lifetime = '10ms', param = '', kid = '{key}', claims = { iss = 'a', jti = 'b', x = '{client_secret}' } }",
        "token_endpoint_auth_method = 'client_secret_basic'\ntoken_request_headers = { Authorization = 'a' }",
        "token_request_format = 'xml'",
        "token_request_headers = { 'no header' = 'a', Host = 'a', X-A = \"a\\nb\" }",
        "code_challenge_method = 'plain'",
        "code_challenge_method = 's256'",
        "scopes = ['a b']",
        "scope_separator = ''",
        "scope_encoding = 'none'",
        "authorization_params = { state = '', code_challenge_method = 'plain' }",
        "authorization_params = { secret = '{client_secret}', now = '{now}', code = '{code}' }",
        "authorization_params = { max_age = 3600 }",
        "token_params = { code_verifier = '', a = '{access_token}', b = '{base64(x)}' }",
        "refresh_params = { a = '{code}' }",
        "refresh = 'always'",
        "refresh_mode = 'extend'",
        "access_token_lifetime = '1 moon'\nrefresh_token_lifetime = 0\ngrace = true",
        "terminal_errors = 'invalid_grant'",
        "sunset = { date = 'next year', note = 'a' }",
        "sunset = { date = '2027-02-30' }",
        "revocation = { scope = 'grant' }",
        "revocation_endpoint = 'https://acme.example/revoke'\nrevocation = { method = 'PATCH', format = 'text', scope = 'all' }",
        "token_response = { access_token = 'data.token', expires_in_unit = 'min', acess_token = '$.a' }",
        "token_response = { error = { path = '$[' } }",
        "token_response = { error = [{ ok = true }, 1] }",
        "capture.token = { a = '$[', B = '$.b', client_id = '$.c', d = { pattern = 'x' } }",
        "capture.token = { a = { path = '$.a', pattern = '(' } }",
        "capture.callback = { a = { param = 'a', default = 'x', map = { y = 'z' } }, b = { map = { y = 1 } } }",
        "capture.token.a = '$.a'\ncapture.callback.a = 'a'",
        "grant_types = ['client_credentials', 'authorization_code']",
        "grant_types = ['client_credentials', 'refresh_token']",
        "grant_types = ['implicit', 'password', 'magic', 'urn:ietf:params:oauth:grant-type:device_code']",
        "grant_types = ['refresh_token']",
        "grant_types = []",
        "grant_types = 'client_credentials'",
        "assertion = { alg = 'RS256' }",
        "client_assertion = { alg = 'ES256' }",
    ]);
    insta::assert_snapshot!(sentences);
}

/// What would be asked for otherwise than its author thinks, or what no request should hold.
#[test]
fn requests_of_provider_files() {
    let revocation =
        |keys: &str| format!("revocation_endpoint = 'https://acme.example/revoke'\n[oauth.revocation]\n{keys}");
    let cases = [
        "response_type = ''".to_owned(),
        "response_type = 'code token'".to_owned(),
        "resource = 'api'".to_owned(),
        "resource = 'https://acme.example/#a'".to_owned(),
        "resource = 'https://acme.example/{code}'".to_owned(),
        "token_request_method = 'PUT'".to_owned(),
        "token_request_method = 'GET'\ntoken_request_format = 'json'".to_owned(),
        "token_request_method = 'GET'\ntoken_request_format = 'form'".to_owned(),
        "basic_username = '{client_secret}'".to_owned(),
        "token_endpoint_auth_method = 'client_secret_post'\nbasic_password = ''".to_owned(),
        "token_endpoint_auth_method = 'client_secret_basic'\nbasic_username = '{code}'".to_owned(),
        "refresh_leeway = 'early'".to_owned(),
        "callback = { code_param = '' }".to_owned(),
        "callback = { state_param = 'code' }".to_owned(),
        "callback = { state_param = 'iss', code_param = 'error' }".to_owned(),
        "callback = { methods = [] }".to_owned(),
        "callback = { methods = ['POST'] }".to_owned(),
        "callback = { methods = ['GET', 'post'] }".to_owned(),
        "authorization_params = { nonce = 'abc' }".to_owned(),
        "authorization_params = { nonce = '{client_id}' }".to_owned(),
        revocation("format = 'none'"),
        revocation("format = 'none'\nparams = { token = '{access_token}' }"),
        "capture = { callback = { host = { param = 'location', map = {} } } }".to_owned(),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_oauth(&cases));
}

/// RFC 6749 section 2.3: a request authenticates in one way.
#[test]
fn client_secrets_that_are_sent_twice() {
    let basic = "token_endpoint_auth_method = 'client_secret_basic'\n";
    let revocation =
        |keys: &str| format!("revocation_endpoint = 'https://acme.example/revoke'\n[oauth.revocation]\n{keys}");
    let cases = [
        format!("{basic}token_params = {{ secret = '{{client_secret}}' }}"),
        format!("{basic}token_params = {{ client_secret = '{{client_secret}}' }}"),
        format!("{basic}refresh_params = {{ secret = '{{client_secret}}' }}"),
        format!("{basic}token_request_headers = {{ X-Secret = '{{client_secret}}' }}"),
        "token_params = { secret = '{client_secret}' }".to_owned(),
        "refresh_params = { secret = '{client_secret}' }".to_owned(),
        "token_request_headers = { X-Secret = '{client_secret}' }".to_owned(),
        "token_params = { client_secret = '', secret = '{client_secret}' }\n\
         token_request_headers = { X-Secret = '{client_secret}' }"
            .to_owned(),
        "issuer = 'https://acme.example'\ntoken_params = { client_secret = '', secret = '{client_secret}' }".to_owned(),
        revocation("params = { secret = '{client_secret}' }"),
        revocation("headers = { X-Secret = '{client_secret}' }"),
        revocation("auth_method = 'client_secret_basic'\nparams = { secret = '{client_secret}' }"),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_oauth(&cases));
    // In one place it may stand, under any name.
    for good in [
        "token_params = { client_secret = '', secret = '{client_secret}' }\nrefresh_params = { secret = '{client_secret}' }",
        "token_params = { client_secret = '{client_secret}' }",
        "token_endpoint_auth_method = 'none'\ntoken_request_headers = { X-Secret = '{client_secret}' }",
        "token_endpoint_auth_method = 'client_secret_basic'\nbasic_password = ''\ntoken_params = { a = '{client_secret}' }",
    ] {
        let mistakes = Folder::empty().file("providers/acme.toml", &provider(good, "")).mistakes();
        assert_eq!(mistakes, "", "{good}");
    }
}

/// A person's secret would stand in logs and histories.
#[test]
fn secrets_in_urls() {
    const KEY: &str = "\n[variables.key]\nsecret = true";
    let in_oauth = |keys: &str| provider(keys, KEY);
    let in_api = |keys: &str| provider("", &format!("{keys}{KEY}"));
    let cases = [
        in_oauth("revocation_endpoint = 'https://acme.example/{key}'"),
        in_oauth("resource = 'https://acme.example/{key}'"),
        in_oauth("authorization_params = { key = '{key}' }"),
        in_oauth("token_request_format = 'query'\ntoken_params = { key = '{key}' }"),
        in_oauth("token_request_method = 'GET'\nrefresh_params = { key = '{key}' }"),
        in_oauth(
            "revocation_endpoint = 'https://acme.example/revoke'\n\
             revocation = { method = 'GET', params = { token = '{access_token}', key = '{key}' } }",
        ),
        in_api("query = { key = '{key}' }"),
        in_api("auth = { in = 'query', name = 'key', format = '{access_token}{key}' }"),
        in_api(&stream("query = { key = '$conn.key' }")),
        in_api(&stream("headers = { X-Key = '{$conn.key}' }")),
        provider("", "[variables.key]\nsecret = true\ndefault = 'canary'"),
        provider("", "[variables.key]\nsecret = true\nenum = ['canary']"),
        provider("", "[variables.password]"),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_file(&cases));
}

/// Where a secret would go, or be shown, that its author did not mean.
#[test]
fn secrets_that_would_go_astray() {
    let exchange = |keys: &str| {
        let tables = "[variables.key]\nsecret = true\n[[oauth.token_exchange]]\nurl = 'https://acme.example/a'\n";
        provider("", &format!("{tables}{keys}"))
    };
    let cases = [
        "[oauth]\nissuer = 'https://{site}.acme.example'\n[api]\nbase_url = 'https://acme.example'\n[variables.site]"
            .to_owned(),
        exchange("auth_method = 'client_secret_basic'\nparams = { again = '{client_secret}' }"),
        exchange("params = { a = '{client_secret}' }\nheaders = { X-A = '{client_secret}' }"),
        exchange("method = 'GET'\nparams = { key = '{key}' }"),
        exchange("after = 'refresh'\n[[oauth.token_exchange]]\nurl = 'https://acme.example/b'\nafter = 'refresh'"),
        provider("capture.callback = { a = 'code', b = 'state' }", ""),
        provider("callback = { code_param = 'grant' }\ncapture.callback.a = 'grant'", ""),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_file(&cases));
}

#[test]
fn requests_after_the_token_answer_of_provider_files() {
    let url = "url = 'https://acme.example/a'";
    let learned = "url = 'https://acme.example/a'\ncapture = { site = '$.id' }";
    let sentences = in_oauth(&[
        "token_exchange = {}",
        "token_exchange = [{}]",
        "token_exchange = [{ url = 'https://{site}/a' }]",
        "token_exchange = [{ url = 'https://acme.example/?token={access_token}' }]",
        "token_exchange = [{ url = 'http://acme.example' }]",
        &format!(
            "[[oauth.token_exchange]]\n{url}\nmethod = 'PUT'\nformat = 'xml'\nafter = 'always'\nauth_method = 'post'"
        ),
        &format!("[[oauth.token_exchange]]\n{url}\nmethod = 'GET'\nformat = 'form'"),
        &format!("[[oauth.token_exchange]]\n{url}\nparams = {{ a = '{{code}}', b = '{{session}}', c = '{{site}}' }}"),
        &format!("[[oauth.token_exchange]]\n{url}\ncapture = {{ a = 'b', client_id = '$.id' }}"),
        &format!(
            "[[oauth.token_exchange]]\n{url}\ntoken_response = {{ extra = {{ session = 'session', B = '$.b' }} }}"
        ),
        &format!("[[oauth.token_exchange]]\n{url}\ndiscover = 1"),
        "token_response = { extra = 'a' }",
        "token_response = { extra = { session = '$.a' } }\nrevocation_endpoint = 'https://acme.example/{session}'",
        "token_response = { extra = { session = '$.a' } }\ntoken_params = { a = '{session}' }",
        "token_response = { extra = { session = '$.a' } }\ncapture.token.session = '$.b'",
        "capture.token.a = { path = '$.a', map = { x = 'y' }, default = 'z' }",
        "discovery = [{}]",
        &format!("[[oauth.discovery]]\n{url}"),
        &format!("[[oauth.discovery]]\n{url}\ncapture = {{}}\nmethod = 'PUT'\nrecords = 'a'\nmatch = {{ a = 'b' }}"),
        &format!("[[oauth.discovery]]\n{learned}\nmatch = {{ '$.a' = '{{access_token}}' }}"),
        &format!("[[oauth.discovery]]\n{learned}\nheaders = {{ A = '{{client_secret}}', Host = 'a' }}"),
        &format!(
            "[[oauth.discovery]]\nurl = 'https://acme.example/{{site}}'\ncapture = {{ a = '$.a' }}\n[[oauth.discovery]]\n{learned}"
        ),
        &format!(
            "[[oauth.discovery]]\n{learned}\n[[oauth.discovery]]\nurl = 'https://{{site}}/a'\ncapture = {{ a = '$.a' }}"
        ),
        &format!("[[oauth.discovery]]\n{learned}\n[[oauth.discovery]]\n{learned}"),
        &format!("token_params = {{ a = '{{site}}' }}\n[[oauth.discovery]]\n{learned}"),
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn hosts_that_a_discovery_would_choose() {
    let file = |base_url: &str, capture: &str| {
        format!(
            "[oauth]\nissuer = 'https://acme.example'\n[[oauth.discovery]]\nurl = 'https://acme.example/me'\n\
             capture = {{ host = {capture} }}\n[api]\nbase_url = \"{base_url}\"\n"
        )
    };
    let cases = [
        file("https://{host}", "'$.host'"),
        file("https://{host}", "{ path = '$.host', pattern = '[a-z.]+' }"),
        file("{host}", "'$.host'"),
        file("https://{host}", "{ path = '$.host', map = { eu = 'acme.eu/' } }"),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_file(&cases));
}

#[test]
fn further_tokens_are_nobodys_to_see() {
    let oauth = "token_response = { extra = { session = '$.session' } }";
    let cases = [
        ("", "base_url = 'https://{session}.acme.example'"),
        ("", "query = { session = '{session}' }"),
        (&*stream("query = { session = '$conn.session' }"), ""),
    ];
    let mistakes = cases.map(|(tables, api)| {
        let file = provider(oauth, &format!("{api}\n{tables}"));
        let file = if api.starts_with("base_url") {
            file.replace("base_url = \"https://api.acme.example\"\n", "")
        } else {
            file
        };
        let mistakes = Folder::empty().file("providers/acme.toml", &file).mistakes();
        assert!(mistakes.contains("session"), "{file}: {mistakes}");
        mistakes
    });
    insta::assert_snapshot!(mistakes.join("\n"));
}

#[test]
fn tables_of_provider_files() {
    let sentences = in_tables(&[
        "headers = { Authorization = 'Bearer x', Cookie = 'a=b', Connection = 'close' }",
        "headers = { X-Version = '{verison}' }\n[variables.version]",
        "query = { key = '{client_secret}' }",
        "auth = { in = 'body' }",
        "auth = { in = 'query' }",
        "auth = { format = 'Bearer token' }",
        "auth = { name = 'X Token' }",
        "[variables.client_id]",
        "[variables.Tenant]",
        "[variables.a]\nenum = []",
        "[variables.a]\npattern = '('",
        "[variables.a]\npattern = '[a-z]+'\ndefault = '1'",
        "[variables.a]\nenum = ['x']\ndefault = 'y'",
        "[variables.a]\nsource = 'anybody'\nformat = 'email'\nsecret = true",
        "[variables.a]\npattern = 'a'\nformat = 'hostname'",
        "[variables.a]\ntitel = 'A'",
        "[variable.a]\ntitle = 'A'",
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn items_of_provider_files() {
    let sentences = in_tables(&[
        "[items]",
        "[items]\nstreams = 1",
        "[items]\nstreams = [1]",
        "[items]\ndefaults = 1\nstreams = []",
        "[[items.streams]]",
        &stream("nmae = 'b'"),
        &stream("records = '$.rows['"),
        &stream("incomplete = 'capped'"),
        &stream("method = 'PUT'"),
        &stream("path = 'items'"),
        &stream("path = '//items'"),
        &stream("path = '/items?a=1'"),
        &stream("path = '/a/../b'"),
        &stream("path = '/a b'"),
        &stream("path = '/{id}'"),
        &stream("path = '/{$.id}'"),
        &stream("path = '/{$parent.id}'"),
        &stream("path = '/{$parent.id'"),
        &stream("path = '/{$page.id}'"),
        &stream("query = { a = '$grandparent.id' }"),
        &stream("query = { a = '$conn.workspace' }"),
        &stream("query = { a = '$conn..workspace' }"),
        &stream("query = { a = 2027-02-16 }"),
        &stream("headers = { Authorization = 'x' }"),
        &stream("headers = { 'a b' = 'x' }"),
        &stream("body = { a = 1 }"),
        &stream("method = 'POST'\nbody = 'text'"),
        &stream("method = 'POST'\nbody = { a = { path = '$.id' } }"),
        &stream("method = 'POST'\nbody = { a = { template = '{' } }"),
        &stream("method = 'POST'\nbody = { a = [{ b = 2027-02-16 }] }"),
        &stream("on_error = { 200 = 'skip' }"),
        &stream("on_error = { 403 = 'ignore' }"),
        &stream("let = { a = '$let.b', b = '$.b' }"),
        &stream("collect_children = true"),
        &stream("parent = 'itmes'"),
        &stream("parent = 'items'"),
        &stream("page = {}"),
        &stream("page = { type = 'cursors' }"),
        &stream("page = { cursor = '$.next' }"),
        &stream("page = { cursor = '$.next', into = 'after' }"),
        &stream("page = { cursor = '$.next', into = 'header.after' }"),
        &stream("page = { cursor = '$.next', into = 'query.' }"),
        &stream("page = { cursor = '$.next', into = 'body.after' }"),
        &stream("page = { cursor = '$.next', into = 'query.after', size = 'query.n' }"),
        &stream("page = { type = 'link', cursor = '$.next', into = 'query.a', total = '$.t', only = true }"),
        &stream("page = { type = 'next_url' }"),
        &stream("page = { type = 'offset', into = 'query.offset', n = 50, total = '$.total' }"),
        &stream("page = { type = 'page', into = 'query.page', n = 50 }"),
        &stream("page = { cursor = 'next', into = 'query.after', more = 'more', last = 'last' }"),
        &filtered("$.groups[?@.open].rows[*]", "page = { type = 'page', into = 'query.page' }"),
        &filtered("$.rows[1:]", "page = { type = 'offset', into = 'query.offset' }"),
        &stream("page = { type = 'offset', into = 'query.o', n = 0, max = 0 }"),
        &item(""),
        &item("id = '$.id', nam = '$.name'"),
        &item("id = '$let.x'"),
        &item("id = '$.a.'"),
        &item("id = '{$.a} }'"),
        &item("id = []"),
        &item("id = {}"),
        &item("id = { path = 1 }"),
        &item("id = { path = '$.id', mapp = {} }"),
        &item("id = { path = '$.id', default = 'x' }"),
        &item("id = { path = '$.id', format = 'iso' }"),
        &item("id = { path = '$.id', map = {}, format = 'unix_s' }"),
        &item("id = { template = '{$.id}', trim = 1 }"),
        &item("id = { join = '$.x[*]', sep = 1 }"),
        &item("id = true"),
        &item("id = { exists = '$.id' }"),
        &item("id = '$.id', directory = 'yes'"),
        &item("id = '$.id', directory = { path = '$.kind', map = { dir = 'yes' } }"),
        &item("id = '$.id', directory = { path = '$.kind', map = { dir = true }, default = 0 }"),
        &item("id = '$.id', creation_time = 'yesterday'"),
        &item("id = '$.id', children = ['$.a', 'b']"),
        "[[items.streams]]\nname = 'a'\nparent = 'b'\n[[items.streams]]\nname = 'b'\nparent = 'a'",
        "[[items.streams]]\nname = 'a'\n[[items.streams]]\nname = 'a'",
        "[items.defaults]\nrecord = '$.x'\n[[items.streams]]\nname = 'a'\n[[items.streams]]\nname = 'b'",
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn rates_and_retries_of_provider_files() {
    let sentences = in_tables(&[
        "rate = {}",
        "rate = 5",
        "rate = { limit = 0, per = '0s' }",
        "rate = { limit = 5, per = '1s', key = 'base' }",
        "rate = { limit = 5, per = '1s', key = '{$.id}' }",
        "rate = { limit = 5, per = '1s', key = '{$parent.id}' }",
        &format!("rate = {{ limit = 5, per = '1s', key = '{{$parent.id}}' }}\n{}", stream("")),
        &format!(
            "rate = {{ limit = 5, per = '1s', key = '{{$grandparent.id}}' }}\n{}\n{}",
            stream(""),
            stream("parent = 'items'").replace("name = 'items'", "name = 'others'")
        ),
        "rate = { limit = 5, per = '1s', burst = 2 }",
        "retry = { on = 429 }",
        "retry = { on = ['429'] }",
        "retry = { on = [42] }",
        "retry = { wait = ['retry-after'] }",
        "retry = { wait = ['header:'] }",
        "retry = { wait = ['path:x'] }",
        "retry = { wait = ['90s'] }",
        "retry = { wait = ['90s'], cap = '80s' }",
        "retry = { max = 101, cap = '0s' }",
        "retry = { when = [{}] }",
        "retry = { when = [{ equals = '0' }] }",
        "retry = { when = [{ header = 'a', path = '$.b' }] }",
        "retry = { when = [{ path = 'b' }] }",
        "retry = { when = [{ staus = 403 }] }",
        "retry = { when = [{ path = '$.b', equals = 1.5 }] }",
        "retry = { until = 3 }",
        "refresh_on = ['401']",
        "ok_path = 'ok'",
        "error_path = '$['",
    ]);
    insta::assert_snapshot!(sentences);
}

/// A stream in which one key is a mistake; what it does not say is good.
fn stream(key: &str) -> String {
    let name = key.split(' ').next().unwrap_or_default();
    let good = ["name = 'items'", "path = '/items'", "records = '$.rows[*]'", "item = { id = '$.id' }"];
    let good = good.iter().filter(|line| line.split(' ').next() != Some(name)).map(|line| format!("{line}\n"));
    format!("[[items.streams]]\n{}{key}", good.collect::<String>())
}

/// A stream with these records, and a page rule.
fn filtered(records: &str, page: &str) -> String {
    stream(page).replace("$.rows[*]", records)
}

#[test]
fn records_that_are_a_list_are_warned_of() {
    fn check(records: &str, warned: bool) {
        let used = "[integrations.acme]\nclient_id = 'a'\nclient_secret = 'b'\n";
        let warnings = Folder::with(used).file("providers/acme.toml", &provider("", &filtered(records, ""))).warnings();
        let said = warnings.contains("items.streams[0].records  ends in neither `[*]` nor `[?…]` nor `[a:b]`");
        assert_eq!(said, warned, "{records}: {warnings}");
    }
    check("$.rows", true);
    check("$.data.rows", true);
    check("$", true);
    check("$.rows[*]", false);
    check("$.rows[?@.a > 1]", false);
    check("$.rows[1:]", false);
}

/// A stream whose item has these fields.
fn item(fields: &str) -> String {
    stream(&format!("item = {{ {fields} }}"))
}

#[test]
fn hosts_that_somebody_else_would_choose() {
    let file = |base_url: &str, tables: &str| {
        format!("[oauth]\nissuer = 'https://acme.example'\n{tables}\n[api]\nbase_url = \"{base_url}\"\n")
    };
    let cases = [
        file("https://{host}", "[variables.host]"),
        file("https://{host}", "[variables.host]\npattern = '[a-z.]+'"),
        file("https://{host}.acme.example", "[variables.host]\npattern = '[^/]+'"),
        file("https://{host}.com", "[variables.host]"),
        file("https://{host}acme.example", "[variables.host]"),
        file("https://acme.example:{port}", "[variables.port]"),
        file("https://{user}@acme.example", "[variables.user]"),
        file("http://{host}.acme.example", "[variables.host]"),
        file("{root}", "[oauth.capture.token]\nroot = '$.root'"),
        file("{root}", "[oauth.capture.token]\nroot = { path = '$.root', pattern = '^https://[a-z.]+$' }"),
        file("{root}", "[oauth.capture.token]\nroot = { path = '$.root', pattern = 'https://a.acme.example|.*' }"),
        file("https://{host}", "[oauth.capture.callback]\nhost = 'location'"),
        file("https://{host}", "[oauth.capture.callback.host]\nparam = 'location'\nmap = { eu = 'acme.eu/' }"),
        file("https://{state}.acme.example", ""),
        file("https://acme.example/?a=b", ""),
        file("https://acme.example/a/../b", ""),
    ];
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    insta::assert_snapshot!(in_file(&cases));
}

#[test]
fn whole_provider_files() {
    let sentences = in_file(&[
        "",
        "[oauth]\n[api]\nbase_url = 'https://api.acme.example'",
        "[oauth]\nauthorization_endpoint = 'https://acme.example'\n[api]\nbase_url = 'https://api.acme.example'",
        "[oauth]\nissuer = 'https://acme.example'",
        "extends = 'githb'",
        "extends = 'acme'",
        "extends = 7",
        "display_name = ''\nid = 'acme'\nextends = 'github'",
        "[oauth]\nissuer = \"https://acme.example\n",
        "[oauth]\nissuer = 'https://acme.example'\n[oauth]",
        "[oauth]\ngrant_types = ['client_credentials']\n[api]\nbase_url = 'https://api.acme.example'",
        "[oauth]\ngrant_types = ['client_credentials']\nissuer = 'https://acme.example'\n\
         [variables]\na = { source = 'connection' }\n[api]\nbase_url = 'https://api.acme.example'",
    ]);
    insta::assert_snapshot!(sentences);
}

#[test]
fn several_files_at_once() {
    let folder = Folder::with(
        "[server]\nlisten = 'x'\n[integrations.acme]\nclient_id = 1\n[integrations.broken]\nclient_id = 'a'",
    )
    .file("providers/acme.toml", &provider("refresh = 'x'", ""))
    .file("providers/broken.toml", "= 1")
    .file("providers/child.toml", "extends = 'acme'\n[api]\nbase_url = 'x'")
    .file("providers/grandchild.toml", "extends = 'broken'")
    .file("providers/one.toml", "extends = 'two'")
    .file("providers/two.toml", "extends = 'one'")
    .file("providers/three.toml", "extends = 'one'")
    .file("providers/Upper.toml", "")
    .file("providers/notes.md", "not read")
    .file("providers/.hidden.toml", "= not read")
    .variable("KEYFERRY_NET__ALLOW_HTTP", "perhaps")
    .variable("KEYFERRY_NET____ALLOW", "a")
    .variable("KEYFERRY_SEVRER__LISTEN", "a")
    .flag("--log-level", "log.level", "loud");
    insta::assert_snapshot!(folder.mistakes());
    let head = folder.load().expect_err("mistakes").to_string();
    assert!(head.starts_with("config: 12 mistakes\n  "), "{head}");
}

#[test]
fn a_file_that_is_not_toml_hides_no_other() {
    let folder = Folder::with("[server]\nlisten = \"canary\n").file("providers/acme.toml", "display_name = 1");
    insta::assert_snapshot!(folder.mistakes());
}

#[test]
fn a_named_file_has_to_exist() {
    let request = keyferry::config::LoadRequest { config_path: Some("nowhere.toml".into()), ..Default::default() };
    let problems = keyferry::config::load(request).expect_err("it is not there");
    assert!(problems.to_string().contains("nowhere.toml  cannot be read: No such file"), "{problems}");
}

/// The cases hold the word `canary` where a secret could stand; the sentences, which are indented, never do.
#[test]
fn no_mistake_shows_a_secret() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/config/snapshots");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).expect("snapshots") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a snapshot");
        cases += text.lines().filter(|line| !line.starts_with(' ') && line.contains("canary")).count();
        assert_eq!(text.lines().find(|line| line.starts_with(' ') && line.contains("canary")), None);
    }
    assert!(cases >= 10, "only {cases} cases hold a secret");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(config in prop::collection::vec(any::<u8>(), 0..200), file in ".{0,100}") {
        let folder = Folder::empty().file("providers/acme.toml", &file);
        std::fs::write(folder.path().join("config.toml"), config).expect("the file is written");
        let _ = folder.load();
    }

    #[test]
    fn random_tables_never_panic(
        lines in prop::collection::vec((key(), value()), 0..12),
        oauth in prop::collection::vec((provider_key(), value()), 0..12),
        variable in "KEYFERRY_[A-Z_]{0,20}", text in ".{0,20}",
    ) {
        let written = |lines: &[(String, String)]| {
            let line = |(key, value): &(String, String)| match key.split_once("[].") {
                Some((list, key)) => format!("{list} = [{{ {key} = {value} }}]\n"),
                None => format!("{key} = {value}\n"),
            };
            lines.iter().map(line).collect::<String>()
        };
        let folder = Folder::with(&written(&lines))
            .file("providers/acme.toml", &format!("{}items.streams = [{{}}, {{ parent = 'a' }}]", written(&oauth)))
            .variable(&variable, &text)
            .flag("--flag", &lines.first().map_or("a.b".into(), |(key, _)| key.clone()), &text);
        let _ = folder.load();
    }
}

/// A key that is read, so that its value is looked at.
fn key() -> impl Strategy<Value = String> {
    let keys: Vec<String> =
        keyferry::config::keys().into_iter().map(|key| key.path.replace("<name>", "github")).collect();
    prop::sample::select(keys)
}

fn provider_key() -> impl Strategy<Value = String> {
    // A key of a stream is written for all of them.
    let written = |path: &str| path.replace("<name>", "tenant").replace("streams[]", "defaults");
    let keys: Vec<String> = keyferry::config::provider_keys().iter().map(|key| written(&key.path)).collect();
    prop::sample::select(keys)
}

fn value() -> impl Strategy<Value = String> {
    let odd = ["1", "-1", "true", "[]", "['*']", "{}", "2027-02-16", "nan", "'https://{tenant}.acme.example'", "'{'"];
    prop_oneof![
        prop::sample::select(odd.map(str::to_owned).to_vec()),
        "[a-z{}:/.$\\[\\]^(|)*@ -]{0,20}".prop_map(|text| format!("'{text}'")),
    ]
}
