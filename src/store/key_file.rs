//! The key file beside an embedded store, for an operator who listed no key: made once, mode 0600. It is never
//! replaced, since what is sealed with a lost key stays shut.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::StoreError;
use super::seal::SealingKey;

/// The key of the store file at `store`, made when there is none and nothing has been sealed yet.
pub(super) fn beside(store: &Path, is_empty: bool) -> Result<SealingKey, StoreError> {
    let path = path_beside(store);
    match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => SealingKey::parse(&text)
            .map_err(|error| StoreError::Settings(format!("the key file {} {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_empty => {
            let key = make(&path).map_err(|error| unusable("cannot be written", &path, &error))?;
            tracing::info!(path = %path.display(), "a store key was made; without it the store does not open: back it up");
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Settings(format!(
            "the store {} exists, but its key file {} does not: restore that file, or list the key in store.keys",
            store.display(),
            path.display()
        ))),
        Err(error) => Err(unusable("cannot be read", &path, &error)),
    }
}

/// Says so where a key lies beside the store that `listed` does not have: what it has sealed does not open.
pub(super) fn look_for_unlisted(store: &Path, listed: &[SealingKey]) {
    let path = path_beside(store);
    let key = fs::read_to_string(&path).map(Zeroizing::new).ok().and_then(|text| SealingKey::parse(&text).ok());
    if key.is_some_and(|key| !listed.contains(&key)) {
        tracing::warn!(
            path = %path.display(),
            "a key file lies beside the store, and store.keys does not list it: what is sealed with it does not open; list it \
             behind the new key, and run `keyferry store rekey`"
        );
    }
}

/// `keyferry.redb` has its key in `keyferry.redb.key`.
fn path_beside(store: &Path) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(".key");
    name.into()
}

fn make(path: &Path) -> io::Result<SealingKey> {
    let key = SealingKey::generate();
    // Under its name only when it is whole: a crash may not leave half a key.
    let mut unfinished = OsString::from(path);
    unfinished.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(key.to_base64().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder(path)?;
    Ok(key)
}

/// Makes the name of a new file as durable as the file.
pub(super) fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn unusable(what: &str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Settings(format!("the key file {} {what}: {error}", path.display()))
}
