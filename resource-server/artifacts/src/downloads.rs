//! `GET /downloads/{address}` and `GET /links/{link}`: the bytes of an artifact, for whoever has the address. A browser
//! saves them and never shows them: bytes of strangers must not become a page of this origin.

use std::{fmt::Write, sync::Arc};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::secret::Secret;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncReadExt};

use crate::{
    context::Context,
    errors::Refusal,
    ids::{DownloadToken, LinkId},
    standing::Standing,
    store::{Artifact, LinkKind, OpenLink, ended_link, unknown_link},
    telemetry::Event,
};

/// How much of a file is in memory at one time.
const PIECE: usize = 64 * 1024;

/// Opens an agent's own download address.
pub async fn download(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    Extension(standing): Extension<Standing>,
    Path(address): Path<String>,
) -> Response {
    let hash = Secret::<DownloadToken>::parse(&address).map(|secret| secret.hash().to_text());
    open(&context, &event, &standing, LinkKind::Agent, hash).await
}

/// Opens a public link.
pub async fn link(
    State(context): State<Arc<Context>>,
    Extension(event): Extension<Event>,
    Extension(standing): Extension<Standing>,
    Path(link): Path<String>,
) -> Response {
    let hash = LinkId::parse(&link).map(|link| link_hash(&link));
    open(&context, &event, &standing, LinkKind::Public, hash).await
}

/// The form in which the store knows a public link.
pub(crate) fn link_hash(link: &LinkId) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(link.expose().as_bytes()))
}

async fn open(
    context: &Context,
    event: &Event,
    standing: &Standing,
    kind: LinkKind,
    hash: Option<String>,
) -> Response {
    match find(context, standing, kind, hash).await {
        Ok((artifact, file)) => send(&artifact, file),
        Err(refusal) => {
            event.refusal(&refusal);
            refusal.into_http(event.request_id())
        }
    }
}

async fn find(
    context: &Context,
    standing: &Standing,
    kind: LinkKind,
    hash: Option<String>,
) -> Result<(Artifact, File), Refusal> {
    let now = context.clock.now();
    let OpenLink { artifact, maker } =
        context.store.open_link(kind, &hash.ok_or_else(unknown_link)?, now).await?;
    standing.check(&maker, ended_link).await?;
    let (artifact, blob) = artifact.readable(now)?;
    let file = context.store.blobs().read(&blob).await?;
    Ok((artifact, file))
}

fn send(artifact: &Artifact, file: File) -> Response {
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let fixed = [
        (header::CACHE_CONTROL, "private, no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::ACCEPT_RANGES, "none"),
    ];
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(artifact.size_bytes));
    headers.insert(header::CONTENT_TYPE, inert(&artifact.content_type));
    headers.insert(header::CONTENT_DISPOSITION, disposition(artifact));
    response
}

/// The media type, unless a browser could run or draw what has it.
fn inert(content_type: &str) -> HeaderValue {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let active = essence.ends_with("xml")
        || essence.ends_with("javascript")
        || essence.ends_with("ecmascript")
        || essence.starts_with("multipart/")
        || matches!(
            essence.as_str(),
            "text/html"
                | "application/pdf"
                | "text/css"
                | "application/wasm"
                | "application/x-shockwave-flash"
        );
    let named = if active { None } else { HeaderValue::from_str(content_type).ok() };
    named.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// `attachment` with the file name in both forms of RFC 6266 §4.3.
fn disposition(artifact: &Artifact) -> HeaderValue {
    // The last part of what looks like a path, without what turns the writing around or hides the file.
    let last = artifact.filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String =
        last.chars().map(|character| if turns(character) { '_' } else { character }).collect();
    let name = plain.trim_matches(|character: char| character == '.' || character.is_whitespace());
    let name = if name.is_empty() { artifact.id.as_str() } else { name };
    let ascii: String = name
        .chars()
        .map(|character| match character {
            '"' | '\\' | '%' => '_',
            ' '..='~' => character,
            _ => '_',
        })
        .collect();
    let mut value = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // RFC 8187 §3.2.1, attr-char.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("attachment"))
}

/// True for characters that control the direction of writing, with which `exe.txt` can be made to look like `txt.exe`.
const fn turns(character: char) -> bool {
    matches!(
        character,
        '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{061C}'
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doorward_shared::time::Timestamp;

    use super::*;
    use crate::{ids::ArtifactId, store::Writer};

    fn named(filename: &str) -> String {
        let artifact = Artifact {
            id: ArtifactId::parse("art_0123456789abcdef").unwrap(),
            filename: filename.to_owned(),
            content_type: "text/plain".to_owned(),
            size_bytes: 0,
            content_hash: None,
            blob: None,
            session_id: None,
            agent_id: None,
            metadata: BTreeMap::new(),
            folder: None,
            created_by: Writer { subject: String::new(), client_id: String::new(), credential: None },
            updated: None,
            created_at: Timestamp::from_seconds(0),
            activated_at: None,
            expires_at: None,
            deleted_at: None,
        };
        disposition(&artifact).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_file_name_is_offered_in_both_forms() {
        assert_eq!(named("a b.txt"), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
        assert_eq!(named("naïve.txt"), "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt");
    }

    #[test]
    fn a_file_name_never_offers_a_path_or_another_header() {
        assert!(named("../../etc/passwd").contains("filename=\"passwd\""));
        assert!(named("C:\\Windows\\win.ini").contains("filename=\"win.ini\""));
        assert!(named("a\"; x=\"b").contains("filename=\"a_; x=_b\""));
        assert!(named(".bashrc").contains("filename=\"bashrc\""));
        for empty in ["..", "/", "....", "a/.."] {
            assert!(named(empty).contains("filename=\"art_0123456789abcdef\""), "{empty}");
        }
        assert!(named("invoice\u{202E}fdp.exe").contains("filename=\"invoice_fdp.exe\""));
    }

    #[test]
    fn what_a_browser_could_run_is_sent_as_plain_bytes() {
        for active in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "text/javascript",
        ] {
            assert_eq!(inert(active), "application/octet-stream", "{active}");
        }
        for quiet in ["text/plain", "image/png", "application/json"] {
            assert_eq!(inert(quiet), quiet);
        }
    }
}
