//! Every SDK, straight against the recorder.

use serde_json::json;

use crate::support::{Raw, Recorder, Sdk};

#[tokio::test]
async fn every_sdk_takes_the_recorder_for_its_vendor() {
    let recorder = Recorder::start().await;
    for sdk in Sdk::ALL {
        let understood = sdk.run(recorder.url(), "a-token").await;
        let requests = recorder.take().await;

        assert!(requests.len() >= 6, "{}: {} requests", sdk.script, requests.len());
        assert!(requests.iter().any(|request| request.method != "GET" && !request.body().is_empty()), "{}", sdk.script);
        assert!(requests.iter().any(|request| request.target.contains('?')), "{}", sdk.script);
        let scheme = if sdk.script == "octokit.mjs" { "token" } else { "Bearer" };
        for request in &requests {
            assert_eq!(request.header("authorization"), [format!("{scheme} a-token")], "{}", sdk.script);
        }
        // The lists have two pages each.
        let (list, expected) = match sdk.integration {
            "notion" => ("children", 3),
            "hubspot" => ("second", 1),
            "airtable" => ("all", 3),
            _ => ("issues", 2),
        };
        assert_eq!(understood[list].as_array().map(Vec::len), Some(expected), "{}: {understood}", sdk.script);
    }
}

#[tokio::test]
async fn the_recorder_keeps_targets_as_they_were_sent() {
    let recorder = Recorder::start().await;
    let understood = Sdk { script: "octokit.mjs", integration: "github" }.run(recorder.url(), "a-token").await;
    assert_eq!(understood["missing"], json!(404));
    let targets: Vec<_> = recorder.take().await.into_iter().map(|request| request.target).collect();
    assert!(targets.contains(&"/repos/keyferry/a.b_c/git/ref/heads%2Ffeature%2Fa".to_owned()), "{targets:?}");

    Sdk { script: "airtable.mjs", integration: "airtable" }.run(recorder.url(), "a-token").await;
    let targets: Vec<_> = recorder.take().await.into_iter().map(|request| request.target).collect();
    assert!(targets.contains(&"/v0/app1/T%C3%A4ble%20%2F%20A%26B%3F/?".to_owned()), "{targets:?}");
}

#[tokio::test]
async fn the_recorder_keeps_what_no_library_would_send() {
    let recorder = Recorder::start().await;
    let address = recorder.url().strip_prefix("http://").expect("plain HTTP").parse().expect("an address");
    let request = "POST /v1//a/..%2Fb;c?x=%zz&&= HTTP/1.1\r\nHost: x\r\nX_Odd: 1\r\nx-odd:  2 \r\n\
                   Content-Length: 3\r\nConnection: close\r\n\r\n\0{}";
    assert!(Raw::exchange(address, request).await.starts_with("HTTP/1.1 404 "));
    let recorded = recorder.take().await.remove(0);
    assert_eq!((recorded.target.as_str(), recorded.body().as_slice()), ("/v1//a/..%2Fb;c?x=%zz&&=", &b"\0{}"[..]));
    assert_eq!((recorded.header("X_Odd"), recorded.header("x-odd")), (vec!["1"], vec!["2"]));
}
