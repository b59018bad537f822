//! Why a till may not redeem something: the codes of the field, and a sentence for the person at the till.

use crate::domain::locale::Locale;
use crate::domain::text::text_enum;

text_enum! {
    /// In the order in which they are checked, where several would apply.
    pub enum RefusalCode {
        CouponNotFound = "coupon_not_found",
        Voided = "voided",
        AlreadyRedeemed = "already_redeemed",
        CampaignNotRunning = "campaign_not_running",
        StartsInFuture = "starts_in_future",
        Expired = "expired",
        RecipientMismatch = "recipient_mismatch",
        ReservationRequired = "reservation_required",
        ProfileRequired = "profile_required",
        ProfileLimitReached = "profile_limit_reached",
        StoreNotAllowed = "store_not_allowed",
        RejectedByCondition = "rejected_by_condition",
        CampaignLimitReached = "campaign_limit_reached",
        StockExhausted = "stock_exhausted",
        EffectNotApplicable = "effect_not_applicable",
        NotStackable = "not_stackable",
        BasketLocked = "basket_locked",
        BasketChanged = "basket_changed",
        QuoteExpired = "quote_expired",
        NotEnoughUnits = "not_enough_units",
        SpendLimitReached = "spend_limit_reached",
        WalletClosed = "wallet_closed",
    }
}

impl RefusalCode {
    /// What the till says. Portuguese and English; every other language reads English.
    pub const fn sentence(self, locale: Locale) -> &'static str {
        let [portuguese, english] = match self {
            Self::CouponNotFound => ["Este cupom não foi encontrado.", "This coupon was not found."],
            Self::Voided => ["Este cupom foi cancelado.", "This coupon was cancelled."],
            Self::AlreadyRedeemed => ["Este cupom já foi usado.", "This coupon was already used."],
            Self::CampaignNotRunning => ["Esta oferta não está ativa.", "This offer is not running."],
            Self::StartsInFuture => ["Esta oferta ainda não começou.", "This offer has not begun yet."],
            Self::Expired => ["A validade terminou.", "It is past its end."],
            Self::RecipientMismatch => ["Este cupom é de outra pessoa.", "This coupon is somebody else's."],
            Self::ReservationRequired => ["É preciso reservar antes.", "It must be reserved first."],
            Self::ProfileRequired => ["É preciso identificar o cliente.", "The customer must be identified."],
            Self::ProfileLimitReached => [
                "O cliente já usou esta oferta o número máximo de vezes.",
                "The customer has used this offer as often as allowed.",
            ],
            Self::StoreNotAllowed => ["Esta oferta não vale nesta loja.", "This offer is not valid in this store."],
            Self::RejectedByCondition => {
                ["A compra não cumpre as condições da oferta.", "The purchase does not meet the offer's conditions."]
            }
            Self::CampaignLimitReached => ["O limite desta oferta foi atingido.", "This offer's limit is reached."],
            Self::StockExhausted => ["O estoque desta oferta acabou.", "This offer is out of stock."],
            Self::EffectNotApplicable => [
                "Não há nesta compra nada a que a oferta se aplique.",
                "There is nothing in this purchase that the offer applies to.",
            ],
            Self::NotStackable => {
                ["Não pode ser combinada com outra já aplicada.", "It cannot be combined with another that applies."]
            }
            Self::BasketLocked => {
                ["Outra compra deste cliente está em andamento.", "Another purchase of this customer is under way."]
            }
            Self::BasketChanged => ["A compra mudou desde a cotação.", "The purchase changed since the quote."],
            Self::QuoteExpired => ["A cotação expirou.", "The quote is over."],
            Self::NotEnoughUnits => ["O saldo não é suficiente.", "The balance is not enough."],
            Self::SpendLimitReached => ["O limite de uso do saldo foi atingido.", "The limit of spending is reached."],
            Self::WalletClosed => ["Este saldo não pode ser usado agora.", "This balance cannot be used now."],
        };
        match locale {
            Locale::PtBr => portuguese,
            _ => english,
        }
    }
}
