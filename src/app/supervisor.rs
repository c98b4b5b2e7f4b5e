//! What the supervisor that started this process is told, as sd_notify(3) has it: that it serves, that it looks at its
//! configuration anew, that it is going and how long that may take. Words of state only, never of requests or secrets.
//!
//! systemd names its socket in `NOTIFY_SOCKET`; where nobody does, nothing is told. Telling never waits and never fails
//! what it tells of.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

/// The supervisor's socket, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Option<Arc<UnixDatagram>>);

impl Supervisor {
    /// `address` is the value of `NOTIFY_SOCKET`: a path, or after `@` a name of Linux' abstract ones. What cannot be
    /// reached is logged, and told nothing.
    pub fn at(address: Option<&str>) -> Self {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return Self(None) };
        match connected(address) {
            Ok(socket) => Self(Some(Arc::new(socket))),
            Err(error) => {
                tracing::warn!(%error, "the supervisor's socket, which NOTIFY_SOCKET names, cannot be reached");
                Self(None)
            }
        }
    }

    /// It serves; `status` says where, or what became of a reload.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// It looks at its configuration; [`ready`](Self::ready) follows. With the time, as `Type=notify-reload` wants it.
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It is going, and wants so long for it, whatever the supervisor was going to grant.
    pub(super) fn stopping(&self, longest: Duration) {
        let microseconds = longest.as_micros();
        self.tell(&format!("STOPPING=1\nSTATUS=requests in flight finish\nEXTEND_TIMEOUT_USEC={microseconds}"));
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(state.as_bytes())
        {
            tracing::debug!(%error, "the supervisor cannot be told");
        }
    }
}

fn connected(address: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match address.strip_prefix('@') {
        Some(name) => connect_to_name(&socket, name)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn connect_to_name(socket: &UnixDatagram, name: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_to_name(_: &UnixDatagram, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract names are Linux' alone"))
}
