use proptest::prelude::*;

use super::super::names::Stage;
use super::*;

/// Names with every kind of chooser and guard.
fn names() -> Names {
    let mut names = Names::default();
    let mut define = |text: &str, chooser, values| {
        names.define(text, Name { chooser, values }).expect("a new name");
    };
    let open = |pattern: &str| Values::Open(Some(pattern.to_owned()));
    let closed = |values: &[&str]| Values::Closed(values.iter().map(|value| (*value).to_owned()).collect());
    define("sub", Chooser::Person, Values::Open(None));
    define("op", Chooser::Operator, Values::Open(None));
    define("op_pattern", Chooser::Operator, open("[a-z.]+"));
    define("op_wild", Chooser::Operator, open(".*"));
    define("answer", Chooser::TokenAnswer, Values::Open(None));
    define("label", Chooser::Person, open("[a-z0-9-]+"));
    define("wild", Chooser::Person, open(".+"));
    define("negated", Chooser::Person, open("[^/]+"));
    define("inside", Chooser::TokenAnswer, open(r"[a-z]+\.acme\.com"));
    define("either", Chooser::Callback, open("(eu|us)"));
    define("tld", Chooser::Person, closed(&["com", "eu", "com.au"]));
    define("region", Chooser::Callback, closed(&["accounts.acme.com", "accounts.acme.eu"]));
    define("nasty", Chooser::Person, closed(&["good", "evil.example/"]));
    define("hollow", Chooser::Person, closed(&["good", ""]));
    define("root", Chooser::TokenAnswer, open(r"^https://[a-z0-9-]+\.my\.acme\.com$"));
    define("loose_root", Chooser::TokenAnswer, open(r"^https://[a-z0-9.-]+$"));
    define("open_root", Chooser::TokenAnswer, Values::Open(None));
    define("op_root", Chooser::Operator, Values::Open(None));
    define("roots", Chooser::Callback, closed(&["https://eu.acme.com", "https://us.acme.com"]));
    define("bad_roots", Chooser::Callback, closed(&["https://eu.acme.com", "http://us.acme.com"]));
    names
}

fn rule(names: &Names) -> HostRule<'_> {
    HostRule { names, allow_http: false, guards: BTreeMap::new() }
}

#[test]
fn who_may_choose_a_host() {
    fn check(url: &str, expected: Result<&[(&str, Guard)], &str>) {
        let names = names();
        let mut rule = rule(&names);
        let result = rule.check(&Template::parse(url).expect("a template"));
        match (&result, expected) {
            (Ok(()), Ok(guards)) => {
                let expected = guards.iter().map(|(name, guard)| ((*name).to_owned(), *guard)).collect();
                assert_eq!(rule.guards, expected, "{url:?}");
            }
            (Err(fault), Err(part)) => assert!(fault.fault.contains(part), "{url:?}: {fault:?}"),
            _ => panic!("{url:?}: {result:?}"),
        }
    }
    let choose = "choose the host";
    // Written out.
    check("https://api.acme.com/v1", Ok(&[]));
    check("https://api.acme.com:8443/v1?x={sub}#{answer}", Ok(&[]));
    check("https://api.acme.com/{sub}/..", Ok(&[]));
    check("http://127.0.0.1:9000/", Ok(&[]));
    check("http://[::1]:9000/", Ok(&[]));
    check("http://localhost/", Ok(&[]));
    check("https://[fe80::1]/", Ok(&[]));
    check("http://api.acme.com/", Err("plain http"));
    check("http://127.0.0.1.acme.com/", Err("plain http"));
    check("http://localhost.acme.com/", Err("plain http"));
    check("http://[::ffff:10.0.0.1]/", Err("plain http"));
    check("ftp://api.acme.com/", Err("not an https URL"));
    check("HTTPS://api.acme.com/", Err("not an https URL"));
    check("api.acme.com/v1", Err("not an https URL"));
    check("https:/api.acme.com", Err("not an https URL"));
    check("https://", Err("not an https URL"));
    check("https:///v1", Err("not an https URL"));
    check("https://user@acme.com/", Err("user name"));
    check("https://acme.com@evil.example/", Err("user name"));
    check("https://{sub}@evil.example/", Err("user name"));
    check("https://acme.com\\@evil.example/", Err("`\\`"));
    check("https://acme.com /", Err("white space"));
    check("https://acme.com:0/", Err("port"));
    check("https://acme.com:99999/", Err("port"));
    check("https://acme.com:{sub}/", Err("port"));
    check("https://[::1]x/", Err("port"));
    // Under a fixed domain.
    check("https://{sub}.acme.com/", Ok(&[("sub", Guard::Label)]));
    check("https://{sub}-api.acme.com/", Ok(&[("sub", Guard::Label)]));
    check("https://api-{sub}.acme.com:444?", Ok(&[("sub", Guard::Label)]));
    check("https://{label}.acme.com/", Ok(&[]));
    check("https://{answer}.acme.co.uk/", Ok(&[("answer", Guard::Label)]));
    check("https://{sub}.{label}.acme.com/", Ok(&[("sub", Guard::Label)]));
    check("https://{sub}{answer}.acme.com/", Ok(&[("sub", Guard::Label), ("answer", Guard::Label)]));
    check("https://{wild}.acme.com/", Err("guards a host"));
    check("https://{negated}.acme.com/", Err("guards a host"));
    check("https://{op_wild}.acme.com/", Err("guards a host"));
    check("https://{sub}.com/", Err(choose));
    check("https://{sub}.co.uk/", Err(choose));
    check("https://{sub}.com.au/", Err(choose));
    check("https://{sub}acme.com/", Err(choose));
    check("https://{sub}-acme.com/", Err(choose));
    check("https://{sub}.acme.com./", Err(choose));
    check("https://{sub}..com/", Err(choose));
    check("https://{sub}.1.2/", Err(choose));
    check("https://acme.com.{sub}/", Err(choose));
    check("https://acme.{label}/", Err(choose));
    check("https://{sub}/.acme.com", Err(choose));
    check("https://{sub}?.acme.com", Err(choose));
    check("https://{sub}#.acme.com", Err(choose));
    check("https://{sub}:443/", Err(choose));
    check("https://{label}/", Err(choose));
    check("https://{either}{label}/", Err(choose));
    check("https://acme.com%2f{sub}.acme.com/", Err("host that is none"));
    // A pattern that names the domain itself.
    check("https://{inside}/v1", Ok(&[]));
    check("https://{sub}.{inside}/v1", Ok(&[("sub", Guard::Label)]));
    check("https://{inside}.evil/", Ok(&[]));
    check("https://{either}.acme.com/", Ok(&[]));
    check("https://acme.{either}/", Ok(&[]));
    // Closed lists.
    check("https://api.acme.{tld}/", Ok(&[]));
    check("https://{region}/oauth/token", Ok(&[]));
    check("https://{sub}.{region}/", Ok(&[("sub", Guard::Label)]));
    check("https://{sub}.acme.{tld}/", Ok(&[("sub", Guard::Label)]));
    check("https://{sub}.{tld}/", Err(choose));
    check("https://{nasty}.acme.com/", Err("may be `evil.example/`"));
    check("https://{hollow}.acme.com/", Err("may be ``"));
    // The operator.
    check("https://{op}/oauth", Ok(&[("op", Guard::Host)]));
    check("https://{op}.acme.com/", Ok(&[("op", Guard::Label)]));
    check("https://{op_pattern}/oauth", Ok(&[]));
    check("https://{op_wild}/oauth", Err("guards a host"));
    check("https://{sub}.{op}/", Ok(&[("sub", Guard::Label), ("op", Guard::Host)]));
    check("http://{op}/oauth", Err("plain http"));
    // Whole URLs.
    check("{root}", Ok(&[]));
    check("{root}/services/oauth2/token?x=1", Ok(&[]));
    check("{roots}/v1", Ok(&[]));
    check("{op_root}/v1", Ok(&[]));
    check("{bad_roots}/v1", Err("plain http"));
    check("{loose_root}/v1", Err(choose));
    check("{open_root}/v1", Err(choose));
    check("{sub}/v1", Err(choose));
    check("{region}/v1", Err("not an https URL"));
    check("{root}.evil.example/", Err("goes on in the host"));
    check("{root}@evil.example/", Err("goes on in the host"));
    check("{root}{sub}/", Err("goes on in the host"));
    // Built in.
    check("https://{client_id}.acme.com/", Err("choose a host"));
    check("https://{state}/", Err("choose a host"));
    check("{redirect_uri}", Err("choose a host"));
}

#[test]
fn plain_http_when_it_is_allowed() {
    let names = names();
    let mut rule = HostRule { allow_http: true, ..rule(&names) };
    for url in ["http://api.acme.com/", "http://{sub}.acme.com/"] {
        assert_eq!(rule.check(&Template::parse(url).expect("a template")), Ok(()), "{url:?}");
    }
}

#[test]
fn names_have_values_at_their_stage() {
    fn check(text: &str, stage: Stage, expected: &str) {
        let result = names().template(text, stage);
        let fault = result.err().map(|fault| fault.fault).unwrap_or_default();
        assert!(if expected.is_empty() { fault.is_empty() } else { fault.contains(expected) }, "{text:?}: {fault}");
    }
    check("{sub} {client_id}", Stage::AuthorizationParams, "");
    check("{client_secret}", Stage::AuthorizationParams, "does not belong into a URL");
    check("{access_token}", Stage::ApiUrl, "does not belong into a URL");
    check("{region}", Stage::AuthorizationUrl, "only after the callback");
    check("{answer}", Stage::TokenUrl, "only after the token answer");
    check("{answer}", Stage::GrantUrl, "");
    check("{code}", Stage::RefreshParams, "has no value here");
    check("{sbu}", Stage::ApiUrl, "nobody defines");
    check("{Sub}", Stage::ApiUrl, "not a name");
}

proptest! {
    /// A rule that lets a template through holds for every value that its guards and patterns let through: the host
    /// that the URL parser sees stays under the written domain.
    #[test]
    fn values_stay_under_the_domain(value in r"[a-z.@/?#:\\%-]{1,12}") {
        let names = names();
        let mut rule = rule(&names);
        let template = Template::parse("https://{sub}.acme.com/v1").expect("a template");
        rule.check(&template).expect("a fixed domain");
        if rule.guards["sub"].pattern().is_match(&value) {
            let url = template.render(Encoding::Raw, |_| Some(value.as_str().into())).expect("a value");
            let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_owned));
            // The parser refuses labels that only look like an encoded name.
            prop_assert!(host.as_deref().is_none_or(|host| host.ends_with(".acme.com")), "{:?}", url);
        }
    }
}
