//! Copies of well-known documents, for when their origin does not answer: some vendors' bot checks turn away requests from data
//! centres, and a person at the keyboard cannot help that. Facts, each with the day it was seen; a fetched document always wins.

use doorward_shared::{
    client_id::DocumentUrl,
    client_metadata::{About, ClientMetadata},
    redirect_uri::RedirectUri,
    token::{AuthMethod, GrantType},
};

struct Copy {
    url: &'static str,
    name: &'static str,
    redirect_uris: &'static [&'static str],
}

/// Without keys: a client that could sign is taken by the method `none` that its document offers. Zed, opencode, Codex and Claude Code listen on any port of
/// loopback. Seen by third parties between 2026-09-08 and 2026-10-08.
const COPIES: [Copy; 7] = [
    Copy {
        url: "https://claude.ai/oauth/claude-code-client-metadata",
        name: "Claude Code",
        redirect_uris: &["http://localhost/callback", "http://127.0.0.1/callback"],
    },
    Copy {
        url: "https://claude.ai/oauth/mcp-oauth-client-metadata",
        name: "Claude",
        redirect_uris: &["https://claude.ai/api/mcp/auth_callback"],
    },
    Copy {
        url: "https://chatgpt.com/oauth/client.json",
        name: "ChatGPT",
        redirect_uris: &["https://chatgpt.com/connector_platform_oauth_redirect"],
    },
    Copy {
        url: "https://chatgpt.com/oauth/codex/client.json",
        name: "Codex",
        redirect_uris: &["http://127.0.0.1/callback", "http://localhost/callback"],
    },
    Copy {
        url: "https://vscode.dev/oauth/client-metadata.json",
        name: "Visual Studio Code",
        redirect_uris: &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    },
    Copy {
        url: "https://zed.dev/oauth/client-metadata.json",
        name: "Zed",
        redirect_uris: &["http://127.0.0.1/callback"],
    },
    Copy {
        url: "https://opencode.ai/oauth/opencode/client.json",
        name: "OpenCode",
        redirect_uris: &["http://127.0.0.1/callback", "http://localhost/callback"],
    },
];

/// The copy of the document at this URL, if one is bundled.
pub fn bundled(url: &DocumentUrl) -> Option<ClientMetadata> {
    let copy = COPIES.iter().find(|copy| copy.url == url.as_str())?;
    let address = |uri: &&str| RedirectUri::from_registered((*uri).to_owned());
    Some(ClientMetadata {
        redirect_uris: copy.redirect_uris.iter().map(address).collect(),
        post_logout_redirect_uris: Vec::new(),
        token_endpoint_auth_method: AuthMethod::None,
        grant_types: GrantType::ALL.to_vec(),
        response_types: vec!["code"],
        client_name: Some(copy.name.to_owned()),
        about: About::default(),
    })
}

#[cfg(test)]
mod tests {
    use doorward_shared::client_id::ClientId;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bundled_copy_is_what_the_document_itself_would_be_read_as() {
        for copy in COPIES {
            let url = ClientId::parse(copy.url).unwrap().document_url().unwrap().unwrap();
            let document =
                json!({"client_id": copy.url, "client_name": copy.name, "redirect_uris": copy.redirect_uris});
            let read = ClientMetadata::read_document(document.to_string().as_bytes(), &url, &[]).unwrap();
            assert_eq!(bundled(&url), Some(read), "{}", copy.url);
        }
    }
}
