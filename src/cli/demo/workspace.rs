//! The demo's files: a `config.toml` and a provider file as anybody would write them, in a folder of its own that only
//! its owner can read. Removed with the demo.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use crate::broker::random_token;
use crate::cli::Environment;
use crate::model::Secret;

/// The folder. Removed when dropped.
pub(super) struct Workspace {
    folder: PathBuf,
    provider_file: String,
    app: SocketAddr,
    client_id: &'static str,
    client_secret: Secret,
}

impl Workspace {
    pub(super) fn create(
        environment: &Environment,
        provider: SocketAddr,
        app: SocketAddr,
        client_id: &'static str,
        client_secret: &Secret,
    ) -> io::Result<Self> {
        let name = random_token().map_err(io::Error::other)?;
        let temporary = environment.get("TMPDIR").unwrap_or("/tmp");
        let folder = PathBuf::from(temporary).join(format!("keyferry-demo-{}", &name.expose()[..12]));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let provider_file = include_str!("demo.toml").replace("{address}", &provider.to_string());
        let workspace = Self { folder, provider_file, app, client_id, client_secret: client_secret.clone() };
        fs::create_dir(workspace.folder.join("providers"))?;
        fs::write(workspace.provider_path(), &workspace.provider_file)?;
        Ok(workspace)
    }

    /// Writes `config.toml` for these ports.
    pub(super) fn configure(&self, listen: u16, admin: u16) -> io::Result<()> {
        let config = format!(
            "[server]\n\
             listen          = \"127.0.0.1:{listen}\"\n\
             admin_listen    = \"127.0.0.1:{admin}\"\n\
             allowed_origins = [\"http://{app}\"]   # the sample application may be returned to\n\n\
             [store]\n\
             url = \"memory:\"\n\n\
             [integrations.demo]\n\
             client_id     = \"{id}\"\n\
             client_secret = \"{secret}\"\n",
            app = self.app,
            id = self.client_id,
            secret = self.client_secret.expose(),
        );
        fs::write(self.config_path(), config)
    }

    pub(super) fn config_path(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    pub(super) fn provider_path(&self) -> PathBuf {
        self.folder.join("providers/demo.toml")
    }

    pub(super) fn provider_file(&self) -> &str {
        &self.provider_file
    }
}

impl Drop for Workspace {
    /// What cannot be removed is a made-up secret in a folder that only its owner reads.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
