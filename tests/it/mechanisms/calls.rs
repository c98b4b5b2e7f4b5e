//! What calls carry: the token in its place, headers and query of the file.

use super::flow::Flow;

#[tokio::test]
async fn carry_the_token_where_the_file_says() {
    for (auth, line, header) in [
        ("", "GET /api/me HTTP/1.1\n", "\nauthorization: Bearer AT2\n"),
        (
            "auth = { name = \"X-Access-Token\", format = \"{access_token}\" }",
            "GET /api/me HTTP/1.1\n",
            "\nx-access-token: AT2\n",
        ),
        ("auth = { format = \"token {access_token}\" }", "GET /api/me HTTP/1.1\n", "\nauthorization: token AT2\n"),
        ("auth = { in = \"query\", name = \"access_token\" }", "GET /api/me?access_token=AT2 HTTP/1.1\n", "\n"),
    ] {
        let flow = Flow::of("").api(auth).run().await;
        let at = flow.find("GET /api/").unwrap_or_else(|| panic!("no call: {flow}"));
        let call = flow[at..].split("\n\n").next().expect("a head");
        let call = format!("{call}\n");
        assert!(call.starts_with(line) && call.contains(header), "{auth}: {call}");
        assert_eq!(call.matches("AT2").count(), 1, "{call}");
    }
}

#[tokio::test]
async fn carry_headers_and_query_of_the_file() {
    let api = "headers = { X-Version = \"2026-01-01\", X-Team = \"{team}\", Accept = \"application/vnd.acme\", User-Agent = \"acme for {client_id}\" }\n\
               query = { account = \"{team}\", format = \"a b\" }";
    let flow = Flow::of("").tables("[oauth.capture.token]\nteam = '$.team.id'").api(api);
    insta::assert_snapshot!(flow.answer(serde_json::json!({ "team": { "id": "blue & red" } })).run().await);
}
