//! What is wrong with a file, and how it is told: mistakes, which no player is needed for, and what only shows when it is
//! played.

use super::Desk;

/// Nothing but what has to be there.
const HEAD: &str = "[api]\nbase_url = \"https://api.acme.example\"\n[oauth]\n\
                    authorization_endpoint = \"https://acme.example/authorize\"\n\
                    token_endpoint = \"https://acme.example/token\"\ntoken_endpoint_auth_method = \"client_secret_post\"\n";

async fn faults(more: &str, arguments: &str, example: &str) -> (i32, Vec<String>) {
    let desk = Desk::new().file("providers/acme.toml", &format!("{HEAD}{more}")).file("example.json", example);
    let printed = desk.test(&format!("acme {arguments}")).await;
    let end = printed.out.split("scenarios as they should be").nth(1).unwrap_or_default();
    let faults = end.lines().skip(1).map(|line| line.trim().to_owned()).collect();
    assert!(printed.out.is_empty() || end.starts_with([',', '\n']), "{}\n{}", printed.out, printed.err);
    (printed.code, faults)
}

#[tokio::test]
async fn what_shows_when_it_is_played() {
    async fn check(more: &str, expected: &str) {
        let (code, faults) = faults(more, "", "{}").await;
        assert!(code == 1 && faults.iter().any(|fault| fault == expected), "{more}: {code} {faults:#?}");
    }
    check(
        "refresh_params = { refresh_token = \"\" }",
        "refresh  oauth.refresh_params  a refresh presents neither the refresh token nor the access token",
    )
    .await;
    check(
        "token_params = { code = \"\" }",
        "connect  oauth.token_params  the code is nowhere in the request that exchanges it",
    )
    .await;
    check(
        "token_params = { client_secret = \"\" }",
        "connect  oauth.token_params  the client secret is nowhere in the token request, though the client authenticates \
         with it",
    )
    .await;
    check(
        "authorization_params = { client_id = \"\" }",
        "connect  oauth.authorization_params  the client's identifier is nowhere in the authorization URL",
    )
    .await;
    check(
        "[oauth.capture.token]\nkey = \"$.access_token\"",
        "connect  oauth.capture.token.key  finds a token, and captured values are shown to people: it is dropped",
    )
    .await;
    check(
        "revocation_endpoint = \"https://acme.example/revoke\"\n[oauth.revocation]\nparams = { reason = \"over\" }",
        "disconnect  oauth.revocation.params  the revocation says neither which token nor whose grant it ends",
    )
    .await;
}

/// With the vendor's own example it shows whether the file's paths and patterns fit that.
#[tokio::test]
async fn what_the_vendors_answer_shows() {
    async fn check(more: &str, example: &str, expected: &[&str]) {
        let (code, faults) = faults(more, "--scenario connect --answer example.json", example).await;
        assert_eq!((code, faults.as_slice()), (i32::from(!expected.is_empty()), &to_owned(expected)[..]), "{more}");
    }
    fn to_owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
    let host = "[oauth.capture.token]\nhost = { path = \"$.api\", pattern = \"[a-z]+\\\\.acme\\\\.example\" }\nteam = \"$.team.id\"";
    check(host, r#"{"access_token":"x","refresh_token":"y","api":"eu.acme.example","team":{"id":7}}"#, &[]).await;
    check(
        host,
        r#"{"access_token":"x","refresh_token":"y","api":"acme.example","team":{"name":"blue"}}"#,
        &[
            "connect  oauth.capture.token.host  its pattern does not match `acme.example`, so that the value is dropped",
            "connect  oauth.capture.token.team  $.team.id finds no text in the token answer",
        ],
    )
    .await;
    let no_token = "connect  oauth.token_response.access_token  the token endpoint answered 200 with what cannot be used: \
                    there is no access token";
    check("", r#"{"data":{"access_token":"x"}}"#, &[no_token]).await;
    let nothing_to_refresh = "connect  oauth.token_response.refresh_token  nothing was found to refresh the token with; say \
                              where the refresh token is, or refresh = \"none\"";
    check("", r#"{"access_token":"x","refreshToken":"y"}"#, &[nothing_to_refresh]).await;
    check("refresh = \"none\"", r#"{"access_token":"x"}"#, &[]).await;
    let in_milliseconds = "[oauth.token_response]\nexpires_in_unit = \"ms\"";
    let unit = "connect  oauth.token_response.expires_in_unit  the token would live for 3 seconds; does the vendor count in \
                another unit?";
    check(in_milliseconds, r#"{"access_token":"x","refresh_token":"y","expires_in":3600}"#, &[unit]).await;
    let error = "[oauth.token_response]\nerror = { path = \"$.code\", ok = 0 }";
    let refused = "connect  oauth.token_response.error  the token endpoint answered 200 with the error 200";
    check(error, r#"{"access_token":"x","refresh_token":"y","code":200}"#, &[refused]).await;
}

/// Mistakes are told as `keyferry check` tells them, those of other files not at all.
#[tokio::test]
async fn mistakes() {
    let desk = Desk::new()
        .file("providers/broken.toml", "[oauth")
        .file("providers/parent.toml", HEAD)
        .file("providers/child.toml", "extends = \"parent\"\n[oauth]\nscopes = [\"read\"]\n")
        .file("providers/of_shipped.toml", "extends = \"github\"\n[oauth]\nscopes = [\"repo\"]\n")
        .file("providers/of_broken.toml", "extends = \"broken\"\n")
        .file("providers/wrong.toml", "extends = \"parent\"\n[oauth]\nscope = [\"read\"]\n");
    for good in ["child", "providers/child.toml", "of_shipped"] {
        let printed = desk.test(&format!("{good} --scenario connect")).await;
        assert_eq!(printed.code, 0, "{good}: {}{}", printed.out, printed.err);
    }
    let told = async |file: &str| {
        let printed = desk.test(file).await;
        assert_eq!((printed.code, printed.out.as_str()), (2, ""), "{file}");
        printed.err
    };
    let wrong =
        "config: 1 mistake\n  providers/wrong.toml  oauth.scope  is not a key of [oauth]; did you mean `scopes`?\n";
    assert_eq!(told("providers/wrong.toml").await, wrong);
    assert_eq!(told("wrong").await, wrong);
    assert!(told("of_broken").await.contains("providers/broken.toml  is not TOML at line 1"));
    assert!(told("broken").await.contains("is not TOML"));
    assert!(told("nothing").await.contains("no provider is named `nothing`"));
    assert!(told("providers/nothing.toml").await.contains("cannot be read"));
}

#[tokio::test]
async fn values_for_variables() {
    let file = |more: &str| format!("{HEAD}[variables.shop]\n{more}\n");
    let shown = async |more: &str, arguments: &str| {
        let desk = Desk::new().file("providers/acme.toml", &file(more));
        let printed = desk.test(&format!("acme --scenario connect {arguments}")).await;
        (printed.code, printed.out.lines().nth(1).unwrap_or_default().to_owned(), printed.err)
    };
    assert_eq!(shown("", "").await.1, "  variable shop = the-shop");
    assert_eq!(shown("default = \"blue\"", "").await.1, "  variable shop = blue");
    assert_eq!(shown("enum = [\"eu\", \"us\"]", "").await.1, "  variable shop = eu");
    assert_eq!(shown("pattern = \"[0-9]{6}\"", "").await.1, "  variable shop = 123456");
    assert_eq!(shown("pattern = \"[0-9]{6}\"", "--variable shop=654321").await.1, "  variable shop = 654321");
    let (code, _, err) = shown("pattern = \"[0-9]{6}\"", "--variable shop=x").await;
    assert!(code == 2 && err.contains("command line --variable  integrations.acme.variables.shop"), "{err}");
    let (code, _, err) = shown("", "--variable ship=x").await;
    assert!(code == 2 && err.contains("did you mean `shop`?"), "{err}");
    let (code, _, err) = shown("pattern = \"[α-ω]{2}\"", "").await;
    assert!(code == 2 && err.contains("--variable shop=…"), "{err}");
}
