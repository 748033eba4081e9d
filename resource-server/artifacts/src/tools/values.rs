//! Reading of what the schemas of the tools cannot say: text in, checked value out, or what to change.

use std::collections::BTreeMap;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use doorward_resource_server::NodePath;
use doorward_shared::time::{Seconds, Timestamp};

use super::open_cursor;
use crate::{
    caller::{Caller, Places, listed},
    dates,
    errors::{Code, Refusal},
    ids::{ArtifactId, SessionId},
    permissions::CREATE,
    plans::Plan,
    store::PageRequest,
};

/// The largest file that fits into one call.
const INLINE_BYTES: usize = 10 * 1024 * 1024;
/// The most that may be noted about one artifact, keys and values together.
const METADATA_BYTES: usize = 16 * 1024;
/// Nothing is announced to live longer; beyond it, "never" is meant.
const LONGEST_LIFE: Seconds = Seconds::days(3660);

/// Reads the part of a list that is asked for.
pub(super) fn page(limit: Option<i64>, cursor: Option<&str>) -> Result<PageRequest, Refusal> {
    let limit = limit.unwrap_or(50);
    let legal = u32::try_from(limit).ok().filter(|limit| (1..=200).contains(limit));
    let limit = legal.ok_or_else(|| Refusal::invalid("limit: must be from 1 to 200"))?;
    let after = cursor.map(open_cursor).transpose()?;
    Ok(PageRequest { limit, after })
}

/// Reads a point in time.
pub(super) fn moment(name: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let read = |text: &str| {
        // No date is longer; a fraction of a second could be.
        Some(text).filter(|text| text.len() <= 64).and_then(dates::parse).ok_or_else(|| {
            Refusal::invalid(format!("{name}: must be a time such as 2026-01-31T12:00:00Z (RFC 3339)"))
        })
    };
    text.map(read).transpose()
}

/// Reads the name of a folder.
pub(super) fn folder(text: &str) -> Result<NodePath, Refusal> {
    NodePath::parse(text).map_err(|syntax| Refusal::invalid(format!("folder: {syntax}")))
}

/// The folder in which the caller stores: the one that is named; else the organization itself where that is allowed, else the
/// only folder that is open.
pub(super) fn target(text: Option<&str>, caller: &Caller) -> Result<Option<NodePath>, Refusal> {
    if let Some(text) = text {
        let named = Some(folder(text)?);
        if caller.may_in(CREATE, named.as_ref()) {
            return Ok(named);
        }
        return Err(caller.refusal(CREATE, named.as_ref(), Refusal::folder_not_found));
    }
    match caller.places(CREATE) {
        Places::Everywhere => Ok(None),
        Places::In(folders) => match folders[..] {
            [only] => Ok(Some(only.clone())),
            _ => Err(Refusal::invalid(format!(
                "folder: say where to store; open to you for that are {} and what is below",
                listed(&folders)
            ))),
        },
    }
}

/// Reads the bytes of a file.
pub(super) fn content(base64: &str) -> Result<Vec<u8>, Refusal> {
    // Real clients leave the padding out, or wrap lines.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let too_large = || {
        Refusal::new(
            Code::FileTooLarge,
            "content: more than 10 MiB; announce larger files with request_upload_url and PUT them",
        )
    };
    let unwrapped: String;
    let text = if base64.bytes().any(|byte| byte.is_ascii_whitespace()) {
        unwrapped = base64.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        &unwrapped
    } else {
        base64
    };
    if text.len() > INLINE_BYTES.div_ceil(3) * 4 {
        return Err(too_large());
    }
    let bytes = LENIENT.decode(text).map_err(|_| Refusal::invalid("content: not valid base64"))?;
    if bytes.len() > INLINE_BYTES { Err(too_large()) } else { Ok(bytes) }
}

/// Reads the key of a repeatable call.
pub(super) fn idempotency_key(key: Option<String>) -> Result<Option<String>, Refusal> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > 256 => {
            Err(Refusal::invalid("idempotency_key: must have 1 to 256 characters"))
        }
        key => Ok(key),
    }
}

pub(super) fn artifact_id(text: &str) -> Result<ArtifactId, Refusal> {
    ArtifactId::parse(text)
        .ok_or_else(|| Refusal::invalid("artifact_id: must be art_ followed by 16 letters and digits"))
}

pub(super) fn session_id(text: &str) -> Result<SessionId, Refusal> {
    SessionId::parse(text).ok_or_else(|| {
        Refusal::invalid("session_id: must begin with a letter or digit, then up to 127 of A-Z a-z 0-9 . _ -")
    })
}

pub(super) fn session(text: Option<String>) -> Result<Option<String>, Refusal> {
    text.map(|text| session_id(&text).map(|_| text)).transpose()
}

pub(super) fn filename(text: String) -> Result<String, Refusal> {
    let length = text.chars().count();
    if !(1..=255).contains(&length) || text.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            "filename: must have 1 to 255 characters, none of them a control character",
        ));
    }
    Ok(text)
}

pub(super) fn agent(text: Option<String>) -> Result<Option<String>, Refusal> {
    match &text {
        Some(agent) if !(1..=128).contains(&agent.chars().count()) || agent.chars().any(char::is_control) => {
            Err(Refusal::invalid("agent_id: must have 1 to 128 characters, none of them a control character"))
        }
        _ => Ok(text),
    }
}

pub(super) fn metadata(entries: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    if entries.len() > 64 {
        return Err(Refusal::invalid("metadata: at most 64 entries"));
    }
    for (key, value) in &entries {
        let legal = key.len() <= 64
            && key.starts_with(|first: char| first.is_ascii_alphabetic())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !legal {
            return Err(Refusal::invalid(
                "metadata: a key begins with a letter and has at most 64 of A-Z a-z 0-9 _ -",
            ));
        }
        if value.chars().count() > 1024 {
            return Err(Refusal::invalid("metadata: a value has at most 1024 characters"));
        }
    }
    if entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > METADATA_BYTES {
        return Err(Refusal::invalid("metadata: at most 16 KiB, keys and values together"));
    }
    Ok(entries)
}

pub(super) fn content_type(text: String) -> Result<String, Refusal> {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    let essence = text.split_once(';').map_or(text.as_str(), |(essence, _)| essence).trim_end();
    let legal = text.len() <= 127
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if legal {
        Ok(text)
    } else {
        Err(Refusal::invalid("content_type: must be a media type such as text/plain"))
    }
}

/// Reads a length of life and holds it against the plan.
pub(super) fn ttl(text: Option<&str>, plan: &Plan) -> Result<Option<Seconds>, Refusal> {
    let asked = match text {
        None => return Ok(plan.longest_life()),
        Some("never") => None,
        Some(text) => Some(length(text).ok_or_else(|| {
            Refusal::invalid("ttl: must be a number with s, m, h or d, such as 7d (3660d at most), or never")
        })?),
    };
    match (plan.longest_life(), asked) {
        (Some(longest), asked) if asked.is_none_or(|asked| asked > longest) => Err(Refusal::new(
            Code::TtlExceedsPlanLimit,
            format!(
                "ttl: the plan {:?} keeps artifacts for {} days at most",
                plan.name,
                longest.get() / 86_400
            ),
        )),
        (_, asked) => Ok(asked),
    }
}

fn length(text: &str) -> Option<Seconds> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: i64 = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok())??;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let length = Seconds::new(number.checked_mul(unit)?);
    (Seconds::new(1)..=LONGEST_LIFE).contains(&length).then_some(length)
}

/// The media type that a file name suggests.
pub(super) fn guess(filename: &str) -> &'static str {
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("txt" | "log") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("js" | "mjs") => "text/javascript",
        Some("json") => "application/json",
        Some("jsonl") => "application/x-ndjson",
        Some("xml") => "application/xml",
        Some("yaml" | "yml") => "application/yaml",
        Some("toml") => "application/toml",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("tar") => "application/x-tar",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("svg") => "image/svg+xml",
        Some("mp3") => "audio/mpeg",
        Some("wav") => "audio/wav",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_life_are_read() {
        for (text, seconds) in
            [("1s", 1), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("3660d", 316_224_000)]
        {
            assert_eq!(ttl(Some(text), &Plan::pro()).unwrap(), Some(Seconds::new(seconds)), "{text}");
        }
        assert_eq!(ttl(Some("never"), &Plan::pro()).unwrap(), None);
        assert_eq!(ttl(None, &Plan::pro()).unwrap(), None);
        for bad in ["", "d", "0d", "-1d", "+1d", "7", "7w", "7 d", "é", "99999999999999999999d", "3661d"] {
            assert_eq!(ttl(Some(bad), &Plan::pro()).unwrap_err().code(), Code::InvalidRequest, "{bad:?}");
        }
    }

    #[test]
    fn a_plan_that_ends_lives_ends_every_life() {
        let plan = Plan { retention_days: Some(30), ..Plan::free() };
        assert_eq!(ttl(None, &plan).unwrap(), Some(Seconds::days(30)));
        assert_eq!(ttl(Some("30d"), &plan).unwrap(), Some(Seconds::days(30)));
        for beyond in ["31d", "never"] {
            assert_eq!(ttl(Some(beyond), &plan).unwrap_err().code(), Code::TtlExceedsPlanLimit, "{beyond}");
        }
    }

    #[test]
    fn base64_is_read_with_and_without_padding_and_line_breaks() {
        for text in ["aGVsbG8=", "aGVsbG8", "aGVs\r\nbG8=\n"] {
            assert_eq!(content(text).unwrap(), b"hello", "{text:?}");
        }
        assert_eq!(content("").unwrap(), b"");
        assert_eq!(content("a_-b").unwrap_err().code(), Code::InvalidRequest);
    }

    #[test]
    fn ten_mebibytes_fit_and_one_byte_more_does_not() {
        let encode = |length| base64::engine::general_purpose::STANDARD.encode(vec![7_u8; length]);
        assert_eq!(content(&encode(INLINE_BYTES)).unwrap().len(), INLINE_BYTES);
        assert_eq!(content(&encode(INLINE_BYTES + 1)).unwrap_err().code(), Code::FileTooLarge);
    }

    #[test]
    fn media_types_are_checked() {
        for good in ["text/plain", "text/plain; charset=utf-8", "application/vnd.api+json"] {
            assert!(content_type(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "text", "text/", "/plain", "text/pl ain", "text/plain\r\nx: y", "téxt/plain", "a/b/c"]
        {
            assert!(content_type(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn notes_have_limits() {
        let one = |key: &str, value: &str| metadata(BTreeMap::from([(key.to_owned(), value.to_owned())]));
        assert!(one("job-id_1", &"é".repeat(1024)).is_ok());
        for (key, value) in [("", "x"), ("1a", "x"), ("a b", "x"), ("a.b", "x"), ("a", &"x".repeat(1025))] {
            assert!(one(key, value).is_err(), "{key:?}");
        }
        let full = |length| {
            let value = |i| "x".repeat(if i < 15 { 1022 } else { length });
            metadata((0..16).map(|i| (format!("k{i:x}"), value(i))).collect())
        };
        assert!(full(1022).is_ok(), "16 KiB in all");
        assert!(full(1023).is_err(), "a byte more");
        assert!(metadata((0..65).map(|i| (format!("k{i}"), String::new())).collect()).is_err());
    }

    #[test]
    fn a_page_has_1_to_200_items() {
        assert_eq!(page(None, None).unwrap().limit, 50);
        for bad in [0, -1, 201, i64::MAX] {
            assert!(page(Some(bad), None).is_err(), "{bad}");
        }
    }
}
