//! A cookie jar after RFC 6265, for hosts without domains above them: by host and path, never by port, with the rules
//! for `Secure` and for the `__Host-` and `__Secure-` prefixes. It does not let time pass: a cookie lives until the
//! server deletes it. Of `SameSite` it knows `Strict`: every request of these browsers is a navigation or their own page's.

use url::Url;

use crate::support::Answer;

/// The jar.
#[derive(Default)]
pub(super) struct Cookies(Vec<Cookie>);

struct Cookie {
    host: String,
    path: String,
    name: String,
    value: String,
    secure: bool,
    is_strict: bool,
}

impl Cookies {
    /// Takes what an answer from `url` sets, and drops what it deletes.
    pub(super) fn keep(&mut self, url: &Url, answer: &Answer) {
        for header in answer.headers.get_all("set-cookie") {
            let Some((cookie, alive)) = header.to_str().ok().and_then(|text| parsed(url, text)) else { continue };
            self.0.retain(|kept| (&kept.host, &kept.path, &kept.name) != (&cookie.host, &cookie.path, &cookie.name));
            if alive {
                self.0.push(cookie);
            }
        }
    }

    /// The `Cookie` header for a request to `url`; `is_foreign` where another site has led there.
    pub(super) fn for_request(&self, url: &Url, is_foreign: bool) -> Option<String> {
        let goes = |cookie: &&Cookie| cookie.fits(url) && !(is_foreign && cookie.is_strict);
        let mut fitting: Vec<_> = self.0.iter().filter(goes).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl Cookie {
    fn fits(&self, url: &Url) -> bool {
        let below = |rest: &str| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/');
        Some(self.host.as_str()) == url.host_str()
            && url.path().strip_prefix(self.path.as_str()).is_some_and(below)
            && (!self.secure || url.scheme() == "https")
    }
}

/// The cookie, and whether it is to be kept; nothing when a browser would refuse it.
fn parsed(url: &Url, header: &str) -> Option<(Cookie, bool)> {
    let mut parts = header.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let default_path = match url.path().rsplit_once('/') {
        None | Some(("", _)) => "/",
        Some((folder, _)) => folder,
    };
    let mut cookie = Cookie {
        host: url.host_str()?.to_owned(),
        path: default_path.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
        secure: false,
        is_strict: false,
    };
    let mut alive = true;
    let mut domain = false;
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "samesite" => cookie.is_strict = value.eq_ignore_ascii_case("strict"),
            "domain" => domain = true,
            "max-age" => alive = value.parse::<i64>().is_ok_and(|seconds| seconds > 0),
            "expires" => alive = alive && !value.contains("1970"),
            _ => {}
        }
    }
    let from_secure = url.scheme() == "https";
    let prefix_kept = (!name.starts_with("__Secure-") || cookie.secure)
        && (!name.starts_with("__Host-") || (cookie.secure && !domain && cookie.path == "/"));
    ((from_secure || !cookie.secure) && prefix_kept).then_some((cookie, alive))
}
