use super::Typed;
use crate::support::Scripted;

#[tokio::test]
async fn no_proxy_of_the_environment_gets_the_key() {
    let proxy = Scripted::start().await;
    for arguments in [&["connections", "list", "--admin-url"][..], &["items", "acme", "--url"]] {
        let typed = Typed::new(&[arguments, &["http://127.0.0.1:1", "--key", "kf_canary"]].concat());
        let variables = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let typed = variables.iter().fold(typed, |typed, name| typed.environment(name, &proxy.url("")));
        let (code, _, err) = typed.run().await;
        assert!(code == 1 && err.contains("nothing answers at http://127.0.0.1:1"), "{err}");
    }
    assert_eq!(proxy.requests(), [""; 0]);
}
