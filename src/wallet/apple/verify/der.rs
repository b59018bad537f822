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

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

const OID_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const OID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const OID_SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const OID_SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const OID_CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const OID_MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_RSA_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const OID_RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const OID_ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
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
    /// The signature itself, where it is of the form that Apple's tools and most others write.
    pub usual: Option<Usual<'a>>,
}

/// A detached signature of one signer over attributes, by RSA (PKCS #1) or ECDSA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usual<'a> {
    pub digest: Digest,
    pub key: Key,
    /// What was signed: the attributes as a SET.
    pub attributes: Vec<u8>,
    /// The digest of the content, one of the attributes.
    pub message_digest: &'a [u8],
    /// When it says that it was made, another of the attributes.
    pub signing_time: Option<&'a str>,
    pub signature: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha1,
    Sha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Rsa,
    Ec,
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
    let usual = usual(signature);
    Some(SignedData { certificates, signers, signing_time, usual })
}

/// Elements that cover some content, each with its head, and with lengths as short as they can be; `None`: they do not.
fn exactly(content: &[u8]) -> Option<Vec<(Element<'_>, &[u8])>> {
    let mut covered = 0;
    let mut found = Vec::new();
    for whole in whole_elements(content) {
        let element = Elements(whole).next()?;
        let head = match element.content.len() {
            0..0x80 => 2,
            0x80..0x100 => 3,
            0x100..0x1_0000 => 4,
            0x1_0000..0x100_0000 => 5,
            _ => 6,
        };
        if whole.len() != head + element.content.len() {
            return None;
        }
        covered += whole.len();
        found.push((element, whole));
    }
    (covered == content.len()).then_some(found)
}

/// Whether everything inside is written as DER writes it.
fn is_canonical(content: &[u8]) -> bool {
    const CONSTRUCTED: u8 = 0x20;
    exactly(content).is_some_and(|elements| {
        elements.iter().all(|(element, _)| element.tag & CONSTRUCTED == 0 || is_canonical(element.content))
    })
}

/// The only elements inside one with this tag.
fn inside<'a, const COUNT: usize>(element: Element<'a>, tag: u8) -> Option<[(Element<'a>, &'a [u8]); COUNT]> {
    (element.tag == tag).then(|| exactly(element.content))?.and_then(|elements| elements.try_into().ok())
}

/// The name of an algorithm without parameters.
fn algorithm(element: Element<'_>) -> Option<&[u8]> {
    const NULL: &[u8] = &[0x05, 0x00];
    if element.tag != SEQUENCE {
        return None;
    }
    match exactly(element.content)?[..] {
        [(oid, _)] if oid.tag == OID => Some(oid.content),
        [(oid, _), (_, NULL)] if oid.tag == OID => Some(oid.content),
        _ => None,
    }
}

/// Exactly the form of RFC 5652 that Apple's tools write, to the last byte. Anything else is left to OpenSSL, which reads
/// every form: what is read here must be what it would read.
fn usual(signature: &[u8]) -> Option<Usual<'_>> {
    const ONE: &[u8] = &[INTEGER, 1, 1];
    let [(content_info, _)] = exactly(signature)?[..] else { return None };
    let [(oid, _), (context, _)] = inside(content_info, SEQUENCE)?;
    let [(signed_data, _)] = inside(context, CONTEXT_0)?;
    let [(_, version), (algorithms, _), (content, _), (certificates, _), (infos, _)] = inside(signed_data, SEQUENCE)?;
    let [(listed, _)] = inside(algorithms, SET)?;
    let [(content_oid, _)] = inside(content, SEQUENCE)?;
    let [(info, _)] = inside(infos, SET)?;
    let [(_, info_version), (signer, _), (digest, _), (attributes, attributes_whole), (key, _), (raw, _)] =
        inside(info, SEQUENCE)?;
    let [(issuer, _), (serial, _)] = inside(signer, SEQUENCE)?;
    let is_form = oid.tag == OID
        && oid.content == OID_SIGNED_DATA
        && version == ONE
        && content_oid.tag == OID
        && content_oid.content == OID_DATA
        && certificates.tag == CONTEXT_0
        && exactly(certificates.content)?.iter().all(|(certificate, _)| certificate.tag == SEQUENCE)
        && info_version == ONE
        && issuer.tag == SEQUENCE
        && serial.tag == INTEGER
        // One zero before a digit that would otherwise mean "negative", and no other.
        && !matches!(serial.content, [] | [0, 0..0x80, ..] | [0x80..=0xff, ..])
        && attributes.tag == CONTEXT_0
        && is_canonical(attributes.content)
        && raw.tag == OCTET_STRING
        && algorithm(listed)? == algorithm(digest)?;
    if !is_form {
        return None;
    }
    let digest = match algorithm(digest)? {
        OID_SHA1 => Digest::Sha1,
        OID_SHA256 => Digest::Sha256,
        _ => return None,
    };
    let key = match (algorithm(key)?, digest) {
        (OID_RSA, _) | (OID_RSA_SHA1, Digest::Sha1) | (OID_RSA_SHA256, Digest::Sha256) => Key::Rsa,
        (OID_ECDSA_SHA256, Digest::Sha256) => Key::Ec,
        _ => return None,
    };
    // Each at most once, with one value: two readers must not see two digests.
    let mut values: std::collections::BTreeMap<&[u8], Element<'_>> = std::collections::BTreeMap::new();
    for (attribute, _) in exactly(attributes.content)? {
        let [(name, _), (set, _)] = inside(attribute, SEQUENCE)?;
        if matches!(name.content, OID_CONTENT_TYPE | OID_MESSAGE_DIGEST | OID_SIGNING_TIME) {
            let [(value, _)] = inside(set, SET)?;
            if name.tag != OID || values.insert(name.content, value).is_some() {
                return None;
            }
        }
    }
    let (content_type, message_digest) = (values.get(OID_CONTENT_TYPE)?, values.get(OID_MESSAGE_DIGEST)?);
    if content_type.tag != OID || content_type.content != OID_DATA || message_digest.tag != OCTET_STRING {
        return None;
    }
    let time = values.get(OID_SIGNING_TIME).filter(|time| matches!(time.tag, UTC_TIME | GENERALIZED_TIME));
    Some(Usual {
        digest,
        key,
        // Signed was a SET; inside the signature it carries the tag [0] instead (5.4).
        attributes: [&[SET], attributes_whole.get(1..)?].concat(),
        message_digest: message_digest.content,
        signing_time: time.and_then(|time| std::str::from_utf8(time.content).ok()),
        signature: raw.content,
    })
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
