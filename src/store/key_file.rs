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
            make(&path).map_err(|error| unusable("cannot be written", &path, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Settings(format!(
            "the store {} exists, but its key file {} does not: restore that file, or list the key in store.keys",
            store.display(),
            path.display()
        ))),
        Err(error) => Err(unusable("cannot be read", &path, &error)),
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
