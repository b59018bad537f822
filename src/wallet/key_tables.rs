//! `docs/pass-keys.md`: every key of both wallets, from the dictionaries.

use std::fmt::Write as _;

use crate::wallet::apple::dictionary::{FIELD, PASS, SEMANTICS, STYLE};
use crate::wallet::dictionary::{Key, table};
use crate::wallet::google::dictionary as google;

/// The whole page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# Every key of a pass\n\nMade by `passarela template keys`; a test compares. A star marks what must be there. What the \
         template gives for every wallet is described in [templates.md](templates.md); the rest stands in its tables `[apple]` \
         and `[google]`, in the wallet's own words. A value of another shape than the table says is refused with its line.\n",
    );
    let apple: [(&str, &[Key], &str); 4] = [
        ("Apple: the top of `pass.json`", PASS, "[apple]"),
        ("Apple: a style", STYLE, "[apple]"),
        ("Apple: a field", FIELD, "apple = { … } of a field"),
        ("Apple: semantic tags", SEMANTICS, "[apple.semantics]"),
    ];
    let google: [(&str, &[Key], &str); 8] = [
        ("Google: loyalty class", google::LOYALTY_CLASS, "[google.class]"),
        ("Google: loyalty object", google::LOYALTY_OBJECT, "[google.object]"),
        ("Google: offer class", google::OFFER_CLASS, "[google.class]"),
        ("Google: offer object", google::OFFER_OBJECT, "[google.object]"),
        ("Google: event ticket class", google::EVENT_TICKET_CLASS, "[google.class]"),
        ("Google: event ticket object", google::EVENT_TICKET_OBJECT, "[google.object]"),
        ("Google: generic class", google::GENERIC_CLASS, "[google.class]"),
        ("Google: generic object", google::GENERIC_OBJECT, "[google.object]"),
    ];
    for (title, keys, own) in apple.into_iter().chain(google) {
        write!(page, "\n## {title}\n\n{}", table(keys, own)).expect("memory takes it");
    }
    page
}
