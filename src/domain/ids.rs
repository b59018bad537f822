//! Typed ids. Inside they are UUIDv7; at the API they read `pas_<32 hex>`, so that one kind is never taken for another.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not an id of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an id that begins with `{prefix}_`")]
pub struct WrongId {
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// Before every id that is ever made: where a list begins.
            pub const FIRST: Self = Self(Uuid::nil());

            /// After every id: where a list that goes backwards begins.
            pub const LAST: Self = Self(Uuid::max());

            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = WrongId;

            fn from_str(text: &str) -> Result<Self, WrongId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|hex| hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(WrongId { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(/** A tenant: one shop chain, with its own programs, customers and pass types. */ BrandId, "brd");
id!(/** A loyalty program of a brand. */ ProgramId, "prg");
id!(/** A person (or company) known to a brand. */ CustomerId, "cus");
id!(/** A customer's membership of one program. */ MemberId, "mem");
id!(/** A pass in somebody's wallet, or on its way there. */ PassId, "pas");
id!(/** A design that passes are made from; its versions are numbered. */ TemplateId, "tpl");
id!(/** A phone or watch that registered for updates of a pass type. */ DeviceId, "dev");
id!(/** An API key (not its secret). */ KeyId, "key");
id!(/** An entry of the timeline. */ EventId, "evt");
id!(/** A class that objects at Google belong to. */ GoogleClassId, "gcl");
id!(/** An installation of the brand's own app. */ AppDeviceId, "apd");
id!(/** A new template version on its way to the passes of the template. */ RolloutId, "rol");
id!(/** Long work that goes on by itself, such as an import. */ JobId, "job");
id!(/** A shop of a brand. */ StoreId, "sto");
id!(/** A kind of balance that a program keeps: points, stamps, cashback. */ WalletTypeId, "wty");
id!(/** A member's balance of one kind. */ WalletId, "wal");
id!(/** What purchases, or something else, give to a wallet. */ EarningRuleId, "rul");
id!(/** A purchase. */ OrderId, "ord");
id!(/** What a wallet began with, brought along from another system. */ OpeningId, "opn");
id!(/** What an offline till did that was not its to do. */ ConflictId, "cfl");
id!(/** Goods that came back. */ ReturnId, "ret");
id!(/** What customers are promised; with a price in units, a reward. */ OfferId, "off");
id!(/** One customer's right to an offer. */ CouponId, "cpn");
id!(/** What a till was told that would apply. */ QuoteId, "quo");
id!(/** What a till took off a basket, once. */ RedemptionId, "rdm");
id!(/** Units of one wallet that became units of another. */ ConversionId, "cnv");
id!(/** What somebody did by hand. */ AuditId, "aud");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_no_other_kind_is_taken() {
        let id = PassId::new(Uuid::from_u128(7));
        assert_eq!(id.to_string(), "pas_00000000000000000000000000000007");
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in [
            "",
            "pas_",
            "cus_00000000000000000000000000000007",
            "pas_0000000000000000000000000000000G",
            "pas_00000000-0000-0000-0000-000000000007",
        ] {
            assert_eq!(wrong.parse::<PassId>(), Err(WrongId { prefix: "pas" }), "{wrong}");
        }
    }
}
