//! The text in a pass's barcode, made for scanners.
//!
//! Thirty bytes: one of version and type, one of key id, twelve of a random code id, sixteen of MAC; written as 48
//! characters of upper-case Crockford base32, which QR codes hold in alphanumeric mode (a 29×29 code) and which fit the
//! 64 bytes of an NFC message. Nothing personal, nothing that can be counted up, and a forged code is refused before
//! any look-up.

/// Length of the random id inside a code, in bytes.
pub const CODE_ID_LEN: usize = 12;
const MAC_LEN: usize = 16;
const LEN: usize = 2 + CODE_ID_LEN + MAC_LEN;

/// What a code stands for. Version 1 in the high half, the type in the low half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    Pass = 0x11,
    Coupon = 0x12,
}

impl CodeKind {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            0x11 => Some(Self::Pass),
            0x12 => Some(Self::Coupon),
            _ => None,
        }
    }
}

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code. `mac` is given the fourteen bytes before the MAC and answers at least sixteen bytes.
pub fn code(kind: CodeKind, key_id: u8, code_id: [u8; CODE_ID_LEN], mac: impl FnOnce(&[u8]) -> [u8; 32]) -> String {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.push(kind as u8);
    bytes.push(key_id);
    bytes.extend_from_slice(&code_id);
    let mac = mac(&bytes);
    bytes.extend(mac.iter().take(MAC_LEN));
    base32(&bytes)
}

/// A code as it was read, not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadCode {
    pub kind: CodeKind,
    pub key_id: u8,
    pub code_id: [u8; CODE_ID_LEN],
    /// What the MAC was made over.
    pub signed: [u8; 2 + CODE_ID_LEN],
    pub mac: [u8; MAC_LEN],
}

/// Takes a code apart. Case does not matter, and the letters that people misread (O, I, L) are the digits they look
/// like, as Crockford has it. `None`: not a code of this version.
pub fn read_code(text: &str) -> Option<ReadCode> {
    let bytes = unbase32(text.trim(), LEN)?;
    let (signed, mac) = bytes.split_first_chunk::<{ 2 + CODE_ID_LEN }>()?;
    let [kind, key_id, code_id @ ..] = *signed;
    Some(ReadCode { kind: CodeKind::of(kind)?, key_id, code_id, signed: *signed, mac: mac.try_into().ok()? })
}

/// A coupon's code that a till can check alone: what it is, how long it may be used, and a signature (Ed25519) over that.
///
/// A hundred bytes as 160 characters of base32: one of version and type, one of key id, twelve of the code's id, sixteen of the
/// offer's, three each of when it begins and ends (minutes since 2020), sixty-four of signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfflineCode {
    pub key_id: u8,
    pub code_id: [u8; CODE_ID_LEN],
    pub offer: [u8; 16],
    /// Minutes since 2020; of the end, 0 is never.
    pub starts_at: u32,
    pub expires_at: u32,
}

const OFFLINE_KIND: u8 = 0x22;
const OFFLINE_LEN: usize = OFFLINE_SIGNED_LEN + SIGNATURE_LEN;
pub const OFFLINE_SIGNED_LEN: usize = 36;
pub const SIGNATURE_LEN: usize = 64;

/// The last minute that a code can name: in the year 2051.
pub const MINUTES_MAX: u32 = 0xff_ffff;

/// When the minutes of offline codes begin: 2020-01-01T00:00Z, in Unix seconds.
const MINUTES_BEGIN: i64 = 1_577_836_800;

/// The minute that a time (Unix seconds) is in.
pub fn minutes_down(at: i64) -> u32 {
    u32::try_from((at - MINUTES_BEGIN).div_euclid(60).max(0)).unwrap_or(u32::MAX).min(MINUTES_MAX)
}

/// The first minute that begins no earlier.
pub fn minutes_up(at: i64) -> u32 {
    minutes_down(at.saturating_add(59))
}

impl OfflineCode {
    /// What the signature is over.
    pub fn signed(&self) -> [u8; OFFLINE_SIGNED_LEN] {
        let mut bytes = Vec::with_capacity(OFFLINE_SIGNED_LEN);
        bytes.extend([OFFLINE_KIND, self.key_id]);
        bytes.extend(self.code_id);
        bytes.extend(self.offer);
        for minutes in [self.starts_at, self.expires_at] {
            bytes.extend(minutes.min(MINUTES_MAX).to_be_bytes().iter().skip(1));
        }
        bytes.try_into().expect("2 + 12 + 16 + 3 + 3 is 36")
    }

    pub fn write(&self, signature: &[u8; SIGNATURE_LEN]) -> String {
        base32(&[self.signed().as_slice(), signature].concat())
    }

    /// With its signature, which is somebody else's to check. `None`: not such a code.
    pub fn read(text: &str) -> Option<(Self, [u8; SIGNATURE_LEN])> {
        let bytes = unbase32(text.trim(), OFFLINE_LEN)?;
        let (signed, signature) = bytes.split_first_chunk::<OFFLINE_SIGNED_LEN>()?;
        let [kind, key_id, rest @ ..] = signed;
        let (code_id, rest) = rest.split_first_chunk::<CODE_ID_LEN>()?;
        let (offer, rest) = rest.split_first_chunk::<16>()?;
        let [a, b, c, d, e, f] = *<&[u8; 6]>::try_from(rest).ok()?;
        let minutes = |bytes: [u8; 3]| bytes.iter().fold(0, |sum, byte| (sum << 8) | u32::from(*byte));
        let (starts_at, expires_at) = (minutes([a, b, c]), minutes([d, e, f]));
        let code = Self { key_id: *key_id, code_id: *code_id, offer: *offer, starts_at, expires_at };
        (*kind == OFFLINE_KIND).then_some((code, signature.try_into().ok()?))
    }
}

/// Characters of a typed code that are chance: 65 bits.
pub const TYPED_LEN: usize = 13;

/// A code that people type: 13 characters of chance and one that tells a slip of the finger (Luhn's formula in base 32).
/// `chance` holds that many of the alphabet, in whatever case.
pub fn typed_code(chance: &str) -> String {
    let mut code = chance.to_ascii_uppercase();
    let values: Vec<u32> = code.bytes().filter_map(value).collect();
    let check = (32 - luhn(&values, 2) % 32) % 32;
    code.extend(ALPHABET.get(check as usize).map(|letter| char::from(*letter)));
    code
}

/// A typed code as it is kept: without blanks and dashes, and with the digits that O, I and L stand for. `None`: mistyped, or
/// no such code at all.
pub fn read_typed_code(text: &str) -> Option<String> {
    let plain = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).map(value).collect::<Option<Vec<u32>>>()?;
    if plain.len() != TYPED_LEN + 1 || !luhn(&plain, 1).is_multiple_of(32) {
        return None;
    }
    Some(plain.iter().filter_map(|value| ALPHABET.get(*value as usize)).map(|letter| char::from(*letter)).collect())
}

/// A code that the brand had before, as it is kept: capital letters and digits, without blanks and dashes. `None`: not 6 to 40
/// of them.
pub fn own_code(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    let is_good = (6..=40).contains(&plain.len()) && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_good.then(|| plain.to_ascii_uppercase())
}

/// Luhn's sum in base 32, from the right; the rightmost is counted `first` times.
fn luhn(values: &[u32], first: u32) -> u32 {
    let mut factor = first;
    let mut sum = 0;
    for value in values.iter().rev() {
        let product = value * factor;
        sum += product / 32 + product % 32;
        factor = 3 - factor;
    }
    sum
}

/// A character's value, as people misread it.
fn value(letter: u8) -> Option<u32> {
    let letter = match letter.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == letter).and_then(|index| u32::try_from(index).ok())
}

/// Exactly so many bytes, a multiple of five, written out; `None` for a stranger's letter or length.
fn unbase32(text: &str, len: usize) -> Option<Vec<u8>> {
    if text.len() != len / 5 * 8 {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for letter in text.bytes() {
        buffer = (buffer << 5) | value(letter)?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits).ok()?);
            buffer &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

/// Five bits a character; five bytes divide into eight of them without a rest.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = (buffer >> bits) & 31;
            text.extend(ALPHABET.get(index as usize).map(|letter| char::from(*letter)));
        }
        buffer &= (1 << bits) - 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_48_characters_that_a_qr_code_holds_in_alphanumeric_mode() {
        let code = code(CodeKind::Pass, 1, [0xff; CODE_ID_LEN], |signed| {
            assert_eq!(signed.len(), 14);
            [0; 32]
        });
        assert_eq!(code, "240ZZZZZZZZZZZZZZZZZZZR0000000000000000000000000");
        assert_eq!(code.len(), 48);
    }

    #[test]
    fn a_code_is_read_as_it_was_written_and_as_people_misread_it() {
        let id = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];
        let code = code(CodeKind::Pass, 7, id, |_| [0x5a; 32]);
        let read = read_code(&code).unwrap();
        assert_eq!((read.kind, read.key_id, read.code_id, read.mac), (CodeKind::Pass, 7, id, [0x5a; 16]));
        let misread = code.to_lowercase().replace('0', "o").replacen('1', "l", 1).replacen('1', "i", 1);
        assert_eq!(read_code(&format!(" {misread}\n")), Some(read));
        for wrong in [
            "",
            "240",
            &code.replacen("24", "2", 1),
            &format!("{code}0"),
            &code.replace('2', "U"),
            &code.replacen('2', "4", 1),
        ] {
            assert_eq!(read_code(wrong), None, "{wrong}");
        }
        let coupon = super::code(CodeKind::Coupon, 7, id, |_| [0x5a; 32]);
        assert_eq!(read_code(&coupon).unwrap().kind, CodeKind::Coupon);
    }

    #[test]
    fn an_offline_code_is_read_as_it_was_written() {
        let code = OfflineCode { key_id: 3, code_id: [7; 12], offer: [9; 16], starts_at: 3_600_000, expires_at: 0 };
        let text = code.write(&[0xa5; 64]);
        assert_eq!(text.len(), 160);
        assert_eq!(OfflineCode::read(&text.to_lowercase()), Some((code, [0xa5; 64])));
        assert_eq!(OfflineCode::read(text.get(..159).unwrap()), None);
        assert_eq!(OfflineCode::read(&text.replacen('4', "2", 1)), None, "another kind");
        assert_eq!((read_code(&text), own_code(&text)), (None, None));
    }

    #[test]
    fn an_offline_code_is_never_good_before_its_time_or_after() {
        const AT: i64 = MINUTES_BEGIN + 60 * 100;
        for (second, down, up) in [(0, 100, 100), (1, 100, 101), (59, 100, 101), (60, 101, 101), (-1, 99, 100)] {
            assert_eq!((minutes_down(AT + second), minutes_up(AT + second)), (down, up), "{second}");
        }
        assert_eq!((minutes_down(0), minutes_up(i64::MAX)), (0, MINUTES_MAX));
    }

    #[test]
    fn a_brands_own_code_is_letters_and_digits() {
        assert_eq!(own_code(" verao-2026 ab ").as_deref(), Some("VERAO2026AB"));
        for wrong in ["", "ab-12", "verão-2026", "verao_2026", &"a".repeat(41)] {
            assert_eq!(own_code(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_told() {
        let code = typed_code("4f7k9q2m0xzpt");
        assert_eq!(code.len(), TYPED_LEN + 1);
        let (front, back) = code.split_at(7);
        let written = format!("{}-{back}", front.to_lowercase().replace('0', "o"));
        assert_eq!(read_typed_code(&written).as_deref(), Some(code.as_str()));
        for place in 0..code.len() {
            for letter in ALPHABET.iter().map(|letter| char::from(*letter)) {
                let mut slipped: Vec<char> = code.chars().collect();
                slipped[place] = letter;
                let slipped: String = slipped.into_iter().collect();
                assert_eq!(read_typed_code(&slipped).is_some(), slipped == code, "{slipped}");
            }
        }
        let mut swapped: Vec<char> = code.chars().collect();
        swapped.swap(2, 3);
        assert_eq!(read_typed_code(&swapped.into_iter().collect::<String>()), None);
        assert_eq!(read_typed_code(front), None);
    }
}
