//! An OpenID Connect provider that is none of ours, as a child process: npm `oidc-provider`.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::answer::Answer;
use crate::driver::{clients_folder, node};
use crate::house::Plan;
use crate::idp::{CLIENT_ID, CLIENT_SECRET};
use crate::ports::Port;
use crate::process::Process;
use crate::visitor::Visitor;

/// Redirects and pages between the first request and the way back.
const PATIENCE: usize = 16;

/// The running provider. It is gone when this is dropped.
#[derive(Debug)]
pub struct PeerIdp {
    // Dropped in this order: the program first, then what it has open.
    _process: Process,
    issuer: String,
    folder: TempDir,
    _port: Port,
}

impl PeerIdp {
    /// A provider at which a house that listens on `house` is registered as the upstream `corp`. It knows nobody.
    pub async fn start(house: &Port) -> Self {
        let folder =
            tempfile::Builder::new().prefix("doorward-idp.").tempdir().expect("a folder can be made");
        let port = Port::reserve();
        let issuer = format!("http://127.0.0.1:{}", port.number());
        let people = people(&folder);
        std::fs::write(&people, "{}").expect("a file can be written");
        let mut command = Command::new(node());
        command
            .arg(clients_folder().join("idp.mjs"))
            .arg(port.number().to_string())
            .arg(format!("http://localhost:{}/login/upstream/corp/callback", house.number()))
            .arg(people)
            .env("CLIENT_ID", CLIENT_ID)
            .env("CLIENT_SECRET", CLIENT_SECRET);
        let mut process = Process::start("oidc-provider", &mut command, folder.path().join("log"));
        process.ready(&issuer).await;
        Self { _process: process, issuer, folder, _port: port }
    }

    /// A house at which people can sign in here.
    pub fn known_to(&self, plan: Plan) -> Plan {
        plan.with("UPSTREAM__CORP__ISSUER", &self.issuer)
            .with("UPSTREAM__CORP__CLIENT_ID", CLIENT_ID)
            .with("UPSTREAM__CORP__CLIENT_SECRET", CLIENT_SECRET)
            .with("UPSTREAM__CORP__TITLE", "Corp")
    }

    /// Says who there is from now on, by name: `{"carol": {"email": …, "groups": […]}}`.
    pub fn knows(&self, everybody: &Value) {
        std::fs::write(people(&self.folder), everybody.to_string()).expect("a file can be written");
    }

    /// Says that Carol has this address and these groups, and that there is nobody else.
    pub fn carol(&self, groups: &[&str]) {
        self.knows(&json!({"carol": {"email": "carol@corp.test", "groups": groups}}));
    }

    /// Signs in as `who` on its pages, agrees to what they ask, and stops before the address that leads back to `home`.
    pub async fn sign_in(&self, visitor: &Visitor, there: Url, who: &str, home: &str) -> Url {
        let mut url = there;
        let mut answer = Answer::to(visitor.http().get(url.clone())).await;
        for _ in 0..PATIENCE {
            if (300..400).contains(&answer.status) {
                url = url.join(answer.header("location")).expect("a URL");
                if url.as_str().starts_with(home) {
                    return url;
                }
                answer = Answer::to(visitor.http().get(url.clone())).await;
                continue;
            }
            assert_eq!(answer.status, 200, "{url}: {answer:#?}");
            let action = between(&answer.body, "action=\"", "\"");
            let prompt = between(&answer.body, "name=\"prompt\" value=\"", "\"");
            url = url.join(action).expect("a URL");
            let form = [("prompt", prompt), ("login", who), ("password", "any")];
            answer = Answer::to(visitor.http().post(url.clone()).form(&form)).await;
        }
        panic!("the provider does not lead back: {url}");
    }
}

fn people(folder: &TempDir) -> PathBuf {
    folder.path().join("people.json")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    found.unwrap_or_else(|| panic!("no {before} in {text}")).0
}
