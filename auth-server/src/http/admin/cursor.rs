//! Where a list goes on. The text is for this server only: it carries the last identifier that was shown and a tag over it,
//! the list and its filters, so that nobody can put anything else into a query.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::problem::{Code, Problem};
use crate::keys::Tags;

/// The cursor after `position`, in the list of this name with these filters.
pub(super) fn seal(tags: &Tags, list: &str, filters: &str, position: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(position), tags.tag(&[list, filters, position]))
}

/// The position of a cursor that this server made for this list and these filters.
pub(super) fn open(tags: &Tags, list: &str, filters: &str, cursor: &str) -> Result<String, Problem> {
    let position = || {
        let (position, tag) = cursor.split_once('.')?;
        let position = String::from_utf8(URL_SAFE_NO_PAD.decode(position).ok()?).ok()?;
        tags.check(&[list, filters, &position], tag).then_some(position)
    };
    position().ok_or_else(|| {
        let detail = "send next_cursor as it was given, with the same filters; or leave it out to begin anew";
        Problem::new(Code::InvalidCursor, detail)
    })
}
