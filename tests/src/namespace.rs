//! A network of its own: a test runs itself once more in new namespaces of Linux, where it is root, nothing leads outside, every
//! packet is seen, and names become what the test says.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket};

use crate::authority::run;

/// Says to the test that it is inside.
const INSIDE: &str = "DOORWARD_TEST_NAMESPACE";

/// True inside. Outside, it runs the test of this name inside, and fails as that fails.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let itself = std::env::current_exe().expect("a test knows where it is");
    let done = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .arg(itself)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(done.status.success(), "inside:\n{}\n{}", said[0], said[1]);
    assert!(said[0].contains("1 passed"), "nothing ran inside:\n{}\n{}", said[0], said[1]);
    false
}

/// The network inside, with loopback up and every packet counted.
#[derive(Debug)]
pub struct Network {
    packets: Arc<Mutex<HashMap<IpAddr, usize>>>,
    names: Arc<Mutex<Names>>,
}

/// Scripted answers: what a name stands for at each question, the last one for good.
type Script = HashMap<String, Vec<Vec<IpAddr>>>;

#[derive(Debug, Default)]
struct Names {
    script: Script,
    asked: HashMap<String, usize>,
}

impl Network {
    /// Brings loopback up with these addresses beside its own, and becomes the one who knows names.
    pub fn begin(addresses: &[&str]) -> Self {
        let here = std::env::temp_dir();
        run("ip", &["link", "set", "lo", "up"], &here);
        for address in addresses {
            run("ip", &["address", "add", address, "dev", "lo"], &here);
        }
        let folder = tempfile::Builder::new().prefix("doorward-names.").tempdir().expect("a folder");
        let file = folder.keep().join("resolv.conf");
        std::fs::write(&file, "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n").expect("a file");
        let file = file.display().to_string();
        run("mount", &["--bind", &file, "/etc/resolv.conf"], &here);
        let network = Self { packets: Arc::default(), names: Arc::default() };
        network.listen();
        network.answer();
        network
    }

    /// From now on this name stands for these addresses, one list for each question; the last one stays.
    pub fn name(&self, name: &str, answers: &[&[&str]]) {
        let list = |texts: &&[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
        let mut names = self.names.lock().expect("not poisoned");
        names.script.insert(name.to_owned(), answers.iter().map(list).collect());
    }

    /// How often somebody asked for the IPv4 addresses of a name.
    pub fn asked(&self, name: &str) -> usize {
        self.names.lock().expect("not poisoned").asked.get(name).copied().unwrap_or_default()
    }

    /// How many packets went to an address that fits.
    pub fn packets(&self, fits: impl Fn(&IpAddr) -> bool) -> usize {
        let packets = self.packets.lock().expect("not poisoned");
        packets.iter().filter(|(address, _)| fits(address)).map(|(_, count)| count).sum()
    }

    /// Waits until a packet to this address was counted; every packet before it was, too.
    pub async fn wait_for(&self, address: &str) {
        let address: IpAddr = address.parse().expect("an address");
        let counted = async {
            while self.packets(|to| *to == address) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), counted).await.expect("the packet is counted");
    }

    fn listen(&self) {
        let packets = Arc::clone(&self.packets);
        let socket =
            socket(AddressFamily::PACKET, SocketType::DGRAM, Some(eth::ALL)).expect("a packet socket");
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 2048];
            while let Ok((length, _)) = recv(&socket, &mut buffer[..], RecvFlags::empty()) {
                if let Some(to) = destination(&buffer[..length]) {
                    *packets.lock().expect("not poisoned").entry(to).or_default() += 1;
                }
            }
        });
    }

    fn answer(&self) {
        let names = Arc::clone(&self.names);
        let socket = UdpSocket::bind("127.0.0.1:53").expect("port 53 of this namespace is free");
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let reply = reply(&buffer[..length], &mut names.lock().expect("not poisoned"));
                // Whoever sends what is no question gets no answer.
                let _ = reply.map(|reply| socket.send_to(&reply, from));
            }
        });
    }
}

/// Where an IP packet goes.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?).into()),
        6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?).into()),
        _ => None,
    }
}

const A: u16 = 1;
const AAAA: u16 = 28;

/// The answer to a question (RFC 1035 §4.1).
fn reply(question: &[u8], names: &mut Names) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8(question.get(at..at + length)?.to_vec()).ok()?);
        at += length;
    }
    let name = labels.join(".").to_ascii_lowercase();
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let earlier = names.asked.get(&name).copied().unwrap_or_default();
    if kind == A {
        *names.asked.entry(name.clone()).or_default() += 1;
    }
    // A and AAAA of one question are asked side by side.
    let answers = names.script.get(&name).map(|script| script[earlier.min(script.len() - 1)].clone());
    let known = answers.is_some();
    let fitting: Vec<Vec<u8>> = answers
        .unwrap_or_default()
        .into_iter()
        .filter_map(|address| match (kind, address) {
            (A, IpAddr::V4(address)) => Some(address.octets().to_vec()),
            (AAAA, IpAddr::V6(address)) => Some(address.octets().to_vec()),
            _ => None,
        })
        .collect();
    let mut reply = question.get(..2)?.to_vec();
    // A response, recursion available; or: there is no such name.
    reply.extend([0x81, if known { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, u8::try_from(fitting.len()).ok()?, 0, 0, 0, 0]);
    reply.extend(question.get(12..at + 4)?);
    for address in fitting {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        // Class IN, gone at once, and how long the address is.
        reply.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(address.len()).ok()?]);
        reply.extend(address);
    }
    Some(reply)
}
