//! Connections as an operator looks for them: page by page, or by id. An id is found by reading one connection after
//! the other: an index would be a second record, and no store of ours writes two of them as one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::connections::View;
use super::{Broker, BrokerError, connections};
use crate::model::{ConnectionId, ConnectionKey, ConnectionStatus, IntegrationName, Org, Person, User};
use crate::store::{Key, Kind, Page, StoreError};

/// Connections are read so many at a time where nobody says how many.
const PAGE: usize = 200;

/// So many times it is looked further for a page that is not full.
const LOOKS: usize = 64;

/// Whose grants they are: people's first, then those that integrations have of their own.
const KINDS: [Kind; 2] = [Kind::Connection, Kind::ClientGrant];

/// Which connections are meant; what is not said leaves all.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Through this integration.
    pub integration: Option<IntegrationName>,
    /// Of this organisation.
    pub org: Option<Org>,
    /// Of this user of any organisation.
    pub user: Option<User>,
    /// That stand so.
    pub status: Option<ConnectionStatus>,
}

/// A part of a list.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// In the store's own order.
    pub views: Vec<View>,
    /// Records that may be meant and do not open, or cannot be read by this version.
    pub unopenable: usize,
    /// Where to go on; nothing at the end. A page may be empty and still have a next one.
    pub next: Option<String>,
}

/// What looking for an id has brought.
#[derive(Clone, Debug)]
pub struct Found {
    /// The connection, if there is one.
    pub view: Option<View>,
    /// Records that did not open on the way: it may be one of them.
    pub unopenable: usize,
}

impl Broker {
    /// The connections that are wanted, at most `limit` of them, which on Redis is a hint. `cursor` is the `next` of the page before, and opens for
    /// the same wish alone.
    ///
    /// One that is there all the while is listed at least once; on Redis it may be twice, and in no order.
    pub async fn list(&self, wanted: &Wanted, cursor: Option<&str>, limit: usize) -> Result<Listed, BrokerError> {
        let (mut kind, mut after) = match cursor {
            Some(cursor) => self.open_place(wanted, cursor)?,
            None => (KINDS[0], None),
        };
        let mut listed = Listed::default();
        for _ in 0..LOOKS {
            let page = self.part(wanted, kind, after.as_deref(), limit - listed.views.len()).await.map_err(|error| match error {
                StoreError::UnknownCursor => BrokerError::Invalid(
                    "The cursor leads nowhere any more, as the store's servers are others by now; begin anew without it.".into(),
                ),
                other => other.into(),
            })?;
            self.take_in(wanted, &page, &mut listed);
            let place = match page.next {
                Some(next) => Some((kind, Some(next))),
                None => KINDS.iter().position(|known| *known == kind).and_then(|at| Some((*KINDS.get(at + 1)?, None))),
            };
            let Some(place) = place else { return Ok(listed) };
            (kind, after) = place;
            if listed.views.len() >= limit {
                break;
            }
        }
        listed.next = Some(self.seal_place(wanted, kind, after.as_deref()));
        Ok(listed)
    }

    /// The connection of that id, whoever's it is.
    pub async fn find(&self, id: &ConnectionId) -> Result<Found, BrokerError> {
        let mut listed = Listed::default();
        let everything = Wanted::default();
        for kind in KINDS {
            let mut after: Option<String> = None;
            loop {
                let page = self.part(&everything, kind, after.as_deref(), PAGE).await?;
                self.take_in(&everything, &page, &mut listed);
                if let Some(view) = listed.views.drain(..).find(|view| view.connection.id == *id) {
                    return Ok(Found { view: Some(view), unopenable: 0 });
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(Found { view: None, unopenable: listed.unopenable })
    }

    /// Records of one kind, from the narrowest part of the store that holds all that are wanted.
    async fn part(&self, wanted: &Wanted, kind: Kind, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let Wanted { integration, org, user, .. } = wanted;
        if kind == Kind::ClientGrant && (org.is_some() || user.is_some()) {
            // They are nobody's.
            return Ok(Page::default());
        }
        if let (Some(integration), Some(org), Some(user)) = (integration, org, user) {
            let person = Person { org: org.clone(), user: user.clone() };
            let key = connections::key(&ConnectionKey { integration: integration.clone(), person });
            return match self.store.get(&key).await {
                Ok(entry) => {
                    Ok(Page { entries: entry.map(|entry| (key, entry)).into_iter().collect(), ..Page::default() })
                }
                Err(StoreError::Unopenable { key, .. }) => Ok(Page { unopenable: vec![key], ..Page::default() }),
                Err(error) => Err(error),
            };
        }
        let mut parts: Vec<&str> = integration.iter().map(IntegrationName::as_str).collect();
        if let (Some(_), Some(org)) = (integration, org) {
            parts.push(org.as_str());
        }
        self.store.scan(&Key::prefix(kind, &parts), after, limit).await
    }

    fn take_in(&self, wanted: &Wanted, page: &Page, listed: &mut Listed) {
        listed.unopenable += page.unopenable.iter().filter(|text| wanted.may_be(text)).count();
        for (key, entry) in &page.entries {
            match self.decoded(&entry.value).map(View::from) {
                Ok(view) if wanted.is(&view) => listed.views.push(view),
                Ok(_) => {}
                Err(_) => listed.unopenable += usize::from(wanted.may_be(key.as_str())),
            }
        }
    }

    /// Sealed, so that a cursor names no place that we did not name.
    fn seal_place(&self, wanted: &Wanted, kind: Kind, after: Option<&str>) -> String {
        let mut place = kind.as_str().to_owned();
        if let Some(after) = after {
            place.push('\n');
            place.push_str(after);
        }
        URL_SAFE_NO_PAD.encode(self.store.seal(&wanted.key(), place.as_bytes()))
    }

    fn open_place(&self, wanted: &Wanted, cursor: &str) -> Result<(Kind, Option<String>), BrokerError> {
        let opened = || {
            let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let place = self.store.unseal(&wanted.key(), &sealed)?;
            let place = std::str::from_utf8(&place).ok()?;
            let (kind, after) = place.split_once('\n').map_or((place, None), |(kind, after)| (kind, Some(after)));
            let kind = KINDS.into_iter().find(|known| known.as_str() == kind)?;
            Some((kind, after.map(str::to_owned)))
        };
        let not_ours = || BrokerError::Invalid("The cursor is not one that this list was given.".into());
        opened().ok_or_else(not_ours)
    }
}

impl Wanted {
    fn is(&self, view: &View) -> bool {
        let ConnectionKey { integration, person } = &view.connection.key;
        let fits_person = |org: &Org, user: &User| {
            self.org.as_ref().is_none_or(|wanted| wanted == org)
                && self.user.as_ref().is_none_or(|wanted| wanted == user)
        };
        self.integration.as_ref().is_none_or(|wanted| wanted == integration)
            && fits_person(&person.org, &person.user)
            && self.status.is_none_or(|wanted| wanted == view.connection.status)
    }

    /// Whether a record of this name may be meant, of which nothing else is known.
    fn may_be(&self, text: &str) -> bool {
        let Some(key) = Key::parse(text) else { return true };
        let parts = key.parts();
        let wanted = [
            self.integration.as_ref().map(IntegrationName::as_str),
            self.org.as_ref().map(Org::as_str),
            self.user.as_ref().map(User::as_str),
        ];
        wanted.iter().zip(&parts).all(|(wanted, part)| wanted.is_none_or(|wanted| wanted == part))
    }

    /// What a cursor is sealed for. No wish shares it with another, nor with the cursors of items, which have one part.
    fn key(&self) -> Key {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        let parts = [
            text(self.integration.as_ref().map(IntegrationName::as_str)),
            text(self.org.as_ref().map(Org::as_str)),
            text(self.user.as_ref().map(User::as_str)),
            text(self.status.map(ConnectionStatus::as_str)),
        ];
        Key::new(Kind::Cursor, &["connections", &parts[0], &parts[1], &parts[2], &parts[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_does_not_open_is_counted_where_it_may_be_meant() {
        fn check(wanted: &Wanted, text: &str, expected: bool) {
            assert_eq!(wanted.may_be(text), expected, "{wanted:?} {text}");
        }
        let ada = Wanted {
            integration: IntegrationName::parse("acme").ok(),
            user: User::parse("ada b").ok(),
            ..Wanted::default()
        };
        check(&ada, "connection/acme/org/ada%20b", true);
        check(&ada, "connection/acme/org/bob", false);
        check(&ada, "connection/other/org/ada%20b", false);
        check(&ada, "not a key at all", true);
        check(&Wanted::default(), "connection/acme/org/bob", true);
    }

    #[test]
    fn a_cursor_is_for_one_wish() {
        let of = |org: Option<&str>, user: Option<&str>| {
            let org = org.map(|org| Org::parse(org).expect("a name"));
            Wanted { org, user: user.map(|user| User::parse(user).expect("a name")), ..Wanted::default() }.key()
        };
        assert_ne!(of(Some("a"), None), of(None, Some("a")));
        assert_ne!(of(Some("a/b"), None), of(Some("a"), Some("b")));
        assert_eq!(of(None, Some("a")), of(None, Some("a")));
    }
}
