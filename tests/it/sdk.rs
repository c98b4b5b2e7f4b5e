//! Vendors' SDKs, unmodified, through `/proxy`: what reaches the vendor is what the SDK would have sent there itself,
//! byte for byte, with the connection's token in place of the session that the SDK was given.

use crate::support::{AuthorizationServer, Client, Configuration, Keyferry, Person, Recorded, Recorder, Sdk};

#[tokio::test]
async fn every_sdk_is_carried_byte_for_byte() {
    let (server, recorder) = (AuthorizationServer::start().await, Recorder::start().await);
    let mut configuration = Configuration::new().caller(&Keyferry::new_key().await);
    for name in ["notion", "hubspot", "airtable", "github"] {
        configuration = configuration.integration(name, server.issuer(), recorder.url(), &Client::BASIC);
    }
    let keyferry = Keyferry::start(configuration).await;
    let session = keyferry.session(Person::ADA).await;

    for sdk in Sdk::ALL {
        if keyferry.credentials(sdk.integration, Person::ADA).await.status != 200 {
            keyferry.connect(sdk.integration, Person::ADA).await;
        }
        let understood_directly = sdk.run(recorder.url(), "a-token").await;
        let sent_directly = recorder.take().await;
        let base_url = format!("http://{}/proxy/{}", keyferry.address(), sdk.integration);
        let understood = sdk.run(&base_url, &session).await;
        let sent = recorder.take().await;

        assert_eq!(understood, understood_directly, "{}", sdk.script);
        assert_eq!(sent.len(), sent_directly.len(), "{}", sdk.script);
        let secrets = server.secrets().await;
        for (through, direct) in sent.iter().zip(&sent_directly) {
            let what = format!("{}: {} {}", sdk.script, direct.method, direct.target);
            assert_eq!((&through.method, &through.target), (&direct.method, &direct.target), "{what}");
            assert_eq!(through.body(), direct.body(), "{what}");
            assert_eq!(kept_headers(through), kept_headers(direct), "{what}");
            assert_eq!(through.header("host"), direct.header("host"), "{what}");
            let authorization = through.header("authorization");
            let [bearer] = authorization[..] else { panic!("{what}: {} Authorization headers", authorization.len()) };
            let token = bearer.strip_prefix("Bearer ").expect("the provider's scheme");
            assert!(secrets.iter().any(|secret| secret == token), "{what}: not the connection's token");
            assert!(!format!("{through:?}").contains(&session), "{what}: the session went out");
        }
    }
    keyferry.assert_keeps(&[server.secrets().await, vec![session]].concat());
}

/// The headers that a gateway has no business with, in an order that does not matter between different names.
fn kept_headers(request: &Recorded) -> Vec<(String, String)> {
    // Authorization and Host are looked at on their own; the others belong to one hop (RFC 9110, sections 7.6.1,
    // 7.6.3).
    const OF_A_HOP: [&str; 7] = ["authorization", "host", "connection", "keep-alive", "te", "transfer-encoding", "via"];
    let mut kept: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !OF_A_HOP.contains(&name.as_str()))
        .collect();
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    kept
}
