//! Free ports that stay ours until a server has taken them.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::PathBuf;

/// Below the range from which the system gives ports to outgoing connections: those could take a port between our look
/// and the server's bind.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port that is free on both loopback addresses, and that no other test on this machine is given meanwhile.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Finds and reserves one.
    pub fn reserve() -> Self {
        use rand::TryRng as _;
        let folder = locks();
        let span = RANGE.end - RANGE.start;
        // Tests start at random places, so that they seldom meet.
        let start = rand::rngs::SysRng.try_next_u32().expect("the operating system gives random bytes");
        let start = u16::try_from(start % u32::from(span)).expect("less than the span");
        for step in 0..span {
            let number = RANGE.start + (start + step) % span;
            let lock = File::create(folder.join(number.to_string())).expect("a lock file can be made");
            // The lock ends with the file, even if this process is killed.
            if lock.try_lock().is_ok() && is_free(number) {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port between {} and {} is free", RANGE.start, RANGE.end);
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Both loopback addresses, as the listen settings of the servers want them.
    pub fn both_loopbacks(&self) -> String {
        format!("127.0.0.1:{0},[::1]:{0}", self.number)
    }
}

fn locks() -> PathBuf {
    let folder = std::env::temp_dir().join("doorward-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for lock files can be made");
    folder
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
}
