//! Sealing anew what an older key has sealed, record by record or page by page. What is written here is what was read,
//! so a record keeps its version: whoever read it before, a refresh under way among them, finds it unchanged.

use futures_util::future::join_all;

use super::key::{Key, Kind};
use super::{Expected, Keep, Sealed, Store, StoreError};

/// What became of a part of the store.
#[derive(Clone, Debug, Default)]
pub struct Resealed {
    /// The records that were looked at.
    pub seen: usize,
    /// Those of them that another key than the newest had sealed, and the newest seals now.
    pub resealed: usize,
    /// The key texts of those that did not open; they are left as they are.
    pub unopenable: Vec<String>,
    /// Where to go on; nothing at the end. A page may have seen nothing and still have a next one.
    pub next: Option<String>,
}

/// What became of one record.
enum Outcome {
    /// The newest key seals it now.
    Resealed,
    /// It did already, or the record is gone.
    Left,
    /// Somebody wrote it since it was read.
    Overtaken,
}

impl Store {
    /// Seals a record anew with the newest key, its value, version and lifetime unchanged; says whether it had to. A
    /// record that somebody else writes meanwhile is looked at again: a replica that does not know the newest key yet
    /// may have written it.
    pub async fn reseal(&self, key: &Key) -> Result<bool, StoreError> {
        // Each turn of the loop is lost only to somebody else's write, so it ends.
        while let Some(sealed) = self.sealed(key).await? {
            match self.reseal_read(key, &sealed).await? {
                Outcome::Resealed => return Ok(true),
                Outcome::Left => return Ok(false),
                Outcome::Overtaken => {}
            }
        }
        Ok(false)
    }

    /// Does the same with the records of a page, whatever they are; `after` is the `next` of the page before. A record
    /// that the newest key seals already costs its reading.
    ///
    /// What [`Store::scan`] says of pages holds for these.
    pub async fn reseal_page(&self, after: Option<&str>, limit: usize) -> Result<Resealed, StoreError> {
        let (rows, next) = self.rows(&Key::all(), after, limit.max(1)).await?;
        let records = rows.into_iter().filter(|(text, _)| Kind::of(text).is_none_or(Kind::is_record));
        // Together, so that an embedded store commits them together.
        let work = records.map(|(text, sealed)| async move {
            let outcome = self.reseal_row(&text, sealed).await;
            (text, outcome)
        });
        let mut page = Resealed { next, ..Resealed::default() };
        for (text, outcome) in join_all(work).await {
            page.seen += 1;
            match outcome {
                Ok(Some(had_to)) => page.resealed += usize::from(had_to),
                Ok(None) | Err(StoreError::Unopenable { .. }) => page.unopenable.push(text),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    /// `None` for what is no record that this version of Keyferry could have written.
    async fn reseal_row(&self, text: &str, sealed: Option<Sealed>) -> Result<Option<bool>, StoreError> {
        let Some((key, sealed)) = Key::parse(text).zip(sealed) else { return Ok(None) };
        match self.reseal_read(&key, &sealed).await? {
            Outcome::Resealed => Ok(Some(true)),
            Outcome::Left => Ok(Some(false)),
            Outcome::Overtaken => self.reseal(&key).await.map(Some),
        }
    }

    /// Opens the record in any case: what is sealed by the newest key and does not open is to be told as well.
    async fn reseal_read(&self, key: &Key, sealed: &Sealed) -> Result<Outcome, StoreError> {
        let entry = self.opened(key, sealed)?;
        if self.0.seals.is_newest(&sealed.bytes) {
            return Ok(Outcome::Left);
        }
        let expected = Expected::Version(entry.version);
        let is_written = self.write_as(entry.version, key, expected, &entry.value, Keep::Unchanged).await?;
        Ok(if is_written { Outcome::Resealed } else { Outcome::Overtaken })
    }
}
