//! An authenticator app: it reads the text of a page and makes the codes. Python's library makes them, so that no code of ours
//! is held against itself.

use std::process::Command;

use crate::page::Page;

const CODE: &str = "import base64, hmac, struct, sys, time
seed = base64.b32decode(sys.argv[1])
tag = hmac.new(seed, struct.pack('>Q', int(time.time()) // 30 + int(sys.argv[2])), 'sha1').digest()
at = tag[-1] & 15
print('%06d' % ((struct.unpack('>I', tag[at:at + 4])[0] & 0x7fffffff) % 1000000))";

/// The app.
#[derive(Clone, Debug)]
pub struct App {
    seed: String,
}

impl App {
    /// Reads the text below the picture: eight groups of four.
    pub fn reading(page: &Page) -> Self {
        let words: Vec<_> = page.text.split(' ').collect();
        let is_group = |word: &&str| {
            word.len() == 4 && word.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
        };
        let groups = words.windows(8).find(|groups| groups.iter().all(is_group));
        Self { seed: groups.unwrap_or_else(|| panic!("no seed in {}", page.text)).concat() }
    }

    /// The seed.
    pub fn text(&self) -> String {
        self.seed.clone()
    }

    /// The code of this moment, or of so many steps later.
    pub fn code(&self, steps: i64) -> String {
        let done = Command::new("python3").args(["-c", CODE, &self.seed, &steps.to_string()]).output();
        let done = done.expect("python3 runs");
        String::from_utf8(done.stdout).expect("it prints digits").trim().to_owned()
    }
}

/// Another code than this one.
pub fn beside(code: &str) -> String {
    let number: u32 = code.parse().expect("six digits");
    format!("{:06}", (number + 500_000) % 1_000_000)
}
