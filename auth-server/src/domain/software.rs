//! Registrations of the same software, taken together. Most software registers anew on every machine, and some at every start; a
//! list that shows each of them shows nothing.

use std::collections::{BTreeMap, BTreeSet};

use doorward_shared::redirect_uri::{RedirectUri, Target, target};

use super::client::{Client, Origin};

/// Registrations that look like the same software.
#[derive(Clone, Debug)]
pub struct Registrations {
    /// The first of them: it stays the first when more come.
    pub first: Client,
    /// How many there are.
    pub count: usize,
}

impl From<Client> for Registrations {
    /// One for itself.
    fn from(client: Client) -> Self {
        Self { first: client, count: 1 }
    }
}

/// Takes together what registered itself with the same words and sends answers to the same places, the newest first; in the order of
/// the newest of each. What only says that it is some software, and sends people elsewhere, is not hidden behind that software. What an
/// administrator registered, bounded or disabled stands for itself.
pub fn fold(clients: Vec<Client>) -> Vec<Registrations> {
    let mut folded: Vec<Registrations> = Vec::new();
    let mut places = BTreeMap::new();
    for client in clients {
        let judged =
            client.disabled_at.is_some() || client.ceiling.is_some() || !client.ceiling_places.is_empty();
        let alone = judged || client.origin != Origin::Dynamic;
        let place =
            if alone { folded.len() } else { *places.entry(software(&client)).or_insert(folded.len()) };
        match folded.get_mut(place) {
            Some(known) => *known = Registrations { first: client, count: known.count + 1 },
            None => folded.push(client.into()),
        }
    }
    folded
}

type Software = (Option<String>, Option<String>, &'static str, BTreeSet<String>);

/// What tells software apart.
fn software(client: &Client) -> Software {
    let place = |uri: &RedirectUri| match target(uri.as_str()) {
        Target::ThisComputer => "this computer".to_owned(),
        Target::Site(host) => format!("https://{host}"),
        Target::App(scheme) => format!("{scheme}:"),
    };
    let id = client.about.software_id.clone();
    // Names may say the version; whoever has an identifier means it.
    let name = if id.is_some() { None } else { client.name.clone() };
    (id, name, client.auth_method().as_str(), client.redirect_uris.iter().map(place).collect())
}

#[cfg(test)]
mod tests {
    use doorward_shared::{client_id::ClientId, client_metadata::About, time::Seconds};

    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    fn client(id: &str, name: &str, software_id: Option<&str>, uris: &[&str]) -> Client {
        Client {
            id: ClientId::parse(id).unwrap(),
            name: Some(name.to_owned()),
            redirect_uris: uris.iter().map(|uri| RedirectUri::from_registered((*uri).to_owned())).collect(),
            about: About { software_id: software_id.map(str::to_owned), ..About::default() },
            ..fixture::client()
        }
    }

    fn folded(clients: Vec<Client>) -> Vec<(String, usize)> {
        fold(clients).into_iter().map(|one| (one.first.id.to_string(), one.count)).collect()
    }

    fn lines(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
        expected.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect()
    }

    #[test]
    fn the_same_software_on_many_machines_is_one_line() {
        let clients = vec![
            client("c3", "Editor", None, &["http://127.0.0.1:5001/cb"]),
            client("other", "Other", None, &["http://127.0.0.1:5001/cb"]),
            client("c2", "Editor", None, &["http://localhost:5002/cb"]),
            client("c1", "Editor", None, &["http://127.0.0.1/cb"]),
        ];
        assert_eq!(folded(clients), lines(&[("c1", 3), ("other", 1)]));
        let versions = vec![
            client("v2", "Editor 2", Some("editor"), &["https://editor.test/cb"]),
            client("v1", "Editor 1", Some("editor"), &["https://editor.test/other"]),
        ];
        assert_eq!(folded(versions), lines(&[("v1", 2)]));
    }

    #[test]
    fn who_borrows_a_name_and_sends_people_elsewhere_has_a_line_of_its_own() {
        let clients = vec![
            client("evil", "Editor", Some("editor"), &["https://editor.test.evil.test/cb"]),
            client("more", "Editor", Some("editor"), &["https://editor.test/cb", "https://evil.test/cb"]),
            client("app", "Editor", Some("editor"), &["editor.test:/cb"]),
            client("good", "Editor", Some("editor"), &["https://editor.test/cb"]),
        ];
        assert_eq!(folded(clients).len(), 4);
    }

    #[test]
    fn what_an_administrator_registered_bounded_or_disabled_stands_for_itself() {
        let plain = |id| client(id, "Editor", None, &["https://editor.test/cb"]);
        let made = |id| Client { origin: Origin::Administrator, ..plain(id) };
        let disabled = |id| Client { disabled_at: Some(ENDED.at), ..plain(id) };
        let bounded = |id| Client { ceiling: Some("read".to_owned()), ..plain(id) };
        let clients = vec![
            made("m2"),
            disabled("d2"),
            bounded("b1"),
            plain("p2"),
            made("m1"),
            disabled("d1"),
            plain("p1"),
        ];
        let expected = lines(&[("m2", 1), ("d2", 1), ("b1", 1), ("p1", 2), ("m1", 1), ("d1", 1)]);
        assert_eq!(folded(clients), expected);
    }

    #[test]
    fn nothing_is_lost_or_counted_twice() {
        let clients: Vec<_> = (0..100_i64)
            .map(|i| Client {
                created_at: NOW.minus(Seconds::new(i)),
                ..client(&format!("c{i}"), &format!("n{}", i % 7), None, &["https://a.test/cb"])
            })
            .collect();
        let folded = fold(clients);
        assert_eq!(folded.len(), 7);
        assert_eq!(folded.iter().map(|one| one.count).sum::<usize>(), 100);
        assert!(folded.iter().all(|one| one.first.created_at <= NOW.minus(Seconds::new(93))));
    }
}
