//! Reads DER as far as a CMS signature needs it: element after element, never beyond the end.

/// One element: its tag and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
}

/// The elements of some content, one after the other; ends at what is no element.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a>(pub &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if *first >= 0x80 {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.len() > 4 || bytes.is_empty() {
                return None;
            }
            length = bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(Element { tag: *tag, content })
    }
}

impl<'a> Element<'a> {
    pub fn elements(self) -> Elements<'a> {
        Elements(self.content)
    }

    /// The first element inside with this tag.
    pub fn find(self, tag: u8) -> Option<Self> {
        self.elements().find(|element| element.tag == tag)
    }
}

pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const OID: u8 = 0x06;
pub const CONTEXT_0: u8 = 0xa0;
const KEY_ID: u8 = 0x80;

const OID_SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];

/// Who signed, as the signature names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerId<'a> {
    /// The issuer's name in DER, and the serial number's bytes.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    KeyId(&'a [u8]),
}

/// What a CMS signature says beside the signature itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedData<'a> {
    /// The certificates that it brings along, in DER.
    pub certificates: Vec<&'a [u8]>,
    /// One for each signer.
    pub signers: Vec<SignerId<'a>>,
    /// When the first says that it signed.
    pub signing_time: Option<&'a str>,
}

pub fn read_signed_data(signature: &[u8]) -> Option<SignedData<'_>> {
    let content_info = Elements(signature).next()?;
    let signed_data = content_info.find(CONTEXT_0)?.find(SEQUENCE)?;
    let certificates = signed_data.find(CONTEXT_0).map(|set| whole_elements(set.content)).unwrap_or_default();
    // Of the two SETs, digest algorithms and signer infos, the last.
    let signer_infos = signed_data.elements().filter(|element| element.tag == SET).last()?;
    let signers = signer_infos.elements().filter_map(signer_id).collect();
    let attributes = signer_infos.find(SEQUENCE)?.find(CONTEXT_0);
    let signing_time = attributes.and_then(|attributes| {
        let attribute = attributes
            .elements()
            .find(|attribute| attribute.find(OID).is_some_and(|oid| oid.content == OID_SIGNING_TIME))?;
        let time = attribute.find(SET)?.elements().next()?;
        std::str::from_utf8(time.content).ok()
    });
    Some(SignedData { certificates, signers, signing_time })
}

/// The second element of a signer info: issuer and serial number, or a key id under a tag of its own.
fn signer_id(info: Element<'_>) -> Option<SignerId<'_>> {
    let id = info.elements().nth(1)?;
    match id.tag {
        SEQUENCE => {
            let issuer = *whole_elements(id.content).first()?;
            let serial = id.elements().nth(1)?;
            Some(SignerId::IssuerAndSerial(issuer, serial.content))
        }
        KEY_ID => Some(SignerId::KeyId(id.content)),
        _ => None,
    }
}

/// Elements with their heads, as they stand.
fn whole_elements(content: &[u8]) -> Vec<&[u8]> {
    let mut elements = Elements(content);
    let mut whole = Vec::new();
    loop {
        let before = elements.0;
        if elements.next().is_none() {
            return whole;
        }
        whole.extend(before.get(..before.len() - elements.0.len()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_end_where_their_bytes_end() {
        let bytes = [SEQUENCE, 3, OID, 1, 9, SET, 0x81, 1, 7, 0x04, 5, 1];
        let elements: Vec<_> = Elements(&bytes).collect();
        assert_eq!(elements.len(), 2, "the third is cut off");
        assert_eq!(elements[0].find(OID), Some(Element { tag: OID, content: &[9] }));
        assert_eq!(elements[1].content, [7]);
        assert_eq!(whole_elements(&bytes)[0], &bytes[..5]);
        for wrong in
            [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]]
        {
            assert_eq!(Elements(wrong).next(), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_signed_data(&bytes);
        }
    }
}
