//! Ports that a program must be told before it runs: a public URL, a Sentinel's peers, a cluster's nodes. Each is held
//! by a locked file for as long as the value lives, so that tests in other processes take others; and none lies where
//! the kernel picks the ports of outgoing connections. What can listen on port 0 does not need this.

use std::{
    env,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Ports below this are taken by well-known services; from [`LAST`] on, Linux picks them for outgoing connections.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

/// A port of 127.0.0.1 that nobody else uses while this lives.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves one.
    pub(crate) fn reserve() -> Self {
        let folder = env::temp_dir().join("keyferry-test-ports");
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        let spread = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).expect("less than a u16");
        (0..LAST - FIRST)
            .map(|step| FIRST + (spread.wrapping_mul(97) % (LAST - FIRST) + step) % (LAST - FIRST))
            .find_map(|number| {
                let lock = File::create(folder.join(number.to_string())).ok()?;
                lock.try_lock().ok()?;
                let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
                free.then_some(Self { number, _lock: lock })
            })
            .expect("one of 20,000 ports is free")
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
